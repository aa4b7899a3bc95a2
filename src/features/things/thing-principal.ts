/** Which principals are attached to which things, and which thing a connection speaks for. Source: spec identity 4.2, policy 4.4. */
import { sql } from 'kysely';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Holder } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { type Attributes, parseAttributes } from './thing.ts';

export type ThingPrincipalType = 'EXCLUSIVE_THING' | 'NON_EXCLUSIVE_THING';

interface ThingPrincipalsTable {
  account_id: string;
  region: string;
  thing_name: string;
  principal: string;
  thing_principal_type: ThingPrincipalType;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    thing_principals: ThingPrincipalsTable;
  }
}

export interface Attachment {
  readonly thingName: string;
  readonly principal: string;
  readonly thingPrincipalType: ThingPrincipalType;
}

/**
 * Attaches, inside a unit; false when the same attachment was there already.
 * Faults: InvalidRequestException (exclusive rules of spec identity 4.2; AWS documents no exception for them).
 */
export const insertAttachment = async (
  db: Db,
  account: AccountRegion,
  { thingName, principal, thingPrincipalType }: Attachment,
  createdAtMs: number,
): Promise<boolean> => {
  const ofPrincipal = db
    .selectFrom('thing_principals')
    .select(['thing_name', 'thing_principal_type'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('principal', '=', principal);

  const same = await ofPrincipal.where('thing_name', '=', thingName).executeTakeFirst();
  if (same?.thing_principal_type === thingPrincipalType) return false;
  if (same) {
    throw new Fault(
      'InvalidRequestException',
      `The principal is already attached to thing ${thingName} as ${same.thing_principal_type}; detach it first`,
    );
  }
  // an exclusive attachment is the only one of its principal, so any one other row tells
  const other = await ofPrincipal.orderBy('thing_name').limit(1).executeTakeFirst();
  if (other?.thing_principal_type === 'EXCLUSIVE_THING') {
    throw new Fault('InvalidRequestException', `The principal belongs exclusively to thing ${other.thing_name}`);
  }
  if (other && thingPrincipalType === 'EXCLUSIVE_THING') {
    throw new Fault('InvalidRequestException', `The principal is attached to another thing, ${other.thing_name}`);
  }
  await db
    .insertInto('thing_principals')
    .values({
      account_id: account.accountId,
      region: account.region,
      thing_name: thingName,
      principal,
      thing_principal_type: thingPrincipalType,
      created_at_ms: createdAtMs,
    })
    .execute();
  return true;
};

/** False when nothing was attached. */
export const deleteAttachment = async (
  db: Db,
  account: AccountRegion,
  { thingName, principal }: { thingName: string; principal: string },
): Promise<boolean> => {
  const { numDeletedRows } = await db
    .deleteFrom('thing_principals')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('thing_name', '=', thingName)
    .where('principal', '=', principal)
    .executeTakeFirst();
  return Number(numDeletedRows) > 0;
};

interface Page {
  /** The last item of the page before; '' starts at the first. */
  readonly after: string;
  readonly limit: number;
  readonly thingPrincipalType?: ThingPrincipalType | undefined;
}

const toAttachment = (
  row: Pick<ThingPrincipalsTable, 'thing_name' | 'principal' | 'thing_principal_type'>,
): Attachment => ({
  thingName: row.thing_name,
  principal: row.principal,
  thingPrincipalType: row.thing_principal_type,
});

/** The principals of a thing, in the order of their ARNs. */
export const listPrincipalsOfThing = async (
  db: Db,
  account: AccountRegion,
  thingName: string,
  page: Page,
): Promise<readonly Attachment[]> => {
  let query = db
    .selectFrom('thing_principals')
    .select(['thing_name', 'principal', 'thing_principal_type'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('thing_name', '=', thingName)
    .where('principal', '>', page.after);
  if (page.thingPrincipalType) query = query.where('thing_principal_type', '=', page.thingPrincipalType);
  const rows = await query.orderBy('principal').limit(page.limit).execute();
  return rows.map(toAttachment);
};

/** The things of a principal, in name order. */
export const listThingsOfPrincipal = async (
  db: Db,
  account: AccountRegion,
  principal: string,
  page: Page,
): Promise<readonly Attachment[]> => {
  let query = db
    .selectFrom('thing_principals')
    .select(['thing_name', 'principal', 'thing_principal_type'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('principal', '=', principal)
    .where('thing_name', '>', page.after);
  if (page.thingPrincipalType) query = query.where('thing_principal_type', '=', page.thingPrincipalType);
  const rows = await query.orderBy('thing_name').limit(page.limit).execute();
  return rows.map(toAttachment);
};

/** Things named to whoever wants to delete their principal; the rest is not needed for a refusal. */
const holdersMax = 10;

/** The things that a certificate is attached to. */
export const thingsHolding = async (db: Db, account: AccountRegion, arn: string): Promise<readonly Holder[]> => {
  const attachments = await listThingsOfPrincipal(db, account, arn, { after: '', limit: holdersMax });
  return attachments.map(({ thingName }) => ({ kind: 'thing', name: thingName }));
};

/** A connection, as far as it decides which thing it speaks for. */
export interface ConnectionName {
  readonly certificateId: string;
  readonly clientId: string;
}

/** The thing of a connection, as policies may ask for it. */
export interface ConnectionThing {
  readonly thingName: string;
  readonly thingTypeName: string | undefined;
  readonly attributes: Attributes;
  /** The principal belongs to this thing alone, so that the client id need not be its name. */
  readonly exclusive: boolean;
}

export interface ConnectionThings {
  /** The thing that policy variables speak of; undefined = they have no value. */
  readonly thing: ConnectionThing | undefined;
  /** A thing that is attached, also when the client id keeps it from resolving: what a cure may name. */
  readonly attachedThingName: string | undefined;
}

interface ConnectionRow {
  certificate_id: string;
  client_id: string;
  thing_name: string;
  thing_principal_type: ThingPrincipalType;
  attributes: string;
  thing_type_name: string | null;
}

/**
 * The things of many connections in one query, in the order asked. The row of each is the attached thing that bears the client id's name,
 * else the first attached one, which counts only if the principal is exclusive to it (an exclusive thing is always the only one).
 * `cross join` keeps SQLite from starting at the account's attachments, all of them, instead of at what was asked.
 * Source: developer guide, thing policy variables; spec policy 4.4.
 */
export const findConnectionThings = async (
  db: Db,
  account: AccountRegion,
  connections: readonly ConnectionName[],
): Promise<readonly ConnectionThings[]> => {
  if (connections.length === 0) return [];
  const { accountId, region } = account;
  const asked = sql.join(
    connections.map(
      ({ certificateId, clientId }) => sql`(${certificateId}, ${iotArn(account, 'cert', certificateId)}, ${clientId})`,
    ),
  );
  const { rows } = await sql<ConnectionRow>`
    with asked(certificate_id, principal, client_id) as (values ${asked})
    select asked.certificate_id, asked.client_id, attached.thing_name, attached.thing_principal_type,
      things.attributes, things.thing_type_name
    from asked
    cross join thing_principals attached
    join things
      on things.account_id = ${accountId} and things.region = ${region} and things.thing_name = attached.thing_name
    where attached.account_id = ${accountId} and attached.region = ${region} and attached.principal = asked.principal
      and attached.thing_name = coalesce(
        (select named.thing_name from thing_principals named
          where named.account_id = ${accountId} and named.region = ${region}
            and named.principal = asked.principal and named.thing_name = asked.client_id),
        (select min(first.thing_name) from thing_principals first
          where first.account_id = ${accountId} and first.region = ${region} and first.principal = asked.principal))
  `.execute(db);

  const key = (certificateId: string, clientId: string): string => `${certificateId}/${clientId}`;
  const found = new Map(rows.map((row) => [key(row.certificate_id, row.client_id), row]));
  return connections.map(({ certificateId, clientId }) => {
    const row = found.get(key(certificateId, clientId));
    if (!row) return { thing: undefined, attachedThingName: undefined };
    const exclusive = row.thing_principal_type === 'EXCLUSIVE_THING';
    const thing = {
      thingName: row.thing_name,
      thingTypeName: row.thing_type_name ?? undefined,
      attributes: parseAttributes(row.attributes),
      exclusive,
    };
    return { thing: exclusive || row.thing_name === clientId ? thing : undefined, attachedThingName: row.thing_name };
  });
};
