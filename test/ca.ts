/** Certificate authorities by openssl, for tests of what may be registered: CAs, what they sign, and the proofs of having their keys. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openssl } from './openssl.ts';

export type KeyKind = 'rsa' | 'rsa-1024' | 'P-256' | 'P-384' | 'P-521';
const newPrivateKey: Record<KeyKind, () => KeyObject> = {
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  'rsa-1024': () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey,
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  'P-521': () => generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
};

export interface CaOptions {
  readonly subject?: string;
  readonly key?: KeyKind;
  /** The CA whose key this one has, too. */
  readonly keyOf?: string;
  /** Arguments of `openssl req -x509`; default: basicConstraints CA:TRUE. */
  readonly extras?: readonly string[];
}

export interface LeafOptions {
  readonly subject?: string;
  readonly days?: number;
  readonly key?: KeyKind;
  /** Arguments of `openssl x509 -req`. */
  readonly extras?: readonly string[];
}

const config = ['-config', 'request.cnf'];

/** Makes authorities and certificates in a folder, by name: `<name>.crt` and `<name>.key`. Each function answers the certificate's PEM. */
export const authorities = (folder: string) => {
  const read = (file: string): Promise<string> => readFile(join(folder, file), 'utf8');
  /** Made here: hundreds of processes that do nothing else would cost more than the keys. */
  const newKey = (name: string, kind: KeyKind): Promise<void> =>
    writeFile(join(folder, `${name}.key`), newPrivateKey[kind]().export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
  /** No extensions but those that are asked for, whatever the machine's own configuration says. */
  const configured = writeFile(join(folder, 'request.cnf'), '[req]\ndistinguished_name = dn\n[dn]\n');
  let serial = 1;
  return {
    /** A self-signed CA of ten years. */
    async ca(name: string, { subject = `/CN=${name}`, key = 'P-256', keyOf, extras }: CaOptions = {}): Promise<string> {
      await configured;
      if (keyOf === undefined) await newKey(name, key);
      const defaults = ['-addext', 'basicConstraints=critical,CA:TRUE'];
      const request = ['req', '-x509', '-new', '-key', `${keyOf ?? name}.key`, '-subj', subject, '-days', '3650'];
      await openssl(folder, ...request, ...config, ...(extras ?? defaults), '-out', `${name}.crt`);
      return read(`${name}.crt`);
    },
    /** A certificate that a CA signed, its extensions none but those that openssl adds. */
    async leaf(
      name: string,
      ca: string,
      { subject = `/CN=${name}`, days = 365, key = 'P-256', extras = [] }: LeafOptions = {},
    ): Promise<string> {
      await configured;
      await newKey(name, key);
      await openssl(folder, 'req', '-new', '-key', `${name}.key`, '-subj', subject, ...config, '-out', `${name}.csr`);
      const signed = ['x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.crt`, '-CAkey', `${ca}.key`];
      const rest = ['-set_serial', String(serial++), '-days', String(days), '-out', `${name}.crt`];
      await openssl(folder, ...signed, ...rest, ...extras);
      return read(`${name}.crt`);
    },
    /** The same certificate in version 1, as older versions of openssl write it: without extensions, signed anew by its CA (P-256). */
    async version1(name: string, ca: string): Promise<string> {
      const key = createPrivateKey(await read(`${ca}.key`));
      return toVersion1(await read(`${name}.crt`), (bytes) => sign('sha256', bytes, key));
    },
  };
};

const elements = (bytes: Buffer): Buffer[] => {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at + 1] ?? 0;
    const lengthBytes = first < 128 ? 0 : first & 0x7f;
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
    const end = at + 2 + lengthBytes + length;
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found;
};
const contentOf = (element: Buffer): Buffer =>
  element.subarray(2 + ((element[1] ?? 0) < 128 ? 0 : (element[1] ?? 0) & 0x7f));
const der = (tag: number, ...contents: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
};

const toVersion1 = (pem: string, signer: (bytes: Buffer) => Buffer): string => {
  const whole = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const [signed = Buffer.alloc(0), algorithm = Buffer.alloc(0)] = elements(contentOf(whole));
  // without version [0] and extensions [3]
  const bare = der(0x30, ...elements(contentOf(signed)).filter(([tag]) => tag !== 0xa0 && tag !== 0xa3));
  const bytes = der(0x30, bare, algorithm, der(0x03, Buffer.of(0), signer(bare)));
  return `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64').replaceAll(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
};
