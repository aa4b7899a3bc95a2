/**
 * What a node keeps in its data folder beside its PKI, and who may read it. A folder that is made here is its owner's alone. One that was there
 * before may be another program's as well (a home, /tmp), so its permissions stay as they are: each file of ours is private by itself.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from './pki/atomic-file.ts';
import { secretsKeyFile } from './pki/secret-box.ts';
import { StartProblem } from './start-problem.ts';

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** Files of the stores, which SQLite would make readable for everybody; it gives their modes to those that it puts beside them. */
const storeFiles = (stores: readonly string[]): string[] => stores.flatMap((store) => [store, `${store}.lock`]);

/** Makes the folder and, empty, the files of these stores, as far as they are missing. Faults: StartProblem. */
export const prepareDataFolder = async (folder: string, stores: readonly string[]): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of storeFiles(stores)) await (await open(join(folder, name), 'a', 0o600)).close();
  } catch (cause) {
    throw new StartProblem(
      `The data folder ${folder} can not be used (${codeOf(cause)}): choose another (--data) or change its permissions.`,
      { cause },
    );
  }
};

const keyBytes = 32;

const readKey = async (file: string): Promise<Uint8Array | undefined> => {
  try {
    return await readFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/**
 * 32 random bytes kept in a file of mode 0600; the same at every start. Two nodes that start at once agree: the first link wins.
 * `cure`: what to do with a damaged file; another for a key that the store depends on (pki/secret-box.ts).
 * Faults: StartProblem, also for a file of another length: what an empty key seals, anybody can seal.
 */
export const readOrMakeKey = async (
  file: string,
  cure = 'remove the file, and a new key will be made',
): Promise<Uint8Array> => {
  try {
    let key = await readKey(file);
    if (!key) {
      const fresh = `${file}.${randomUUID()}`;
      await writeFile(fresh, randomBytes(keyBytes), { mode: 0o600, flush: true });
      await link(fresh, file).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error;
      });
      await unlink(fresh);
      key = await readFile(file);
    }
    if (key.length === keyBytes) return key;
  } catch (cause) {
    throw new StartProblem(`The key in ${file} can not be read or made (${codeOf(cause)}): check its permissions.`, {
      cause,
    });
  }
  throw new StartProblem(`The key in ${file} is damaged: ${cure}.`);
};

/**
 * The key of the secrets in the store (pki/secret-box.ts). A new one would open none of them: `isNeeded` is asked before one is made. Faults: StartProblem, and
 * those of `isNeeded`.
 */
export const readOrMakeSecretsKey = async (folder: string, isNeeded: () => Promise<boolean>): Promise<Uint8Array> => {
  const file = join(folder, secretsKeyFile);
  const isThere = await stat(file).then(
    () => true,
    (error: unknown) => codeOf(error) !== 'ENOENT',
  );
  if (!isThere && (await isNeeded())) {
    throw new StartProblem(
      `The key ${file} is missing, and the store holds secrets that were sealed with it: put it back from a backup. If it is lost for good, make another ` +
        `(head -c ${keyBytes} /dev/urandom > ${file}), and then all access keys of users, ACM certificates and domain configurations anew.`,
    );
  }
  return readOrMakeKey(
    file,
    'put the one that belongs to this store back from a backup, as no secret of the store opens with another',
  );
};

/** Keeps the root certificate, which is public, where commands find it; a file that holds it already is left alone. Faults: StartProblem. */
export const keepRootCertificate = async (file: string, pem: string): Promise<void> => {
  if ((await readFile(file, 'utf8').catch(() => '')) === pem) return;
  try {
    await writeFileAtomically(file, pem, 0o644);
  } catch (cause) {
    throw new StartProblem(
      `The root certificate can not be written to ${file} (${codeOf(cause)}): remove what is there, or make its folder writable for this user.`,
      { cause },
    );
  }
};
