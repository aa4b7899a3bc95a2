/**
 * The operations on access keys of users; without a user's name it is the caller's own. The root has its keys from elsewhere (accounts/credentials.ts) and is
 * refused like any caller that is no user. Source: IAM API reference.
 */
import type { Call, Handler } from '../../feature.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import {
  type AccessKey,
  findAccessKey,
  getKeyOf,
  insertAccessKey,
  listKeysOf,
  removeAccessKey,
  saveKeyStatus,
} from './access-key.ts';
import { dateOf, type Entity, findEntityById, getEntity } from './entity.ts';
import { invalid, noSuch, notAUser } from './faults.ts';
import { cutIamPage, pageOf } from './iam-page.ts';
import { writeIam } from './iam-write.ts';

/** The user that is named, or the caller. Faults: NoSuchEntityException, InvalidRequestException. */
const userOf = async (db: Db, { account, caller }: Call, userName: string | undefined): Promise<Entity> => {
  if (userName !== undefined) return getEntity(db, account.accountId, 'user', userName);
  if (caller.iam?.kind !== 'user') throw notAUser();
  return getEntity(db, account.accountId, 'user', caller.iam.userName);
};

/** The only answer that has the secret. Faults: NoSuchEntityException, LimitExceededException (two keys, whatever their status). */
export const createAccessKey =
  (box: SecretBox): Handler<'CreateAccessKey', 'iam'> =>
  async (input, call) => {
    const { accountId } = call.account;
    const createdAtMs = call.now();
    return writeIam(call, async (db) => {
      const user = await userOf(db, call, input.UserName);
      const made = await insertAccessKey(db, box, { accountId, userId: user.id, createdAtMs });
      return {
        AccessKey: {
          UserName: user.name,
          AccessKeyId: made.accessKeyId,
          Status: 'Active',
          SecretAccessKey: made.secretAccessKey,
          CreateDate: dateOf(createdAtMs),
        },
      };
    });
  };

/** Oldest first. Faults: NoSuchEntityException. */
export const listAccessKeys: Handler<'ListAccessKeys', 'iam'> = async (input, call) => {
  const user = await userOf(call.db, call, input.UserName);
  const page = pageOf(call, input);
  const keys = await listKeysOf(call.db, call.account.accountId, user.id);
  const start = keys.findIndex(({ accessKeyId }) => accessKeyId === page.after) + 1;
  const rows = keys.slice(start, start + page.limit);
  const { items, next } = cutIamPage(call, rows, page, ({ accessKeyId }) => accessKeyId);
  const itemOf = ({ accessKeyId, status, createdAtMs }: AccessKey) => ({
    UserName: user.name,
    AccessKeyId: accessKeyId,
    Status: status,
    CreateDate: dateOf(createdAtMs),
  });
  return { AccessKeyMetadata: items.map(itemOf), ...next };
};

/** Faults: NoSuchEntityException; InvalidRequestException for the status Expired, which nobody can set. */
export const updateAccessKey: Handler<'UpdateAccessKey', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { AccessKeyId = '', Status } = input;
  if (Status !== 'Active' && Status !== 'Inactive') throw invalid('Status must be Active or Inactive');
  await writeIam(call, async (db) => {
    const user = await userOf(db, call, input.UserName);
    await getKeyOf(db, accountId, user.id, AccessKeyId);
    await saveKeyStatus(db, accountId, AccessKeyId, Status);
  });
  return {};
};

/** Faults: NoSuchEntityException. */
export const deleteAccessKey: Handler<'DeleteAccessKey', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { AccessKeyId = '' } = input;
  await writeIam(call, async (db) => {
    const user = await userOf(db, call, input.UserName);
    await getKeyOf(db, accountId, user.id, AccessKeyId);
    await removeAccessKey(db, accountId, AccessKeyId);
  });
  return {};
};

/** What AWS answers where a key was never used. */
const never = { ServiceName: 'N/A', Region: 'N/A', LastUsedDate: undefined };

/** To the minute. Faults: NoSuchEntityException, also for a key of another account (AWS: AccessDenied). */
export const getAccessKeyLastUsed: Handler<'GetAccessKeyLastUsed', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { AccessKeyId = '' } = input;
  const key = await findAccessKey(call.db, accountId, AccessKeyId);
  const user = key && (await findEntityById(call.db, accountId, key.userId));
  if (!user) throw noSuch(`The Access Key with id ${AccessKeyId} cannot be found.`);
  const { lastUsed } = key;
  return {
    UserName: user.name,
    AccessKeyLastUsed: lastUsed
      ? { ServiceName: lastUsed.service, Region: lastUsed.region, LastUsedDate: dateOf(lastUsed.atMs) }
      : never,
  };
};
