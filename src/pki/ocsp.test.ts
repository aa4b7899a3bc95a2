/** OCSP against openssl's own client and responder: what we ask, and of what is answered what is believed. Source: RFC 6960; spec gateway.md 1.4. */
import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { type Leaf, type OcspAuthority, ocspAuthority } from '../../test/ocsp.ts';
import { openssl } from '../../test/openssl.ts';
import { throwAwayFolder } from '../../test/throw-away-certificates.ts';
import { contentOf, derOf, fieldsIn, onlyElement, tags, wholeOf } from './der.ts';
import {
  type OcspSubject,
  ocspAddresses,
  ocspRequest,
  ocspResponseBytesMax,
  ocspSubject,
  readOcspResponse,
  withoutNextUpdateMs,
} from './ocsp.ts';
import { OcspProblem, type OcspRule } from './ocsp-message.ts';

let authority: OcspAuthority;
let leaf: Leaf;
let other: Leaf;
let revoked: Leaf;
let unknown: Leaf;
let subject: OcspSubject;
/** When all the certificates are there. */
let nowMs: number;
const dayMs = 24 * 3_600_000;

before(async () => {
  authority = await ocspAuthority(throwAwayFolder());
  const signing = 'extendedKeyUsage=OCSPSigning';
  leaf = await authority.leaf('leaf', { address: 'http://ocsp.example.com/a' });
  other = await authority.leaf('other');
  revoked = await authority.leaf('revoked', { status: 'R' });
  unknown = await authority.leaf('unknown', { status: 'not in the index' });
  await authority.leaf('delegate', { extensions: [signing] });
  await authority.leaf('delegate-rsa', { extensions: [signing], key: 'rsa' });
  await authority.leaf('weak', { extensions: [signing], key: 'rsa-1024' });
  await authority.leaf('brief', { extensions: [signing], days: 1 });
  await authority.leaf('any', { extensions: ['extendedKeyUsage=anyExtendedKeyUsage'] });
  await authority.ca('stranger');
  await authority.ca('twin', { subject: '/O=Acme/CN=Acme CA' });
  await authority.leaf('foreign', { extensions: [signing], issuer: 'stranger' });
  await authority.leaf('forged', { extensions: [signing], issuer: 'twin' });
  subject = ocspSubject(leaf.der, authority.der);
  nowMs = Date.now();
});

const subjectOf = ({ der }: Leaf): OcspSubject => ocspSubject(der, authority.der);
const refused = (rule: OcspRule, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OcspProblem, String(error));
  assert.equal(error.rule, rule, error.message);
  if (message) assert.match(error.message, message);
  return true;
};

test('the request is the one that openssl writes without a nonce', async () => {
  for (const { name, der } of [leaf, revoked]) {
    const flags = ['-issuer', 'ca.crt', '-cert', `${name}.crt`, '-no_nonce', '-reqout', 'request.der'];
    await openssl(authority.folder, 'ocsp', ...flags);
    const written = await readFile(join(authority.folder, 'request.der'));
    assert.deepEqual(Buffer.from(ocspRequest(ocspSubject(der, authority.der))), written);
  }
});

test('a certificate is asked about with the CA that signed it, not with one of the same name', async () => {
  const twin = await readFile(join(authority.folder, 'twin.crt'), 'utf8');
  const der = Buffer.from(twin.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  assert.throws(() => ocspSubject(leaf.der, der), refused('responder', /does not follow it in its chain/));
  assert.throws(() => ocspSubject(leaf.der, other.der), refused('responder'));
});

test('addresses of responders are read from the certificate', () => {
  assert.deepEqual(ocspAddresses(leaf.der), ['http://ocsp.example.com/a']);
  assert.deepEqual(ocspAddresses(other.der), []);
  assert.deepEqual(ocspAddresses(Buffer.from('3000', 'hex')), []);
});

test('good and revoked are told, with their times', async () => {
  const good = readOcspResponse(await authority.respond(ocspRequest(subject)), subject, { nowMs });
  assert.equal(good.status, 'good');
  assert.ok(Math.abs(good.thisUpdateMs - Date.now()) < 60_000);
  assert.equal(good.endMs - good.thisUpdateMs, dayMs);
  assert.equal(good.nextUpdateMs, good.endMs);
  const of = subjectOf(revoked);
  assert.equal(readOcspResponse(await authority.respond(ocspRequest(of)), of, { nowMs }).status, 'revoked');
});

const believed: [what: string, signer: string, flags: readonly string[]][] = [
  ['the CA, by its key', 'ca', ['-resp_key_id']],
  ['the CA, without certificates', 'ca', ['-resp_no_certs']],
  ['the CA, with SHA-512', 'ca', ['-rmd', 'sha512']],
  ['a responder that the CA certified', 'delegate', []],
  ['a responder that the CA certified, by its key', 'delegate', ['-resp_key_id']],
  ['a responder with an RSA key', 'delegate-rsa', []],
  ['a responder with RSASSA-PSS', 'delegate-rsa', ['-rsigopt', 'rsa_padding_mode:pss']],
];
for (const [what, signer, flags] of believed) {
  test(`believed: ${what}`, async () => {
    const response = await authority.respond(ocspRequest(subject), { signer, flags: ['-ndays', '1', ...flags] });
    assert.equal(readOcspResponse(response, subject, { nowMs }).status, 'good');
  });
}

for (const hash of ['sha256', 'sha512']) {
  test(`believed: a name of the certificate by ${hash}, as others may have asked for`, async () => {
    const flags = ['-issuer', 'ca.crt', `-${hash}`, '-cert', 'leaf.crt', '-no_nonce', '-reqout', `${hash}.der`];
    await openssl(authority.folder, 'ocsp', ...flags);
    const response = await authority.respond(await readFile(join(authority.folder, `${hash}.der`)));
    assert.equal(readOcspResponse(response, subject, { nowMs }).status, 'good');
  });
}

const disbelieved: [what: string, rule: OcspRule, message: RegExp, signer: string, flags: readonly string[]][] = [
  ['another CA', 'responder', /not certified by the CA/, 'stranger', []],
  ['another CA, without certificates', 'responder', /neither of the CA/, 'stranger', ['-resp_no_certs']],
  ['another CA of the same name', 'signature', /does not verify/, 'twin', []],
  ['a responder that another CA certified', 'responder', /not certified by the CA/, 'foreign', []],
  ['a responder that a CA of the same name certified', 'responder', /not certified by the CA/, 'forged', []],
  ['a server of the CA, which may not sign for it', 'responder', /lacks the usage OCSPSigning/, 'other', []],
  ['the server itself', 'responder', /lacks the usage OCSPSigning/, 'leaf', []],
  ['any usage, which is not the one (RFC 6960 4.2.2.2)', 'responder', /lacks the usage/, 'any', []],
  ['a weak key', 'responder', /RSA key has 1024 bits/, 'weak', []],
  ['a responder whose certificate is missing', 'responder', /neither of the CA/, 'delegate', ['-resp_no_certs']],
  ['SHA-1', 'signature', /SHA1WITHECDSA .* is not accepted/, 'ca', ['-rmd', 'sha1']],
  ['a broken signature', 'signature', /./, 'ca', ['-badsig']],
];
for (const [what, rule, message, signer, flags] of disbelieved) {
  test(`not believed: ${what}`, async () => {
    const response = await authority.respond(ocspRequest(subject), { signer, flags: ['-ndays', '1', ...flags] });
    assert.throws(() => readOcspResponse(response, subject, { nowMs }), refused(rule, message));
  });
}

test('the certificate of a responder must be in force', async () => {
  const response = await authority.respond(ocspRequest(subject), { signer: 'brief', flags: ['-ndays', '9'] });
  assert.equal(readOcspResponse(response, subject, { nowMs }).status, 'good');
  assert.throws(
    () => readOcspResponse(response, subject, { nowMs: nowMs + 2 * dayMs }),
    refused('responder', /expired on/),
  );
});

test('where one certificate is authorized its key alone may sign, whoever certified it (API reference, ServerCertificateConfig)', async () => {
  const authorizedResponder = derOfPem(await readFile(join(authority.folder, 'foreign.crt'), 'utf8'));
  const reading = { nowMs, authorizedResponder };
  const by = (signer: string) => authority.respond(ocspRequest(subject), { signer });
  assert.equal(readOcspResponse(await by('foreign'), subject, reading).status, 'good');
  for (const signer of ['ca', 'delegate', 'forged']) {
    const response = await by(signer);
    assert.throws(() => readOcspResponse(response, subject, reading), refused('responder', /another responder/));
  }
  const response = await by('foreign');
  const late = { nowMs: nowMs + 40 * dayMs, authorizedResponder };
  assert.throws(() => readOcspResponse(response, subject, late), refused('time'));
});
const derOfPem = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');

test('a response about another certificate, or one that the CA does not know, says nothing', async () => {
  const about = async (asked: Leaf) => authority.respond(ocspRequest(subjectOf(asked)));
  const elsewhere = await about(other);
  assert.throws(() => readOcspResponse(elsewhere, subject, { nowMs }), refused('other-certificate', /another/));
  const nobody = await about(unknown);
  assert.throws(
    () => readOcspResponse(nobody, subjectOf(unknown), { nowMs }),
    refused('other-certificate', /does not know/),
  );
});

test('a response has its time', async () => {
  const response = await authority.respond(ocspRequest(subject));
  const at = (ms: number) => readOcspResponse(response, subject, { nowMs: ms });
  const { thisUpdateMs, endMs } = at(nowMs);
  assert.throws(() => at(thisUpdateMs - 300_001), refused('time', /not in force before/));
  assert.equal(at(thisUpdateMs - 300_000).status, 'good', 'five minutes are forgiven');
  assert.equal(at(endMs - 1).status, 'good');
  assert.throws(() => at(endMs), refused('time', /has ended/));
});

test('a response that names no next update ends after a day', async () => {
  const response = await authority.respond(ocspRequest(subject), { flags: [] });
  const { thisUpdateMs, endMs, nextUpdateMs } = readOcspResponse(response, subject, { nowMs });
  assert.deepEqual([endMs - thisUpdateMs, nextUpdateMs], [withoutNextUpdateMs, undefined]);
});

const errors: [code: number, message: RegExp][] = [
  [1, /answered malformedRequest/],
  [3, /answered tryLater/],
  [6, /answered unauthorized/],
  [4, /the unknown error 4/],
];
for (const [code, message] of errors) {
  test(`the error ${code} is told by name`, () => {
    const response = Buffer.of(0x30, 3, 0x0a, 1, code);
    assert.throws(() => readOcspResponse(response, subject, { nowMs }), refused('unsuccessful', message));
  });
}

test('no more than 4 KiB are looked at', async () => {
  const long = Buffer.alloc(ocspResponseBytesMax + 1);
  assert.throws(() => readOcspResponse(long, subject, { nowMs }), refused('unreadable', /more than 4 KiB/));
});

test('bytes that are no response, cut ones and longer ones are refused', async () => {
  const response = await authority.respond(ocspRequest(subject), { signer: 'delegate' });
  for (let length = 0; length < response.length; length += 1) {
    assert.throws(() => readOcspResponse(response.subarray(0, length), subject, { nowMs }), OcspProblem);
  }
  const longer = Buffer.concat([response, Buffer.of(0)]);
  assert.throws(() => readOcspResponse(longer, subject, { nowMs }), refused('unreadable'));
  for (const text of ['<html>', '', 'null', authority.pem]) {
    assert.throws(() => readOcspResponse(Buffer.from(text), subject, { nowMs }), OcspProblem);
  }
});

/** A response whose data `change` has written anew, signed by the CA as it should be. */
const resigned = async (change: (data: Buffer) => Uint8Array, days = 1): Promise<Uint8Array> => {
  const flags = ['-ndays', String(days), '-resp_no_certs'];
  const response = await authority.respond(ocspRequest(subject), { flags });
  const octets = response.indexOf(Buffer.from('2b0601050507300101', 'hex')) + 9;
  const basic = contentOf(response, fieldsIn(response, { tag: 0, start: 0, at: octets, end: response.length }).take());
  const fields = fieldsIn(basic, onlyElement(basic));
  const data = change(Buffer.from(wholeOf(basic, fields.take())));
  const algorithm = wholeOf(basic, fields.take());
  const key = createPrivateKey(await readFile(join(authority.folder, 'ca.key')));
  const signature = derOf(tags.bitString, Buffer.of(0), sign('sha256', data, key));
  const type = derOf(tags.objectIdentifier, Buffer.from('2b0601050507300101', 'hex'));
  const inner = derOf(tags.sequence, type, derOf(tags.octetString, derOf(tags.sequence, data, algorithm, signature)));
  return derOf(tags.sequence, Buffer.of(0x0a, 1, 0), derOf(0xa0, inner));
};
const withExtension = (data: Buffer, ...critical: readonly number[]): Uint8Array => {
  const oid = derOf(tags.objectIdentifier, Buffer.of(0x2a, 3));
  const extension = derOf(tags.sequence, oid, Buffer.from(critical), derOf(tags.octetString, Buffer.of(5, 0)));
  return derOf(tags.sequence, contentOf(data, onlyElement(data)), derOf(0xa1, derOf(tags.sequence, extension)));
};

test('a critical extension that is not known is refused, others are passed over (RFC 6960 4.4)', async () => {
  const read = async (change: (data: Buffer) => Uint8Array) =>
    readOcspResponse(await resigned(change), subject, { nowMs }).status;
  assert.equal(await read((data) => data), 'good');
  assert.equal(await read((data) => withExtension(data)), 'good');
  assert.equal(await read((data) => withExtension(data, 1, 1, 0)), 'good');
  await assert.rejects(
    read((data) => withExtension(data, 1, 1, 0xff)),
    refused('unreadable', /critical/),
  );
});

test('what is said twice is as bad as the worst of it', async () => {
  const twice = (second: (single: Buffer) => Buffer) => (data: Buffer) => {
    const fields = fieldsIn(data, onlyElement(data));
    const before = [fields.take(), fields.take()].map((element) => wholeOf(data, element));
    const responses = Buffer.from(contentOf(data, fields.take()));
    return derOf(tags.sequence, ...before, derOf(tags.sequence, responses, second(Buffer.from(responses))));
  };
  const read = async (second: (single: Buffer) => Buffer, days = 1) =>
    readOcspResponse(await resigned(twice(second), days), subject, { nowMs });
  const good = Buffer.from('8000180f', 'hex');
  const replaced = (single: Buffer, status: Uint8Array): Buffer => {
    const element = onlyElement(single);
    const at = single.indexOf(good);
    assert.ok(at > 0);
    return Buffer.from(
      derOf(tags.sequence, single.subarray(element.at, at), status, single.subarray(at + 2, element.end)),
    );
  };
  assert.equal((await read((single) => single)).status, 'good');
  const brief = await read((single) => {
    const element = onlyElement(single);
    // without its next update, of 19 bytes
    return Buffer.from(derOf(tags.sequence, single.subarray(element.at, element.end - 19)));
  }, 9);
  assert.equal(brief.endMs - brief.thisUpdateMs, dayMs, 'and as brief');
  const revokedInfo = derOf(0xa1, derOf(tags.generalizedTime, Buffer.from('20250101000000Z')));
  assert.equal((await read((single) => replaced(single, revokedInfo))).status, 'revoked');
  await assert.rejects(
    read((single) => replaced(single, Buffer.of(0x82, 0))),
    refused('other-certificate'),
  );
});
