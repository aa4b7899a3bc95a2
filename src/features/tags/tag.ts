/** Tags: names and values that an account puts on its resources. Source: developer guide, "Tagging your AWS IoT resources"; spec identity 1.4. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import { keepQuery } from '../../store/kept-query.ts';
import type { Db } from '../../store/store.ts';

interface TagsTable {
  account_id: string;
  region: string;
  resource_arn: string;
  tag_key: string;
  tag_value: string;
}

declare module '../../store/tables.ts' {
  interface Tables {
    tags: TagsTable;
  }
}

/** Tags of one resource. Source: developer guide, "Tag restrictions and limitations". */
export const tagsPerResourceMax = 50;

/** A tag as the API has it. */
export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

interface GivenTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** Judges a tag whose key begins with `fleetgate:`, which is a setting of ours. Faults: InvalidRequestException. */
export type CheckSetting = (tag: Tag) => void;

/** Most resources have no settings; a tag that looks like one would be taken for one. */
const refuseSetting: CheckSetting = ({ Key }) => {
  throw new Fault('InvalidRequestException', `The tag key ${Key} is no setting of this resource`);
};

/**
 * Tags as a caller gave them, fit to be stored; without a value it is the empty string. Key and value were held against the model's patterns.
 * Faults: InvalidRequestException (a key twice, a key of the prefix `aws:`, a setting that this resource has not), LimitExceededException.
 */
export const readTags = (
  given: readonly GivenTag[] = [],
  checkSetting: CheckSetting = refuseSetting,
): readonly Tag[] => {
  if (given.length > tagsPerResourceMax) throw tooMany();
  const keys = new Set<string>();
  return given.map(({ Key = '', Value = '' }) => {
    if (/^aws:/i.test(Key)) {
      throw new Fault('InvalidRequestException', 'Tag keys that begin with aws: are reserved');
    }
    if (keys.has(Key)) throw new Fault('InvalidRequestException', `The tag key ${Key} is given twice`);
    keys.add(Key);
    if (/^fleetgate:/i.test(Key)) checkSetting({ Key, Value });
    return { Key, Value };
  });
};

const tooMany = (): Fault =>
  new Fault('LimitExceededException', `A resource can have at most ${tagsPerResourceMax} tags`);

/** Adds tags and replaces the values of those that are there. Faults: LimitExceededException. */
export const saveTags = async (
  db: Db,
  { accountId, region }: AccountRegion,
  arn: string,
  tags: readonly Tag[],
): Promise<void> => {
  if (tags.length === 0) return;
  await db
    .insertInto('tags')
    .values(
      tags.map(({ Key, Value }) => ({
        account_id: accountId,
        region,
        resource_arn: arn,
        tag_key: Key,
        tag_value: Value,
      })),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['account_id', 'region', 'resource_arn', 'tag_key'])
        .doUpdateSet({ tag_value: (eb) => eb.ref('excluded.tag_value') }),
    )
    .execute();
  if ((await listTags(db, { accountId, region }, arn)).length > tagsPerResourceMax) throw tooMany();
};

/** Asked at every call of the API by a user of the account, whose policies may ask for tags. */
const tagsOf = keepQuery((db, [accountId = '', region = '', arn = '']) =>
  db
    .selectFrom('tags')
    .select(['tag_key', 'tag_value'])
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('resource_arn', '=', arn)
    .orderBy('tag_key')
    .limit(tagsPerResourceMax + 1),
);

/** All tags of a resource by key. */
export const listTags = async (db: Db, { accountId, region }: AccountRegion, arn: string): Promise<readonly Tag[]> => {
  const rows = await tagsOf(db, [accountId, region, arn]);
  return rows.map(({ tag_key: Key, tag_value: Value }) => ({ Key, Value }));
};

/** Removes the tags with these keys, or all of a resource that is being deleted. */
export const removeTags = async (
  db: Db,
  { accountId, region }: AccountRegion,
  arn: string,
  keys?: readonly string[],
): Promise<void> => {
  if (keys?.length === 0) return;
  let query = db
    .deleteFrom('tags')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('resource_arn', '=', arn);
  if (keys) query = query.where('tag_key', 'in', keys);
  await query.execute();
};
