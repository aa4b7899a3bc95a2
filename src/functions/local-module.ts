import { realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { FunctionFailure } from './failure.ts';

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

const realPath = async (path: string): Promise<string | undefined> => {
  try {
    return await realpath(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
};

/**
 * The real path of `<folder>/<account>/<name>.mjs`; undefined when there is none. Both names have been checked: 12 digits, and
 * `[A-Za-z0-9_-]{1,64}`. It is looked up anew for each call, so files come, go and change while the node runs.
 * Faults: FunctionFailure `error` for a link that leaves the folder, and for what is no plain file.
 */
export const findModule = async (
  folder: string,
  accountId: string,
  functionName: string,
): Promise<string | undefined> => {
  const refusal = (why: string) =>
    new FunctionFailure('error', `The file ${accountId}/${functionName}.mjs of the functions folder ${why}.`);
  try {
    const root = await realPath(folder);
    const file = await realPath(join(folder, accountId, `${functionName}.mjs`));
    if (root === undefined || file === undefined) return undefined;
    if (!file.startsWith(root + sep)) throw refusal('is a link that leaves the folder, so it is not run');
    // Node's --allow-fs-read takes an asterisk for any characters.
    if (file.includes('*')) throw refusal('has an asterisk in its real path, so it is not run');
    if (!(await stat(file)).isFile()) throw refusal('is no plain file');
    return file;
  } catch (error) {
    if (error instanceof FunctionFailure) throw error;
    throw new FunctionFailure(
      'error',
      `The file ${accountId}/${functionName}.mjs of the functions folder cannot be read.`,
      String(error),
    );
  }
};
