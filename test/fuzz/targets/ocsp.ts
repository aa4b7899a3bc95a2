/**
 * OCSP responses: what is believed was signed by whom it should be, and everything else is OcspProblem. Each input is read as it came, and once more with its data
 * signed by the CA, so that what it holds is not stopped at its signature. Source: RFC 6960; spec gateway.md 1.4.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { ExtendedKeyUsage } from '@peculiar/asn1-x509';
import { buildCertificate, keyIdentifierOf, keySigner, plainExtension } from '../../../src/pki/build.ts';
import { contentOf, derOf, fieldsIn, NotDer, onlyElement, tags } from '../../../src/pki/der.ts';
import { namesIn } from '../../../src/pki/issued-by.ts';
import { commonName, newName } from '../../../src/pki/name.ts';
import { ocspRequest, ocspResponseBytesMax, ocspSubject, readOcspResponse } from '../../../src/pki/ocsp.ts';
import { basicResponseIn, OcspProblem } from '../../../src/pki/ocsp-message.ts';
import { hold, type Target } from '../target.ts';

const dayMs = 24 * 3_600_000;
const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
const basicType = Buffer.from('06092b0601050507300101', 'hex');
const nameOf = (name: string): Uint8Array => new Uint8Array(AsnConvert.serialize(newName([commonName, name])));
const timeOf = (ms: number): Uint8Array =>
  derOf(tags.generalizedTime, Buffer.from(`${new Date(ms).toISOString().replaceAll(/\D/g, '').slice(0, 14)}Z`));

/** A key with its certificate by the CA. */
const party = async (name: string, ca: KeyObject | undefined, nowMs: number) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKeyDer = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const issuer = {
    ...{ nameDer: nameOf('ca'), keyIdentifier: keyIdentifierOf(publicKeyDer) },
    ...{ keyKind: 'ec' as const, sign: keySigner(ca ?? privateKey) },
  };
  const extensions = [plainExtension('2.5.29.37', new ExtendedKeyUsage(['1.3.6.1.5.5.7.3.9']))];
  const times = { notBeforeMs: nowMs - dayMs, notAfterMs: nowMs + 300 * dayMs };
  const content = { subjectDer: nameOf(name), publicKeyDer, ...times, extensions };
  return { privateKey, der: await buildCertificate(issuer, content) };
};

const signedBy = (key: KeyObject, data: Uint8Array, ...certificates: readonly Uint8Array[]): Uint8Array => {
  const signature = derOf(tags.bitString, Buffer.of(0), sign('sha256', data, key));
  const certs = certificates.length === 0 ? [] : [derOf(0xa0, derOf(tags.sequence, ...certificates))];
  const basic = derOf(tags.sequence, data, ecdsaWithSha256, signature, ...certs);
  const inner = derOf(tags.sequence, basicType, derOf(tags.octetString, basic));
  return derOf(tags.sequence, Buffer.of(tags.enumerated, 1, 0), derOf(0xa0, inner));
};

export default async (): Promise<Target> => {
  const nowMs = Date.now();
  const ca = await party('ca', undefined, nowMs);
  const leaf = await party('leaf', ca.privateKey, nowMs);
  const delegate = await party('delegate', ca.privateKey, nowMs);
  const subject = ocspSubject(leaf.der, ca.der);
  // what is asked for stands inside of four sequences
  const certificateId = [1, 2, 3, 4].reduce((der) => contentOf(der, onlyElement(der)), ocspRequest(subject));
  const keyHash = createHash('sha1').update(keyBits(ca.der)).digest();
  const byKey = derOf(0xa2, derOf(tags.octetString, keyHash));
  const times = [timeOf(nowMs), derOf(0xa0, timeOf(nowMs + 30 * dayMs))];
  const single = (status: Uint8Array, ...more: readonly Uint8Array[]) =>
    derOf(tags.sequence, certificateId, status, ...more);
  const data = (responder: Uint8Array, ...singles: readonly Uint8Array[]) =>
    derOf(tags.sequence, responder, timeOf(nowMs), derOf(tags.sequence, ...singles));
  const good = Buffer.of(0x80, 0);
  const revoked = derOf(0xa1, timeOf(nowMs - dayMs), derOf(0xa0, Buffer.of(tags.enumerated, 1, 1)));
  const genuine = [
    data(byKey, single(good, ...times)),
    data(derOf(0xa1, nameOf('ca')), single(revoked, timeOf(nowMs)), single(good, ...times)),
  ];
  const delegated = data(derOf(0xa1, nameOf('delegate')), single(good, ...times));
  const known = [...genuine, delegated].map((each) => Buffer.from(each));

  const read = (response: Uint8Array): string => {
    try {
      const { status, endMs, thisUpdateMs } = readOcspResponse(response, subject, { nowMs });
      hold(Number.isFinite(thisUpdateMs) && endMs > nowMs, 'what is believed is in force');
      return status;
    } catch (error) {
      if (error instanceof OcspProblem) return error.rule;
      throw error;
    }
  };
  const resigned = (input: Buffer): Uint8Array | undefined => {
    try {
      return signedBy(ca.privateKey, basicResponseIn(input).signed);
    } catch (error) {
      if (error instanceof NotDer || error instanceof OcspProblem) return undefined;
      throw error;
    }
  };
  return {
    corpus: [
      ...genuine.map((each) => signedBy(ca.privateKey, each)),
      signedBy(delegate.privateKey, delegated, delegate.der),
    ],
    dictionary: [
      '8000',
      '8200',
      'a1023000',
      'a000',
      '0500',
      '180f',
      '0a0103',
      '0101ff',
      '2b0e03021a',
      '3080',
      '30820000',
    ].map((word) => Buffer.from(word, 'hex')),
    bytesMax: ocspResponseBytesMax + 64,
    run(input) {
      const outcome = read(input);
      if (outcome === 'good' || outcome === 'revoked') {
        hold(
          known.some((each) => each.equals(basicResponseIn(input).signed)),
          'what is believed was signed',
        );
      }
      const again = resigned(input);
      return again === undefined ? outcome : `${outcome}, signed: ${read(again)}`;
    },
  };
};

const keyBits = (certificate: Uint8Array): Uint8Array => {
  const { publicKeyDer } = namesIn(certificate);
  const fields = fieldsIn(publicKeyDer, onlyElement(publicKeyDer));
  fields.take();
  return contentOf(publicKeyDer, fields.take()).subarray(1);
};
