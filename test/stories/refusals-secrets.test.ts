/**
 * A key that was put where a name belongs stands in no record: every place of text of every operation whose refusals the journal keeps is given a private key in PEM.
 * Source: src/journal/record.ts (never in it: private keys).
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { ACMClient } from '@aws-sdk/client-acm';
import { operations } from '../../src/api/operations.ts';
import { nested, stringsIn } from '../arn-inputs.ts';
import { handledOperations } from '../handled.ts';
import { allowing, bootIam } from '../iam-scene.ts';
import { readJournal } from '../journal.ts';
import { commandFor, inputFor, isRequired } from '../sample-input.ts';

/** Fewer than the journal keeps in memory of one source. */
const callsPerLook = 20;

const recorded = handledOperations().filter(({ service, operation }) =>
  service === 'iot' ? /DomainConfiguration|RoleAlias/.test(operation) : service !== 'iot-data',
);

const places = recorded.flatMap(({ service, operation: name }) => {
  const operation = operations.find((each) => each.service === service && each.name === name);
  const { input } = operation ?? {};
  if (!operation || !input) return [];
  const least = Object.fromEntries(
    Object.entries(inputFor(operation)).filter(([member]) => isRequired(service, input.name, member)),
  );
  return stringsIn(input, '').map((path) => ({ operation, path, least }));
});

test('a private key in the place of a name, wherever it is put, is in no record and in no sentence', async (t) => {
  const { node, user, iam, iotAs, stsAs } = await bootIam(t);
  const keys = await user('clumsy', allowing('*'));
  const acm = new ACMClient({ endpoint: node.apiUrl, region: 'us-east-1', credentials: keys, maxAttempts: 1 });
  t.after(() => acm.destroy());
  // the clients' own `send` is typed by command; here the command comes by its name
  const clients = { iam: iam(keys), iot: iotAs(keys), sts: stsAs(keys), acm } as unknown as Readonly<
    Record<string, { send(command: unknown): Promise<unknown> }>
  >;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const [, body = ''] = pem.split('\n');
  let told = 0;
  for (let at = 0; at < places.length; at += callsPerLook) {
    const some = places.slice(at, at + callsPerLook);
    for (const { operation, path, least } of some) {
      const given = { ...least, ...(nested(path.split('.'), pem) as object) };
      await clients[operation.service]?.send(commandFor(operation, given)).catch(() => undefined);
    }
    const answer = await readJournal(node, node.account, { limit: '100' });
    told += answer.records.length;
    for (const { record, sentence, commands } of answer.records) {
      const text = JSON.stringify([record, sentence, commands]);
      assert.ok(!text.includes(body.slice(0, 20)), text);
    }
  }
  assert.ok(places.length > 200 && told > places.length, `${told} records of ${places.length} places`);
});
