/**
 * Where log events end: one file of JSON lines per account and region, `<folder>/<account>/<region>/AWSIotLogsV2.jsonl`, readable by the node's user
 * alone. Lines wait in memory, bounded, and are appended every `logFlushMs` without holding anybody up; the file is not synced, so a crash of the
 * machine may cost its last moments. A file that is full becomes `AWSIotLogsV2.1.jsonl`, the one before `.2`, and so on.
 */
import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AccountRegion } from '../aws/arn.ts';

/** A file does not grow beyond it; then the next one begins. */
export const logFileBytesMax = 10 * 1024 * 1024;
/** Files per account and region, the current one among them; the oldest goes. */
export const logFilesMax = 5;
/** Characters that wait to be written, of all accounts; further lines are dropped, and counted in a line of their own. */
export const logPendingMax = 4 * 1024 * 1024;
export const logFlushMs = 200;

const base = 'AWSIotLogsV2';

export interface LogFiles {
  /** Never throws, never waits. */
  write(account: AccountRegion, line: string): void;
  /** Resolves when everything written so far is in its file, or lost with its cause told; never rejects. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface LogFilesOptions {
  readonly folder: string;
  /** Told when a file cannot be written, once until it can be again. */
  readonly trouble: (error: unknown) => void;
  /** The line that stands for `dropped` others. */
  readonly droppedLine: (account: AccountRegion, dropped: number) => string;
  readonly fileBytesMax?: number;
  readonly pendingMax?: number;
}

interface Pending {
  readonly account: AccountRegion;
  readonly lines: string[];
  dropped: number;
}

export const openLogFiles = (options: LogFilesOptions): LogFiles => {
  const { folder, trouble, droppedLine, fileBytesMax = logFileBytesMax, pendingMax = logPendingMax } = options;
  let pending = new Map<string, Pending>();
  let pendingCharacters = 0;
  let timer: NodeJS.Timeout | undefined;
  let flushing = Promise.resolve();
  let failing = false;

  const append = async ({ account, lines, dropped }: Pending): Promise<void> => {
    const place = join(folder, account.accountId, account.region);
    if (dropped > 0) lines.push(droppedLine(account, dropped));
    const text = `${lines.join('\n')}\n`;
    await mkdir(place, { recursive: true, mode: 0o700 });
    const bytes = await sizeOf(join(place, `${base}.jsonl`));
    if (bytes > 0 && bytes + Buffer.byteLength(text) > fileBytesMax) await rotate(place);
    await appendFile(join(place, `${base}.jsonl`), text, { mode: 0o600 });
  };

  const flushAll = async (): Promise<void> => {
    const taken = pending;
    pending = new Map();
    pendingCharacters = 0;
    for (const each of taken.values()) {
      try {
        await append(each);
        failing = false;
      } catch (error) {
        if (!failing) trouble(error);
        failing = true;
      }
    }
  };

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    flushing = flushing.then(flushAll);
    return flushing;
  };

  return {
    write(account, line) {
      const key = `${account.accountId} ${account.region}`;
      const known = pending.get(key) ?? { account, lines: [], dropped: 0 };
      pending.set(key, known);
      if (pendingCharacters + line.length > pendingMax) known.dropped++;
      else {
        pendingCharacters += line.length;
        known.lines.push(line);
      }
      timer ??= setTimeout(() => void flush(), logFlushMs).unref();
    },
    flush,
    close: flush,
  };
};

const sizeOf = async (file: string): Promise<number> => {
  try {
    return (await stat(file)).size;
  } catch {
    return 0; // there is none yet; what else is wrong shows when it is written
  }
};

const rotate = async (place: string): Promise<void> => {
  const name = (index: number): string => join(place, index === 0 ? `${base}.jsonl` : `${base}.${index}.jsonl`);
  for (let index = logFilesMax - 2; index >= 0; index--) {
    if ((await sizeOf(name(index))) > 0) await rename(name(index), name(index + 1));
  }
};
