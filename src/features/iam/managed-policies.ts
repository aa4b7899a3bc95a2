/** The operations on managed policies. Source: IAM API reference. */
import type { Handler } from '../../feature.ts';
import { awsManagedPolicies, type ManagedPolicy } from './aws-managed.ts';
import { dateOf, listBounded } from './entity.ts';
import { deleteConflict, overQuota } from './faults.ts';
import { cutIamPage, pageOf } from './iam-page.ts';
import { listIamTags, removeIamTags, saveIamTags } from './iam-tag.ts';
import { writeIam } from './iam-write.ts';
import {
  getManagedPolicy,
  getOwnPolicy,
  insertManagedPolicy,
  listOwnPolicies,
  removeManagedPolicy,
} from './managed-policy.ts';
import { insertVersion, listVersions, removeVersions, versionIdOf } from './managed-policy-version.ts';
import { bearersOf, countUses } from './policy-attachment.ts';
import { assertPolicyDocument, charactersOf } from './policy-document.ts';
import { managedPolicyCharactersMax } from './quotas.ts';

type Uses = Awaited<ReturnType<typeof countUses>>;
const unused: Uses = { attached: new Map(), bounding: new Map() };

/** A policy as lists have it. */
const policyItem = (policy: ManagedPolicy, { attached, bounding }: Uses) => ({
  PolicyName: policy.policyName,
  PolicyId: policy.policyId,
  Arn: policy.arn,
  Path: policy.path,
  DefaultVersionId: versionIdOf(policy.defaultVersion),
  AttachmentCount: attached.get(policy.arn) ?? 0,
  PermissionsBoundaryUsageCount: bounding.get(policy.arn) ?? 0,
  IsAttachable: true,
  CreateDate: dateOf(policy.createdAtMs),
  UpdateDate: dateOf(policy.updatedAtMs),
});

/** Faults: MalformedPolicyDocumentException, LimitExceededException (size, number). */
export const assertManagedDocument = (document: string): void => {
  assertPolicyDocument(document, 'identity');
  if (charactersOf(document) > managedPolicyCharactersMax) throw overQuota('PolicySize', managedPolicyCharactersMax);
};

/** Faults: MalformedPolicyDocumentException, EntityAlreadyExistsException, LimitExceededException, InvalidInputException (a tag). */
export const createPolicy: Handler<'CreatePolicy', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { PolicyName: policyName = '', PolicyDocument: document = '', Path: path, Description: description } = input;
  assertManagedDocument(document);
  const createdAtMs = call.now();
  const policy = await writeIam(call, async (db) => {
    const made = await insertManagedPolicy(db, accountId, { policyName, path, description, createdAtMs });
    await insertVersion(db, accountId, made.policyId, { version: 1, document, createdAtMs });
    await saveIamTags(db, accountId, made.policyId, input.Tags);
    return made;
  });
  const Tags = await listIamTags(call.db, accountId, policy.policyId);
  return { Policy: { ...policyItem(policy, unused), ...(Tags.length > 0 && { Tags: [...Tags] }) } };
};

/** Faults: InvalidInputException, NoSuchEntityException. */
export const getPolicy: Handler<'GetPolicy', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const policy = await getManagedPolicy(call.db, accountId, input.PolicyArn ?? '');
  const Tags = await listIamTags(call.db, accountId, policy.policyId);
  return {
    Policy: {
      ...policyItem(policy, await countUses(call.db, accountId)),
      ...(policy.description !== undefined && { Description: policy.description }),
      Tags: [...Tags],
    },
  };
};

/** Where a policy stands in the list: those of AWS come first, each kind by name. */
const cursorOf = ({ ofAws, policyName }: ManagedPolicy): string =>
  `${ofAws ? 'aws' : 'own'} ${policyName.toLowerCase()}`;

/** A page is filled from reads of this many policies, until it is full. */
const readAtOnce = 1000;

/** Those of AWS first, each kind by name. */
export const listPolicies: Handler<'ListPolicies', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { Scope = 'All', OnlyAttached = false, PathPrefix: pathPrefix = '/', PolicyUsageFilter } = input;
  const page = pageOf(call, input);
  const uses = await countUses(call.db, accountId);
  const counted = PolicyUsageFilter === 'PermissionsBoundary' ? uses.bounding : uses.attached;
  const isAsked = ({ arn }: ManagedPolicy): boolean =>
    (!OnlyAttached && PolicyUsageFilter === undefined) ||
    counted.has(arn) ||
    (!PolicyUsageFilter && uses.bounding.has(arn));
  const rows =
    Scope === 'Local'
      ? []
      : awsManagedPolicies.filter(
          (policy) => cursorOf(policy) > page.after && policy.path.startsWith(pathPrefix) && isAsked(policy),
        );
  const found = rows.slice(0, page.limit);
  let after = page.after.startsWith('own ') ? page.after.slice(4) : '';
  while (Scope !== 'AWS' && found.length < page.limit) {
    const own = await listOwnPolicies(call.db, accountId, { after, limit: readAtOnce, pathPrefix });
    found.push(...own.filter(isAsked).slice(0, page.limit - found.length));
    const last = own.at(-1);
    if (own.length < readAtOnce || last === undefined) break;
    after = last.policyName.toLowerCase();
  }
  const { items, next } = cutIamPage(call, found, page, cursorOf);
  return { Policies: items.map((policy) => policyItem(policy, uses)), ...next };
};

/**
 * Deletes a policy with its only version. Faults: InvalidInputException, NoSuchEntityException, AccessDeniedException (a policy of AWS);
 * DeleteConflictException while it is attached, bounds somebody, or has other versions.
 */
export const deletePolicy: Handler<'DeletePolicy', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const policy = await getOwnPolicy(db, accountId, input.PolicyArn ?? '');
    const bearers = await bearersOf(db, accountId, policy.arn);
    if (bearers.length > 0 || (await listBounded(db, accountId, policy.arn)).length > 0) {
      throw deleteConflict('Cannot delete a policy attached to entities.');
    }
    if ((await listVersions(db, accountId, policy)).length > 1) {
      throw deleteConflict(
        "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
      );
    }
    await removeVersions(db, accountId, policy.policyId);
    await removeIamTags(db, accountId, policy.policyId);
    await removeManagedPolicy(db, accountId, policy.policyId);
  });
  return {};
};
