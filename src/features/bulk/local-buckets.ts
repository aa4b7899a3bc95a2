/** Buckets as folders of this machine: `<folder>/<account>/<bucket>/<key>`. */
import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import {
  type BulkInput,
  changedProblem,
  type InputPlace,
  InputProblem,
  isPlainKey,
  windowBytes,
} from './bulk-input.ts';

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const absent = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

const unreadable = ({ bucket, key }: InputPlace, cause: unknown): InputProblem =>
  absent.has(codeOf(cause))
    ? new InputProblem(`There is no object ${key} in the bucket ${bucket}.`)
    : new InputProblem(`The object ${key} of the bucket ${bucket} cannot be read.`, { cause });

/**
 * The real path of an object. A link may lead to another place of its account's folder, and nowhere else, so that no account reads what is another's.
 * Faults: InputProblem.
 */
const locate = async (folder: string, place: InputPlace): Promise<string> => {
  const { account, bucket, key } = place;
  const own = join(await realpath(folder), account.accountId);
  const file = await realpath(join(own, bucket, key));
  if (!file.startsWith(own + sep)) {
    throw new InputProblem(`The object ${key} of the bucket ${bucket} is a link that leaves the account's folder.`);
  }
  return file;
};

/**
 * Whether what was opened is what stands at `path`, though a folder on the way may have become a link in between. Linux tells where an opened file stands;
 * elsewhere it is compared with what is found there now, which misses a link that comes and goes fast enough.
 */
const isAt = async (handle: FileHandle, path: string): Promise<boolean> => {
  if (process.platform === 'linux') return (await readlink(`/proc/self/fd/${handle.fd}`)) === path;
  const [opened, found] = [await handle.stat({ bigint: true }), await stat(path, { bigint: true })];
  return (await realpath(path)) === path && opened.dev === found.dev && opened.ino === found.ino;
};

/** Whether the account has a folder for this bucket. */
export const hasBucket = async (folder: string, { account, bucket }: InputPlace): Promise<boolean> => {
  const found = await stat(join(folder, account.accountId, bucket)).catch(() => undefined);
  return found?.isDirectory() === true;
};

export const openLocalBuckets = (folder: string): BulkInput => ({
  async open(place, { version: wanted }) {
    if (!isPlainKey(place.key) || !isPlainKey(place.bucket)) throw new InputProblem('That is no name of an object.');
    try {
      const path = await locate(folder, place);
      // no link in the last place, and no wait for the other end of a pipe
      const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const versionNow = async () => {
        const { ino, size, mtimeNs } = await handle.stat({ bigint: true });
        return `${ino}-${size}-${mtimeNs}`;
      };
      try {
        const facts = await handle.stat();
        const version = await versionNow();
        if (!facts.isFile() || !(await isAt(handle, path))) {
          throw new InputProblem(`The object ${place.key} of the bucket ${place.bucket} is no plain file.`);
        }
        if (wanted !== undefined && version !== wanted) throw changedProblem();
        return {
          bytes: facts.size,
          version,
          async readAt(offset) {
            const { buffer, bytesRead } = await handle.read(Buffer.alloc(windowBytes), 0, windowBytes, offset);
            if ((await versionNow()) !== version) throw changedProblem();
            return buffer.subarray(0, bytesRead);
          },
          close: () => handle.close(),
        };
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch (error) {
      throw error instanceof InputProblem ? error : unreadable(place, error);
    }
  },
  close: () => undefined,
});
