/** Roles: entities that somebody may take on. Source: IAM API reference, CreateRole; user guide, "IAM roles". */
import type { Db } from '../../store/store.ts';
import {
  type Entity,
  findEntityRow,
  type IamEntitiesTable,
  insertEntityRow,
  listEntityRows,
  type NewEntity,
  noSuchEntity,
  type RoleColumns,
  toEntity,
  updateEntity,
} from './entity.ts';

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

const toRole = (row: IamEntitiesTable): Role => ({
  ...toEntity(row),
  kind: 'role',
  description: row.description ?? undefined,
  trustPolicy: row.trust_policy ?? '',
  ...(row.trusted_ids !== null && { trustedIds: JSON.parse(row.trusted_ids) as Readonly<Record<string, string>> }),
  maxSessionSeconds: Number(row.max_session_seconds),
});

type RoleFacts = Pick<Role, 'description' | 'trustPolicy' | 'trustedIds' | 'maxSessionSeconds'>;

export type NewRole = NewEntity & Omit<RoleFacts, 'description'> & { readonly description?: string | undefined };

const columnsOf = ({
  description,
  trustPolicy,
  trustedIds,
  maxSessionSeconds,
}: Omit<NewRole, keyof NewEntity>): RoleColumns => ({
  description: description ?? null,
  trust_policy: trustPolicy,
  trusted_ids: trustedIds ? JSON.stringify(trustedIds) : null,
  max_session_seconds: maxSessionSeconds,
});

export const findRole = async (db: Db, accountId: string, name: string): Promise<Role | undefined> => {
  const row = await findEntityRow(db, accountId, 'role', name);
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

export const listRoleRows = async (
  db: Db,
  accountId: string,
  page: Parameters<typeof listEntityRows>[3],
): Promise<readonly Role[]> => (await listEntityRows(db, accountId, 'role', page)).map(toRole);

/** Faults: EntityAlreadyExistsException, LimitExceededException. */
export const insertRole = async (db: Db, accountId: string, role: NewRole): Promise<Role> =>
  toRole(await insertEntityRow(db, accountId, 'role', { ...role, columns: columnsOf(role) }));

export const saveRole = async (db: Db, accountId: string, role: RoleFacts & Pick<Role, 'id'>): Promise<void> => {
  await updateEntity(db, accountId, role.id).set(columnsOf(role)).execute();
};
