/** What the operations on users, groups and roles have in common. Source: IAM API reference. */
import type { Call } from '../../feature.ts';
import { dateOf, type Entity, entityArn, entityCursor, getEntity, renameEntity } from './entity.ts';
import { cutIamPage, type IamPage, pageOf } from './iam-page.ts';
import { writeIam } from './iam-write.ts';

/** Members that all of them have in answers. */
export const entityItem = (accountId: string, entity: Entity) => ({
  Path: entity.path,
  Arn: entityArn(accountId, entity),
  CreateDate: dateOf(entity.createdAtMs),
});

/** A page by name, each as `itemOf` tells it. */
export const entityPage = async <One extends Entity, Item>(
  call: Call,
  input: Parameters<typeof pageOf>[1],
  read: (page: IamPage) => Promise<readonly One[]>,
  itemOf: (accountId: string, one: One) => Item,
) => {
  const page = pageOf(call, input);
  const { items, next } = cutIamPage(call, await read(page), page, entityCursor);
  return { items: items.map((one) => itemOf(call.account.accountId, one)), next };
};

/** Faults: NoSuchEntityException, EntityAlreadyExistsException. */
export const rename = async (
  call: Call,
  kind: 'user' | 'group',
  name: string | undefined,
  becoming: Parameters<typeof renameEntity>[3],
): Promise<Record<never, never>> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) =>
    renameEntity(db, accountId, await getEntity(db, accountId, kind, name ?? ''), becoming),
  );
  return {};
};
