import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../test/call.ts';
import { openssl } from '../../test/openssl.ts';
import { CsrProblem, csrCharactersMax, parseCsr } from './csr.ts';
import { firstPemBlock, toPem } from './pem.ts';

const rsa = ['genrsa', '-out', 'key.pem', '2048'];
const ec = (curve: string) => ['ecparam', '-genkey', '-name', curve, '-noout', '-out', 'key.pem'];

const makeCsr = async (folder: string, key: string[], ...options: string[]): Promise<string> => {
  await openssl(folder, ...key);
  await openssl(folder, 'req', '-new', '-utf8', '-key', 'key.pem', '-out', 'request.csr', ...options);
  return readFile(join(folder, 'request.csr'), 'utf8');
};

const accepted: [what: string, key: string[], options: string[], subject: string][] = [
  ['RSA-2048', rsa, ['-subj', '/C=DE/O=Ä/CN=dev1', '-addext', 'subjectAltName=DNS:a.example'], 'C=DE, O=Ä, CN=dev1'],
  ['P-256', ec('prime256v1'), ['-subj', '/CN=x/emailAddress=a@b.example'], 'CN=x, emailAddress=a@b.example'],
  ['P-384 with SHA-384', ec('secp384r1'), ['-sha384', '-subj', '/CN=x'], 'CN=x'],
  ['P-521', ec('secp521r1'), ['-subj', '/CN=x'], 'CN=x'],
  ['RSASSA-PSS', rsa, ['-sigopt', 'rsa_padding_mode:pss', '-subj', '/CN=x'], 'CN=x'],
  ['SHA-1 as proof of possession', rsa, ['-sha1', '-subj', '/CN=x'], 'CN=x'],
  ['an empty subject gets the name of the service', rsa, ['-subj', '/'], 'CN=AWS IoT Certificate'],
];
for (const [what, key, options, subject] of accepted) {
  test(`a signing request is accepted with its own key and subject: ${what} (spec identity 2.2)`, async (t) => {
    const folder = await makeFolder(t);
    const csr = parseCsr(await makeCsr(folder, key, ...options));
    assert.equal(csr.subject, subject);
    const own = createPublicKey(createPrivateKey(await readFile(join(folder, 'key.pem')))).export({
      type: 'spki',
      format: 'der',
    });
    assert.deepEqual(Buffer.from(csr.publicKeyDer), own);
  });
}

const weak: [what: string, key: string[], options: string[], sentence: RegExp][] = [
  ['RSA-1024', ['genrsa', '-out', 'key.pem', '1024'], [], /1024 bits; at least 2048/],
  ['secp256k1', ec('secp256k1'), [], /named curve/],
  ['Ed25519', ['genpkey', '-algorithm', 'ed25519', '-out', 'key.pem'], [], /neither RSA nor EC/],
  ['MD5', rsa, ['-md5'], /MD5WITHRSA/],
];
for (const [what, key, options, sentence] of weak) {
  test(`a weak signing request is refused: ${what} (identity.md check 7; 2.1)`, async (t) => {
    const text = await makeCsr(await makeFolder(t), key, '-subj', '/CN=x', ...options);
    assert.throws(
      () => parseCsr(text),
      (error) => error instanceof CsrProblem && sentence.test(error.message),
    );
  });
}

test('a request that its own key did not sign certifies nothing else, whichever byte was changed', async (t) => {
  const text = await makeCsr(await makeFolder(t), ec('prime256v1'), '-subj', '/CN=x');
  const der = firstPemBlock(text, 'CERTIFICATE REQUEST') ?? new Uint8Array();
  const original = parseCsr(text);
  let refused = 0;
  for (let at = 0; at < der.length; at++) {
    const changed = Buffer.from(der);
    changed[at] = (changed[at] ?? 0) ^ 0x01;
    try {
      // a changed length around the signed part may go unnoticed
      assert.deepEqual(parseCsr(toPem('CERTIFICATE REQUEST', changed)), original);
    } catch (error) {
      assert(error instanceof CsrProblem, `byte ${at}`);
      refused++;
    }
  }
  assert(refused > der.length - 5);
});

/** Found by fuzzing: what reads as PKCS#10 until it is to be written again. */
const attributeWithoutType = await readFile(
  new URL('../../test/fixtures/fuzz/csr/attribute-without-type.der', import.meta.url),
);

test('a subject that OpenSSL reads in no certificate is refused: such a certificate would be of no use', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = (tag: number, ...content: Uint8Array[]): Buffer => {
    const body = Buffer.concat(content);
    return Buffer.concat([Buffer.from(body.length < 0x80 ? [tag, body.length] : [tag, 0x81, body.length]), body]);
  };
  const requestFor = (subject: string): string => {
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const info = der(0x30, Buffer.from('020100', 'hex'), Buffer.from(subject, 'hex'), spki, Buffer.from('a000', 'hex'));
    const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
    const signature = der(3, Buffer.of(0), sign('sha256', info, privateKey));
    return toPem('CERTIFICATE REQUEST', der(0x30, info, ecdsaWithSha256, signature));
  };
  assert.equal(parseCsr(requestFor('300d310b300906035504030c023432')).subject, 'CN=42');
  const ofNoNameType = '300d310b30090603550403 93023432'.replace(' ', '');
  assert.throws(() => parseCsr(requestFor(ofNoNameType)), /subject .* cannot stand in a certificate/);
});

const unreadable: [what: string, text: string][] = [
  ['an attribute without a type', toPem('CERTIFICATE REQUEST', attributeWithoutType)],
  ['nothing', ''],
  ['a certificate', toPem('CERTIFICATE', Buffer.alloc(300, 0x30))],
  ['base64 of something else', toPem('CERTIFICATE REQUEST', Buffer.from('hello'))],
  ['nested sequences', toPem('CERTIFICATE REQUEST', Buffer.from('3080'.repeat(1400), 'hex'))],
  ['too much text', ' '.repeat(csrCharactersMax + 1)],
];
for (const [what, text] of unreadable) {
  test(`no signing request: ${what} is refused`, () => assert.throws(() => parseCsr(text), CsrProblem));
}
