import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RootKey } from '../../config.ts';
import { writeFileAtomically } from '../../pki/atomic-file.ts';

/** In the data folder, mode 0600. */
export const rootKeyFile = 'root-key.json';

const accessKeyIdPattern = /^\w{1,128}$/;
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** A long-lived key in AWS's form: `AKIA` and 16 characters of base32, a secret of 40 characters (240 bits). */
export const generateRootKey = (): RootKey => ({
  accessKeyId: `AKIA${Array.from(randomBytes(16), (byte) => base32[byte % 32]).join('')}`,
  secretAccessKey: randomBytes(30).toString('base64'),
});

const parse = (text: string): RootKey | undefined => {
  try {
    const { accessKeyId, secretAccessKey }: Partial<Record<string, unknown>> = JSON.parse(text);
    if (typeof accessKeyId !== 'string' || !accessKeyIdPattern.test(accessKeyId)) return undefined;
    if (typeof secretAccessKey !== 'string' || secretAccessKey === '') return undefined;
    return { accessKeyId, secretAccessKey };
  } catch {
    return undefined;
  }
};

/** The key in the folder; undefined when there is none yet. The secret is not in any message. */
export const readRootKey = async (folder: string): Promise<RootKey | undefined> => {
  const file = join(folder, rootKeyFile);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Error(`The root key in ${file} can not be read: check its permissions`, { cause: error });
  }
  const key = parse(text);
  if (!key) throw new Error(`The root key in ${file} is damaged: remove the file, and a new key will be made`);
  return key;
};

/** Keeps the key in the folder. Faults: Error with a sentence. */
export const keepRootKey = async (folder: string, key: RootKey): Promise<void> => {
  const file = join(folder, rootKeyFile);
  try {
    await writeFileAtomically(file, `${JSON.stringify(key, null, 2)}\n`);
  } catch (cause) {
    throw new Error(`The root key can not be written to ${file}: make its folder writable for this user`, { cause });
  }
};
