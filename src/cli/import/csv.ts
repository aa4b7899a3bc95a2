/**
 * Comma-separated values, as RFC 4180 has them, from lines. Of a quoted field that runs over several lines, which the RFC allows, only what a manifest
 * needs is taken: a PEM text. So a quote that was forgotten costs its own row, not all that follows.
 */

/** What stands in a row of a table: its fields, or what is wrong with it. */
export type Row = { readonly fields: readonly string[] } | { readonly problem: string };

/** Characters of one row, over all its lines. */
export const rowCharactersMax = 131_072;

export const separators = [',', ';', '\t'] as const;
export type Separator = (typeof separators)[number];

/** A line in the middle or at the end of a quoted PEM text: base64 or a boundary, then nothing or the closing quote. */
const pemLine = /^(?:[A-Za-z0-9+/=]+|-----(?:BEGIN|END) [A-Z0-9 ]+-----)?\s*(?:"(?:[,;\t]|$)|$)/;

/** One row that is being read, line by line. */
export interface RowReader {
  /** Takes a line; undefined when the row goes on in the next one. */
  take(line: string): Row | undefined;
  /** Whether a line can belong to the row that was begun. */
  fits(line: string): boolean;
}

export const unclosedQuote = { problem: 'A quote is opened and not closed' } as const;

export const readRow = (separator: Separator): RowReader => {
  const fields: string[] = [];
  let quoted = '';
  let open = false;

  /** Reads the quoted field at `at`; answers where it ends, or undefined when the line does before it. */
  const readQuoted = (line: string, from: number): number | undefined => {
    for (let at = from; ; ) {
      const quote = line.indexOf('"', at);
      if (quote < 0) {
        quoted += `${line.slice(at)}\n`;
        return undefined;
      }
      quoted += line.slice(at, quote);
      if (line[quote + 1] !== '"') return quote + 1;
      quoted += '"';
      at = quote + 2;
    }
  };

  return {
    fits: (line) => pemLine.test(line),
    take(line) {
      for (let at = 0; ; at++) {
        if (!open && line[at] !== '"') {
          const end = line.indexOf(separator, at);
          const field = line.slice(at, end < 0 ? undefined : end);
          if (field.includes('"')) return { problem: 'A quote stands inside a field that does not begin with one' };
          fields.push(field.trim());
          if (end < 0) return { fields };
          at = end;
          continue;
        }
        const end = readQuoted(line, open ? at : at + 1);
        if (quoted.length > rowCharactersMax)
          return { problem: `The row has more than ${rowCharactersMax} characters` };
        if (end === undefined) {
          open = true;
          return quoted.startsWith('-----BEGIN ') ? undefined : unclosedQuote;
        }
        fields.push(quoted);
        quoted = '';
        open = false;
        if (end === line.length) return { fields };
        if (line[end] !== separator) return { problem: 'Something follows the quote that closes a field' };
        at = end;
      }
    },
  };
};
