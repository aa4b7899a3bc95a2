import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { boxColumns, type StartFacts, startBox } from './box.ts';

const facts: StartFacts = {
  version: '0.1.0',
  apiUrl: 'http://127.0.0.1:4566',
  mqttHost: 'localhost',
  mqttPort: 8883,
  httpsPorts: [8443],
  caFile: '/srv/fleetgate-data/root-ca.pem',
  accountId: '000000000000',
  region: 'us-east-1',
  program: ['/usr/bin/node', '/opt/fleetgate/src/main.ts'],
};
const longPath = `/home/${'a very long folder/'.repeat(8)}root-ca.pem`;

test('the box says what issue 2 asks of it', () => {
  const box = startBox(facts);
  for (const part of [
    'http://127.0.0.1:4566',
    'localhost:8883',
    'localhost:8443',
    '/srv/fleetgate-data/root-ca.pem',
    '000000000000',
    'us-east-1',
    'export AWS_ENDPOINT_URL=http://127.0.0.1:4566',
    'eval "$(/usr/bin/node /opt/fleetgate/src/main.ts env)"',
    'openssl req',
    'aws iot create-policy',
    'aws iot register-certificate-without-ca',
    'aws iot update-certificate',
    'aws iot attach-policy',
    'mosquitto_sub',
    'mosquitto_pub',
    'fleetgate explain last',
  ]) {
    assert.ok(box.includes(part), part);
  }
});

test('it fits 80 columns, but for words that cannot be broken', () => {
  const lines = startBox(facts).split('\n');
  const tooLong = lines.filter((line) => line.length > boxColumns + 12);
  assert.deepEqual(tooLong, []);
  assert.deepEqual([lines[0]?.length, lines.at(-2)?.length], [boxColumns, boxColumns]);
});

test('a long path runs over and stays whole', () => {
  const lines = startBox({ ...facts, caFile: longPath }).split('\n');
  assert.ok(lines.includes(`  CA file        ${longPath}`));
  assert.ok(lines.some((line) => line.includes(`--cafile '${longPath}'`)));
  assert.equal(lines[0]?.length, boxColumns);
});

test('its commands can be copied as they stand, line breaks included', () => {
  const box = startBox({ ...facts, caFile: longPath });
  const pasted = box.slice(box.indexOf('  openssl req'), box.indexOf('  When something is refused'));
  const stub = (name: string): string => `${name}() { printf '[%s]' ${name} "$@"; echo; }`;
  const stubs = ['openssl', 'aws', 'mosquitto_sub', 'mosquitto_pub', 'sleep'].map(stub).join('; ');
  const output = execFileSync('sh', ['-c', `${stubs}\n${pasted}\nwait`], { encoding: 'utf8' }).replace(',\n', ',');
  assert.match(output, /^\[openssl\]\[req\].*\[device1.crt\]$/m);
  assert.match(
    output,
    /^\[aws\]\[iot\]\[create-policy\]\[--policy-name\]\[AllowAll\]\[--policy-document\]\[\{.*\}\]$/m,
  );
  assert.match(
    output,
    /\[--certificate-id\]\[\[aws\]\[iot\]\[register-certificate-without-ca\].*\[text\]\]\[--new-status\]/,
  );
  assert.ok(output.includes(`[--cafile][${longPath}][--cert][device1.crt]`), output);
});

test('a root key that was generated now is shown', () => {
  const box = startBox({ ...facts, rootKey: { accessKeyId: 'FGROOT1', secretAccessKey: 's3cret' } });
  assert.match(box, /Root key +FGROOT1\n +Root secret +s3cret +\(shown this once\)/);
});

test('another default account is asked for with its own development key', () => {
  assert.ok(startBox({ ...facts, accountId: '123456789012' }).includes('AWS_ACCESS_KEY_ID=123456789012 '));
});

test('the line for other shells finds a server on another port, in another account or region', () => {
  const place = { accountId: '123456789012', region: 'ap-northeast-1' };
  const box = startBox({ ...facts, apiUrl: 'http://127.0.0.1:4567', ...place });
  assert.ok(box.includes(' env --api-url http://127.0.0.1:4567 --account 123456789012 --region ap-northeast-1)"'), box);
});

test('from another machine only the root key counts, so that is what the box exports, or what it asks for', () => {
  const away = { ...facts, apiUrl: 'http://192.0.2.7:4566' };
  const rootKey = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a/secret+key' };
  assert.ok(
    startBox({ ...away, rootKey }).includes(
      "export AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY='a/secret+key'",
    ),
  );
  assert.match(startBox(away), /^ {2}# AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the root key of this server/m);
  assert.doesNotMatch(startBox(away), /AWS_ACCESS_KEY_ID=test/);
});
