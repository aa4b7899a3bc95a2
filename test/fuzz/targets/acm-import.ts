/**
 * Imports into ACM, and the rules for what is presented under a domain name: facts and sentences, or ValidationException. The input is a byte that says how, then
 * leaf, private key and chain, the first two after their lengths in two bytes; what is DER is put into PEM here. By the first byte the leaf is signed anew with
 * the CA's key, so that what it holds is not stopped at its signature. Rules: spec identity 8 and 10, gateway 1.4.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { ExtendedKeyUsage, GeneralName, KeyUsageFlags, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { Fault } from '../../../src/aws/fault.ts';
import { readImport } from '../../../src/features/acm/read-import.ts';
import {
  covers,
  isPubliclyTrusted,
  namesOfChain,
  rootOfChain,
  serverCertificateProblem,
} from '../../../src/features/domains/server-certificate-rules.ts';
import {
  basicConstraints,
  buildCertificate,
  keyIdentifierOf,
  keySigner,
  keyUsage,
  plainExtension,
} from '../../../src/pki/build.ts';
import { derOf, fieldsIn, NotDer, onlyElement, tags, wholeOf } from '../../../src/pki/der.ts';
import { commonName, newName } from '../../../src/pki/name.ts';
import { toPem } from '../../../src/pki/pem.ts';
import { corpusOf } from '../corpus.ts';
import { hold, type Target } from '../target.ts';

const dayMs = 24 * 3_600_000;
const host = 'iot.example.com';
const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
const nameOf = (name: string): Uint8Array => new Uint8Array(AsnConvert.serialize(newName([commonName, name])));

const makeParty = async (name: string, nowMs: number, ca?: { privateKey: KeyObject; publicKeyDer: Uint8Array }) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKeyDer = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const issuer = {
    ...{ nameDer: nameOf('ca'), keyIdentifier: keyIdentifierOf(ca?.publicKeyDer ?? publicKeyDer) },
    ...{ keyKind: 'ec' as const, sign: keySigner(ca?.privateKey ?? privateKey) },
  };
  const names = new SubjectAlternativeName([
    new GeneralName({ dNSName: host }),
    new GeneralName({ dNSName: '*.example.com' }),
  ]);
  const extensions = ca
    ? [
        basicConstraints({ cA: false }),
        keyUsage(KeyUsageFlags.digitalSignature),
        plainExtension('2.5.29.37', new ExtendedKeyUsage(['1.3.6.1.5.5.7.3.1'])),
        plainExtension('2.5.29.17', names),
      ]
    : [basicConstraints({ cA: true }), keyUsage(KeyUsageFlags.keyCertSign)];
  const times = { notBeforeMs: nowMs - dayMs, notAfterMs: nowMs + 300 * dayMs };
  const der = await buildCertificate(issuer, { subjectDer: nameOf(name), publicKeyDer, ...times, extensions });
  return { privateKey, publicKeyDer, der, keyDer: privateKey.export({ type: 'pkcs8', format: 'der' }) };
};

const joined = (mode: number, leaf: Uint8Array, key: Uint8Array, chain: Uint8Array): Buffer => {
  const length = ({ length }: Uint8Array) => Buffer.of(length >> 8, length & 0xff);
  return Buffer.concat([Buffer.of(mode), length(leaf), leaf, length(key), key, chain]);
};

const isDer = (bytes: Uint8Array): boolean => bytes[0] === tags.sequence;
const asPem = (label: string, bytes: Buffer): Buffer => (isDer(bytes) ? Buffer.from(toPem(label, bytes)) : bytes);

export default async (): Promise<Target> => {
  const nowMs = Date.now();
  const ca = await makeParty('ca', nowMs);
  const leaf = await makeParty(host, nowMs, ca);
  const caPem = toPem('CERTIFICATE', ca.der);

  /** The same content under a new signature of the CA; undefined for what is no certificate. */
  const resigned = (der: Uint8Array): Uint8Array | undefined => {
    try {
      const content = wholeOf(der, fieldsIn(der, onlyElement(der)).take());
      const signature = derOf(tags.bitString, Buffer.of(0), sign('sha256', content, ca.privateKey));
      return derOf(tags.sequence, content, ecdsaWithSha256, signature);
    } catch (error) {
      if (error instanceof NotDer) return undefined;
      throw error;
    }
  };

  const judge = (chainPem: string): string => {
    const problem = serverCertificateProblem(chainPem, host, nowMs);
    hold(problem === undefined || problem.length < 400, 'what is wrong is told in a bounded sentence');
    const names = namesOfChain(chainPem);
    hold(problem !== undefined || names.some((name) => covers(name, host)), 'what is presented is for the name');
    hold(!isPubliclyTrusted(chainPem), 'nobody but a public CA makes what everybody trusts');
    rootOfChain(chainPem, caPem);
    return problem ?? 'presentable';
  };

  return {
    corpus: [
      ...[0, 1].map((mode) => joined(mode, leaf.der, leaf.keyDer, ca.der)),
      ...[0, 1].map((mode) =>
        joined(mode, Buffer.from(toPem('CERTIFICATE', leaf.der)), leaf.keyDer, Buffer.from(caPem + caPem)),
      ),
      joined(0, ca.der, ca.keyDer, Buffer.alloc(0)),
      joined(1, leaf.der, Buffer.from(leaf.privateKey.export({ type: 'sec1', format: 'pem' })), ca.der),
      ...corpusOf('certificate')
        .slice(0, 4)
        .map((der) => joined(1, der, leaf.keyDer, ca.der)),
    ],
    dictionary: [
      ...['-----BEGIN CERTIFICATE-----', '-----BEGIN ENCRYPTED PRIVATE KEY-----', 'Proc-Type: 4,ENCRYPTED', '*.', '\0'],
      ...[
        '0603551d11',
        '0603551d25',
        '06082b06010505070301',
        '0603551d0f',
        '8200',
        '3000',
        '3080',
        '0101ff',
        '180f',
        '0c00',
      ].map((word) => Buffer.from(word, 'hex')),
    ],
    bytesMax: 16_384,
    run(input) {
      let at = 1;
      const take = (): Buffer => {
        const length = input.length >= at + 2 ? input.readUInt16BE(at) : 0;
        at = Math.min(input.length, at + 2);
        const part = input.subarray(at, at + length);
        at += part.length;
        return part;
      };
      const [written, key] = [take(), take()];
      const der = (input[0] ?? 0) % 2 === 1 ? (resigned(written) ?? written) : written;
      const [certificate, chain] = [asPem('CERTIFICATE', Buffer.from(der)), asPem('CERTIFICATE', input.subarray(at))];
      const shown = judge(Buffer.concat([certificate, chain]).toString('latin1'));
      try {
        const given = {
          certificate,
          privateKey: asPem('PRIVATE KEY', key),
          chain: chain.length > 0 ? chain : undefined,
        };
        const { certificatePem, chainPem = '', privateKeyPem, names } = readImport(given, nowMs);
        createPrivateKey(privateKeyPem);
        hold(
          names.every((name) => !name.includes('\0')),
          'names can be kept',
        );
        return `imported, ${judge(certificatePem + chainPem)}`;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        hold(
          error.name === 'ValidationException' && error.message.length < 400,
          'a refusal is a bounded ValidationException',
        );
        return `${error.message.slice(0, 60)} / ${shown.slice(0, 60)}`.replaceAll(/\d+/g, '#');
      }
    },
  };
};
