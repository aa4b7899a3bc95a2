/** A maker of devices: a CA that nobody registers, and as many certificates as a test wants, ten thousand in a second. */

import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { throwAwayFolder } from './throw-away-certificates.ts';

export interface Made {
  /** Its common name, `device-` and eight digits. */
  readonly name: string;
  readonly der: Buffer;
  readonly pem: string;
  readonly certificateId: string;
}

/** A DER value: tag, length, content. */
const der = (tag: number, ...contents: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(contents);
  const { length } = content;
  const lengthBytes = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...lengthBytes), content]);
};

/** The end of the DER value that starts at `at`. */
const endOf = (bytes: Buffer, at: number): number => {
  const first = bytes[at + 1] ?? 0;
  if (first < 128) return at + 2 + first;
  const lengthBytes = first & 0x7f;
  return at + 2 + lengthBytes + bytes.readUIntBE(at + 2, lengthBytes);
};

const pemOf = (bytes: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64').replaceAll(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;

const digits = 8;
/** What stands for the digits in the mould; no tag of DER near them is spelled so. */
const blank = '5'.repeat(digits);
const nameOf = (number: number): string => `device-${String(number).padStart(digits, '0')}`;

/** One certificate from openssl is the mould; name and serial number (the name's digits) are put into it and the maker signs anew. */
const mould = (): { readonly before: Buffer; readonly key: KeyObject } => {
  const folder = throwAwayFolder();
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const run = (...args: readonly string[]): Buffer =>
    execFileSync('openssl', args, { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  run(
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 30 -subj'.split(
      ' ',
    ),
    '/CN=Maker',
  );
  run(
    ...'req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout d.key -out d.csr -subj'.split(' '),
    `/CN=${nameOf(Number(blank))}`,
  );
  const serial = `0x7f${Buffer.from(blank).toString('hex')}`;
  run(
    ...'x509 -req -in d.csr -CA ca.crt -CAkey ca.key -days 30 -sha256 -outform DER -out d.der -set_serial'.split(' '),
    serial,
  );
  const whole = readFileSync(`${folder}/d.der`);
  const start = whole.length < 260 ? 3 : 4;
  return { before: whole.subarray(start, endOf(whole, start)), key };
};

/** The maker: a function of a device's number, from 0. Its CA's own key signs nothing here: nobody verifies the chain, and nobody should. */
export const createMaker = (): ((number: number) => Made) => {
  const { before, key } = mould();
  const [serialAt, nameAt] = [before.indexOf(blank), before.lastIndexOf(blank)];
  const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
  return (number) => {
    const text = String(number).padStart(digits, '0');
    const signed = Buffer.from(before);
    signed.write(text, serialAt, 'latin1');
    signed.write(text, nameAt, 'latin1');
    const signature = der(0x03, Buffer.of(0), sign('sha256', signed, key));
    const bytes = der(0x30, signed, ecdsaWithSha256, signature);
    return { name: nameOf(number), der: bytes, pem: pemOf(bytes), certificateId: hash('sha256', bytes, 'hex') };
  };
};
