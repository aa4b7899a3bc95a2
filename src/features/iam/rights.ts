/**
 * The policies that bear on one user or role, gathered from the store and compiled: its own, those of its groups, the attached ones, and its boundary.
 * Source: IAM user guide, "Policy evaluation logic".
 */
import type { SessionPolicies } from '../../aws/iam-principal.ts';
import { parseIamPolicy } from '../../iam/document.ts';
import { MalformedIamPolicy } from '../../iam/malformed.ts';
import type { Db } from '../../store/store.ts';
import { type Entity, findEntityById } from './entity.ts';
import { groupsOf } from './group-member.ts';
import { listIamTags } from './iam-tag.ts';
import { inlinePoliciesOf } from './inline-policy.ts';
import { findManagedPolicies } from './managed-policy.ts';
import { readDefaultDocuments } from './managed-policy-version.ts';
import { attachedTo } from './policy-attachment.ts';
import type { KnownEntity } from './principal.ts';
import type { HeldPolicy } from './weigh-denial.ts';

export interface EntityRights extends KnownEntity {
  readonly identity: readonly HeldPolicy[];
  readonly boundary?: HeldPolicy;
  /** A policy that bears on it cannot be read, or is gone: then nothing is allowed. */
  readonly broken: boolean;
}

/** Characters of a document that a refusal may show. */
const shownCharactersMax = 2048;

/** aws:ResourceTag/KEY and iam:ResourceTag/KEY, as conditions and as variables; text with escapes is not looked into. */
const tagsOfResource = /resourcetag|\\u/i;

/** Faults: MalformedIamPolicy for what an older version took. */
const compile = (
  document: string,
  named: Pick<HeldPolicy, 'policyName' | 'arn' | 'version' | 'shownName'>,
): HeldPolicy => {
  const shown = document.replaceAll(/\s*[\r\n]\s*/g, ' ');
  return {
    ...named,
    policy: parseIamPolicy(document, 'identity'),
    asksForTags: tagsOfResource.test(document),
    ...(shown.length <= shownCharactersMax && { document: shown }),
  };
};

/** The managed policies with these ARNs in force; those that do not exist are absent. */
export const readManaged = async (
  db: Db,
  accountId: string,
  arns: readonly string[],
): Promise<ReadonlyMap<string, HeldPolicy>> => {
  const policies = await findManagedPolicies(db, accountId, [...new Set(arns)]);
  const documents = await readDefaultDocuments(db, accountId, policies);
  return new Map(
    policies.flatMap(({ arn, policyName, defaultVersion }) => {
      const document = documents.get(arn);
      if (document === undefined) return [];
      const named = { policyName: arn, arn, version: String(defaultVersion), shownName: policyName };
      return [[arn, compile(document, named)] as const];
    }),
  );
};

const ofSession = { policyName: 'session policy', arn: '', version: '', shownName: 'session policy' };

/** What a session was begun with. Undefined: one of the policies is gone or cannot be read, and the session may do nothing. */
export const readSessionPolicies = async (
  db: Db,
  accountId: string,
  { document, arns }: SessionPolicies,
): Promise<readonly HeldPolicy[] | undefined> => {
  try {
    const managed = await readManaged(db, accountId, arns);
    const policies = arns.map((arn) => managed.get(arn));
    if (document !== undefined) policies.push(compile(document, ofSession));
    const found = policies.filter((policy) => policy !== undefined);
    return found.length < policies.length || found.length === 0 ? undefined : found;
  } catch (error) {
    if (error instanceof MalformedIamPolicy) return undefined;
    throw error;
  }
};

const holderOf = ({ kind, name }: Entity): string => (kind === 'group' ? `group ${name}` : kind);

const gather = async (db: Db, accountId: string, entity: Entity): Promise<Omit<EntityRights, 'entity' | 'tags'>> => {
  const bearers = entity.kind === 'user' ? [entity, ...(await groupsOf(db, accountId, entity.id))] : [entity];
  const identity: HeldPolicy[] = [];
  const attached: { readonly arn: string; readonly heldBy: string }[] = [];
  for (const bearer of bearers) {
    const heldBy = holderOf(bearer);
    for (const { policyName, document } of await inlinePoliciesOf(db, accountId, bearer.id)) {
      identity.push({ ...compile(document, { policyName, arn: '', version: '', shownName: policyName }), heldBy });
    }
    for (const { arn } of await attachedTo(db, accountId, bearer.id)) attached.push({ arn, heldBy });
  }
  const { boundaryArn } = entity;
  const arns = [...attached.map(({ arn }) => arn), ...(boundaryArn === undefined ? [] : [boundaryArn])];
  const managed = await readManaged(db, accountId, arns);
  for (const { arn, heldBy } of attached) {
    const policy = managed.get(arn);
    if (policy) identity.push({ ...policy, heldBy });
  }
  const boundary = boundaryArn === undefined ? undefined : managed.get(boundaryArn);
  return { identity, broken: !arns.every((arn) => managed.has(arn)), ...(boundary && { boundary }) };
};

/** Everything that decides for one user or role; undefined when there is none of this id. */
export const readRights = async (db: Db, accountId: string, entityId: string): Promise<EntityRights | undefined> => {
  const entity = await findEntityById(db, accountId, entityId);
  if (!entity) return undefined;
  const tags = await listIamTags(db, accountId, entityId);
  try {
    return { entity, tags, ...(await gather(db, accountId, entity)) };
  } catch (error) {
    if (!(error instanceof MalformedIamPolicy)) throw error;
    return { entity, tags, identity: [], broken: true };
  }
};
