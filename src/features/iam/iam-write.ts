/** Writing to an account's IAM: each unit moves the account's revision with what it changes, and every node is told after the commit. */
import type { Call } from '../../feature.ts';
import type { Db } from '../../store/store.ts';

interface IamRevisionsTable {
  account_id: string;
  revision: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_revisions: IamRevisionsTable;
  }
}

/** The revision of an account's IAM; 0 while nothing was ever written. */
export const readRevision = async (db: Db, accountId: string): Promise<number> => {
  const row = await db
    .selectFrom('iam_revisions')
    .select('revision')
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return Number(row?.revision ?? 0);
};

const moveRevision = async (db: Db, accountId: string): Promise<void> => {
  await db
    .insertInto('iam_revisions')
    .values({ account_id: accountId, revision: 1 })
    .onConflict((conflict) =>
      conflict.column('account_id').doUpdateSet((eb) => ({ revision: eb('iam_revisions.revision', '+', 1) })),
    )
    .execute();
};

/** Runs one unit that changes the account's IAM. What a unit throws leaves nothing behind, and nobody is told. */
export const writeIam = async <T>(call: Call, unit: (db: Db) => Promise<T>): Promise<T> => {
  const { accountId } = call.account;
  const result = await call.write(async (db) => {
    const value = await unit(db);
    await moveRevision(db, accountId);
    return value;
  });
  call.changed('iam', accountId);
  return result;
};
