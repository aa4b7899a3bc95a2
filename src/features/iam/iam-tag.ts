/**
 * Tags of users, roles and customer managed policies. Keys that differ in case only are one key. Source: IAM user guide, "Tags for IAM resources"; API
 * reference, TagUser.
 */
import { createHash } from 'node:crypto';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { overQuota } from './faults.ts';
import { tagsPerResourceMax } from './quotas.ts';

interface IamTagsTable {
  account_id: string;
  /** Of a user, role or policy. */
  resource_id: string;
  key_key: string;
  tag_key: string;
  tag_value: string;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_tags: IamTagsTable;
  }
}

export interface IamTag {
  readonly Key: string;
  readonly Value: string;
}

interface GivenTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

const keyOf = (key: string): string => key.toLowerCase();

/** A tag's place in its list: a marker has no room for the longest keys. */
export const tagCursor = ({ Key }: IamTag): string => createHash('sha256').update(keyOf(Key)).digest('base64url');

/** All of a resource, by key. */
export const listIamTags = async (db: Db, accountId: string, resourceId: string): Promise<readonly IamTag[]> => {
  const rows = await db
    .selectFrom('iam_tags')
    .select(['tag_key', 'tag_value'])
    .where('account_id', '=', accountId)
    .where('resource_id', '=', resourceId)
    .orderBy('key_key')
    .execute();
  return rows.map((row) => ({ Key: row.tag_key, Value: row.tag_value }));
};

/** Adds tags; one whose key is there takes its place. Faults: InvalidInputException (a key twice, or of the prefix `aws:`), LimitExceededException. */
export const saveIamTags = async (
  db: Db,
  accountId: string,
  resourceId: string,
  given: readonly GivenTag[] = [],
): Promise<void> => {
  const keys = new Set<string>();
  for (const { Key = '', Value = '' } of given) {
    if (/^aws:/i.test(Key)) {
      throw new Fault('InvalidInputException', 'Tag keys that begin with aws: are reserved for AWS use');
    }
    if (keys.has(keyOf(Key))) {
      throw new Fault(
        'InvalidInputException',
        'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
      );
    }
    keys.add(keyOf(Key));
    const row = { tag_key: Key, tag_value: Value };
    await db
      .insertInto('iam_tags')
      .values({ account_id: accountId, resource_id: resourceId, key_key: keyOf(Key), ...row })
      .onConflict((conflict) => conflict.columns(['account_id', 'resource_id', 'key_key']).doUpdateSet(row))
      .execute();
  }
  if ((await listIamTags(db, accountId, resourceId)).length > tagsPerResourceMax)
    throw overQuota('TagsPerResource', tagsPerResourceMax);
};

/** Removes tags by their keys, or all of a resource that goes. A key that is not there is passed over. */
export const removeIamTags = async (
  db: Db,
  accountId: string,
  resourceId: string,
  keys?: readonly string[],
): Promise<void> => {
  let query = db.deleteFrom('iam_tags').where('account_id', '=', accountId).where('resource_id', '=', resourceId);
  if (keys) query = query.where('key_key', 'in', keys.map(keyOf));
  await query.execute();
};
