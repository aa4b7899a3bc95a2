/** Which certificates of openssl may stand under a domain name. Source: seed 003; spec identity 8, gateway 1.4. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { authorities } from '../../../test/ca.ts';
import { throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import { firstPemBlock } from '../../pki/pem.ts';
import { readServerLeaf } from '../../pki/server-leaf.ts';
import {
  covers,
  isPubliclyTrusted,
  maySucceed,
  namesOfChain,
  rootOfChain,
  serverCertificateProblem,
} from './server-certificate-rules.ts';

const folder = throwAwayFolder();
const make = authorities(folder);
const caPem = await make.ca('ca');
let count = 0;
/** A server certificate with these lines of extensions; without any it has no section at all. */
const server = async (lines: readonly string[], options: { subject?: string; days?: number } = {}): Promise<string> => {
  count += 1;
  const name = `server-${count}`;
  await writeFile(join(folder, `${name}.ext`), `[ext]\n${lines.join('\n')}\n`);
  const extras = lines.length > 0 ? ['-extfile', `${name}.ext`, '-extensions', 'ext'] : [];
  return make.leaf(name, 'ca', { subject: '/CN=iot.example.com', ...options, extras });
};
const serverAuth = 'extendedKeyUsage = serverAuth';
/** Later than the last of them begins. */
const nowMs = Date.now() + 60_000;
const problem = (chainPem: string, domain = 'iot.example.com', atMs = nowMs) =>
  serverCertificateProblem(chainPem, domain, atMs);

test('the end of a chain without a name is told as one', async () => {
  const namelessPem = await make.ca('nameless', { subject: '/' });
  const leafPem = await make.leaf('of-nameless', 'nameless', { subject: '/CN=iot.example.com' });
  assert.equal(rootOfChain(leafPem + namelessPem, caPem)?.issuer, '');
});

test('a certificate whose names cannot be read is a refusal, and has none', async () => {
  const pem = await server([serverAuth, 'subjectAltName = DER:3003AF0101']);
  assert.equal(problem(pem), 'The server certificate cannot be read');
  assert.deepEqual(namesOfChain(pem), []);
});

test('the certificate of seed 003, with a common name alone, may stand under that name', async () => {
  assert.equal(problem(await server([serverAuth])), undefined);
});

test('identity.md check 41: without serverAuth a certificate stands under no name', async () => {
  for (const lines of [[], ['extendedKeyUsage = clientAuth'], ['keyUsage = digitalSignature']]) {
    assert.match(problem(await server(lines)) ?? '', /serverAuth/);
  }
});

test('where there are alternative names the common name does not count', async () => {
  const pem = await server([serverAuth, 'subjectAltName = DNS:other.example.com']);
  assert.match(problem(pem) ?? '', /iot\.example\.com is not among the names/);
  assert.equal(problem(pem, 'other.example.com'), undefined);
});

const names: [name: string, host: string, covered: boolean][] = [
  ['iot.example.com', 'iot.example.com', true],
  ['*.example.com', 'iot.example.com', true],
  ['*.example.com', 'a.iot.example.com', false],
  ['*.example.com', 'example.com', false],
  ['*', 'com', false],
  ['i*.example.com', 'iot.example.com', false],
  ['*.com', 'example.com', true],
];
for (const [name, host, covered] of names) {
  test(`${name} ${covered ? 'covers' : 'does not cover'} ${host}`, () => assert.equal(covers(name, host), covered));
}

test('bounds: five certificates in a chain, 16 KB, four names', async () => {
  const pem = await server([serverAuth]);
  assert.equal(problem(pem + caPem.repeat(4)), undefined);
  assert.match(problem(pem + caPem.repeat(5)) ?? '', /more than 5 certificates/);
  const many = await server([serverAuth, 'subjectAltName = DNS:iot.example.com,DNS:a.b,DNS:b.b,DNS:c.b,DNS:d.b']);
  assert.match(problem(many) ?? '', /more than 4 domain names/);
  const large = await server([serverAuth, `nsComment = "${'x'.repeat(17_000)}"`]);
  assert.match(problem(large) ?? '', /more than 16 KB/);
});

test('a certificate that has ended, and text that is none', async () => {
  assert.match(problem(await server([serverAuth], { days: 1 }), undefined, nowMs + 2 * 86_400_000) ?? '', /validity/);
  for (const text of ['', 'nothing', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
    assert.match(problem(text) ?? '', /cannot be read/);
  }
});

test('identity.md check 42: a private CA is not a public one, whatever it is called', async () => {
  const root = rootCertificates[0] ?? assert.fail();
  assert.equal(isPubliclyTrusted(root), true);
  assert.equal(isPubliclyTrusted(await server([serverAuth])), false);
  const stranger = await server([serverAuth]);
  assert.equal(isPubliclyTrusted(stranger + root), false, 'a public root that did not sign it');
  assert.equal(isPubliclyTrusted(''), false);
});

test('a successor has the algorithm of its predecessor, and its common name or its names', async () => {
  const leafOf = async (pem: Promise<string>) =>
    readServerLeaf(firstPemBlock(await pem, 'CERTIFICATE') ?? assert.fail());
  const before = await leafOf(server([serverAuth]));
  assert.equal(maySucceed(before, await leafOf(server([serverAuth]))), true);
  assert.equal(maySucceed(before, await leafOf(server([serverAuth], { subject: '/CN=other.example.com' }))), false);
  assert.equal(maySucceed(before, { ...before, signatureAlgorithm: 'SHA512WITHRSA' }), false);
});

test('whoever does not trust a chain is told where to get what it ends in', async () => {
  const leaf = await server([serverAuth]);
  const publicRoot = rootCertificates[0] ?? assert.fail();
  assert.deepEqual(rootOfChain(leaf + caPem, ''), { issuer: 'CN=ca', root: 'chain' });
  assert.deepEqual(rootOfChain(leaf, ''), { issuer: 'CN=ca', root: 'maker' });
  assert.equal(rootOfChain(leaf, caPem)?.root, 'server', 'this server has issued it');
  assert.equal(rootOfChain(publicRoot, caPem)?.root, 'public');
  assert.equal(rootOfChain('nonsense', caPem), undefined);
});
