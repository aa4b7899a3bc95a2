/** Pages of IAM's lists: MaxItems, Marker, IsTruncated. Source: IAM API reference, "Pagination". */
import type { Call } from '../../feature.ts';

/** Items of a page when the caller names no number. */
export const pageDefault = 100;

interface PageInput {
  readonly Marker?: string | undefined;
  readonly MaxItems?: number | undefined;
}

export interface IamPage {
  /** The key of the last item of the page before; '' starts at the beginning. */
  readonly after: string;
  /** One more than the page has, so that it shows whether another follows. */
  readonly limit: number;
}

/** Faults: InvalidRequestException for a marker that is not of this account and operation. */
export const pageOf = (call: Call, { Marker, MaxItems = pageDefault }: PageInput): IamPage => ({
  after: call.openMarker(Marker),
  limit: MaxItems + 1,
});

/** Cuts a list that was read one longer than the page. */
export const cutIamPage = <Item>(
  call: Call,
  rows: readonly Item[],
  { limit }: IamPage,
  keyOf: (item: Item) => string,
): { items: readonly Item[]; next: { IsTruncated: boolean; Marker?: string } } => {
  const items = rows.slice(0, limit - 1);
  const last = items.at(-1);
  return rows.length < limit || last === undefined
    ? { items, next: { IsTruncated: false } }
    : { items, next: { IsTruncated: true, Marker: call.sealMarker(keyOf(last)) } };
};
