import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { makeFolder } from '../../../test/folder.ts';
import { fileOf, selfSigned, throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import { CommandProblem } from '../io.ts';
import { type ClaimSource, readClaim } from './claim.ts';

const made = throwAwayFolder();
const claim = selfSigned(made, 'claim', 'ec');
const root = selfSigned(made, 'root', 'rsa');
const wanted = { certificatePem: claim.certificatePem, privateKeyPem: claim.keyPem };

const read = (source: Partial<ClaimSource>, input = '') =>
  readClaim({ claim: '-', key: undefined, ...source }, Readable.from([Buffer.from(input)]));

test('a folder: the certificate that a key belongs to, whatever stands beside it', async (t) => {
  const folder = await makeFolder(t);
  fileOf(folder, 'root-ca.pem', root.certificatePem);
  fileOf(folder, 'claim.cert.pem', claim.certificatePem);
  fileOf(folder, 'notes.txt', root.keyPem);
  fileOf(folder, 'broken.key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
  fileOf(folder, 'claim.private.key', claim.keyPem);
  assert.deepEqual(await read({ claim: folder }), wanted);
});

test('a file with both, two files, and a chain that is sent with the certificate', async (t) => {
  const folder = await makeFolder(t);
  const both = fileOf(folder, 'both', `${claim.keyPem}${claim.certificatePem}`);
  assert.deepEqual(await read({ claim: both }), wanted);
  assert.deepEqual(await read({ claim: claim.certificateFile, key: claim.keyFile }), wanted);
  const chain = `${claim.certificatePem}${root.certificatePem}`;
  assert.deepEqual(await read({ claim: fileOf(folder, 'chain.pem', chain), key: claim.keyFile }), {
    ...wanted,
    certificatePem: chain,
  });
});

test('what aws prints for a provisioning claim and for new keys, on standard input or in a file', async (t) => {
  const printed = JSON.stringify(
    {
      certificateId: claim.certificateId,
      certificatePem: claim.certificatePem,
      keyPair: { PublicKey: '-----BEGIN PUBLIC KEY-----\n', PrivateKey: claim.keyPem },
      expiration: 1,
    },
    undefined,
    4,
  );
  assert.deepEqual(await read({}, printed), wanted);
  assert.deepEqual(await read({ claim: fileOf(await makeFolder(t), 'claim.json', printed) }), wanted);
});

const refused: [what: string, source: () => Partial<ClaimSource>, input: string, sentence: RegExp][] = [
  ['nothing', () => ({}), '', /Standard input holds no certificate that can be read\. Name the claim/],
  ['a certificate without its key', () => ({ claim: claim.certificateFile }), '', /There is no private key with/],
  [
    "another's key",
    () => ({ claim: claim.certificateFile, key: root.keyFile }),
    '',
    /No private key belongs to a certificate of .*claim\.crt\. Name the claim/,
  ],
  ['a folder of several claims', () => ({ claim: made }), '', /holds 2 certificates with their keys/],
  ['a file that is not there', () => ({ claim: join(made, 'none') }), '', /none cannot be read \(ENOENT\)/],
  ['a key that is not there', () => ({ claim: claim.certificateFile, key: join(made, 'no\u001b') }), '', /no\\u\{1b\}/],
  ['a key that is a folder', () => ({ claim: claim.certificateFile, key: made }), '', /is no regular file/],
  ['too long an input', () => ({}), 'x'.repeat(65_537), /Standard input has more than 65536 bytes/],
  ['too long a file', () => ({ claim: fileOf(made, 'long.txt', 'x'.repeat(65_537)) }), '', /more than 65536 bytes/],
  ['broken JSON', () => ({}), `{"certificatePem": ${readFileSync(claim.certificateFile, 'latin1')}`, /no private key/],
];
for (const [what, source, input, sentence] of refused) {
  test(`${what} is no claim, and the sentence says why`, async () => {
    await assert.rejects(read(source(), input), (error) => {
      assert(error instanceof CommandProblem, String(error));
      assert.match(error.message, sentence);
      return true;
    });
  });
}
