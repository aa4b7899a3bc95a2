/** Pages of lists that are ordered by creation, newest first unless asked otherwise (spec identity 1.2): a key, never an offset. */
import { Fault } from '../aws/fault.ts';

export interface CreationPage {
  /** What `cursorOf` made of the last item of the page before; '' starts at the beginning. */
  readonly after: string;
  readonly limit: number;
  readonly ascending: boolean;
}

/** The place of one item in the order: its creation, and a key that tells items of the same millisecond apart. */
export const cursorOf = (createdAtMs: number, key: string): string => `${createdAtMs}:${key}`;

const cursorPattern = /^([0-9]{1,15}):([\s\S]*)$/;

/** Where a page starts, as a comparison with the pair of creation and key; undefined for the first page. */
export const afterCursor = ({
  after,
  ascending,
}: CreationPage): { operator: '<' | '>'; createdAtMs: number; key: string } | undefined => {
  if (after === '') return undefined;
  const match = cursorPattern.exec(after);
  // sealed by this operation, so at worst a marker of another version of this program
  if (!match) throw new Fault('InvalidRequestException', 'The marker does not belong to this operation');
  const [, createdAtMs, key = ''] = match;
  return { operator: ascending ? '>' : '<', createdAtMs: Number(createdAtMs), key };
};

/** Cuts a list that was read one longer than the page, and seals the place where the next page begins. */
export const cutPage = <Item>(
  rows: readonly Item[],
  limit: number,
  seal: (cursor: string) => string,
  cursor: (item: Item) => string,
): { items: readonly Item[]; next: { nextMarker?: string } } => {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? { nextMarker: seal(cursor(last)) } : {} };
};
