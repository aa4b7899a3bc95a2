/** The operations on users. Source: IAM API reference; messages as the service words them. Assumed: the order of the refusals to delete. */
import type { Handler } from '../../feature.ts';
import { accountCreatedAtMs } from '../accounts/account.ts';
import { listKeysOf } from './access-key.ts';
import { boundaryOf, givenBoundary } from './boundary.ts';
import { dateOf, type Entity, getEntity, insertEntity, listEntities, removeEntity } from './entity.ts';
import { assertBare } from './entity-deletion.ts';
import { entityItem, entityPage, rename } from './entity-operations.ts';
import { deleteConflict, notAUser } from './faults.ts';
import { groupsOf } from './group-member.ts';
import type { IamPage } from './iam-page.ts';
import { listIamTags, removeIamTags, saveIamTags } from './iam-tag.ts';
import { writeIam } from './iam-write.ts';

/** A user as lists have it. */
export const userItem = (accountId: string, user: Entity) => ({
  ...entityItem(accountId, user),
  UserName: user.name,
  UserId: user.id,
});

/** Faults: EntityAlreadyExistsException, LimitExceededException, NoSuchEntityException (the boundary), InvalidInputException (a tag, an ARN). */
export const createUser: Handler<'CreateUser', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const createdAtMs = call.now();
  const user = await writeIam(call, async (db) => {
    const boundaryArn = await givenBoundary(db, accountId, input.PermissionsBoundary);
    const given = { name: input.UserName ?? '', path: input.Path, createdAtMs, boundaryArn };
    const made = await insertEntity(db, accountId, 'user', given);
    await saveIamTags(db, accountId, made.id, input.Tags);
    return made;
  });
  const Tags = await listIamTags(call.db, accountId, user.id);
  return { User: { ...userItem(accountId, user), ...boundaryOf(user), ...(Tags.length > 0 && { Tags: [...Tags] }) } };
};

/**
 * Without a name it is the caller: a user, or the account's root. Faults: NoSuchEntityException; InvalidRequestException for a caller that is neither.
 */
export const getUser: Handler<'GetUser', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { arn, userId, iam } = call.caller;
  if (input.UserName === undefined && iam?.kind === 'root') {
    const CreateDate = dateOf(await accountCreatedAtMs(call.db, accountId));
    // a root has neither name nor path, whatever the model requires
    return { User: { UserId: userId, Arn: arn, CreateDate, UserName: undefined, Path: undefined } };
  }
  if (input.UserName === undefined && iam?.kind !== 'user') throw notAUser();
  const name = input.UserName ?? (iam?.kind === 'user' ? iam.userName : '');
  const user = await getEntity(call.db, accountId, 'user', name);
  const Tags = await listIamTags(call.db, accountId, user.id);
  return { User: { ...userItem(accountId, user), ...boundaryOf(user), ...(Tags.length > 0 && { Tags: [...Tags] }) } };
};

/** Gives a user another name, another path, or both: keys, policies and groups go with it. Faults: NoSuchEntityException, EntityAlreadyExistsException. */
export const updateUser: Handler<'UpdateUser', 'iam'> = ({ UserName, NewUserName, NewPath }, call) =>
  rename(call, 'user', UserName, { name: NewUserName, path: NewPath });

/** Faults: NoSuchEntityException; DeleteConflictException while it has keys, policies or groups. */
export const deleteUser: Handler<'DeleteUser', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const user = await getEntity(db, accountId, 'user', input.UserName ?? '');
    if ((await listKeysOf(db, accountId, user.id)).length > 0) {
      throw deleteConflict('Cannot delete entity, must delete access keys first.');
    }
    if ((await groupsOf(db, accountId, user.id)).length > 0) {
      throw deleteConflict('Cannot delete entity, must remove users from group first.');
    }
    await assertBare(db, accountId, user.id);
    await removeIamTags(db, accountId, user.id);
    await removeEntity(db, accountId, user.id);
  });
  return {};
};

/** By name. */
export const listUsers: Handler<'ListUsers', 'iam'> = async (input, call) => {
  const read = (page: IamPage) =>
    listEntities(call.db, call.account.accountId, 'user', { ...page, pathPrefix: input.PathPrefix });
  const { items: Users, next } = await entityPage(call, input, read, userItem);
  return { Users, ...next };
};
