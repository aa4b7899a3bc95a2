/**
 * The certificate that a line names: by a path, as PEM, or as base64 of DER. Nothing but the certificate itself is taken from a file: a private key
 * that stands beside it stays where it is.
 */
import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { printable } from '../terminal.ts';
import { LineProblem } from './entry.ts';

/** Bytes of a certificate file, a chain and explaining text included. */
export const fileBytesMax = 262_144;
/** Certificates of one chain. */
const chainMax = 10;

/** Where paths start and what they may not leave. */
export interface PathRule {
  /** Absolute, free of links. */
  readonly folder: string;
  readonly allowOutside: boolean;
}

const pemBegin = '-----BEGIN ';
const certificateBlock =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

const parse = (input: string | Buffer): X509Certificate => {
  try {
    return new X509Certificate(input);
  } catch (cause) {
    throw new LineProblem('The certificate cannot be read as X.509', { cause });
  }
};

/** The first certificate of a PEM text; what follows it must be its chain, so that a bundle of devices is not taken for one. */
const fromPem = (text: string): X509Certificate => {
  const blocks = text.match(certificateBlock) ?? [];
  const [leaf, ...chain] = blocks.slice(0, chainMax).map((block) => parse(block));
  if (!leaf) throw new LineProblem('The PEM text holds no certificate');
  let below = leaf;
  for (const issuer of chain) {
    if (!below.checkIssued(issuer)) {
      throw new LineProblem('The PEM text holds several certificates that are no chain; give each a line of its own');
    }
    below = issuer;
  }
  return leaf;
};

const fromDer = (der: Buffer): X509Certificate => {
  const certificate = parse(der);
  if (!certificate.raw.equals(der)) throw new LineProblem('Something follows the certificate, or it is not DER');
  return certificate;
};

const codes: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read',
  EPERM: 'may not be read',
  EISDIR: 'is a folder',
  ELOOP: 'is a loop of links',
  ENAMETOOLONG: 'has too long a name',
  ENXIO: 'is no regular file',
};

const readBounded = async (path: string): Promise<Buffer> => {
  // not waiting: opening a pipe would
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const facts = await file.stat();
    if (facts.isDirectory()) throw new LineProblem('It is a folder');
    if (!facts.isFile()) throw new LineProblem('It is no regular file');
    const bytes = Buffer.alloc(fileBytesMax + 1);
    let size = 0;
    for (let read = 1; read > 0 && size < bytes.length; size += read) {
      read = (await file.read(bytes, size, bytes.length - size, size)).bytesRead;
    }
    if (size > fileBytesMax) throw new LineProblem(`It has more than ${fileBytesMax} bytes`);
    return bytes.subarray(0, size);
  } finally {
    await file.close();
  }
};

/** The bytes of a file that the rule allows. Links are followed first: where they lead is what counts. */
const readFileOf = async (path: string, { folder, allowOutside }: PathRule): Promise<Buffer> => {
  const shown = printable(path.slice(0, 200));
  try {
    const real = await realpath(resolve(folder, path));
    const inside = folder.endsWith(sep) ? folder : folder + sep;
    if (!allowOutside && !real.startsWith(inside)) {
      throw new LineProblem(`${shown} lies outside the ledger's folder; --allow-outside permits it`);
    }
    return await readBounded(real);
  } catch (cause) {
    if (cause instanceof LineProblem) throw cause;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    throw new LineProblem(`${shown} ${codes[code] ?? `cannot be read (${code || 'no path'})`}`, { cause });
  }
};

/** Base64 of DER, which begins with a SEQUENCE: no path of this length has no dot and begins so. */
const isBase64Der = (text: string): boolean => text.length >= 200 && /^MI[A-Za-z0-9+/=\s]+$/.test(text);

/** How the certificate of a line is given. */
export const formOf = (text: string): 'pem' | 'der' | 'path' =>
  text.trimStart().startsWith(pemBegin) ? 'pem' : isBase64Der(text.trim()) ? 'der' : 'path';

/** Reads it. Faults: LineProblem. */
export const readCertificate = async (text: string, rule: PathRule): Promise<X509Certificate> => {
  switch (formOf(text)) {
    case 'pem':
      // tables and shells write the line ends of a PEM text as the two characters \n
      return fromPem(text.replaceAll('\\r', '').replaceAll('\\n', '\n'));
    case 'der':
      return fromDer(Buffer.from(text, 'base64'));
    case 'path': {
      const bytes = await readFileOf(text, rule);
      return bytes.includes(pemBegin) ? fromPem(bytes.toString('latin1')) : fromDer(bytes);
    }
  }
};
