import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { readTags, saveTags } from '../tags/tag.ts';
import { getPolicyRow, insertPolicy, policyItem, savePolicy } from './policy.ts';
import {
  assertPolicyDocument,
  insertPolicyVersion,
  listPolicyVersionRows,
  policyVersionsMax,
} from './policy-version.ts';

/**
 * Creates a policy whose version 1 is its default. The document is kept and answered byte for byte.
 * Source: API reference, CreatePolicy; spec identity 5 (message), policy 2.1.
 * Faults: MalformedPolicyException, ResourceAlreadyExistsException (also for the same document), InvalidRequestException and
 * LimitExceededException (tags).
 */
export const createPolicy: Handler<'CreatePolicy'> = async (input, call) => {
  const { policyName = '', policyDocument = '' } = input;
  const tags = readTags(input.tags);
  assertPolicyDocument(policyDocument);
  const createdAtMs = call.now();
  const item = policyItem(call.account, policyName);
  const generationId = call.newId();
  await call.write(async (db) => {
    if (!(await insertPolicy(db, call.account, { policyName, generationId, createdAtMs }))) {
      throw new Fault(
        'ResourceAlreadyExistsException',
        `Policy cannot be created - name already exists (name=${policyName})`,
        { resourceId: policyName, resourceArn: item.policyArn },
      );
    }
    await insertPolicyVersion(db, call.account, policyName, { version: 1, document: policyDocument, createdAtMs });
    await saveTags(db, call.account, item.policyArn, tags);
  });
  return { ...item, policyDocument, policyVersionId: '1' };
};

/**
 * Adds a version; its id is one more than any this policy ever had. Source: API reference, CreatePolicyVersion; spec identity 5 (message).
 * Faults, in this order: MalformedPolicyException, ResourceNotFoundException, VersionsLimitExceededException.
 */
export const createPolicyVersion: Handler<'CreatePolicyVersion'> = async (input, call) => {
  const { policyName = '', policyDocument = '', setAsDefault = false } = input;
  assertPolicyDocument(policyDocument);
  const createdAtMs = call.now();
  const version = await call.write(async (db) => {
    const policy = await getPolicyRow(db, call.account, policyName);
    const versions = await listPolicyVersionRows(db, call.account, policyName);
    if (versions.length >= policyVersionsMax) {
      throw new Fault(
        'VersionsLimitExceededException',
        `The policy ${policyName} already has the maximum number of versions (${policyVersionsMax})`,
      );
    }
    const next = policy.lastVersion + 1;
    await insertPolicyVersion(db, call.account, policyName, { version: next, document: policyDocument, createdAtMs });
    await savePolicy(db, call.account, {
      policyName,
      defaultVersion: setAsDefault ? next : policy.defaultVersion,
      lastVersion: next,
      modifiedAtMs: createdAtMs,
    });
    return next;
  });
  if (setAsDefault) call.changed('policy', policyName);
  return {
    policyArn: policyItem(call.account, policyName).policyArn,
    policyDocument,
    policyVersionId: String(version),
    isDefaultVersion: setAsDefault,
  };
};
