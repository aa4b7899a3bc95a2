/** Permissions boundaries: the managed policy that bounds what a user or a role may do. Source: IAM user guide, "Permissions boundaries". */
import type { Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { type Entity, getEntity, saveBoundary } from './entity.ts';
import { noSuch } from './faults.ts';
import { writeIam } from './iam-write.ts';
import { getAttachablePolicy } from './managed-policy.ts';

/** How a user or a role tells its boundary. */
export const boundaryOf = ({ boundaryArn }: Entity) =>
  boundaryArn === undefined
    ? {}
    : {
        PermissionsBoundary: {
          PermissionsBoundaryType: 'PermissionsBoundaryPolicy' as const,
          PermissionsBoundaryArn: boundaryArn,
        },
      };

/** The boundary that an operation was given. Faults: InvalidInputException, NoSuchEntityException. */
export const givenBoundary = async (db: Db, accountId: string, arn: string | undefined): Promise<string | undefined> =>
  arn === undefined ? undefined : (await getAttachablePolicy(db, accountId, arn)).arn;

const change = async (
  call: Parameters<typeof writeIam>[0],
  kind: 'user' | 'role',
  name: string,
  arn: string | undefined,
): Promise<Record<string, never>> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const entity = await getEntity(db, accountId, kind, name);
    if (arn === undefined && entity.boundaryArn === undefined) {
      throw noSuch(`The ${kind} with name ${name} does not have a permissions boundary attached.`);
    }
    await saveBoundary(db, accountId, entity.id, await givenBoundary(db, accountId, arn));
  });
  return {};
};

/** Faults: NoSuchEntityException, InvalidInputException. */
export const putUserPermissionsBoundary: Handler<'PutUserPermissionsBoundary', 'iam'> = (input, call) =>
  change(call, 'user', input.UserName ?? '', input.PermissionsBoundary ?? '');

/** Faults: NoSuchEntityException, InvalidInputException. */
export const putRolePermissionsBoundary: Handler<'PutRolePermissionsBoundary', 'iam'> = (input, call) =>
  change(call, 'role', input.RoleName ?? '', input.PermissionsBoundary ?? '');

/** Faults: NoSuchEntityException, also where there is no boundary. */
export const deleteUserPermissionsBoundary: Handler<'DeleteUserPermissionsBoundary', 'iam'> = (input, call) =>
  change(call, 'user', input.UserName ?? '', undefined);

/** Faults: NoSuchEntityException, also where there is no boundary. */
export const deleteRolePermissionsBoundary: Handler<'DeleteRolePermissionsBoundary', 'iam'> = (input, call) =>
  change(call, 'role', input.RoleName ?? '', undefined);
