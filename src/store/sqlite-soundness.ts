/**
 * Whether the file can be trusted. A statement that finds it damaged or unreadable makes the store unsound: nothing more is written, because what
 * is acknowledged must be there after a restart. The file is then checked again and again, as it is on disk, and service resumes when a check passes.
 */
import { SqliteError } from './sqlite-failure.ts';
import type { WriterThread } from './sqlite-thread.ts';

/** SQLite's codes: damaged pages, and what is no database at all. */
const damage = [11, 26];
/** Beside damage: may not be opened, input/output error, cannot be opened. Locks and lack of memory say nothing about the file. */
const unreadable = [...damage, 3, 10, 14];

export const startSoundness = (thread: Pick<WriterThread, 'ask'>) => {
  let trouble: Error | undefined;
  let checking = false;
  const note = (error: unknown, codes: readonly number[]): void => {
    if (!(error instanceof Error) || !(error.cause instanceof SqliteError)) return;
    if (codes.includes(error.cause.errcode & 0xff)) trouble = error;
  };
  return {
    get sound() {
      return trouble === undefined;
    },
    /** Told of every failed read. */
    noteRead: (error: unknown) => note(error, unreadable),
    /** Told of every failed write; other failures than damage pass by themselves. */
    noteWrite: (error: unknown) => note(error, damage),
    /** Throws what made the store unsound. */
    assertSound(): void {
      if (trouble) throw trouble;
    },
    /** Checks an unsound file; one check at a time, since a large file takes a while. */
    async check(): Promise<void> {
      if (!trouble || checking) return;
      checking = true;
      const { failure } = await thread.ask('check', [], []);
      checking = false;
      if (!failure) trouble = undefined;
    },
  };
};
