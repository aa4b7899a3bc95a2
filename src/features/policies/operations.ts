/** The short operations on policies and their versions. Source: API reference; spec identity 5. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { cursorOf, cutPage } from '../creation-order.ts';
import {
  deletePolicyRow,
  getPolicyRow,
  listPolicyRows,
  type Policy,
  pageDefault,
  policyItem,
  savePolicy,
} from './policy.ts';
import { listTargetsOfPolicy } from './policy-attachment.ts';
import { deletePolicyVersionRows, getPolicyVersionRow, listPolicyVersionRows } from './policy-version.ts';

const datesOf = ({ createdAtMs, modifiedAtMs, generationId }: Policy) => ({
  creationDate: new Date(createdAtMs),
  lastModifiedDate: new Date(modifiedAtMs),
  generationId,
});

/** Faults: ResourceNotFoundException. */
export const getPolicy: Handler<'GetPolicy'> = async (input, call) => {
  const { policyName = '' } = input;
  const policy = await getPolicyRow(call.db, call.account, policyName);
  const defaultVersionId = String(policy.defaultVersion);
  const { document } = await getPolicyVersionRow(call.db, call.account, policyName, defaultVersionId);
  return { ...policyItem(call.account, policyName), policyDocument: document, defaultVersionId, ...datesOf(policy) };
};

/** Newest first unless `ascendingOrder`. */
export const listPolicies: Handler<'ListPolicies'> = async (input, call) => {
  const { pageSize: limit = pageDefault, ascendingOrder: ascending = false } = input;
  const after = call.openMarker(input.marker);
  const rows = await listPolicyRows(call.db, call.account, { after, limit: limit + 1, ascending });
  const { items, next } = cutPage(rows, limit, call.sealMarker, (policy) =>
    cursorOf(policy.createdAtMs, policy.policyName),
  );
  return { policies: items.map(({ policyName }) => policyItem(call.account, policyName)), ...next };
};

/**
 * Deletes a policy with its default version, at once (AWS may refuse for minutes after a detach).
 * Faults, in this order: ResourceNotFoundException, DeleteConflictException (attached; has other versions).
 */
export const deletePolicy: Handler<'DeletePolicy'> = async (input, call) => {
  const { policyName = '' } = input;
  await call.write(async (db) => {
    await getPolicyRow(db, call.account, policyName);
    const targets = await listTargetsOfPolicy(db, call.account, policyName, { after: '', limit: 1, ascending: true });
    if (targets.length > 0) {
      throw new Fault(
        'DeleteConflictException',
        `The policy cannot be deleted as the policy is attached to one or more principals (name=${policyName})`,
      );
    }
    if ((await listPolicyVersionRows(db, call.account, policyName)).length > 1) {
      throw new Fault(
        'DeleteConflictException',
        `Cannot delete the policy because it has one or more policy versions attached to it (name=${policyName})`,
      );
    }
    await deletePolicyVersionRows(db, call.account, policyName);
    await deletePolicyRow(db, call.account, policyName);
    await call.release(db, policyItem(call.account, policyName).policyArn);
  });
  call.changed('policy', policyName);
  return {};
};

/** Faults: ResourceNotFoundException (policy or version). */
export const getPolicyVersion: Handler<'GetPolicyVersion'> = async (input, call) => {
  const { policyName = '', policyVersionId = '' } = input;
  const policy = await getPolicyRow(call.db, call.account, policyName);
  const { version, document } = await getPolicyVersionRow(call.db, call.account, policyName, policyVersionId);
  return {
    ...policyItem(call.account, policyName),
    policyDocument: document,
    policyVersionId: String(version),
    isDefaultVersion: version === policy.defaultVersion,
    ...datesOf(policy),
  };
};

/** All versions, newest first. Faults: ResourceNotFoundException. */
export const listPolicyVersions: Handler<'ListPolicyVersions'> = async (input, call) => {
  const { policyName = '' } = input;
  const policy = await getPolicyRow(call.db, call.account, policyName);
  const versions = await listPolicyVersionRows(call.db, call.account, policyName);
  return {
    policyVersions: versions.map(({ version, createdAtMs }) => ({
      versionId: String(version),
      isDefaultVersion: version === policy.defaultVersion,
      createDate: new Date(createdAtMs),
    })),
  };
};

/** Faults: ResourceNotFoundException, DeleteConflictException (the default version). */
export const deletePolicyVersion: Handler<'DeletePolicyVersion'> = async (input, call) => {
  const { policyName = '', policyVersionId = '' } = input;
  await call.write(async (db) => {
    const policy = await getPolicyRow(db, call.account, policyName);
    const { version } = await getPolicyVersionRow(db, call.account, policyName, policyVersionId);
    if (version === policy.defaultVersion) {
      throw new Fault('DeleteConflictException', 'Cannot delete the default version of a policy');
    }
    await deletePolicyVersionRows(db, call.account, policyName, version);
  });
  return {};
};

/** Faults: ResourceNotFoundException (policy or version). */
export const setDefaultPolicyVersion: Handler<'SetDefaultPolicyVersion'> = async (input, call) => {
  const { policyName = '', policyVersionId = '' } = input;
  const moved = await call.write(async (db) => {
    const policy = await getPolicyRow(db, call.account, policyName);
    const { version } = await getPolicyVersionRow(db, call.account, policyName, policyVersionId);
    if (version === policy.defaultVersion) return false;
    await savePolicy(db, call.account, {
      policyName,
      defaultVersion: version,
      lastVersion: policy.lastVersion,
      modifiedAtMs: call.now(),
    });
    return true;
  });
  if (moved) call.changed('policy', policyName);
  return {};
};
