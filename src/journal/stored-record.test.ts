import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WeighedStatement } from '../aws/decision.ts';
import type { JournalRecord } from './record.ts';
import { unprintable } from './shell.ts';
import {
  chainEntriesMax,
  documentCharactersMax,
  foreignCharactersMax,
  inputCharactersMax,
  plainText,
  printableJson,
  storedRecord,
  weighedStatementsMax,
} from './stored-record.ts';

const stamp = { id: 'id-1', atMs: 1000, sequence: 1 };
const refused: JournalRecord = { eventType: 'Connect', status: 'Failure', reason: 'AUTHORIZATION_FAILURE' };
const statement = (index: number, outcome: WeighedStatement['outcome']): WeighedStatement => ({
  policyName: 'p',
  policyArn: 'arn',
  policyVersionId: '1',
  index,
  effect: 'Allow',
  outcome,
});

test('control characters, terminal escapes and reading directions are spelled out (design.md 4)', () => {
  assert.equal(plainText('\u001b[31mred\u0007\u009b1m'), '\\u001b[31mred\\u0007\\u009b1m');
  assert.equal(plainText('gpj.\u202eexe'), 'gpj.\\u202eexe');
  assert.equal(plainText('two\nlines'), 'two\\u000alines');
  assert.equal(plainText('\u{e0041}'), '\\u{e0041}');
  assert.equal(plainText('ünï-キー-🔑'), 'ünï-キー-🔑');
  const pem = '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n';
  assert.equal(plainText(`of ${pem}and ${pem}`), 'of (PEM)\\u000aand (PEM)\\u000a');
  assert.equal(plainText(`of ${pem}`, 40), 'of (PEM)...', 'also without its end');
});

test('whatever comes in, what is kept can be printed and is bounded', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
      const plain = plainText(text);
      assert.ok(!unprintable.test(plain));
      assert.ok(plain.length <= foreignCharactersMax * 9 + 3);
      assert.deepEqual(JSON.parse(printableJson(text)), text);
      assert.ok(!unprintable.test(printableJson(text)));
    }),
  );
});

test('a field that was changed at the border is named, so that no command is built from it', () => {
  const kept = storedRecord(
    { ...refused, clientId: 'a\u001bb', resource: 'r'.repeat(600), action: 'iot:Connect' },
    stamp,
  );
  assert.deepEqual(kept.altered, ['clientId', 'resource']);
  assert.equal(kept.resource, `${'r'.repeat(foreignCharactersMax)}...`);
  assert.equal('altered' in storedRecord({ ...refused, clientId: 'a b' }, stamp), false);
});

test('a chain, lists and facts are cut', () => {
  const entry = { fingerprint: 'f', subject: 'CN=\u001bx', issuer: 'i', notBeforeMs: 0, notAfterMs: 1 };
  const kept = storedRecord(
    {
      ...refused,
      tls: { chain: Array(9).fill(entry), alpn: Array(99).fill('mqtt') },
      facts: Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`f${i}`, 'x'])),
    },
    stamp,
  );
  assert.equal(kept.tls?.chain?.length, chainEntriesMax);
  assert.equal(kept.tls?.chain?.[0]?.subject, 'CN=\\u001bx');
  assert.equal(kept.tls?.alpn?.length, 16);
  assert.equal(Object.keys(kept.facts ?? {}).length, 16);
});

test('a leaf is kept only as the PEM of one certificate', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n';
  const leaf = (leafPem: string) => storedRecord({ ...refused, tls: { leafPem } }, stamp).tls?.leafPem;
  assert.equal(leaf(pem), pem);
  assert.equal(leaf(pem.replaceAll('\n', '\r\n')), pem);
  assert.equal(leaf(pem.replace('QUJD', '\u001b[2J')), undefined);
  assert.equal(leaf(pem.replace('QUJD', 'A'.repeat(20_000))), undefined);
});

test('a policy document, and the input of a call, is kept on one line, or not at all', () => {
  const kept = (name: string) => (text: string) =>
    storedRecord({ ...refused, facts: { [name]: text } }, stamp).facts?.[name];
  const [document, input] = [kept('decidingDocument'), kept('correctedInput')];
  assert.equal(document('{\n  "Sid": "a\\u202eb"\n}'), '{"Sid":"a\\u202eb"}');
  assert.equal(document('{'), '');
  assert.equal(document(`"${'x'.repeat(documentCharactersMax)}"`), '');
  assert.equal(input(`"${'x'.repeat(inputCharactersMax)}"`), '');
  const escaped = `"${'\u200b'.repeat(inputCharactersMax / 4)}"`;
  assert.equal(input(escaped), '', 'as it would be kept, six characters for one');
  assert.equal(input('{"a":"-----BEGIN PRIVATE KEY-----"}'), '');
});

test('of many statements the deciding one and the near ones are kept, in order', () => {
  const statements = Array.from({ length: 300 }, (_, i) => statement(i, i === 290 ? 'resource' : 'action'));
  statements[250] = statement(250, 'matched');
  const kept = storedRecord({ ...refused, statements, decidedBy: 250 }, stamp);
  assert.equal(kept.statements?.length, weighedStatementsMax);
  assert.equal(kept.statementsOmitted, 300 - weighedStatementsMax);
  assert.equal(kept.statements?.[kept.decidedBy ?? -1]?.index, 250);
  assert.deepEqual(
    kept.statements?.slice(-2).map(({ index }) => index),
    [250, 290],
  );
});

test('an absent member stays absent', () => {
  assert.deepEqual(Object.keys(storedRecord(refused, stamp)).sort(), [
    'atMs',
    'eventType',
    'id',
    'lastAtMs',
    'reason',
    'repeats',
    'sequence',
    'status',
  ]);
});
