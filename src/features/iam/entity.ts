/**
 * Users, groups and roles: what bears policies. Their names are looked up as they are written, and yet two names that differ in case only cannot both exist.
 * Source: IAM API reference, CreateUser, CreateGroup, CreateRole; user guide, "IAM identifiers". Assumed: the look-up distinguishes case.
 */
import type { Db } from '../../store/store.ts';
import { alreadyExists, noSuch, overQuota } from './faults.ts';
import type { IamPage } from './iam-page.ts';
import { newIamId } from './ids.ts';
import { entitiesMax } from './quotas.ts';

interface IamEntitiesTable {
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

/** Who may take it on, and for how long. */
export interface Role extends Entity {
  readonly kind: 'role';
  readonly description: string | undefined;
  /** A policy document, byte for byte as it was submitted. */
  readonly trustPolicy: string;
  /** Whom it names, by ARN (trusted.ts); absent for a policy of which that is not known. */
  readonly trustedIds?: Readonly<Record<string, string>> | undefined;
  readonly maxSessionSeconds: number;
}

const toEntity = (row: IamEntitiesTable): Entity => ({
  // written by this file only, from values of this type
  kind: row.kind as EntityKind,
  name: row.name,
  id: row.entity_id,
  path: row.path,
  createdAtMs: Number(row.created_at_ms),
  boundaryArn: row.boundary_arn ?? undefined,
});

const toRole = (row: IamEntitiesTable): Role => ({
  ...toEntity(row),
  kind: 'role',
  description: row.description ?? undefined,
  trustPolicy: row.trust_policy ?? '',
  ...(row.trusted_ids !== null && { trustedIds: JSON.parse(row.trusted_ids) as Readonly<Record<string, string>> }),
  maxSessionSeconds: Number(row.max_session_seconds),
});

/** e.g. `arn:aws:iam::000000000000:user/team/alice`. */
export const entityArn = (accountId: string, { kind, path, name }: Pick<Entity, 'kind' | 'path' | 'name'>): string =>
  `arn:aws:iam::${accountId}:${kind}${path}${name}`;

/** The whole second in which something was made: IAM tells no finer. */
export const dateOf = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);

const rowsOf = (db: Db, accountId: string, kind: EntityKind) =>
  db.selectFrom('iam_entities').selectAll().where('account_id', '=', accountId).where('kind', '=', kind);

const keyOf = (name: string): string => name.toLowerCase();

const findRow = (db: Db, accountId: string, kind: EntityKind, name: string): Promise<IamEntitiesTable | undefined> =>
  rowsOf(db, accountId, kind).where('name_key', '=', keyOf(name)).where('name', '=', name).executeTakeFirst();

const noSuchEntity = (kind: EntityKind, name: string) => noSuch(`The ${kind} with name ${name} cannot be found.`);

export const findEntity = async (
  db: Db,
  accountId: string,
  kind: EntityKind,
  name: string,
): Promise<Entity | undefined> => {
  const row = await findRow(db, accountId, kind, name);
  return row && toEntity(row);
};

/** Faults: NoSuchEntityException. */
export const getEntity = async (db: Db, accountId: string, kind: EntityKind, name: string): Promise<Entity> => {
  const entity = await findEntity(db, accountId, kind, name);
  if (!entity) throw noSuchEntity(kind, name);
  return entity;
};

export const findRole = async (db: Db, accountId: string, name: string): Promise<Role | undefined> => {
  const row = await findRow(db, accountId, 'role', name);
  return row && toRole(row);
};

/** Faults: NoSuchEntityException. */
export const getRoleRow = async (db: Db, accountId: string, name: string): Promise<Role> => {
  const role = await findRole(db, accountId, name);
  if (!role) throw noSuchEntity('role', name);
  return role;
};

const roleArnPattern = /^arn:aws:iam::([0-9]{12}):role(\/(?:[\x21-\x7e]+\/)?)([\w+=,.@-]{1,64})$/;

/** The role that an ARN names, whatever its account; undefined for none, and for the right name under another path. */
export const findRoleByArn = async (
  db: Db,
  arn: string,
): Promise<{ readonly accountId: string; readonly role: Role } | undefined> => {
  const [, accountId, path, name] = (arn.length <= 2048 && roleArnPattern.exec(arn)) || [];
  if (accountId === undefined || name === undefined) return undefined;
  const role = await findRole(db, accountId, name);
  return role && role.path === path ? { accountId, role } : undefined;
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

const listRows = async (
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
export const listEntities = async (...given: Parameters<typeof listRows>): Promise<readonly Entity[]> =>
  (await listRows(...given)).map(toEntity);

export const listRoleRows = async (
  db: Db,
  accountId: string,
  page: Parameters<typeof listRows>[3],
): Promise<readonly Role[]> => (await listRows(db, accountId, 'role', page)).map(toRole);

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

export interface NewRole extends NewEntity {
  readonly description?: string | undefined;
  readonly trustPolicy: string;
  readonly trustedIds?: Readonly<Record<string, string>> | undefined;
  readonly maxSessionSeconds: number;
}

const trustedColumn = (ids: Role['trustedIds']): string | null => (ids ? JSON.stringify(ids) : null);

const insert = async (
  db: Db,
  accountId: string,
  kind: EntityKind,
  entity: NewEntity & Partial<NewRole>,
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
    description: entity.description ?? null,
    trust_policy: entity.trustPolicy ?? null,
    trusted_ids: trustedColumn(entity.trustedIds),
    max_session_seconds: entity.maxSessionSeconds ?? null,
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
): Promise<Entity> => toEntity(await insert(db, accountId, kind, entity));

/** Faults: EntityAlreadyExistsException, LimitExceededException. */
export const insertRole = async (db: Db, accountId: string, role: NewRole): Promise<Role> =>
  toRole(await insert(db, accountId, 'role', role));

const update = (db: Db, accountId: string, id: string) =>
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
  await update(db, accountId, entity.id)
    .set({ name, name_key: keyOf(name), path })
    .execute();
};

export const saveBoundary = async (
  db: Db,
  accountId: string,
  id: string,
  boundaryArn: string | undefined,
): Promise<void> => {
  await update(db, accountId, id)
    .set({ boundary_arn: boundaryArn ?? null })
    .execute();
};

export const saveRole = async (
  db: Db,
  accountId: string,
  {
    id,
    description,
    trustPolicy,
    trustedIds,
    maxSessionSeconds,
  }: Pick<Role, 'id' | 'description' | 'trustPolicy' | 'trustedIds' | 'maxSessionSeconds'>,
): Promise<void> => {
  await update(db, accountId, id)
    .set({
      description: description ?? null,
      trust_policy: trustPolicy,
      trusted_ids: trustedColumn(trustedIds),
      max_session_seconds: maxSessionSeconds,
    })
    .execute();
};

export const removeEntity = async (db: Db, accountId: string, id: string): Promise<void> => {
  await db.deleteFrom('iam_entities').where('account_id', '=', accountId).where('entity_id', '=', id).execute();
};
