/** Access keys of users. The secret is told once, when the key is made; after that the store has it sealed. Source: IAM API reference, CreateAccessKey. */
import type { SecretBox } from '../../pki/secret-box.ts';
import { keepQuery } from '../../store/kept-query.ts';
import type { Db } from '../../store/store.ts';
import { noSuch, overQuota } from './faults.ts';
import { newAccessKeyId, newSecretAccessKey } from './ids.ts';
import { accessKeysPerUserMax } from './quotas.ts';

interface IamAccessKeysTable {
  account_id: string;
  access_key_id: string;
  user_id: string;
  sealed_secret: string;
  status: string;
  created_at_ms: number;
  last_used_at_ms: number | null;
  last_used_service: string | null;
  last_used_region: string | null;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_access_keys: IamAccessKeysTable;
  }
}

export type AccessKeyStatus = 'Active' | 'Inactive';

/** A use of a key that is not the first within this time may go unnoted. */
export const lastUsedEveryMs = 60_000;

export interface KeyUse {
  readonly atMs: number;
  /** A short name, e.g. `iot`. */
  readonly service: string;
  readonly region: string;
}

export interface AccessKey {
  readonly accountId: string;
  readonly accessKeyId: string;
  readonly userId: string;
  readonly status: AccessKeyStatus;
  readonly createdAtMs: number;
  readonly lastUsed: KeyUse | undefined;
}

const toAccessKey = (row: Omit<IamAccessKeysTable, 'sealed_secret'>): AccessKey => ({
  accountId: row.account_id,
  accessKeyId: row.access_key_id,
  userId: row.user_id,
  // written by this file only, from values of this type
  status: row.status as AccessKeyStatus,
  createdAtMs: Number(row.created_at_ms),
  lastUsed:
    row.last_used_at_ms === null
      ? undefined
      : {
          atMs: Number(row.last_used_at_ms),
          service: row.last_used_service ?? '',
          region: row.last_used_region ?? '',
        },
});

const columns = [
  'account_id',
  'access_key_id',
  'user_id',
  'status',
  'created_at_ms',
  'last_used_at_ms',
  'last_used_service',
  'last_used_region',
] as const;

/** The keys of a user, oldest first. There are two at most. */
export const listKeysOf = async (db: Db, accountId: string, userId: string): Promise<readonly AccessKey[]> => {
  const rows = await db
    .selectFrom('iam_access_keys')
    .select(columns)
    .where('account_id', '=', accountId)
    .where('user_id', '=', userId)
    .orderBy('created_at_ms')
    .orderBy('access_key_id')
    .execute();
  return rows.map(toAccessKey);
};

export const findAccessKey = async (db: Db, accountId: string, accessKeyId: string): Promise<AccessKey | undefined> => {
  const row = await db
    .selectFrom('iam_access_keys')
    .select(columns)
    .where('account_id', '=', accountId)
    .where('access_key_id', '=', accessKeyId)
    .executeTakeFirst();
  return row && toAccessKey(row);
};

/** A key of this user. Faults: NoSuchEntityException. */
export const getKeyOf = async (db: Db, accountId: string, userId: string, accessKeyId: string): Promise<AccessKey> => {
  const key = await findAccessKey(db, accountId, accessKeyId);
  if (key?.userId !== userId) throw noSuch(`The Access Key with id ${accessKeyId} cannot be found.`);
  return key;
};

const keyRows = keepQuery((db, [accessKeyId = '']) =>
  db
    .selectFrom('iam_access_keys')
    .select(['account_id', 'user_id', 'sealed_secret', 'status'])
    .where('access_key_id', '=', accessKeyId),
);

/** What proves a signature. */
export interface SealedKey extends Pick<AccessKey, 'accountId' | 'userId' | 'status'> {
  readonly sealedSecret: string;
}

/** A key by its id alone, which is all that a request tells: ids are unique among accounts. */
export const findSealedKey = async (db: Db, accessKeyId: string): Promise<SealedKey | undefined> => {
  const [row] = await keyRows(db, [accessKeyId]);
  return (
    row && {
      accountId: row.account_id,
      userId: row.user_id,
      status: row.status as AccessKeyStatus,
      sealedSecret: row.sealed_secret,
    }
  );
};

/** The row that a secret is bound to. */
const rowOf = (accountId: string, accessKeyId: string) => ({ accountId, kind: 'access-key', id: accessKeyId });

/** Faults: SecretUnreadable. */
export const openSecret = (box: SecretBox, accessKeyId: string, { accountId, sealedSecret }: SealedKey): string =>
  box.open(sealedSecret, rowOf(accountId, accessKeyId)).toString('utf8');

/** A new key with its secret, which nobody can read again. Faults: LimitExceededException. */
export const insertAccessKey = async (
  db: Db,
  box: SecretBox,
  { accountId, userId, createdAtMs }: { accountId: string; userId: string; createdAtMs: number },
): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }> => {
  if ((await listKeysOf(db, accountId, userId)).length >= accessKeysPerUserMax) {
    throw overQuota('AccessKeysPerUser', accessKeysPerUserMax);
  }
  const accessKeyId = newAccessKeyId('AKIA');
  const secretAccessKey = newSecretAccessKey();
  await db
    .insertInto('iam_access_keys')
    .values({
      account_id: accountId,
      access_key_id: accessKeyId,
      user_id: userId,
      sealed_secret: box.seal(secretAccessKey, rowOf(accountId, accessKeyId)),
      status: 'Active',
      created_at_ms: createdAtMs,
    })
    .execute();
  return { accessKeyId, secretAccessKey };
};

export const saveKeyStatus = async (
  db: Db,
  accountId: string,
  accessKeyId: string,
  status: AccessKeyStatus,
): Promise<void> => {
  await db
    .updateTable('iam_access_keys')
    .set({ status })
    .where('account_id', '=', accountId)
    .where('access_key_id', '=', accessKeyId)
    .execute();
};

/** Notes the uses of several keys; one that is gone is passed over. */
export const saveKeyUses = async (
  db: Db,
  uses: readonly (KeyUse & { readonly accessKeyId: string })[],
): Promise<void> => {
  for (const { accessKeyId, atMs, service, region } of uses) {
    await db
      .updateTable('iam_access_keys')
      .set({ last_used_at_ms: atMs, last_used_service: service, last_used_region: region })
      .where('access_key_id', '=', accessKeyId)
      .execute();
  }
};

export const removeAccessKey = async (db: Db, accountId: string, accessKeyId: string): Promise<void> => {
  await db
    .deleteFrom('iam_access_keys')
    .where('account_id', '=', accountId)
    .where('access_key_id', '=', accessKeyId)
    .execute();
};
