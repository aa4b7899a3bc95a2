/** The operations on tags. Source: API reference, TagResource, UntagResource, ListTagsForResource. */
import { type AccountRegion, iotArn, parseArn, type ResourceType, sameAccount } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { type CheckSetting, listTags, readTags, removeTags, saveTags, tagsPerResourceMax } from './tag.ts';

/** Whether a resource of one type exists in an account, by its name. Types without an entry cannot be tagged. */
export type Taggable = {
  readonly [Type in ResourceType]?: (db: Db, account: AccountRegion, name: string) => Promise<boolean>;
};

/** What judges the settings among the tags of one type. Types without an entry have none. */
export type Settings = { readonly [Type in ResourceType]?: CheckSetting };

/** ARNs are cut to this length, in characters, in messages. */
const shownMax = 256;
const shown = (text: string): string => (text.length > shownMax ? `${text.slice(0, shownMax)}...` : text);

/**
 * Refuses what is no ARN of a resource of this account that exists. Foreign resources are as good as none.
 * Faults: InvalidRequestException, ResourceNotFoundException.
 */
const assertTaggable = async (db: Db, account: AccountRegion, taggable: Taggable, text: string): Promise<void> => {
  const arn = parseArn(text);
  // a resource type that is none of ours has no entry either
  const type = arn?.resourceType as ResourceType;
  const exists = arn?.service === 'iot' && Object.hasOwn(taggable, type) ? taggable[type] : undefined;
  if (!arn || !exists) throw new Fault('InvalidRequestException', `${shown(text)} is no resource that can have tags`);
  const isOwn = sameAccount(arn, account) && text === iotArn(account, type, arn.resourceName);
  if (!isOwn || !(await exists(db, account, arn.resourceName))) {
    throw new Fault('ResourceNotFoundException', `The resource ${shown(text)} does not exist`);
  }
};

/** Adds tags, or replaces their values. Faults: InvalidRequestException, LimitExceededException, ResourceNotFoundException. */
export const tagResource =
  (taggable: Taggable, settings: Settings): Handler<'TagResource'> =>
  async ({ resourceArn = '', tags }, call) => {
    const type = parseArn(resourceArn)?.resourceType;
    // a resource type that is none of ours has no settings either
    const given = readTags(tags, Object.hasOwn(settings, type ?? '') ? settings[type as ResourceType] : undefined);
    await call.write(async (db) => {
      await assertTaggable(db, call.account, taggable, resourceArn);
      await saveTags(db, call.account, resourceArn, given);
    });
    return {};
  };

/** Removes tags; a key that is not there is a success. Faults: InvalidRequestException, ResourceNotFoundException. */
export const untagResource =
  (taggable: Taggable): Handler<'UntagResource'> =>
  async ({ resourceArn = '', tagKeys = [] }, call) => {
    if (tagKeys.length > tagsPerResourceMax) {
      throw new Fault('InvalidRequestException', `At most ${tagsPerResourceMax} tag keys, not ${tagKeys.length}`);
    }
    await call.write(async (db) => {
      await assertTaggable(db, call.account, taggable, resourceArn);
      await removeTags(db, call.account, resourceArn, tagKeys);
    });
    return {};
  };

/**
 * All tags at once, by key: at most `tagsPerResourceMax` exist, so that there is no second page and every token is a foreign one.
 * Faults: InvalidRequestException, ResourceNotFoundException.
 */
export const listTagsForResource =
  (taggable: Taggable): Handler<'ListTagsForResource'> =>
  async ({ resourceArn = '', nextToken }, call) => {
    if (nextToken !== undefined) {
      throw new Fault('InvalidRequestException', 'The token does not belong to this operation');
    }
    await assertTaggable(call.db, call.account, taggable, resourceArn);
    return { tags: (await listTags(call.db, call.account, resourceArn)).map((tag) => ({ ...tag })) };
  };
