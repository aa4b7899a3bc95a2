/** Tags of certificates: those of IoT in rows, and with ACM's own faults. Source: API reference (ACM), AddTagsToCertificate, RemoveTagsFromCertificate, ListTagsForCertificate. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { listTags, removeTags, saveTags, type Tag, tagsPerResourceMax } from '../tags/tag.ts';
import { getAcmCertificate } from './acm-certificate.ts';

interface GivenTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** Keys and values were held against the model's patterns. Faults: InvalidTagException (the prefix `aws:`, a key twice). */
export const readAcmTags = (given: readonly GivenTag[] = []): readonly Tag[] => {
  const keys = new Set<string>();
  return given.map(({ Key = '', Value = '' }) => {
    if (/^aws:/i.test(Key)) throw new Fault('InvalidTagException', 'Tag keys that begin with aws: are reserved.');
    if (keys.has(Key)) throw new Fault('InvalidTagException', `The tag key ${Key} is given twice.`);
    keys.add(Key);
    return { Key, Value };
  });
};

/** Adds tags and replaces the values of those that are there. Faults: TooManyTagsException. */
export const saveAcmTags = async (
  db: Db,
  account: AccountRegion,
  arn: string,
  given: readonly Tag[],
): Promise<void> => {
  const kept = await listTags(db, account, arn);
  const keys = new Set([...kept, ...given].map(({ Key }) => Key));
  if (keys.size > tagsPerResourceMax) {
    throw new Fault('TooManyTagsException', `A certificate can have at most ${tagsPerResourceMax} tags.`);
  }
  await saveTags(db, account, arn, given);
};

/** Faults: ResourceNotFoundException, InvalidTagException, TooManyTagsException. */
export const addTagsToCertificate: Handler<'AddTagsToCertificate', 'acm'> = async ({ CertificateArn, Tags }, call) => {
  const given = readAcmTags(Tags);
  await call.write(async (db) => {
    const { arn } = await getAcmCertificate(db, call.account, CertificateArn);
    await saveAcmTags(db, call.account, arn, given);
  });
  return {};
};

/** Removes tags by key; one that is given with a value goes only if it has that value. A tag that is not there is a success. Faults: ResourceNotFoundException. */
export const removeTagsFromCertificate: Handler<'RemoveTagsFromCertificate', 'acm'> = async (input, call) => {
  await call.write(async (db) => {
    const { arn } = await getAcmCertificate(db, call.account, input.CertificateArn);
    const kept = new Map((await listTags(db, call.account, arn)).map(({ Key, Value }) => [Key, Value]));
    const meant = (input.Tags ?? []).filter(({ Key = '', Value }) => Value === undefined || kept.get(Key) === Value);
    await removeTags(
      db,
      call.account,
      arn,
      meant.map(({ Key = '' }) => Key),
    );
  });
  return {};
};

/** All tags at once, by key. Faults: ResourceNotFoundException. */
export const listTagsForCertificate: Handler<'ListTagsForCertificate', 'acm'> = async ({ CertificateArn }, call) => {
  const { arn } = await getAcmCertificate(call.db, call.account, CertificateArn);
  return { Tags: (await listTags(call.db, call.account, arn)).map((tag) => ({ ...tag })) };
};
