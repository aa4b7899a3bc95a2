/** Files that are there whole or not at all, whenever the process or the machine stops. Keys are among them: mode 0600, folders 0700. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const temporary = '.tmp-';
const temporaryName = (path: string): string => `${path}${temporary}${randomBytes(6).toString('hex')}`;

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
};

const writeDurably = async (file: string, content: string, mode = 0o600): Promise<void> => {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** Makes sure that the folder is there and that only its owner may look into it; removes what an interrupted write left in it. */
export const preparePrivateFolder = async (folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const left = (await readdir(folder)).filter((name) => name.includes(temporary));
  await Promise.all(left.map((name) => rm(join(folder, name), { recursive: true, force: true })));
};

/** Writes or replaces a file; it is private unless `mode` says otherwise. */
export const writeFileAtomically = async (file: string, content: string, mode = 0o600): Promise<void> => {
  const draft = temporaryName(file);
  try {
    await writeDurably(draft, content, mode);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(file));
};

/** Writes a new folder with these files, by name. Fails when there is one already. */
export const writeFolderAtomically = async (folder: string, files: Readonly<Record<string, string>>): Promise<void> => {
  const draft = temporaryName(folder);
  try {
    await mkdir(draft, { mode: 0o700 });
    await Promise.all(Object.entries(files).map(([name, content]) => writeDurably(join(draft, name), content)));
    await syncFolder(draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(dirname(folder));
};
