import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stores } from '../../../test/stores.ts';
import { migrate } from '../../store/migrate.ts';
import { acmArn } from './acm-certificate.ts';
import { listDue, listDueAccounts } from './due-certificates.ts';
import { migrations } from './migrations.ts';
import { insertRequest } from './request-rows.ts';

const accountIds = ['000000000000', '111111111111', '222222222222', '333333333333'] as const;
const [first, second, third, idle] = accountIds;

for (const [engine, open] of stores) {
  test(`${engine}: what is due is read by account, in all its regions: the youngest first, then the longest due`, async (t) => {
    const store = await open(t);
    await migrate(store, migrations, 0);
    const add = (accountId: string, region: string, uuid: string, times: { created: number; due: number | null }) =>
      store.write(async (db) => {
        await insertRequest(
          db,
          { accountId, region },
          {
            ...{ uuid, domainName: 'a.corp', names: ['a.corp'], keyAlgorithm: 'RSA_2048', validation: [] },
            ...{ transparencyPreference: 'ENABLED', idempotencyKey: undefined, nowMs: times.created },
          },
        );
        await db
          .updateTable('acm_certificates')
          .set({ next_action_ms: times.due })
          .where('certificate_uuid', '=', uuid)
          .execute();
      });
    assert.deepEqual(await listDueAccounts(store.db, 1000), [], 'nothing at all');
    await add(third, 'us-east-1', 'due-now', { created: 100, due: 1000 });
    await add(first, 'us-east-1', 'longest', { created: 100, due: 200 });
    await add(first, 'eu-west-1', 'young', { created: 900, due: 990 });
    await add(first, 'us-east-1', 'later', { created: 100, due: 1001 });
    await add(first, 'eu-west-1', 'second', { created: 100, due: 300 });
    await add(second, 'us-east-1', 'tomorrow', { created: 900, due: 5000 });
    await add(idle, 'us-east-1', 'done', { created: 900, due: null });

    assert.deepEqual(await listDueAccounts(store.db, 1000), [first, third]);
    assert.deepEqual(await listDueAccounts(store.db, 5000), [first, second, third]);
    const due = (limit: number) => listDue(store.db, first, { nowMs: 1000, youngSinceMs: 500, limit });
    const arns = [
      ['eu-west-1', 'young'],
      ['us-east-1', 'longest'],
      ['eu-west-1', 'second'],
    ].map(([region = '', uuid = '']) => acmArn({ accountId: first, region }, uuid));
    assert.deepEqual(
      (await due(9)).map(({ arn }) => arn),
      arns,
    );
    assert.deepEqual(
      (await due(2)).map(({ arn }) => arn),
      arns.slice(0, 2),
    );
  });
}
