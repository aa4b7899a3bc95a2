/**
 * Text for a terminal. The journal has freed its strings of control characters already; this is the second border, because the answer may
 * come from another version, another machine, or through a proxy, and a terminal obeys whatever reaches it.
 */

/** Controls (C0, DEL, C1), line separators, bidirectional and other formatting, what leaves no ink, lone surrogates. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

export const isPrintable = (text: string): boolean => text.search(unprintable) < 0;

/** One line of text that moves no cursor: what cannot be printed appears as `\u{1b}`. */
export const printable = (text: string): string =>
  text.replace(unprintable, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);

/** The same for text of several lines. */
export const printableLines = (text: string): string => text.split(/\r?\n/).map(printable).join('\n');

export interface Style {
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

const sgr = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`;
const bare = (text: string): string => text;

/** Colours on a terminal, none elsewhere or where NO_COLOR is set (no-color.org). */
export const styleOf = (coloured: boolean): Style =>
  coloured
    ? { strong: sgr(1), faint: sgr(2), good: sgr(32), bad: sgr(31) }
    : { strong: bare, faint: bare, good: bare, bad: bare };

/** One POSIX shell word that means exactly `value`; bare where no shell could read more into it. */
export const shellWord = (value: string): string =>
  /^[A-Za-z0-9_./:][A-Za-z0-9_./:-]*$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
