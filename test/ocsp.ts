/** A CA with openssl's own OCSP responder over its index of certificates. */
import { randomUUID, X509Certificate } from 'node:crypto';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { authorities, type KeyKind } from './ca.ts';
import { openssl } from './openssl.ts';

export interface OcspLeafOptions {
  /** Of its OCSP responder. */
  readonly address?: string;
  /** As the index of openssl has it, V = good and R = revoked; absent: V. */
  readonly status?: 'V' | 'R' | 'not in the index';
  /** Lines of openssl's extension file, in place of those of a server. */
  readonly extensions?: readonly string[];
  readonly key?: KeyKind;
  readonly days?: number;
  /** `ca` by default. */
  readonly issuer?: string;
}

export interface Leaf {
  readonly name: string;
  readonly pem: string;
  readonly der: Uint8Array;
  readonly keyPem: string;
}

export interface RespondOptions {
  /** Whose key signs; `ca` by default. */
  readonly signer?: string;
  /** More arguments of `openssl ocsp`; by default the answer ends after a day. */
  readonly flags?: readonly string[];
}

const derOf = (pem: string): Uint8Array => new X509Certificate(pem).raw;

export interface OcspAuthority {
  readonly folder: string;
  readonly pem: string;
  readonly der: Uint8Array;
  /** A certificate of a server `<name>.example.test` with its key. */
  leaf(name: string, options?: OcspLeafOptions): Promise<Leaf>;
  /** Another CA, or one more certificate of the same name. */
  ca(name: string, options?: { readonly subject?: string }): Promise<Uint8Array>;
  /** The DER of the responder's answer. */
  respond(request: Uint8Array, options?: RespondOptions): Promise<Buffer>;
}

/** The CA `ca` in a folder. */
export const ocspAuthority = async (folder: string): Promise<OcspAuthority> => {
  const made = authorities(folder);
  const pem = await made.ca('ca', { subject: '/O=Acme/CN=Acme CA' });
  const index = join(folder, 'index.txt');
  await writeFile(index, '');
  return {
    folder,
    pem,
    der: derOf(pem),
    async leaf(name, { address, status = 'V', extensions, key = 'P-256', days = 30, issuer = 'ca' } = {}) {
      const file = join(folder, `${name}.ext`);
      const access = address === undefined ? [] : [`authorityInfoAccess=OCSP;URI:${address}`];
      const server = [`subjectAltName=DNS:${name}.example.test`, 'extendedKeyUsage=serverAuth', ...access];
      await writeFile(file, (extensions ?? server).join('\n'));
      const leafPem = await made.leaf(name, issuer, { key, days, extras: ['-extfile', file] });
      const { serialNumber } = new X509Certificate(leafPem);
      const revoked = status === 'R' ? '250101000000Z,keyCompromise' : '';
      if (status !== 'not in the index') {
        await appendFile(index, `${status}\t351231235959Z\t${revoked}\t${serialNumber}\tunknown\t/CN=${name}\n`);
      }
      const keyPem = await readFile(join(folder, `${name}.key`), 'utf8');
      return { name, pem: leafPem, der: derOf(leafPem), keyPem };
    },
    ca: async (name, options = {}) => derOf(await made.ca(name, options)),
    async respond(request, { signer = 'ca', flags = ['-ndays', '1'] } = {}) {
      const asked = join(folder, `${randomUUID()}.der`);
      const answered = `${asked}.answer`;
      await writeFile(asked, request);
      await openssl(
        folder,
        ...['ocsp', '-index', 'index.txt', '-CA', 'ca.crt', '-rsigner', `${signer}.crt`, '-rkey', `${signer}.key`],
        ...['-reqin', asked, '-respout', answered, ...flags],
      );
      return readFile(answered);
    },
  };
};
