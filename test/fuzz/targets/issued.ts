/**
 * From a signing request to the certificate: the input is the subject of a request, and in its first two bytes how long that is; what follows are the
 * attributes. It is signed here with a key of our own, as any device could, so that what it holds is not stopped at its signature. A request that is accepted
 * gives a certificate that OpenSSL and we can read, of that subject and key. Source: RFC 2986; spec identity 2.2.
 */
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { keyIdentifierOf, keySigner } from '../../../src/pki/build.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { CsrProblem, type ParsedCsr, parseCsr } from '../../../src/pki/csr.ts';
import { deviceIssuance, deviceIssuerNameDer } from '../../../src/pki/issue.ts';
import { toPem } from '../../../src/pki/pem.ts';
import { hold, refusable, type Target } from '../target.ts';

/** One DER element. */
const der = (tag: number, ...content: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(content);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), body]);
};
const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
const attribute = (type: string, valueTag: number, value: string): Buffer =>
  der(0x30, der(0x06, Buffer.from(type, 'hex')), der(valueTag, Buffer.from(value, 'latin1')));
const name = (...parts: readonly (readonly Buffer[])[]): Buffer =>
  der(0x30, ...parts.map((attributes) => der(0x31, ...attributes)));
const input = (subject: Buffer, attributes = Buffer.from('a000', 'hex')): Buffer =>
  Buffer.concat([Buffer.of(subject.length >> 8, subject.length & 0xff), subject, attributes]);

export default (): Target => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const issue = deviceIssuance({
    nameDer: deviceIssuerNameDer,
    keyIdentifier: keyIdentifierOf(spki),
    keyKind: 'ec',
    sign: keySigner(privateKey),
  });
  const requestOf = (bytes: Buffer): string => {
    const length = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
    const info = der(0x30, Buffer.of(2, 1, 0), bytes.subarray(2, 2 + length), spki, bytes.subarray(2 + length));
    const signature = sign('sha256', info, privateKey);
    return toPem('CERTIFICATE REQUEST', der(0x30, info, ecdsaWithSha256, der(3, Buffer.of(0), signature)));
  };
  return {
    corpus: [
      input(name()),
      input(name([attribute('550403', 0x0c, 'dev1')])),
      input(name([attribute('550406', 0x13, 'DE'), attribute('55040a', 0x0c, 'Acme')])),
      input(name([attribute('2a864886f70d010901', 0x16, 'a@b.c')], [attribute('550405', 0x13, '42')])),
      input(name([attribute('550403', 0x1e, '\0a\0b')], [attribute('550403', 0x1c, '\0\0\0a')])),
      input(name([attribute('2a0304', 0x03, '\0x')]), Buffer.from('a00d300b06032a0304310430020500', 'hex')),
    ],
    dictionary: [
      ...[
        '0603550403',
        '0c00',
        '1300',
        '1400',
        '1e020041',
        '1c0400000041',
        '1603',
        '0101ff',
        '020101',
        '0500',
        '3080',
        '0000',
      ],
      ...['3100', '3000', 'a003020101', '17', '06032a0304', '2a864886f70d010901', '0603550406', '80', '1f8f7f'],
    ].map((word) => Buffer.from(word, 'hex')),
    bytesMax: 2_048,
    async run(bytes) {
      const csr = await refusable<ParsedCsr>(() => parseCsr(requestOf(bytes)), CsrProblem);
      if (csr instanceof Error) return csr.message.replaceAll(/\d+/g, '#');
      hold(!csr.subject.includes('\n'), 'a subject is one line');
      const { pem, certificateId } = await issue({ ...csr, nowMs: Date.now() });
      const certificate = parseCertificate(pem);
      hold(certificate.certificateId === certificateId, 'the id is that of the certificate');
      hold(certificate.subject === csr.subject, 'the subject is that of the request');
      hold(new X509Certificate(pem).publicKey.equals(publicKey), 'the key is that of the request');
      hold(Buffer.from(certificate.der).includes(csr.subjectDer), 'the subject stands in it as it was sent');
      return 'issued';
    },
  };
};
