/** Ids in AWS's form: a prefix that tells what is meant, then base32. Source: IAM user guide, "Unique identifiers". */
import { createHash, randomBytes } from 'node:crypto';

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const idChars = 17;
const keyIdChars = 16;
const secretBytes = 30;

const textOf = (bytes: Uint8Array, chars: number): string =>
  Array.from(bytes.subarray(0, chars), (byte) => base32[byte % 32]).join('');
const randomText = (chars: number): string => textOf(randomBytes(chars), chars);

/** What the first four letters say. */
const idPrefixes = { user: 'AIDA', group: 'AGPA', role: 'AROA', policy: 'ANPA' } as const;

/** The unique id of something new. */
export const newIamId = (kind: keyof typeof idPrefixes): string => `${idPrefixes[kind]}${randomText(idChars)}`;

/** An id that is the same on every node, for what nobody has made. */
export const derivedIamId = (kind: keyof typeof idPrefixes, text: string): string =>
  `${idPrefixes[kind]}${textOf(createHash('sha256').update(text).digest(), idChars)}`;

/** `AKIA`: the key stays until it is deleted; `ASIA`: it expires. 80 random bits. */
export const newAccessKeyId = (prefix: 'AKIA' | 'ASIA'): string => `${prefix}${randomText(keyIdChars)}`;

/** 40 characters of base64: 240 random bits. */
export const newSecretAccessKey = (): string => randomBytes(secretBytes).toString('base64');
