import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfSigned, throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import { fileBytesMax, readCertificate } from './certificate-text.ts';
import { LineProblem } from './entry.ts';

const base = realpathSync(throwAwayFolder());
const folder = join(base, 'ledger');
mkdirSync(join(folder, 'certs'), { recursive: true });
const device = selfSigned(base, 'device', 'ec');
const other = selfSigned(base, 'other', 'ec');
const pem = device.certificatePem;
const der = new X509Certificate(pem).raw;
const put = (name: string, content: string | Buffer): string => {
  writeFileSync(join(folder, name), content);
  return name;
};
const read = (text: string, allowOutside = false) => readCertificate(text, { folder, allowOutside });

const forms: readonly [name: string, text: string][] = [
  ['PEM', pem],
  ['PEM on one line, as shells and tables write it', pem.replaceAll('\n', '\\n')],
  ['PEM with CRLF', pem.replaceAll('\n', '\r\n')],
  ['base64 of DER', der.toString('base64')],
  ['a PEM file', put('a.pem', pem)],
  ['a DER file', put('a.der', der)],
  ['a file in a folder below', put('certs/a.crt', `what openssl -text writes\n${pem}`)],
  ['an absolute path', join(folder, 'a.pem')],
  ['a path with dots that stays inside', 'certs/../a.pem'],
  ['a file that holds the private key, too', put('both.pem', readFileSync(device.keyFile, 'latin1') + pem)],
];
for (const [name, text] of forms) {
  test(`a certificate is read from ${name}`, async () => {
    const certificate = await read(text);
    assert.deepEqual(certificate.raw, der);
    assert.doesNotMatch(certificate.toString(), /PRIVATE KEY/);
  });
}

test('a chain is read as its first certificate', async () => {
  const run = (...args: string[]) => execFileSync('openssl', args, { cwd: base, stdio: 'pipe' });
  run('req', '-new', '-key', other.keyFile, '-subj', '/CN=leaf', '-out', 'leaf.csr');
  run(
    'x509',
    '-req',
    '-in',
    'leaf.csr',
    '-CA',
    device.certificateFile,
    '-CAkey',
    device.keyFile,
    '-CAcreateserial',
    '-out',
    'leaf.crt',
  );
  const leaf = readFileSync(join(base, 'leaf.crt'), 'latin1');
  assert.match((await read(leaf + pem)).subject, /CN=leaf/);
});

symlinkSync(device.certificateFile, join(folder, 'link.pem'));
execFileSync('mkfifo', [join(folder, 'pipe.pem')]);

const refused: readonly [name: string, text: string, sentence: RegExp][] = [
  ['several certificates that are no chain', pem + other.certificatePem, /several certificates that are no chain/],
  ['PEM of something else', readFileSync(device.keyFile, 'latin1'), /holds no certificate/],
  ['PEM without an end', '-----BEGIN CERTIFICATE-----\nMIIB', /holds no certificate/],
  ['PEM of rubbish', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /cannot be read as X\.509/],
  ['DER with something behind it', Buffer.concat([der, Buffer.of(0)]).toString('base64'), /Something follows/],
  ['a path that leaves the folder', '../device.crt', /lies outside the ledger's folder; --allow-outside/],
  ['an absolute path elsewhere', device.certificateFile, /outside/],
  ['a link that leads outside', 'link.pem', /outside/],
  ['a path through a link', '/proc/self/root/etc/hostname', /outside|does not exist/],
  ['a missing file', 'nope.pem', /^nope\.pem does not exist$/],
  ['a file as a folder', 'a.pem/x', /does not exist/],
  ['a folder', 'certs', /is a folder/i],
  ['the folder itself', '.', /outside/],
  ['a pipe', 'pipe.pem', /no regular file/],
  ['a file that is too large', put('large.pem', Buffer.alloc(fileBytesMax + 1)), /more than 262144 bytes/],
  ['an empty file', put('empty.pem', ''), /cannot be read as X\.509/],
  ['a NUL', 'a\0.pem', /cannot be read/],
  ['a name that is too long', 'x'.repeat(5000), /too long/],
  ['a name that would move the cursor', '\u001b[2J', /^\\u\{1b\}\[2J does not exist$/],
];
for (const [name, text, sentence] of refused) {
  test(`${name} is refused`, async () => {
    await assert.rejects(read(text), (error) => error instanceof LineProblem && sentence.test(error.message));
  });
}

test('--allow-outside permits paths and links to other folders', async () => {
  for (const path of ['../device.crt', device.certificateFile, 'link.pem']) {
    assert.deepEqual((await read(path, true)).raw, der);
  }
});
