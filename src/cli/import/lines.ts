/** The lines of a file of any size, one at a time and each of bounded length: what a manifest holds is not ours. */
import type { FileHandle } from 'node:fs/promises';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Byte at which the next line starts. */
  readonly end: number;
  /** Without its line end; undefined for a line longer than the bound. Bytes that are not UTF-8 read as U+FFFD. */
  readonly text: string | undefined;
}

/** Where reading goes on: a byte, and the number of the line that starts there. */
export interface Position {
  readonly offset: number;
  readonly line: number;
}

const chunkBytes = 65_536;
const newline = 0x0a;

const textOf = (bytes: Buffer): string => {
  const text = bytes.toString('utf8');
  return text.endsWith('\r') ? text.slice(0, -1) : text;
};

/** Reads on from a position to the end of the file. Holds one chunk and one line of at most `lineBytesMax`; of a longer line nothing is kept. */
export async function* readLines(file: FileHandle, from: Position, lineBytesMax: number): AsyncGenerator<Line> {
  let { offset: readTo, line: number } = from;
  let start = readTo;
  let kept: Buffer[] = [];
  let keptBytes = 0;
  const keep = (bytes: Buffer): void => {
    keptBytes += bytes.length;
    // a copy: the chunk is read into again
    if (keptBytes <= lineBytesMax) kept.push(Buffer.from(bytes));
    else kept = [];
  };
  const finish = (end: number): Line => {
    const text = keptBytes > lineBytesMax ? undefined : textOf(Buffer.concat(kept));
    kept = [];
    keptBytes = 0;
    start = end;
    return { number: number++, end, text };
  };
  const chunk = Buffer.allocUnsafe(chunkBytes);
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunkBytes, readTo);
    if (bytesRead === 0) break;
    let at = 0;
    for (let end = chunk.indexOf(newline); end >= 0 && end < bytesRead; end = chunk.indexOf(newline, at)) {
      keep(chunk.subarray(at, end));
      at = end + 1;
      yield finish(readTo + at);
    }
    keep(chunk.subarray(at, bytesRead));
    readTo += bytesRead;
  }
  if (readTo > start) yield finish(readTo);
}
