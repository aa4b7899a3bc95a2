/** The operations on versions of managed policies. Source: IAM API reference. */
import { Fault } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import type { ManagedPolicy } from './aws-managed.ts';
import { dateOf } from './entity.ts';
import { deleteConflict, noSuch } from './faults.ts';
import { cutIamPage, pageOf } from './iam-page.ts';
import { writeIam } from './iam-write.ts';
import { assertManagedDocument } from './managed-policies.ts';
import { getManagedPolicy, getOwnPolicy, saveManagedPolicy } from './managed-policy.ts';
import {
  findVersion,
  insertVersion,
  listVersions,
  type ManagedPolicyVersion,
  removeVersions,
  versionIdOf,
  versionOf,
} from './managed-policy-version.ts';
import { encodedDocument } from './policy-document.ts';
import { versionsPerPolicyMax } from './quotas.ts';

const versionItem = ({ version, createdAtMs }: ManagedPolicyVersion, defaultVersion: number) => ({
  VersionId: versionIdOf(version),
  IsDefaultVersion: version === defaultVersion,
  CreateDate: dateOf(createdAtMs),
});

/** Faults: NoSuchEntityException. */
const getVersion = async (
  db: Call['db'],
  accountId: string,
  policy: ManagedPolicy,
  versionId = '',
): Promise<ManagedPolicyVersion> => {
  const found = await findVersion(db, accountId, policy, versionOf(versionId));
  if (!found) throw noSuch(`Policy ${policy.arn} version ${versionId} does not exist or is not attachable.`);
  return found;
};

/** Its id is one more than any that the policy ever had. Faults: those of createPolicy, InvalidInputException, NoSuchEntityException. */
export const createPolicyVersion: Handler<'CreatePolicyVersion', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { PolicyDocument: document = '', SetAsDefault = false } = input;
  assertManagedDocument(document);
  const createdAtMs = call.now();
  return writeIam(call, async (db) => {
    const policy = await getOwnPolicy(db, accountId, input.PolicyArn ?? '');
    if ((await listVersions(db, accountId, policy)).length >= versionsPerPolicyMax) {
      throw new Fault(
        'LimitExceededException',
        `A managed policy can have up to ${versionsPerPolicyMax} versions. Before you create a new version, you must delete an existing version.`,
      );
    }
    const version = policy.lastVersion + 1;
    const made = { version, document, createdAtMs };
    await insertVersion(db, accountId, policy.policyId, made);
    const defaultVersion = SetAsDefault ? version : policy.defaultVersion;
    const { policyId } = policy;
    await saveManagedPolicy(db, accountId, {
      policyId,
      defaultVersion,
      lastVersion: version,
      updatedAtMs: createdAtMs,
    });
    return { PolicyVersion: versionItem(made, defaultVersion) };
  });
};

/** Faults: InvalidInputException, NoSuchEntityException. */
export const getPolicyVersion: Handler<'GetPolicyVersion', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const policy = await getManagedPolicy(call.db, accountId, input.PolicyArn ?? '');
  const found = await getVersion(call.db, accountId, policy, input.VersionId);
  return {
    PolicyVersion: { Document: encodedDocument(found.document), ...versionItem(found, policy.defaultVersion) },
  };
};

/** Newest first. Faults: InvalidInputException, NoSuchEntityException. */
export const listPolicyVersions: Handler<'ListPolicyVersions', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const page = pageOf(call, input);
  const policy = await getManagedPolicy(call.db, accountId, input.PolicyArn ?? '');
  const versions = await listVersions(call.db, accountId, policy);
  const before = page.after === '' ? Number.POSITIVE_INFINITY : Number(page.after);
  const rows = versions.filter(({ version }) => version < before).slice(0, page.limit);
  const { items, next } = cutIamPage(call, rows, page, ({ version }) => String(version));
  return { Versions: items.map((version) => versionItem(version, policy.defaultVersion)), ...next };
};

/** Faults: InvalidInputException, NoSuchEntityException, AccessDeniedException; DeleteConflictException for the default version. */
export const deletePolicyVersion: Handler<'DeletePolicyVersion', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const policy = await getOwnPolicy(db, accountId, input.PolicyArn ?? '');
    const { version } = await getVersion(db, accountId, policy, input.VersionId);
    if (version === policy.defaultVersion) throw deleteConflict('Cannot delete the default version of a policy.');
    await removeVersions(db, accountId, policy.policyId, version);
  });
  return {};
};

/** Faults: InvalidInputException, NoSuchEntityException, AccessDeniedException. */
export const setDefaultPolicyVersion: Handler<'SetDefaultPolicyVersion', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const updatedAtMs = call.now();
  await writeIam(call, async (db) => {
    const policy = await getOwnPolicy(db, accountId, input.PolicyArn ?? '');
    const { version } = await getVersion(db, accountId, policy, input.VersionId);
    await saveManagedPolicy(db, accountId, { ...policy, defaultVersion: version, updatedAtMs });
  });
  return {};
};
