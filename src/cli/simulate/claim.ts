/**
 * The claim that simulated devices come with: a certificate and its private key. They are found by belonging together, so that a folder may hold a root
 * certificate beside them, and as PEM or as the JSON that `aws iot create-provisioning-claim` and `create-keys-and-certificate` print.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandProblem } from '../io.ts';
import { printable } from '../terminal.ts';

/** What opens a connection. */
export interface KeyedCertificate {
  /** With the certificates that stood with it, as a chain is sent. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface ClaimSource {
  /** A folder, a file, or `-` for standard input. */
  readonly claim: string;
  /** The file of the key, where it is not with the certificate. */
  readonly key: string | undefined;
}

/** Bytes of one file, or of standard input. */
const fileBytesMax = 65_536;
/** Files of a folder that are looked at. */
const filesMax = 100;
/** Names of files that may hold a part of a claim. */
const partName = /\.(?:pem|crt|cer|key|json)$/i;
const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?/g;
const keyBlock = /-----BEGIN (?:RSA |EC )?PRIVATE KEY-----[^-]*-----END (?:RSA |EC )?PRIVATE KEY-----\n?/g;

const tooLarge = (where: string): CommandProblem =>
  new CommandProblem(`${printable(where)} has more than ${fileBytesMax} bytes: it holds no claim.`);

const readBounded = async (path: string): Promise<string> => {
  // not waiting: opening a pipe would
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: NodeJS.ErrnoException) => {
    throw new CommandProblem(`${printable(path)} cannot be read (${cause.code ?? 'no path'}).`, { cause });
  });
  try {
    if (!(await file.stat()).isFile()) throw new CommandProblem(`${printable(path)} is no regular file.`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(fileBytesMax + 1), 0, fileBytesMax + 1, 0);
    if (bytesRead > fileBytesMax) throw tooLarge(path);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
};

const readInput = async (input: AsyncIterable<Uint8Array | string>): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > fileBytesMax) throw tooLarge('Standard input');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** The strings in a JSON value, which hold the line ends that the text has as `\n`; any other text as it is. */
const stringsIn = (text: string): readonly string[] => {
  if (!text.trimStart().startsWith('{')) return [text];
  const strings: string[] = [];
  try {
    JSON.parse(text, (_name, value: unknown) => {
      if (typeof value === 'string') strings.push(value);
      return value;
    });
  } catch {
    return [text];
  }
  return strings;
};

const namesIn = async (folder: string): Promise<readonly string[]> => {
  const names = (await readdir(folder)).filter((name) => partName.test(name)).sort();
  if (names.length <= filesMax) return names;
  throw new CommandProblem(
    `${printable(folder)} holds more than ${filesMax} files of keys and certificates: name one.`,
  );
};

const isFolder = async (path: string): Promise<boolean> =>
  stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  );

/** The texts that the claim may be in. A file of a folder that cannot be read is somebody else's. */
const readTexts = async ({ claim, key }: ClaimSource, input: AsyncIterable<Uint8Array | string>): Promise<string[]> => {
  const texts: string[] = [];
  if (claim === '-') texts.push(await readInput(input));
  else if (await isFolder(claim)) {
    for (const name of await namesIn(claim)) {
      texts.push(await readBounded(join(claim, name)).catch(() => ''));
    }
  } else texts.push(await readBounded(claim));
  if (key !== undefined) texts.push(await readBounded(key));
  return texts;
};

const readKey = (pem: string): readonly { readonly key: KeyObject; readonly pem: string }[] => {
  try {
    return [{ key: createPrivateKey(pem), pem }];
  } catch {
    return [];
  }
};

/** The first certificate of each text, with those that follow it. */
const readChain = (text: string): readonly { readonly leaf: X509Certificate; readonly pem: string }[] => {
  const blocks = text.match(certificateBlock) ?? [];
  const [first] = blocks;
  try {
    return first === undefined ? [] : [{ leaf: new X509Certificate(first), pem: blocks.join('') }];
  } catch {
    return [];
  }
};

/** Faults: CommandProblem, with a sentence. */
export const readClaim = async (
  source: ClaimSource,
  input: AsyncIterable<Uint8Array | string>,
): Promise<KeyedCertificate> => {
  const where = source.claim === '-' ? 'Standard input' : printable(source.claim);
  const parts = (await readTexts(source, input)).flatMap(stringsIn);
  const chains = parts.flatMap(readChain);
  const keys = parts.flatMap((part) => part.match(keyBlock) ?? []).flatMap(readKey);
  const pairs = new Map<string, KeyedCertificate>();
  for (const { leaf, pem: certificatePem } of chains) {
    const key = keys.find((each) => leaf.checkPrivateKey(each.key));
    if (key) pairs.set(leaf.fingerprint256, { certificatePem, privateKeyPem: key.pem });
  }
  const [claim, ...more] = pairs.values();
  if (claim && more.length === 0) return claim;
  const cure = 'Name the claim certificate with --claim FILE and its key with --key FILE.';
  if (claim) throw new CommandProblem(`${where} holds ${pairs.size} certificates with their keys. ${cure}`);
  if (chains.length === 0) throw new CommandProblem(`${where} holds no certificate that can be read. ${cure}`);
  if (keys.length === 0) throw new CommandProblem(`There is no private key with ${where} that can be read. ${cure}`);
  throw new CommandProblem(`No private key belongs to a certificate of ${where}. ${cure}`);
};
