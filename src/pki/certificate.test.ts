import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../test/call.ts';
import { openssl, version1Id, version1Pem } from '../../test/openssl.ts';
import {
  assertRegistrable,
  CertificateProblem,
  type CertificateRule,
  parseCertificate,
  pemCharactersMax,
} from './certificate.ts';
import { toPem } from './pem.ts';

const in2026 = Date.UTC(2026, 0, 1);
const breaks = (rule: CertificateRule) => (error: unknown) =>
  error instanceof CertificateProblem && error.rule === rule;

test('a version 1 certificate as openssl writes it is read and registrable (spec identity 2.1)', () => {
  const certificate = parseCertificate(version1Pem);
  const { der, pem, ...facts } = certificate;
  assert.deepEqual(facts, {
    certificateId: version1Id,
    subject: 'CN=dev-v1, O=Acme, C=DE',
    issuer: 'CN=Test maker',
    notBeforeMs: Date.UTC(2025, 0, 1),
    notAfterMs: Date.UTC(2125, 0, 1),
    serialNumberHex: '1001',
    version: 1,
    keyType: 'ec',
    curve: 'P-256',
    signatureAlgorithm: 'SHA256WITHECDSA',
    signatureAcceptable: true,
    policyFields: {
      id: version1Id,
      serialNumber: '1001',
      subject: { CommonName: ['dev-v1'], Organization: ['Acme'], Country: ['DE'] },
      issuer: { CommonName: ['Test maker'] },
    },
  });
  assert.equal(pem, version1Pem);
  assert.deepEqual(parseCertificate(der), certificate);
  assertRegistrable(certificate, in2026);
});

test('text before the block is skipped and only the first block counts (spec identity 2.1)', async (t) => {
  const folder = await makeFolder(t);
  await openssl(folder, 'ecparam', '-genkey', '-name', 'secp384r1', '-noout', '-out', 'key.pem');
  await openssl(folder, 'req', '-x509', '-new', '-key', 'key.pem', '-subj', '/CN=second', '-out', 'second.pem');
  const second = await readFile(join(folder, 'second.pem'), 'utf8');
  const text = await openssl(folder, 'x509', '-in', 'second.pem', '-text');
  assert.equal(parseCertificate(`Bag Attributes\n${version1Pem}${second}`).certificateId, version1Id);
  assert.equal(parseCertificate(text).curve, 'P-384');
  assert.equal(parseCertificate(version1Pem.replaceAll('\n', '\r\n')).pem, version1Pem);
});

test('policy fields hold every value in order, and the alternative names (spec policy.md 4.4)', async (t) => {
  const folder = await makeFolder(t);
  const names = 'DNS:a.example,DNS:b.example,IP:10.0.0.1,IP:fe80::1,URI:http://x.example/,email:q@w.example';
  await openssl(folder, 'ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', 'key.pem');
  await openssl(
    folder,
    'req',
    '-x509',
    '-new',
    '-utf8',
    '-key',
    'key.pem',
    '-out',
    'cert.pem',
    '-multivalue-rdn',
    '-subj',
    '/C=JP/C=DE/ST=Ü/O=A, B/OU=one+CN=x/serialNumber=7/title=T/GN=G/SN=S/initials=I/pseudonym=P/generationQualifier=Q/dnQualifier=D/L=nowhere',
    '-addext',
    `subjectAltName=${names}`,
  );
  const { policyFields, subject } = parseCertificate(await readFile(join(folder, 'cert.pem'), 'utf8'));
  const fields = {
    Country: ['JP', 'DE'],
    State: ['Ü'],
    Organization: ['A, B'],
    OrganizationalUnit: ['one'],
    CommonName: ['x'],
    SerialNumber: ['7'],
    Title: ['T'],
    GivenName: ['G'],
    Surname: ['S'],
    Initials: ['I'],
    Pseudonym: ['P'],
    GenerationQualifier: ['Q'],
    DistinguishedNameQualifier: ['D'],
  };
  assert.deepEqual(policyFields.issuer, fields);
  assert.deepEqual(policyFields.subject, {
    ...fields,
    AlternativeName: {
      DNSName: ['a.example', 'b.example'],
      IPAddress: ['10.0.0.1', 'fe80::1'],
      UniformResourceIdentifier: ['http://x.example/'],
      RFC822Name: ['q@w.example'],
    },
  });
  assert.match(subject, /^C=JP, C=DE, ST=Ü, O=A\\, B, /);
});

const made: [what: string, req: string[], key: string[], rule: CertificateRule | 'accepted'][] = [
  ['RSA-2048 with SHA-256', ['-sha256'], ['genrsa', '-out', 'key.pem', '2048'], 'accepted'],
  ['RSA-2048 with SHA-512', ['-sha512'], ['genrsa', '-out', 'key.pem', '2048'], 'accepted'],
  [
    'RSASSA-PSS with SHA-256',
    ['-sha256', '-sigopt', 'rsa_padding_mode:pss'],
    ['genrsa', '-out', 'key.pem', '2048'],
    'accepted',
  ],
  ['EC P-521', [], ['ecparam', '-genkey', '-name', 'secp521r1', '-noout', '-out', 'key.pem'], 'accepted'],
  ['RSA-1024', [], ['genrsa', '-out', 'key.pem', '1024'], 'key'],
  ['EC secp256k1', [], ['ecparam', '-genkey', '-name', 'secp256k1', '-noout', '-out', 'key.pem'], 'key'],
  [
    'EC P-256 with explicit parameters',
    [],
    ['ecparam', '-genkey', '-name', 'prime256v1', '-param_enc', 'explicit', '-noout', '-out', 'key.pem'],
    'key',
  ],
  ['Ed25519', [], ['genpkey', '-algorithm', 'ed25519', '-out', 'key.pem'], 'key'],
  ['SHA-1', ['-sha1'], ['genrsa', '-out', 'key.pem', '2048'], 'signature-algorithm'],
  ['MD5', ['-md5'], ['genrsa', '-out', 'key.pem', '2048'], 'signature-algorithm'],
  [
    'RSASSA-PSS with SHA-1',
    ['-sha1', '-sigopt', 'rsa_padding_mode:pss'],
    ['genrsa', '-out', 'key.pem', '2048'],
    'signature-algorithm',
  ],
];
for (const [what, req, key, rule] of made) {
  test(`registration of ${what}: ${rule} (spec identity 2.1)`, async (t) => {
    const folder = await makeFolder(t);
    await openssl(folder, ...key);
    await openssl(folder, 'req', '-x509', '-new', '-key', 'key.pem', '-subj', '/CN=x', '-out', 'cert.pem', ...req);
    const certificate = parseCertificate(await readFile(join(folder, 'cert.pem'), 'utf8'));
    const check = () => assertRegistrable(certificate, certificate.notBeforeMs);
    if (rule === 'accepted') check();
    else assert.throws(check, breaks(rule));
  });
}

const times: [nowMs: number, rule: CertificateRule | 'accepted'][] = [
  [Date.UTC(2025, 0, 1) - 1, 'not-yet-valid'],
  [Date.UTC(2025, 0, 1), 'accepted'],
  [Date.UTC(2125, 0, 1), 'accepted'],
  [Date.UTC(2125, 0, 1) + 1, 'expired'],
];
for (const [nowMs, rule] of times) {
  test(`registration at ${new Date(nowMs).toISOString()}: ${rule} (RFC 5280 4.1.2.5, both ends belong)`, () => {
    const check = () => assertRegistrable(parseCertificate(version1Pem), nowMs);
    if (rule === 'accepted') check();
    else assert.throws(check, breaks(rule));
  });
}

const der = parseCertificate(version1Pem).der;
const nested = (depth: number): Buffer => {
  let inner = Buffer.from([5, 0]);
  for (let level = 0; level < depth; level++) {
    inner = Buffer.concat([Buffer.from([0x30, 0x83, inner.length >> 16, inner.length >> 8, inner.length]), inner]);
  }
  return inner;
};
const unreadable: [what: string, input: string | Uint8Array][] = [
  ['nothing', ''],
  ['no block', 'hello'],
  ['a block without an end', version1Pem.slice(0, 200)],
  ['a block that is not base64', version1Pem.replace('MII', 'M*I')],
  ['escaped newlines', version1Pem.replaceAll('\n', '\\n')],
  ['a signing request', version1Pem.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST')],
  ['base64 of something else', toPem('CERTIFICATE', Buffer.from('hello'))],
  ['a cut certificate', der.slice(0, -1)],
  ['bytes after the certificate', Buffer.concat([der, Buffer.from([0])])],
  ['a public key that is no point', Buffer.from(der).fill(0xff, der.length - 120, der.length - 90)],
  ['more text than is looked at', ' '.repeat(pemCharactersMax) + version1Pem],
  ['sequences in sequences', nested(9000)],
  ['many openings of blocks', '-----BEGIN CERTIFICATE-----'.repeat(2400)],
];
for (const [what, input] of unreadable) {
  test(`${what} is refused as unreadable, quickly`, () => {
    const startedAt = performance.now();
    assert.throws(() => parseCertificate(input), breaks('unreadable'));
    assert(performance.now() - startedAt < 500);
  });
}

test('whatever byte of a certificate is changed, it is read or refused, nothing else', () => {
  for (let at = 0; at < der.length; at++) {
    for (const value of [0x00, 0x30, 0x80, 0xff]) {
      const changed = Buffer.from(der);
      changed[at] = value;
      try {
        parseCertificate(changed);
      } catch (error) {
        assert(error instanceof CertificateProblem);
      }
    }
  }
});
