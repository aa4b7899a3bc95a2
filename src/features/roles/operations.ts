/** The operations on role aliases. Whether the role exists and lets itself be assumed is asked when credentials of it are. Source: API reference; spec identity 9. */
import { Fault } from '../../aws/fault.ts';
import { assertRoleArn } from '../../aws/role-arn.ts';
import type { Handler } from '../../feature.ts';
import { readTags, saveTags } from '../tags/tag.ts';
import {
  durationSecondsDefault,
  getRoleAlias,
  insertRoleAlias,
  listRoleAliasNames,
  removeRoleAlias,
  roleAliasItem,
  saveRoleAlias,
} from './role-alias.ts';

/** Items per page when the caller names no number. Source: spec identity 1.2 (undocumented; recommended). */
const pageDefault = 25;

/**
 * Faults, in this order: InvalidRequestException (a tag, the role's ARN), ResourceAlreadyExistsException, LimitExceededException (role aliases, or tags before
 * all else).
 */
export const createRoleAlias: Handler<'CreateRoleAlias'> = async (input, call) => {
  const { roleAlias = '', roleArn = '', credentialDurationSeconds = durationSecondsDefault } = input;
  const { account } = call;
  const tags = readTags(input.tags);
  assertRoleArn(roleArn, account, 'roleArn');
  const item = roleAliasItem(account, roleAlias);
  const createdAtMs = call.now();
  await call.write(async (db) => {
    const alias = { roleAlias, roleArn, credentialDurationSeconds, createdAtMs, modifiedAtMs: createdAtMs };
    if (!(await insertRoleAlias(db, account, alias))) {
      throw new Fault(
        'ResourceAlreadyExistsException',
        `Role alias cannot be created - name already exists (name=${roleAlias})`,
        { resourceId: roleAlias, resourceArn: item.roleAliasArn },
      );
    }
    await saveTags(db, account, item.roleAliasArn, tags);
  });
  return item;
};

/** Faults: ResourceNotFoundException. */
export const describeRoleAlias: Handler<'DescribeRoleAlias'> = async ({ roleAlias = '' }, call) => {
  const { account } = call;
  const { roleArn, credentialDurationSeconds, createdAtMs, modifiedAtMs } = await getRoleAlias(
    call.db,
    account,
    roleAlias,
  );
  return {
    roleAliasDescription: {
      ...roleAliasItem(account, roleAlias),
      roleArn,
      owner: account.accountId,
      credentialDurationSeconds,
      creationDate: new Date(createdAtMs),
      lastModifiedDate: new Date(modifiedAtMs),
    },
  };
};

/** By name; Assumed: backwards unless `ascendingOrder`, as AWS's other lists. Faults: InvalidRequestException for a marker that is not ours. */
export const listRoleAliases: Handler<'ListRoleAliases'> = async (input, call) => {
  const { pageSize: limit = pageDefault, ascendingOrder: ascending = false } = input;
  const after = call.openMarker(input.marker);
  const names = await listRoleAliasNames(call.db, call.account, { after, limit: limit + 1, ascending });
  const page = names.slice(0, limit);
  const last = page.at(-1);
  return {
    roleAliases: page,
    ...(names.length > limit && last !== undefined && { nextMarker: call.sealMarker(last) }),
  };
};

/** What the input leaves out stays. Faults: ResourceNotFoundException, InvalidRequestException (the role's ARN). */
export const updateRoleAlias: Handler<'UpdateRoleAlias'> = async (input, call) => {
  const { roleAlias = '', roleArn, credentialDurationSeconds } = input;
  const { account } = call;
  if (roleArn !== undefined) assertRoleArn(roleArn, account, 'roleArn');
  await call.write(async (db) => {
    const before = await getRoleAlias(db, account, roleAlias);
    await saveRoleAlias(db, account, {
      roleAlias,
      roleArn: roleArn ?? before.roleArn,
      credentialDurationSeconds: credentialDurationSeconds ?? before.credentialDurationSeconds,
      modifiedAtMs: call.now(),
    });
  });
  return roleAliasItem(account, roleAlias);
};

/** With its tags. Credentials that were given by it last on. Faults: ResourceNotFoundException. */
export const deleteRoleAlias: Handler<'DeleteRoleAlias'> = async ({ roleAlias = '' }, call) => {
  const { account } = call;
  await call.write(async (db) => {
    await getRoleAlias(db, account, roleAlias);
    await removeRoleAlias(db, account, roleAlias);
    await call.release(db, roleAliasItem(account, roleAlias).roleAliasArn);
  });
  return {};
};
