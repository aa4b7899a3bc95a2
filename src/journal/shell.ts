/**
 * Words for a POSIX shell. A cure is pasted into a terminal, and parts of it were chosen by whoever was refused: client ids, topics, names.
 * Inside single quotes a shell reads nothing but the closing quote, so a value may hold `$(...)`, backticks and `!` and stays a value.
 * What a terminal or an eye could mistake (control characters, text direction, invisible ones) is never put into a command at all.
 */

/** Characters that no printed line may carry: controls (C0, DEL, C1), line separators, bidirectional and other formatting, what leaves no ink, lone surrogates. */
export const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

const plain = /^[A-Za-z0-9_./:][A-Za-z0-9_./:-]*$/;

/** One shell word that means exactly `value`; undefined when it cannot be printed safely. */
export const quote = (value: string): string | undefined => {
  if (unprintable.test(value)) return undefined;
  return plain.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
};

/** A command line out of literal text and values: each value is quoted. Undefined when one of them cannot be. */
export const command = (text: TemplateStringsArray, ...values: readonly string[]): string | undefined => {
  let line = text[0] ?? '';
  for (const [index, value] of values.entries()) {
    const word = quote(value);
    if (word === undefined) return undefined;
    line += word + (text[index + 1] ?? '');
  }
  return line;
};

/** The lines, if every one of them could be written; none otherwise: half a cure is worse than a sentence. */
export const script = (...lines: readonly (string | undefined)[]): readonly string[] => {
  const written = lines.filter((line) => line !== undefined);
  return written.length === lines.length ? written : [];
};
