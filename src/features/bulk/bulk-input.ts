/** Where the files of bulk registrations come from: folders of this machine, or an S3-compatible endpoint. Source: issue "Provisioning", Build 6. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { ReadAt } from './read-lines.ts';

/** Bytes of a file. */
export const fileBytesMax = 1024 * 1024 * 1024;
/** Bytes that are read at once. */
export const windowBytes = 1024 * 1024;

export interface InputPlace {
  readonly account: AccountRegion;
  readonly bucket: string;
  /** One that `isPlainKey`. */
  readonly key: string;
}

export interface InputFile {
  readonly bytes: number;
  /** Tells whether it is the same file as before; at most some hundred characters. */
  readonly version: string;
  /** At most `windowBytes`. Faults: InputProblem, also when the file has changed. */
  readonly readAt: ReadAt;
  close(): Promise<void>;
}

export interface OpenAt {
  /** Where reading will begin. */
  readonly offset: number;
  /** The version that is to be read on; absent: whatever is there. */
  readonly version?: string | undefined;
}

export interface BulkInput {
  /** Faults: InputProblem. */
  open(place: InputPlace, at: OpenAt): Promise<InputFile>;
  close(): void;
}

/**
 * A file cannot be read. `message` is a sentence for the account: it names no path of this machine and no address. What is `passing` may be otherwise in a
 * while.
 */
export class InputProblem extends Error {
  override readonly name = 'InputProblem';
  readonly passing: boolean;
  constructor(message: string, { passing = false, cause }: { passing?: boolean; cause?: unknown } = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.passing = passing;
  }
}

export const changedProblem = (): InputProblem =>
  new InputProblem('The input file was changed while the task read it. What was done stays done.');

/**
 * Whether a key is a path that stays where it is: no absolute one, no empty segment, no `.` or `..`, no backslash, no control character. S3 would take
 * some of these as they are; no file of a folder has such a name, and proxies change them.
 */
export const isPlainKey = (key: string): boolean =>
  !/[\\\u0000-\u001f\u007f]/.test(key) && key.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

/** Nothing is configured. */
export const noInput: BulkInput = {
  async open() {
    throw new InputProblem(
      'This server has no place for input files. Start it with --buckets FOLDER, or with --s3-endpoint URL.',
    );
  },
  close: () => undefined,
};
