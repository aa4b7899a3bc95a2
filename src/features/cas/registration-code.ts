/**
 * The registration code of an account and region: what the verification certificate of a CA must bear as its common name, so that its signer is known to have meant
 * this account. Source: API reference, GetRegistrationCode, DeleteRegistrationCode; spec identity 3.1.
 */
import { randomBytes } from 'node:crypto';
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';

interface RegistrationCodesTable {
  account_id: string;
  region: string;
  registration_code: string;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    registration_codes: RegistrationCodesTable;
  }
}

/** The code, if one was asked for and not deleted since: 64 lower-case hex digits. */
export const findRegistrationCode = async (
  db: Db,
  { accountId, region }: AccountRegion,
): Promise<string | undefined> => {
  const row = await db
    .selectFrom('registration_codes')
    .select('registration_code')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirst();
  return row?.registration_code;
};

/** Makes the code at the first call, and answers the same until it is deleted. */
export const getRegistrationCode: Handler<'GetRegistrationCode'> = async (_input, call) => {
  const known = await findRegistrationCode(call.db, call.account);
  if (known !== undefined) return { registrationCode: known };
  const fresh = randomBytes(32).toString('hex');
  const registrationCode = await call.write(async (db) => {
    await db
      .insertInto('registration_codes')
      .values({
        account_id: call.account.accountId,
        region: call.account.region,
        registration_code: fresh,
        created_at_ms: call.now(),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return findRegistrationCode(db, call.account);
  });
  return { registrationCode };
};

/** Faults: ResourceNotFoundException when there is none. */
export const deleteRegistrationCode: Handler<'DeleteRegistrationCode'> = async (_input, call) => {
  const { numDeletedRows } = await call.write((db) =>
    db
      .deleteFrom('registration_codes')
      .where('account_id', '=', call.account.accountId)
      .where('region', '=', call.account.region)
      .executeTakeFirst(),
  );
  if (Number(numDeletedRows) === 0) {
    throw new Fault('ResourceNotFoundException', 'There is no registration code; GetRegistrationCode makes one');
  }
  return {};
};
