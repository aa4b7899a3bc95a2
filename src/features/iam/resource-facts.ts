/** What policies may ask of the resource of a request, looked up before it is decided: its whole ARN, its tags, its boundary. */
import { type AccountRegion, parseArn } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { findAccessKey } from './access-key.ts';
import type { Keys, Named, Resource } from './actions/demand.ts';
import { type Entity, entityArn, findEntity, findEntityById } from './entity.ts';
import { type IamTag, listIamTags } from './iam-tag.ts';
import { findManagedPolicies } from './managed-policy.ts';
import { findRoleByArn } from './role.ts';

export interface ResourceFactsOptions {
  readonly db: Db;
  /** The ARN of a domain configuration; undefined where there is none of this name. */
  readonly findDomainArn: (account: AccountRegion, name: string) => Promise<string | undefined>;
  /** Tags of what is no resource of IAM, by its ARN. */
  readonly listTags: (account: AccountRegion, arn: string) => Promise<readonly IamTag[]>;
}

export interface ResourceFacts {
  readonly arn: string;
  readonly keys: Keys;
}

/** Without `tags` those of what is no resource of IAM are left out: nobody asks for them, and a look at the store costs more than a decision. */
export type DescribeResource = (
  account: AccountRegion,
  resource: Resource,
  wanted: { readonly tags: boolean },
) => Promise<ResourceFacts>;

/** Both of IAM's own tags and of others there is one key; IAM's have a second one. Source: IAM user guide, "AWS global condition context keys". */
const tagKeys = (tags: readonly IamTag[], ...prefixes: readonly string[]): Keys =>
  Object.fromEntries(prefixes.flatMap((prefix) => tags.map(({ Key, Value }) => [`${prefix}/${Key}`, Value])));

/** A user, group or role as what is asked about. */
export const describeEntity = async (db: Db, accountId: string, entity: Entity): Promise<ResourceFacts> => ({
  arn: entityArn(accountId, entity),
  keys: {
    ...tagKeys(await listIamTags(db, accountId, entity.id), 'aws:ResourceTag', 'iam:ResourceTag'),
    ...(entity.boundaryArn !== undefined && { 'iam:PermissionsBoundary': entity.boundaryArn }),
  },
});

export const createDescribeResource = ({ db, findDomainArn, listTags }: ResourceFactsOptions): DescribeResource => {
  const tagged = async (account: AccountRegion, arn: string, tags: boolean): Promise<ResourceFacts> => ({
    arn,
    keys: tags ? tagKeys(await listTags(account, arn), 'aws:ResourceTag') : {},
  });

  const ofPolicy = async (accountId: string, arn: string): Promise<ResourceFacts> => {
    const [policy] = await findManagedPolicies(db, accountId, [arn]);
    return { arn, keys: policy ? tagKeys(await listIamTags(db, accountId, policy.policyId), 'aws:ResourceTag') : {} };
  };

  const ofKey = async (accountId: string, accessKeyId: string): Promise<ResourceFacts> => {
    const key = await findAccessKey(db, accountId, accessKeyId);
    const user = key && (await findEntityById(db, accountId, key.userId));
    return user ? describeEntity(db, accountId, user) : { arn: '*', keys: {} };
  };

  const ofName = async (
    account: AccountRegion,
    { type, name, becoming }: Named,
    tags: boolean,
  ): Promise<ResourceFacts> => {
    const { accountId, region } = account;
    if (type === 'policy') return ofPolicy(accountId, name);
    if (type === 'domainconfiguration') {
      const arn = (await findDomainArn(account, name)) ?? `arn:aws:iot:${region}:${accountId}:${type}/${name}`;
      return tagged(account, arn, tags);
    }
    if (type === 'accesskey') return ofKey(accountId, name);
    const entity = await findEntity(db, accountId, type, name);
    const then = {
      ...(becoming?.path !== undefined && { path: becoming.path }),
      ...(becoming?.name !== undefined && { name: becoming.name }),
    };
    return entity
      ? describeEntity(db, accountId, { ...entity, ...then })
      : { arn: entityArn(accountId, { kind: type, path: '/', name, ...then }), keys: {} };
  };

  const ofArn = async (account: AccountRegion, arn: string, tags: boolean): Promise<ResourceFacts> => {
    const parsed = parseArn(arn);
    if (!parsed) return { arn, keys: {} };
    if (parsed.service !== 'iam') return tagged(account, arn, tags);
    const found = parsed.resourceType === 'role' ? await findRoleByArn(db, arn) : undefined;
    return found?.accountId === account.accountId
      ? describeEntity(db, account.accountId, found.role)
      : { arn, keys: {} };
  };

  return (account, resource, { tags }) =>
    typeof resource === 'string' ? ofArn(account, resource, tags) : ofName(account, resource, tags);
};
