import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../test/call.ts';
import { openssl } from '../../test/openssl.ts';
import { type Issuer, keyIdentifierOf, keySigner } from './build.ts';
import { parseCertificate } from './certificate.ts';
import { deviceIssuance, deviceIssuerNameDer } from './issue.ts';

const der = (key: KeyObject) => new Uint8Array(key.export({ type: 'spki', format: 'der' }));
const ca = generateKeyPairSync('rsa', { modulusLength: 2048 });
const device = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const issuer: Issuer = {
  nameDer: deviceIssuerNameDer,
  keyIdentifier: keyIdentifierOf(der(ca.publicKey)),
  keyKind: 'rsa',
  sign: keySigner(ca.privateKey),
};
const issue = deviceIssuance(issuer);
const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0, 789);

test('an issued certificate has the form of spec identity 2.2, as openssl reads it (identity.md check 5)', async (t) => {
  const folder = await makeFolder(t);
  const issued = await issue({ publicKeyDer: der(device.publicKey), nowMs });
  await writeFile(join(folder, 'device.pem'), issued.pem);
  const text = await openssl(folder, 'x509', '-in', 'device.pem', '-noout', '-text');
  assert.match(text, /Version: 3 \(0x2\)/);
  assert.match(text, /Issuer: OU ?= ?Fleetgate O=Fleetgate L=Self-hosted ST=Self-hosted C=ZZ\n/);
  assert.match(text, /Subject: CN ?= ?AWS IoT Certificate\n/);
  assert.match(text, /Not Before: Jan {2}1 11:58:00 2026 GMT\n\s+Not After : Dec 31 23:59:59 2049 GMT/);
  assert.equal(text.match(/Signature Algorithm: sha256WithRSAEncryption/g)?.length, 2);
  const extensions = [...text.matchAll(/^ {12}(X509v3 .*)$/gm)].map((match) => match[1]?.trim());
  assert.deepEqual(extensions, [
    'X509v3 Authority Key Identifier:',
    'X509v3 Subject Key Identifier:',
    'X509v3 Basic Constraints: critical',
    'X509v3 Key Usage: critical',
  ]);
  assert.match(text, /Basic Constraints: critical\n\s+CA:FALSE\n\s+X509v3 Key Usage: critical\n\s+Digital Signature\n/);
  const fingerprint = await openssl(folder, 'x509', '-in', 'device.pem', '-noout', '-fingerprint', '-sha256');
  assert.equal(fingerprint.trim().split('=')[1]?.replaceAll(':', '').toLowerCase(), issued.certificateId);
});

test('the end of validity is written as UTCTime, because it is before 2050 (RFC 5280 4.1.2.5)', async (t) => {
  const folder = await makeFolder(t);
  const issued = await issue({ publicKeyDer: der(device.publicKey), nowMs });
  await writeFile(join(folder, 'device.pem'), issued.pem);
  assert.match(
    await openssl(folder, 'asn1parse', '-in', 'device.pem'),
    /UTCTIME\s+:260101115800Z[\s\S]+UTCTIME\s+:491231235959Z/,
  );
  assert.equal(issued.notAfterMs, 2_524_607_999_000);
  assert.equal(issued.notBeforeMs, parseCertificate(issued.pem).notBeforeMs);
});

test('serial numbers are random, positive and at most 20 bytes (spec identity 2.2)', async () => {
  const serials = new Set<string>();
  for (let count = 0; count < 50; count++) {
    const { pem } = await issue({ publicKeyDer: der(device.publicKey), nowMs });
    const { serialNumberHex } = parseCertificate(pem);
    assert.match(serialNumberHex, /^[0-7][0-9a-f]{39}$/);
    serials.add(serialNumberHex);
  }
  assert.equal(serials.size, 50);
});
