/**
 * Users, groups and roles: what bears policies. What only roles have is in role.ts. Their names are looked up as they are written, and yet two names that differ in case only cannot both exist.
 * Source: IAM API reference, CreateUser, CreateGroup, CreateRole; user guide, "IAM identifiers". Assumed: the look-up distinguishes case.
 */
import type { Db } from '../../store/store.ts';
import { alreadyExists, noSuch, overQuota } from './faults.ts';
import type { IamPage } from './iam-page.ts';
import { newIamId } from './ids.ts';
import { entitiesMax } from './quotas.ts';

/** Rows are read by this file and, what roles have beside others, by role.ts. */
export interface IamEntitiesTable {
  account_id: string;
  entity_id: string;
  kind: string;
  name: string;
  name_key: string;
  path: string;
  created_at_ms: number;
  boundary_arn: string | null;
  description: string | null;
  trust_policy: string | null;
  trusted_ids: string | null;
  max_session_seconds: number | null;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_entities: IamEntitiesTable;
  }
}

export type EntityKind = 'user' | 'group' | 'role';

export interface Entity {
  readonly kind: EntityKind;
  readonly name: string;
  /** Never given again, also when the name is. */
  readonly id: string;
  /** Begins and ends in `/`. */
  readonly path: string;
  readonly createdAtMs: number;
  /** The managed policy that bounds its rights. */
  readonly boundaryArn: string | undefined;
}

export const toEntity = (row: IamEntitiesTable): Entity => ({
  // written by this file only, from values of this type
  kind: row.kind as EntityKind,
  name: row.name,
  id: row.entity_id,
  path: row.path,
  createdAtMs: Number(row.created_at_ms),
  boundaryArn: row.boundary_arn ?? undefined,
});

/** e.g. `arn:aws:iam::000000000000:user/team/alice`. */
export const entityArn = (accountId: string, { kind, path, name }: Pick<Entity, 'kind' | 'path' | 'name'>): string =>
  `arn:aws:iam::${accountId}:${kind}${path}${name}`;

/** The whole second in which something was made: IAM tells no finer. */
export const dateOf = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);

const rowsOf = (db: Db, accountId: string, kind: EntityKind) =>
  db.selectFrom('iam_entities').selectAll().where('account_id', '=', accountId).where('kind', '=', kind);

const keyOf = (name: string): string => name.toLowerCase();

export const findEntityRow = (
  db: Db,
  accountId: string,
  kind: EntityKind,
  name: string,
): Promise<IamEntitiesTable | undefined> =>
  rowsOf(db, accountId, kind).where('name_key', '=', keyOf(name)).where('name', '=', name).executeTakeFirst();

export const noSuchEntity = (kind: EntityKind, name: string) =>
  noSuch(`The ${kind} with name ${name} cannot be found.`);

export const findEntity = async (
  db: Db,
  accountId: string,
  kind: EntityKind,
  name: string,
): Promise<Entity | undefined> => {
  const row = await findEntityRow(db, accountId, kind, name);
  return row && toEntity(row);
};

/** Faults: NoSuchEntityException. */
export const getEntity = async (db: Db, accountId: string, kind: EntityKind, name: string): Promise<Entity> => {
  const entity = await findEntity(db, accountId, kind, name);
  if (!entity) throw noSuchEntity(kind, name);
  return entity;
};

/** By its id, which is all that a session knows. */
export const findEntityById = async (db: Db, accountId: string, id: string): Promise<Entity | undefined> => {
  const row = await db
    .selectFrom('iam_entities')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('entity_id', '=', id)
    .executeTakeFirst();
  return row && toEntity(row);
};

/** The users that stand in a group, or the groups of a user, and the like: those of these ids, in any order. */
export const findEntities = async (db: Db, accountId: string, ids: readonly string[]): Promise<readonly Entity[]> => {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('iam_entities')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('entity_id', 'in', ids)
    .execute();
  return rows.map(toEntity);
};

/** What lists go by: names that differ in case only do not exist. */
export const entityCursor = ({ name }: Pick<Entity, 'name'>): string => keyOf(name);

/** By name. */
export const listEntityRows = async (
  db: Db,
  accountId: string,
  kind: EntityKind,
  { after, limit, pathPrefix = '/' }: IamPage & { readonly pathPrefix?: string | undefined },
): Promise<readonly IamEntitiesTable[]> =>
  rowsOf(db, accountId, kind)
    .where('name_key', '>', after)
    .where(({ eb, fn, val }) => eb(fn('substr', ['path', val(1), val(pathPrefix.length)]), '=', pathPrefix))
    .orderBy('name_key')
    .limit(limit)
    .execute();

/** By name. */
export const listEntities = async (...given: Parameters<typeof listEntityRows>): Promise<readonly Entity[]> =>
  (await listEntityRows(...given)).map(toEntity);

/** Those whose boundary is this policy, by kind and name. */
export const listBounded = async (db: Db, accountId: string, policyArn: string): Promise<readonly Entity[]> => {
  const rows = await db
    .selectFrom('iam_entities')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('boundary_arn', '=', policyArn)
    .orderBy('kind')
    .orderBy('name_key')
    .execute();
  return rows.map(toEntity);
};

const kindNames = { user: 'User', group: 'Group', role: 'Role' } as const;

export interface NewEntity {
  readonly name: string;
  readonly path?: string | undefined;
  readonly createdAtMs: number;
  readonly boundaryArn?: string | undefined;
}

/** What only roles have. */
export type RoleColumns = Pick<
  IamEntitiesTable,
  'description' | 'trust_policy' | 'trusted_ids' | 'max_session_seconds'
>;

const noRoleColumns: RoleColumns = {
  description: null,
  trust_policy: null,
  trusted_ids: null,
  max_session_seconds: null,
};

/** Faults: EntityAlreadyExistsException, LimitExceededException. */
export const insertEntityRow = async (
  db: Db,
  accountId: string,
  kind: EntityKind,
  entity: NewEntity & { readonly columns: RoleColumns },
): Promise<IamEntitiesTable> => {
  const row: IamEntitiesTable = {
    account_id: accountId,
    entity_id: newIamId(kind),
    kind,
    name: entity.name,
    name_key: keyOf(entity.name),
    path: entity.path ?? '/',
    created_at_ms: entity.createdAtMs,
    boundary_arn: entity.boundaryArn ?? null,
    ...entity.columns,
  };
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('iam_entities')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (numInsertedOrUpdatedRows === 0n) {
    throw alreadyExists(`${kindNames[kind]} with name ${entity.name} already exists.`);
  }
  const [quota, max] = entitiesMax[kind];
  const { count } = await db
    .selectFrom('iam_entities')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .where('kind', '=', kind)
    .executeTakeFirstOrThrow();
  if (Number(count) > max) throw overQuota(quota, max);
  return row;
};

/** Faults: EntityAlreadyExistsException, LimitExceededException. */
export const insertEntity = async (
  db: Db,
  accountId: string,
  kind: 'user' | 'group',
  entity: NewEntity,
): Promise<Entity> => toEntity(await insertEntityRow(db, accountId, kind, { ...entity, columns: noRoleColumns }));

export const updateEntity = (db: Db, accountId: string, id: string) =>
  db.updateTable('iam_entities').where('account_id', '=', accountId).where('entity_id', '=', id);

/** Gives it another name, another path, or both. Faults: EntityAlreadyExistsException. */
export const renameEntity = async (
  db: Db,
  accountId: string,
  entity: Entity,
  {
    name = entity.name,
    path = entity.path,
  }: { readonly name?: string | undefined; readonly path?: string | undefined },
): Promise<void> => {
  const taken = await rowsOf(db, accountId, entity.kind).where('name_key', '=', keyOf(name)).executeTakeFirst();
  if (taken && taken.entity_id !== entity.id) {
    throw alreadyExists(`${kindNames[entity.kind]} with name ${name} already exists.`);
  }
  await updateEntity(db, accountId, entity.id)
    .set({ name, name_key: keyOf(name), path })
    .execute();
};

export const saveBoundary = async (
  db: Db,
  accountId: string,
  id: string,
  boundaryArn: string | undefined,
): Promise<void> => {
  await updateEntity(db, accountId, id)
    .set({ boundary_arn: boundaryArn ?? null })
    .execute();
};

export const removeEntity = async (db: Db, accountId: string, id: string): Promise<void> => {
  await db.deleteFrom('iam_entities').where('account_id', '=', accountId).where('entity_id', '=', id).execute();
};
