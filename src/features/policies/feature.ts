import type { Feature } from '../../feature.ts';
import { attachPolicy, attachPrincipalPolicy, detachPolicy, detachPrincipalPolicy } from './attach-policy.ts';
import { createPolicy, createPolicyVersion } from './create-policy.ts';
import { getEffectivePolicies } from './get-effective-policies.ts';
import {
  listAttachedPolicies,
  listPolicyPrincipals,
  listPrincipalPolicies,
  listTargetsForPolicy,
} from './list-attachments.ts';
import { migrations } from './migrations.ts';
import {
  deletePolicy,
  deletePolicyVersion,
  getPolicy,
  getPolicyVersion,
  listPolicies,
  listPolicyVersions,
  setDefaultPolicyVersion,
} from './operations.ts';
import { policiesHolding, releasePolicies } from './policy-attachment.ts';
import { createRightsCache } from './rights.ts';
import { testAuthorization } from './test-authorization.ts';

/** Sets of policies that TestAuthorization keeps compiled. */
const testedSetsMax = 100;

/** Policies, their versions, and what they are attached to. What they permit is decided by `authority.ts`. */
export const policies = (): Feature => ({
  name: 'policies',
  migrations,
  operations: {
    iot: {
      CreatePolicy: createPolicy,
      GetPolicy: getPolicy,
      ListPolicies: listPolicies,
      DeletePolicy: deletePolicy,
      CreatePolicyVersion: createPolicyVersion,
      GetPolicyVersion: getPolicyVersion,
      ListPolicyVersions: listPolicyVersions,
      DeletePolicyVersion: deletePolicyVersion,
      SetDefaultPolicyVersion: setDefaultPolicyVersion,
      AttachPolicy: attachPolicy,
      DetachPolicy: detachPolicy,
      AttachPrincipalPolicy: attachPrincipalPolicy,
      DetachPrincipalPolicy: detachPrincipalPolicy,
      ListAttachedPolicies: listAttachedPolicies,
      ListTargetsForPolicy: listTargetsForPolicy,
      ListPrincipalPolicies: listPrincipalPolicies,
      ListPolicyPrincipals: listPolicyPrincipals,
      TestAuthorization: testAuthorization(createRightsCache({ setsMax: testedSetsMax })),
      GetEffectivePolicies: getEffectivePolicies,
    },
  },
  holders: policiesHolding,
  release: releasePolicies,
});
