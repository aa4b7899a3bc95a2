/** Makes a PKCS#10 request (RFC 2986), as a device does that keeps its key. Written by hand: a request has one form, and whoever makes one need not load what reads all of them. */
import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { toPem } from './pem.ts';

const signAsync = promisify(sign);

const tag = { integer: 0x02, bitString: 0x03, utf8: 0x0c, sequence: 0x30, set: 0x31, attributes: 0xa0 } as const;

/** One DER value of less than 65536 bytes. */
const der = (kind: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(kind, ...size), content]);
};

/** 2.5.4.3 */
const commonNameOid = Buffer.from('0603550403', 'hex');
/** 1.2.840.10045.4.3.2, which has no parameters (RFC 5758 section 3.2). */
const ecdsaWithSha256 = der(tag.sequence, Buffer.from('06082a8648ce3d040302', 'hex'));

/** PEM of a request for an EC key, with the subject `CN=commonName`; the name has at most 64 characters (RFC 5280, ub-common-name). */
export const newCsr = async (
  { publicKey, privateKey }: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  commonName: string,
): Promise<string> => {
  const name = der(tag.sequence, commonNameOid, der(tag.utf8, Buffer.from(commonName)));
  const info = der(
    tag.sequence,
    der(tag.integer, Buffer.of(0)),
    der(tag.sequence, der(tag.set, name)),
    publicKey.export({ format: 'der', type: 'spki' }),
    der(tag.attributes),
  );
  const signature = await signAsync('sha256', info, privateKey);
  return toPem(
    'CERTIFICATE REQUEST',
    der(tag.sequence, info, ecdsaWithSha256, der(tag.bitString, Buffer.of(0), signature)),
  );
};
