import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../../test/call.ts';
import { openssl, version1Pem } from '../../test/openssl.ts';
import { CertificateProblem, type ParsedCertificate, parseCertificate } from './certificate.ts';
import { isSignedBy, mayIssue, namesAsIssuer, namesIn } from './issued-by.ts';

const keys = {
  rsa: ['genrsa', '2048'],
  'P-256': ['ecparam', '-genkey', '-noout', '-name', 'prime256v1'],
  'P-384': ['ecparam', '-genkey', '-noout', '-name', 'secp384r1'],
  'P-521': ['ecparam', '-genkey', '-noout', '-name', 'secp521r1'],
} as const;

/** Makes keys and certificates in one folder, by name. */
const makers = async (t: TestContext) => {
  const folder = await makeFolder(t);
  const read = async (name: string) => parseCertificate(await readFile(join(folder, `${name}.crt`), 'utf8'));
  return {
    folder,
    async ca(name: string, kind: keyof typeof keys, subject = '/CN=Maker', extras: readonly string[] = []) {
      const [command, ...options] = keys[kind];
      const out = command === 'genrsa' ? ['-out', `${name}.key`, ...options] : [...options, '-out', `${name}.key`];
      await openssl(folder, command, ...out);
      const request = ['req', '-x509', '-new', '-key', `${name}.key`, '-subj', subject, '-out', `${name}.crt`];
      await openssl(folder, ...request, ...extras);
      return read(name);
    },
    async leaf(name: string, ca: string, extras: readonly string[] = []) {
      await openssl(folder, ...keys['P-256'], '-out', `${name}.key`);
      await openssl(folder, 'req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
      const signed = ['x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.crt`, '-CAkey', `${ca}.key`];
      await openssl(folder, ...signed, '-set_serial', '7', '-out', `${name}.crt`, ...extras);
      return read(name);
    },
  };
};

for (const kind of ['rsa', 'P-256', 'P-384', 'P-521', 'PSS'] as const) {
  test(`a signature by ${kind} verifies with its issuer's key and no other (spec identity 2.1, 3.2)`, async (t) => {
    const { ca, leaf } = await makers(t);
    const issuer = await ca('ca', kind === 'PSS' ? 'rsa' : kind);
    const namesake = await ca('namesake', kind === 'PSS' ? 'rsa' : kind);
    const otherKind = await ca('other', kind === 'P-384' ? 'rsa' : 'P-384');
    const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
    const certificate = await leaf('device', 'ca', kind === 'PSS' ? ['-sha256', ...pss] : ['-sha512']);
    assert.equal(isSignedBy(certificate, issuer), true);
    for (const stranger of [namesake, otherKind, certificate]) {
      assert.equal(isSignedBy(certificate, stranger), false);
    }
    for (const each of [issuer, namesake, otherKind]) assert.equal(namesAsIssuer(certificate, each), true);
    assert.equal(namesAsIssuer(issuer, certificate), false);
    const broken = Buffer.from(certificate.der);
    broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
    assert.equal(isSignedBy({ der: broken }, issuer), false);
  });
}

test('names are compared by their bytes, not by their text (spec identity 3.2)', async (t) => {
  const { ca, leaf, folder } = await makers(t);
  await writeFile(join(folder, 'printable.cnf'), '[req]\nstring_mask = nombstr\ndistinguished_name = dn\n[dn]\n');
  const utf8 = await ca('utf8', 'P-256');
  const printable = await ca('printable', 'P-256', '/CN=Maker', ['-config', 'printable.cnf']);
  const lowerCase = await ca('lower', 'P-256', '/CN=maker');
  const device = await leaf('device', 'utf8');
  assert.equal(utf8.subject, printable.subject);
  assert.deepEqual(
    [utf8, printable, lowerCase].map((each) => namesAsIssuer(device, each)),
    [true, false, false],
  );
});

test('the names stand where a certificate of any version and length has them (RFC 5280 section 4.1)', async (t) => {
  const { ca } = await makers(t);
  const long = await ca('long', 'P-256', `/O=${'a'.repeat(60)}/OU=${'b'.repeat(60)}/CN=${'c'.repeat(60)}`);
  const empty = await ca('empty', 'P-256', '/');
  for (const certificate of [parseCertificate(version1Pem), long, empty]) {
    const { issuerDer, subjectDer } = namesIn(certificate.der);
    for (const [name, text] of [
      [issuerDer, certificate.issuer],
      [subjectDer, certificate.subject],
    ] as const) {
      assert.equal(name[0], 0x30);
      const values = [...text.matchAll(/=([^,]+)/g)].map(([, value]) => String(value));
      for (const value of values) assert(Buffer.from(name).includes(value), value);
    }
  }
  assert.equal(namesIn(empty.der).subjectDer.length, 2);
});

test('bytes that are no certificate are refused, wherever they are cut', () => {
  const { der } = parseCertificate(version1Pem);
  for (let length = 0; length < 120; length++) {
    assert.throws(() => namesIn(der.subarray(0, length)), CertificateProblem);
  }
  for (const first of [0x80, 0x84, 0xff]) {
    const bytes = Buffer.from(der);
    bytes[1] = first;
    assert.throws(() => namesIn(bytes), CertificateProblem);
  }
});

test('who may issue: basicConstraints CA:TRUE, and keyCertSign where there is a key usage (spec identity 3.2)', async (t) => {
  const { ca } = await makers(t);
  const config = (name: string, ...extensions: string[]): Promise<ParsedCertificate> =>
    ca(
      name,
      'P-256',
      '/CN=x',
      extensions.flatMap((each) => ['-addext', each]),
    );
  assert.equal(mayIssue(await config('a', 'basicConstraints=critical,CA:TRUE')), true);
  assert.equal(mayIssue(await config('b', 'basicConstraints=CA:TRUE', 'keyUsage=keyCertSign')), true);
  assert.equal(mayIssue(await config('c', 'basicConstraints=CA:TRUE', 'keyUsage=digitalSignature')), false);
  assert.equal(mayIssue(await config('d', 'basicConstraints=CA:FALSE')), false);
  assert.equal(mayIssue(parseCertificate(version1Pem)), false);
  assert.equal(new X509Certificate(version1Pem).ca, false);
});
