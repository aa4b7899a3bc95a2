/**
 * Pages of names in order. A page token holds the last name; one that is too long for it (topics of `--limits open` may be) is held by its beginning and by
 * how many names with that beginning have been shown.
 */
import { cursorBytesMax } from '../../aws/marker.ts';
import type { Call } from '../../feature.ts';

interface Reading<Item> {
  readonly token: string | undefined;
  readonly limit: number;
  readonly nameOf: (item: Item) => string;
  /** The first `limit` items whose names come after `after`; '' starts at the first. Names that begin alike stand together. */
  readonly read: (page: { readonly after: string; readonly limit: number }) => Promise<readonly Item[]>;
}

/** Bytes of a name that a token has room for, beside the count. */
const nameBytesMax = cursorBytesMax - 16;

/** As many whole characters from the beginning of a name as a token has room for. */
const beginning = (name: string): string => {
  if (Buffer.byteLength(name) <= nameBytesMax) return name;
  const { read } = new TextEncoder().encodeInto(name, new Uint8Array(nameBytesMax));
  return name.slice(0, read);
};

/** Reads one page. Faults: InvalidRequestException for a token that is not ours. */
export const readPage = async <Item>(
  call: Call,
  { token, limit, nameOf, read }: Reading<Item>,
): Promise<{ readonly items: readonly Item[]; readonly nextToken: string | undefined }> => {
  const [, shown = '0', after = ''] = /^([0-9]+) (.*)$/s.exec(call.openMarker(token)) ?? [];
  const skipped = Number(shown);
  const found = await read({ after, limit: skipped + limit + 1 });
  const items = found.slice(skipped, skipped + limit);
  const last = items.at(-1);
  if (last === undefined || found.length <= skipped + limit) return { items, nextToken: undefined };
  const name = nameOf(last);
  const start = beginning(name);
  // those before it that the next reading, which begins at `start`, finds once more
  const again =
    start === name
      ? 0
      : found.slice(0, skipped + limit).filter((item) => nameOf(item) !== start && nameOf(item).startsWith(start))
          .length;
  return { items, nextToken: call.sealMarker(`${again} ${start}`) };
};
