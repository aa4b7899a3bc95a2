/** Lines of a file that may be far larger than memory, each with its place, from any place on where a line begins. */

/** Bytes of one line without its end. Source: spec provisioning.md 10. */
export const lineBytesMax = 256 * 1024;

export interface InputLine {
  /** From 1; blank lines count. */
  readonly lineNumber: number;
  /** Of its first byte in the file. */
  readonly offset: number;
  /** Where the next line begins. */
  readonly end: number;
  /** Without its end; undefined for a line that is longer than `lineBytesMax`, which is read over. */
  readonly bytes: Uint8Array | undefined;
}

/** What stands at an offset: at least one byte, none at the end. */
export type ReadAt = (offset: number) => Promise<Uint8Array>;

const newline = 0x0a;

/** All lines from `start` on: `offset` is where the line after `lineNumber` begins. A last line needs no newline. */
export async function* readLines(
  readAt: ReadAt,
  start: { readonly offset: number; readonly lineNumber: number },
): AsyncGenerator<InputLine, void> {
  let { offset, lineNumber } = start;
  let kept: Uint8Array[] = [];
  let keptBytes = 0;
  /** Of the line so far, kept or not. */
  let lineBytes = 0;
  const take = (piece: Uint8Array): void => {
    lineBytes += piece.length;
    if (lineBytes > lineBytesMax) {
      kept = [];
      keptBytes = 0;
    } else if (piece.length > 0) {
      kept.push(piece);
      keptBytes += piece.length;
    }
  };
  const cut = (endBytes: number): InputLine => {
    const bytes = lineBytes > lineBytesMax ? undefined : Buffer.concat(kept, keptBytes);
    const line = { lineNumber: ++lineNumber, offset, end: offset + lineBytes + endBytes, bytes };
    offset = line.end;
    kept = [];
    keptBytes = 0;
    lineBytes = 0;
    return line;
  };
  for (;;) {
    const chunk = await readAt(offset + lineBytes);
    if (chunk.length === 0) break;
    let at = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, at)) {
      take(chunk.subarray(at, end));
      at = end + 1;
      yield cut(1);
    }
    take(chunk.subarray(at));
  }
  if (lineBytes > 0) yield cut(0);
}
