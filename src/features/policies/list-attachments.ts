/** The listings of which policies are attached to what. Source: API reference; spec identity 1.2, 4.1. */
import type { Call, Handler } from '../../feature.ts';
import { cursorOf, cutPage } from '../creation-order.ts';
import { getTargetCertificate } from './attach-policy.ts';
import { getPolicyRow, pageDefault, policyItem } from './policy.ts';
import { listPoliciesOfTarget, listTargetsOfPolicy } from './policy-attachment.ts';

interface Asked {
  readonly marker?: string | undefined;
  readonly pageSize?: number | undefined;
  readonly ascendingOrder?: boolean | undefined;
}

const policiesPage = async (target: string, asked: Asked, call: Call) => {
  const { pageSize: limit = pageDefault, ascendingOrder: ascending = false } = asked;
  const after = call.openMarker(asked.marker);
  await getTargetCertificate(call.db, call.account, target);
  const rows = await listPoliciesOfTarget(call.db, call.account, target, { after, limit: limit + 1, ascending });
  const { items, next } = cutPage(rows, limit, call.sealMarker, ({ createdAtMs, policyName }) =>
    cursorOf(createdAtMs, policyName),
  );
  return { policies: items.map(({ policyName }) => policyItem(call.account, policyName)), ...next };
};

const targetsPage = async (policyName: string, asked: Asked, call: Call) => {
  const { pageSize: limit = pageDefault, ascendingOrder: ascending = false } = asked;
  const after = call.openMarker(asked.marker);
  await getPolicyRow(call.db, call.account, policyName);
  const rows = await listTargetsOfPolicy(call.db, call.account, policyName, { after, limit: limit + 1, ascending });
  const { items, next } = cutPage(rows, limit, call.sealMarker, ({ createdAtMs, target }) =>
    cursorOf(createdAtMs, target),
  );
  return { targets: items.map(({ target }) => target), next };
};

/**
 * `recursive` adds the policies of thing groups on AWS; there are none in this version, so it adds nothing.
 * Faults: ResourceNotFoundException (target), InvalidRequestException.
 */
export const listAttachedPolicies: Handler<'ListAttachedPolicies'> = async (input, call) =>
  policiesPage(input.target ?? '', input, call);

/** Faults: ResourceNotFoundException (principal), InvalidRequestException. */
export const listPrincipalPolicies: Handler<'ListPrincipalPolicies'> = async (input, call) =>
  policiesPage(input.principal ?? '', input, call);

/** Faults: ResourceNotFoundException (policy). */
export const listTargetsForPolicy: Handler<'ListTargetsForPolicy'> = async (input, call) => {
  const { targets, next } = await targetsPage(input.policyName ?? '', input, call);
  return { targets, ...next };
};

/** Faults: ResourceNotFoundException (policy): the model lists it, although one emulator answers an empty list. */
export const listPolicyPrincipals: Handler<'ListPolicyPrincipals'> = async (input, call) => {
  const { targets, next } = await targetsPage(input.policyName ?? '', input, call);
  return { principals: targets, ...next };
};
