/**
 * Why IAM said no, for the sentence that the caller is told and for the journal: which kind of policy decided, and which statement of whose policy. Off the path of
 * what is allowed. Source: IAM user guide, "Troubleshoot access denied error messages", "Policy evaluation logic".
 */
import { decideIam, type IamRequest, type NamedIamPolicy } from '../../iam/decide.ts';

/** A policy with where it comes from. */
export interface HeldPolicy extends NamedIamPolicy {
  /** Of an inline policy, or that of a session: ''. */
  readonly arn: string;
  /** The number of the version of a managed policy; of others ''. */
  readonly version: string;
  /** Of an inline policy its name, of a managed one the name in its ARN. */
  readonly shownName: string;
  /** `user`, `role` or `group NAME`; absent for boundaries and session policies. */
  readonly heldBy?: string;
  /** Its text on one line; absent where that is too long to be shown. */
  readonly document?: string;
  /** False: no condition and no variable of it is about the tags of the resource. */
  readonly asksForTags: boolean;
}

/** All that decides for one caller. */
export interface DecidingPolicies {
  readonly identity: readonly HeldPolicy[];
  readonly boundary?: HeldPolicy;
  readonly session?: readonly HeldPolicy[];
}

export interface WeighedDenial {
  readonly decision: 'EXPLICIT_DENY' | 'IMPLICIT_DENY';
  readonly policyType: 'identity' | 'boundary' | 'session';
  /** The statement whose Deny decided. */
  readonly by?: { readonly policy: HeldPolicy; readonly statement: number; readonly sid?: string };
  /** Of a Deny: nothing would allow it, were that statement not there. */
  readonly unallowed: boolean;
  readonly boundary?: HeldPolicy;
  /** Of the role whose session asked. */
  readonly roleArn?: string;
}

type PolicyType = WeighedDenial['policyType'];

/** The kinds of policies in the order in which a refusal names them, each by itself. */
const layersOf = ({
  identity,
  boundary,
  session,
}: DecidingPolicies): readonly (readonly [PolicyType, readonly HeldPolicy[]])[] => [
  ['identity', identity],
  ...(boundary ? [['boundary', [boundary]] as const] : []),
  ...(session ? [['session', session] as const] : []),
];

/** Whether nothing would decide, were that statement not there. */
const isUnallowed = (
  identity: readonly HeldPolicy[],
  deciding: HeldPolicy,
  statement: number,
  request: IamRequest,
): boolean => {
  const { statements } = deciding.policy;
  const without = { ...deciding.policy, statements: statements.filter((_, index) => index !== statement) };
  const left = identity.map((held) => (held === deciding ? { ...held, policy: without } : held));
  return decideIam({ identity: left }, request).reason === 'IMPLICIT_DENY';
};

/** Weighs a request that is denied; `undefined` policies: they cannot be read, or their principal is gone. */
export const weighDenial = (policies: DecidingPolicies | undefined, request: IamRequest): WeighedDenial => {
  if (!policies) return { decision: 'IMPLICIT_DENY', policyType: 'identity', unallowed: true };
  const layers = layersOf(policies);
  const { boundary } = policies;
  for (const [policyType, held] of layers) {
    for (const policy of held) {
      const { reason, by } = decideIam({ identity: [policy] }, request);
      if (reason !== 'EXPLICIT_DENY') continue;
      const { statement = 0, sid } = by ?? {};
      const unallowed = policyType === 'identity' && isUnallowed(policies.identity, policy, statement, request);
      return {
        ...{ decision: reason, policyType, unallowed },
        by: { policy, statement, ...(sid !== undefined && { sid }) },
        ...(boundary && { boundary }),
      };
    }
  }
  const lacking = layers.find(([, held]) => !decideIam({ identity: held }, request).allowed);
  return {
    ...{ decision: 'IMPLICIT_DENY', policyType: lacking?.[0] ?? 'identity', unallowed: true },
    ...(boundary && { boundary }),
  };
};
