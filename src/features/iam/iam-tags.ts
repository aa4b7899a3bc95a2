/** The operations on tags of users, roles and customer managed policies. Source: IAM API reference, TagUser, TagRole, TagPolicy. */
import type { Call, Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { getEntity } from './entity.ts';
import { cutIamPage, pageOf } from './iam-page.ts';
import { listIamTags, removeIamTags, saveIamTags, tagCursor } from './iam-tag.ts';
import { writeIam } from './iam-write.ts';
import { getManagedPolicy, getOwnPolicy } from './managed-policy.ts';

/** The id of what is to be tagged. Faults: NoSuchEntityException and others. */
type FindId = (db: Db, accountId: string) => Promise<string>;

const ofUser =
  (name = ''): FindId =>
  async (db, accountId) =>
    (await getEntity(db, accountId, 'user', name)).id;
const ofRole =
  (name = ''): FindId =>
  async (db, accountId) =>
    (await getEntity(db, accountId, 'role', name)).id;
const ofOwnPolicy =
  (arn = ''): FindId =>
  async (db, accountId) =>
    (await getOwnPolicy(db, accountId, arn)).policyId;
const ofPolicy =
  (arn = ''): FindId =>
  async (db, accountId) =>
    (await getManagedPolicy(db, accountId, arn)).policyId;

/** Faults: NoSuchEntityException, InvalidInputException, LimitExceededException. */
const tag = async (call: Call, findId: FindId, tags: Parameters<typeof saveIamTags>[3]): Promise<object> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => saveIamTags(db, accountId, await findId(db, accountId), tags));
  return {};
};

/** Keys that are not there are passed over. Faults: NoSuchEntityException, InvalidInputException. */
const untag = async (call: Call, findId: FindId, keys: readonly string[] = []): Promise<object> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const id = await findId(db, accountId);
    if (keys.length > 0) await removeIamTags(db, accountId, id, keys);
  });
  return {};
};

/** By key. Faults: NoSuchEntityException, InvalidInputException. */
const list = async (call: Call, findId: FindId, input: Parameters<typeof pageOf>[1]) => {
  const { accountId } = call.account;
  const page = pageOf(call, input);
  const tags = await listIamTags(call.db, accountId, await findId(call.db, accountId));
  const start = tags.findIndex((each) => tagCursor(each) === page.after) + 1;
  const { items, next } = cutIamPage(call, tags.slice(start, start + page.limit), page, tagCursor);
  return { Tags: [...items], ...next };
};

export const tagUser: Handler<'TagUser', 'iam'> = (input, call) => tag(call, ofUser(input.UserName), input.Tags);
export const untagUser: Handler<'UntagUser', 'iam'> = (input, call) =>
  untag(call, ofUser(input.UserName), input.TagKeys);
export const listUserTags: Handler<'ListUserTags', 'iam'> = (input, call) => list(call, ofUser(input.UserName), input);

export const tagRole: Handler<'TagRole', 'iam'> = (input, call) => tag(call, ofRole(input.RoleName), input.Tags);
export const untagRole: Handler<'UntagRole', 'iam'> = (input, call) =>
  untag(call, ofRole(input.RoleName), input.TagKeys);
export const listRoleTags: Handler<'ListRoleTags', 'iam'> = (input, call) => list(call, ofRole(input.RoleName), input);

export const tagPolicy: Handler<'TagPolicy', 'iam'> = (input, call) =>
  tag(call, ofOwnPolicy(input.PolicyArn), input.Tags);
export const untagPolicy: Handler<'UntagPolicy', 'iam'> = (input, call) =>
  untag(call, ofOwnPolicy(input.PolicyArn), input.TagKeys);
export const listPolicyTags: Handler<'ListPolicyTags', 'iam'> = (input, call) =>
  list(call, ofPolicy(input.PolicyArn), input);
