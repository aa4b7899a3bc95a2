/**
 * A private key that claims to belong to a certificate and does not.
 *
 * OpenSSL compares only the public halves when it loads a certificate with its key. A key file in SEC1 (EC) or PKCS#1 (RSA) form states both
 * halves, and nobody computes the one from the other: put the certificate's public half beside another private half, and every client loads
 * the pair without complaint and signs with the wrong key. That is an attacker who has copied a registered certificate but not its key.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';

/** One DER element: tag, length, content. */
const der = (tag: number, ...content: Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), body]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), body]);
};

const pem = (label: string, body: Buffer): string =>
  `-----BEGIN ${label}-----\n${body.toString('base64').replaceAll(/(.{64})(?=.)/g, '$1\n')}\n-----END ${label}-----\n`;

const bytes = (base64url: string | undefined): Buffer => Buffer.from(base64url ?? '', 'base64url');

/** A non-negative INTEGER from a JWK number. */
const integer = (base64url: string | undefined): Buffer => {
  const value = bytes(base64url);
  return der(2, (value[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), value]) : value);
};

const p256 = Buffer.from('06082a8648ce3d030107', 'hex');

/** A P-256 or RSA-2048 key file, PEM, whose public half is `certificatePem`'s and whose private half is a fresh one. */
export const forgedKey = (certificatePem: string): string => {
  const { publicKey } = new X509Certificate(certificatePem);
  const claimed = publicKey.export({ format: 'jwk' });
  if (publicKey.asymmetricKeyType === 'rsa') {
    const own = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
    const numbers = [claimed.n, claimed.e, own.d, own.p, own.q, own.dp, own.dq, own.qi].map(integer);
    return pem('RSA PRIVATE KEY', der(0x30, der(2, Buffer.from([0])), ...numbers));
  }
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([0, 4]), bytes(claimed.x), bytes(claimed.y)]);
  const forged = pem(
    'EC PRIVATE KEY',
    der(0x30, der(2, Buffer.from([1])), der(4, bytes(own.d)), der(0xa0, p256), der(0xa1, der(3, point))),
  );
  createPrivateKey(forged);
  return forged;
};
