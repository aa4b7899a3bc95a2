import type { Feature, Handler } from '../../feature.ts';
import { migrations } from './migrations.ts';

/** Source: API reference (STS), GetCallerIdentity: no permission is needed, and it has no faults of its own. */
export const getCallerIdentity: Handler<'GetCallerIdentity', 'sts'> = async (_input, { account, caller }) => ({
  UserId: caller.userId,
  Account: account.accountId,
  Arn: caller.arn,
});

/** Accounts, their keys, and who one is. */
export const accounts = (): Feature => ({
  name: 'accounts',
  migrations,
  operations: { sts: { GetCallerIdentity: getCallerIdentity } },
});
