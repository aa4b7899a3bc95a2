/** A thing: its record, its queries, and the rules that span several of its members. Source: spec identity 6. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';

interface ThingsTable {
  account_id: string;
  region: string;
  thing_name: string;
  thing_id: string;
  version: number;
  attributes: string;
  thing_type_name: string | null;
  billing_group_name: string | null;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    things: ThingsTable;
  }
}

export type Attributes = Readonly<Record<string, string>>;

export interface Thing {
  readonly thingName: string;
  /** A lower-case UUID, new at every creation. */
  readonly thingId: string;
  /** From 1, one more at every update. */
  readonly version: number;
  readonly attributes: Attributes;
  readonly thingTypeName: string | undefined;
}

/** Attributes of a thing without a type. Source: developer guide, thing types (50 with one). */
export const untypedAttributesMax = 3;

/** Things per page when the caller names no number. Source: spec identity 1.2 (undocumented; recommended). */
export const pageDefault = 25;

const columns = ['thing_name', 'thing_id', 'version', 'attributes', 'thing_type_name'] as const;

const toThing = (row: Pick<ThingsTable, (typeof columns)[number]>): Thing => ({
  thingName: row.thing_name,
  thingId: row.thing_id,
  version: Number(row.version),
  attributes: parseAttributes(row.attributes),
  thingTypeName: row.thing_type_name ?? undefined,
});

/** What `attributes` holds; written only by `attributesText`, so always an object of strings. */
export const parseAttributes = (text: string): Attributes => JSON.parse(text) as Attributes;

/** One text for equal attributes, whatever the order they were sent in. */
export const attributesText = (attributes: Attributes): string =>
  JSON.stringify(Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))));

/**
 * The attributes a thing gets: an empty value removes (or never adds) its attribute.
 * Faults: InvalidRequestException beyond `untypedAttributesMax`.
 */
export const applyAttributes = (before: Attributes, given: Attributes): Attributes => {
  const after = new Map(Object.entries(before));
  for (const [name, value] of Object.entries(given)) {
    if (value === '') after.delete(name);
    else after.set(name, value);
  }
  if (after.size > untypedAttributesMax) {
    throw new Fault(
      'InvalidRequestException',
      `A thing without a thing type can have at most ${untypedAttributesMax} attributes, not ${after.size}`,
    );
  }
  // fromEntries defines own properties, so an attribute named __proto__ is only a name
  return Object.fromEntries(after);
};

export const unknownThing = (thingName: string): Fault =>
  new Fault('ResourceNotFoundException', `Thing ${thingName} cannot be found.`);

export const findThing = async (db: Db, account: AccountRegion, thingName: string): Promise<Thing | undefined> => {
  const row = await db
    .selectFrom('things')
    .select(columns)
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('thing_name', '=', thingName)
    .executeTakeFirst();
  return row && toThing(row);
};

/** Faults: ResourceNotFoundException. */
export const getThing = async (db: Db, account: AccountRegion, thingName: string): Promise<Thing> => {
  const thing = await findThing(db, account, thingName);
  if (!thing) throw unknownThing(thingName);
  return thing;
};

/** False when the name is taken. */
export const insertThing = async (
  db: Db,
  account: AccountRegion,
  thing: { thingName: string; thingId: string; attributes: Attributes; createdAtMs: number },
): Promise<boolean> => {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('things')
    .values({
      account_id: account.accountId,
      region: account.region,
      thing_name: thing.thingName,
      thing_id: thing.thingId,
      version: 1,
      attributes: attributesText(thing.attributes),
      thing_type_name: null,
      billing_group_name: null,
      created_at_ms: thing.createdAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(numInsertedOrUpdatedRows) > 0;
};

/** Writes new attributes and moves the version on by one. */
export const saveAttributes = async (
  db: Db,
  account: AccountRegion,
  thing: Thing,
  attributes: Attributes,
): Promise<void> => {
  await db
    .updateTable('things')
    .set({ attributes: attributesText(attributes), version: thing.version + 1 })
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('thing_name', '=', thing.thingName)
    .execute();
};

export const deleteThingRow = async (db: Db, account: AccountRegion, thingName: string): Promise<void> => {
  await db
    .deleteFrom('things')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('thing_name', '=', thingName)
    .execute();
};

/** Things of one account and region in name order, starting after `after` ('' starts at the first). */
export const listThingRows = async (
  db: Db,
  account: AccountRegion,
  page: { after: string; limit: number; thingTypeName?: string | undefined },
): Promise<readonly Thing[]> => {
  let query = db
    .selectFrom('things')
    .select(columns)
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('thing_name', '>', page.after);
  if (page.thingTypeName !== undefined) query = query.where('thing_type_name', '=', page.thingTypeName);
  const rows = await query.orderBy('thing_name').limit(page.limit).execute();
  return rows.map(toThing);
};
