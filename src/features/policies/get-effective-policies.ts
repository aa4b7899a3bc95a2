import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { getThing } from '../things/thing.ts';
import { getTargetCertificate } from './attach-policy.ts';
import { policyItem } from './policy.ts';
import { readOperativePolicies } from './policy-attachment.ts';
import { readDocuments } from './policy-version.ts';
import { readSettled } from './read-settled.ts';

/**
 * The policies attached to a principal, in their default versions and in name order. What a thing adds are the policies of its groups, and a Cognito pool those
 * of its role: there are neither groups nor pools in this version, so they add nothing. Source: API reference, GetEffectivePolicies; spec policy 8.
 * Faults: InvalidRequestException (nothing is named, a Cognito identity), ResourceNotFoundException (thing, certificate, thing group).
 */
export const getEffectivePolicies: Handler<'GetEffectivePolicies'> = async (input, call) => {
  const { principal, thingName, cognitoIdentityPoolId } = input;
  const { db, account } = call;
  if (principal === undefined && thingName === undefined && cognitoIdentityPoolId === undefined) {
    throw new Fault('InvalidRequestException', 'Name a principal, a cognitoIdentityPoolId or a thingName');
  }
  if (thingName !== undefined) await getThing(db, account, thingName);
  if (principal === undefined) return { effectivePolicies: [] };
  const certificateId = await getTargetCertificate(db, account, principal);
  const documents = await readSettled(async () => {
    const policies = (await readOperativePolicies(db, account, [certificateId])).get(certificateId) ?? [];
    const read = new Map((await readDocuments(db, account, policies)).map((one) => [one.policyName, one.text]));
    return policies.every(({ policyName }) => read.has(policyName))
      ? policies.map(({ policyName }) => ({ policyName, policyDocument: read.get(policyName) ?? '' }))
      : undefined;
  });
  return {
    effectivePolicies: documents.map(({ policyName, policyDocument }) => ({
      ...policyItem(account, policyName),
      policyDocument,
    })),
  };
};
