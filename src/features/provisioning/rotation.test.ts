import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, testAccount } from '../../../test/call.ts';
import { iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import type { JournalRecord } from '../../journal/record.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { type CertificateStatus, findCertificate, insertCertificate } from '../certificates/certificate.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { readCertificateStandings } from '../certificates/standing.ts';
import { findPredecessors, findSuccessor } from '../certificates/succession.ts';
import { updateCertificate } from '../certificates/update-certificate.ts';
import { tags } from '../tags/feature.ts';
import { saveTags, type Tag } from '../tags/tag.ts';
import { attachThingPrincipal, detachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import { migrations } from './migrations.ts';
import { templateItem } from './provisioning-template.ts';
import { createRetirement } from './retirement.ts';
import { checkRotationSetting, lifetimeDaysMax, predecessorsMax, rotate, setting } from './rotation.ts';

const dayMs = 86_400_000;
const bornMs = Date.UTC(2031, 0, 1);
const endMs = Date.UTC(2049, 11, 31);

const start = async (t: TestContext) => {
  const made = await makeCall(t, {
    features: [
      tags({}),
      { name: 'certificates', migrations: certificates },
      { name: 'cas', migrations: cas },
      things(),
      { name: 'provisioning', migrations },
    ],
  });
  const { call, store } = made;
  const records: JournalRecord[] = [];
  const troubles: unknown[] = [];
  const retirement = createRetirement({
    ...{ write: store.write, now: call.now, changed: (_account, kind, id) => call.changed(kind, id) },
    ...{ record: (record) => records.push(record), trouble: (error) => troubles.push(error) },
  });
  t.after(retirement.close);
  const hold = (id: string, status: CertificateStatus = 'ACTIVE') =>
    call.write((db) =>
      insertCertificate(db, call.account, {
        ...{ certificateId: id, status, certificateMode: 'DEFAULT', pem: 'PEM', generationId: id },
        ...{ createdAtMs: bornMs, notBeforeMs: bornMs, notAfterMs: endMs },
      }),
    );
  const certificate = async (id: string) => (await findCertificate(call.db, call.account, id)) ?? assert.fail();
  return {
    ...{ call, changes: made.changes, records, troubles, retirement, hold, certificate },
    /** As the last step of a provisioning: the certificate is there, and attached to its thing. */
    async comes(certificateId: string, thingName: string | undefined, given: Readonly<Record<string, string>>) {
      await hold(certificateId);
      if (thingName !== undefined) await attach(call, thingName, certificateId);
      const asked: Tag[] = Object.entries(given).map(([Key, Value]) => ({ Key, Value }));
      await call.write(async (db) => {
        await saveTags(db, call.account, templateItem(call.account, 'fleet').templateArn, asked);
        await rotate(db, call.account, 'fleet', { certificateId, ...(thingName !== undefined && { thingName }) });
      });
    },
    async connects(certificateId: string) {
      retirement.connected(call.account, certificateId, 'client');
      await retirement.idle();
    },
    statuses: async (...ids: string[]) => Promise.all(ids.map(async (id) => (await certificate(id)).status)),
  };
};

const id = (letter: string): string => letter.repeat(64);
const [a, b, c] = [id('a'), id('b'), id('c')];
const attach = async (call: Call, thingName: string, certificateId: string): Promise<void> => {
  await createThing({ thingName }, call);
  await attachThingPrincipal({ thingName, principal: iotArn(testAccount, 'cert', certificateId) }, call);
};
const retire = { [setting.retirePredecessor]: 'true' };

for (const [Key, Value, message] of [
  [setting.lifetimeDays, '0', /must be a number of days from 1 to 7300, not "0"/],
  [setting.lifetimeDays, '7301', /from 1 to 7300/],
  [setting.lifetimeDays, '1.5', /from 1 to 7300/],
  [setting.lifetimeDays, '', /from 1 to 7300, not ""/],
  [setting.lifetimeDays, '030', /from 1 to 7300/],
  [setting.lifetimeDays, `${'9'.repeat(80)}`, /not "9{64}\.\.\."/],
  [setting.retirePredecessor, 'yes', /must be true or false, not "yes"/],
  [setting.retirePredecessor, 'TRUE', /must be true or false/],
  ['fleetgate:certificate-lifetime', '30', /There is no setting "fleetgate:certificate-lifetime": a template may have/],
  ['Fleetgate:retire-predecessor', 'true', /There is no setting/],
] as const) {
  test(`the tag ${Key}=${Value.slice(0, 9)} is refused, in words that help (docs/divergences.md)`, () => {
    assert.throws(
      () => checkRotationSetting({ Key, Value }),
      (error) => {
        assert(error instanceof Fault);
        assert.equal(error.name, 'InvalidRequestException');
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test('settings that make sense are taken', () => {
  for (const Value of ['1', '30', String(lifetimeDaysMax)]) checkRotationSetting({ Key: setting.lifetimeDays, Value });
  for (const Value of ['true', 'false']) checkRotationSetting({ Key: setting.retirePredecessor, Value });
});

test('off by default: without the tags nothing about a certificate changes', async (t) => {
  const { call, comes, certificate } = await start(t);
  await comes(a, 'thing', {});
  await comes(b, 'thing', { [setting.retirePredecessor]: 'false', team: 'blue' });
  assert.equal((await certificate(b)).notAfterMs, endMs);
  assert.equal(await findPredecessors(call.db, call.account, b), undefined);
  assert.equal((await readCertificateStandings(call.db, call.account, [b])).get(b)?.hasPredecessors, false);
});

test('a lifetime counts from when the certificate came, and never lengthens what it states itself', async (t) => {
  const { comes, certificate } = await start(t);
  await comes(a, undefined, { [setting.lifetimeDays]: '30' });
  const { notAfterMs, status, customerVersion } = await certificate(a);
  assert.deepEqual([notAfterMs, status, customerVersion], [bornMs + 30 * dayMs, 'ACTIVE', 1]);
  await comes(b, undefined, { [setting.lifetimeDays]: '7300' });
  assert.equal((await certificate(b)).notAfterMs, endMs);
});

test('a predecessor is retired when its successor connects, and not before; others hear of it', async (t) => {
  const { call, comes, connects, statuses, changes, records } = await start(t);
  await comes(a, 'thing', retire);
  await comes(b, 'thing', retire);
  assert.deepEqual(await statuses(a, b), ['ACTIVE', 'ACTIVE']);
  assert.equal((await readCertificateStandings(call.db, call.account, [b])).get(b)?.hasPredecessors, true);
  const before = changes.length;
  await connects(b);
  assert.deepEqual(await statuses(a, b), ['INACTIVE', 'ACTIVE']);
  const told = changes
    .slice(before)
    .filter(({ kind }) => kind === 'certificate')
    .map((change) => change.id);
  assert.deepEqual(told.sort(), [a, b]);
  assert.equal((await readCertificateStandings(call.db, call.account, [b])).get(b)?.hasPredecessors, false);
  assert.equal(await findSuccessor(call.db, call.account, a), b);
  const [record, ...more] = records;
  assert.deepEqual(more, []);
  assert.deepEqual(record, {
    ...{ account: call.account, eventType: 'ProvisionDevice', status: 'Success', certificateId: a, clientId: 'client' },
    facts: { thingName: 'thing', successorId: b, predecessor: 'retired' },
  });

  // somebody wants the old one back: that stays so, however often the new one connects
  await updateCertificate({ certificateId: a, newStatus: 'ACTIVE' }, call);
  await connects(b);
  assert.deepEqual(await statuses(a, b), ['ACTIVE', 'ACTIVE']);
  assert.equal(await findSuccessor(call.db, call.account, a), undefined);
});

test('what never connected is retired too: a device that lost its new key comes a third time', async (t) => {
  const { comes, connects, statuses } = await start(t);
  for (const each of [a, b, c]) await comes(each, 'thing', retire);
  await connects(c);
  assert.deepEqual(await statuses(a, b, c), ['INACTIVE', 'INACTIVE', 'ACTIVE']);
});

test('what came later is never a predecessor, whichever connects first', async (t) => {
  const { comes, connects, statuses } = await start(t);
  for (const each of [a, b, c]) await comes(each, 'thing', retire);
  await connects(b);
  assert.deepEqual(await statuses(a, b, c), ['INACTIVE', 'ACTIVE', 'ACTIVE']);
  await connects(c);
  assert.deepEqual(await statuses(a, b, c), ['INACTIVE', 'INACTIVE', 'ACTIVE']);
});

test('a certificate that serves another thing too is left alone, and that is told', async (t) => {
  const { call, comes, connects, statuses, records } = await start(t);
  await comes(a, 'thing', retire);
  await attach(call, 'gateway', a);
  await comes(b, 'thing', retire);
  await connects(b);
  assert.deepEqual(await statuses(a, b), ['ACTIVE', 'ACTIVE']);
  assert.deepEqual(
    records.map(({ certificateId, facts }) => [certificateId, facts?.['predecessor']]),
    [[a, 'shared']],
  );
});

test('whoever has been taken from the thing meanwhile retires nobody, and is retired by nobody', async (t) => {
  const { call, comes, connects, statuses } = await start(t);
  const detach = (certificateId: string) =>
    detachThingPrincipal({ thingName: 'thing', principal: iotArn(testAccount, 'cert', certificateId) }, call);
  await comes(a, 'thing', retire);
  await comes(b, 'thing', retire);
  await detach(b);
  await connects(b);
  assert.deepEqual(await statuses(a, b), ['ACTIVE', 'ACTIVE']);
  await comes(c, 'thing', retire);
  await detach(a);
  await connects(c);
  assert.deepEqual(await statuses(a, b, c), ['ACTIVE', 'ACTIVE', 'ACTIVE']);
});

test('a revoked predecessor stays revoked, and one that is gone is none', async (t) => {
  const { call, comes, connects, statuses, troubles } = await start(t);
  await comes(a, 'thing', retire);
  await comes(b, 'thing', retire);
  await updateCertificate({ certificateId: a, newStatus: 'REVOKED' }, call);
  await connects(b);
  await connects(c);
  assert.deepEqual(await statuses(a, b), ['REVOKED', 'ACTIVE']);
  assert.deepEqual(troubles, []);
});

test('a thing of many active certificates is many devices, of which none takes the place of the others', async (t) => {
  const { call, comes, connects, hold, statuses } = await start(t);
  const many = Array.from({ length: predecessorsMax + 1 }, (_, index) => index.toString(16).padStart(64, '0'));
  for (const each of many) {
    await hold(each);
    await attach(call, 'thing', each);
  }
  await comes(a, 'thing', retire);
  assert.equal(await findPredecessors(call.db, call.account, a), undefined);
  const deactivate = (certificateId: string) => updateCertificate({ certificateId, newStatus: 'INACTIVE' }, call);
  await deactivate(many[0] ?? '');
  await deactivate(a);
  await comes(b, 'thing', retire);
  await connects(b);
  assert.deepEqual(new Set(await statuses(...many)), new Set(['INACTIVE']));
});
