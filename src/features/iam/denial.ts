/** A refusal of IAM in the words of AWS, and in the facts that the journal explains it by. Source: IAM user guide, "Troubleshoot access denied error messages". */
import { Fault } from '../../aws/fault.ts';
import type { JournalRecord } from '../../journal/record.ts';
import type { IamCaller } from './principal.ts';
import type { WeighedDenial } from './weigh-denial.ts';

export interface Denied {
  /** e.g. `iot:AttachPolicy`. */
  readonly action: string;
  /** An ARN or `*`. */
  readonly resource: string;
  readonly weighed: WeighedDenial;
}

const policyTypes = {
  identity: ['identity-based policy', 'an identity-based policy'],
  boundary: ['permissions boundary', 'a permissions boundary'],
  session: ['session policy', 'a session policy'],
} as const;

/** Services that leave `on resource: *` out. Observed: acm:ListCertificates, refused by AWS. */
const tellsResource = (action: string, shown: string): boolean => shown !== '*' || !action.startsWith('acm:');

/** `shown`: the resource as the service names it. */
export const denialMessage = ({ arn }: Pick<IamCaller, 'arn'>, { action, weighed }: Denied, shown: string): string => {
  const [kind, withArticle] = policyTypes[weighed.policyType];
  const why =
    weighed.decision === 'EXPLICIT_DENY'
      ? `with an explicit deny in ${withArticle}`
      : `because no ${kind} allows the ${action} action`;
  const where = tellsResource(action, shown) ? ` on resource: ${shown}` : '';
  return `User: ${arn} is not authorized to perform: ${action}${where} ${why}`;
};

/** 403; on the wire of acm 400. */
export const accessDenied = (...told: Parameters<typeof denialMessage>): Fault =>
  new Fault('AccessDeniedException', denialMessage(...told));

/** Who was refused, as the journal's facts name it. */
export const principalFacts = ({ arn, iam }: IamCaller): Readonly<Record<string, string>> => {
  switch (iam?.kind) {
    case 'user':
      return { principalArn: arn, userName: iam.userName };
    case 'role':
      return { principalArn: arn, roleName: iam.roleName, sessionName: iam.sessionName };
    default:
      return { principalArn: arn };
  }
};

type Facts = Pick<JournalRecord, 'statements' | 'decidedBy'> & { readonly facts: Readonly<Record<string, string>> };

/** What decided, as the journal keeps it. Facts: journal/explain-iam.ts. */
export const decisionFacts = ({ decision, policyType, by, boundary, unallowed, roleArn }: WeighedDenial): Facts => {
  const { policy, statement = 0, sid } = by ?? {};
  const shown = by ? policy : policyType === 'boundary' ? boundary : undefined;
  return {
    statements: policy
      ? [
          {
            ...{ policyName: policy.shownName, policyArn: policy.arn, policyVersionId: policy.version },
            ...{ index: statement, ...(sid !== undefined && { sid }), effect: 'Deny', outcome: 'matched' },
          },
        ]
      : [],
    ...(policy && { decidedBy: 0 }),
    facts: {
      policyType,
      ...(roleArn !== undefined && { roleArn }),
      ...(policy?.heldBy !== undefined && { heldBy: policy.heldBy }),
      ...(policyType === 'boundary' && boundary && { boundaryArn: boundary.arn }),
      ...(shown?.document !== undefined && { decidingDocument: shown.document }),
      ...(decision === 'EXPLICIT_DENY' && unallowed && { unallowed: 'true' }),
    },
  };
};

/** All that a record of the refusal holds beside who asked from where. */
export const denialRecord = (
  caller: IamCaller,
  { action, resource, weighed }: Denied,
  more: Readonly<Record<string, string>> = {},
): Pick<JournalRecord, 'reason' | 'action' | 'resource' | 'decision' | 'statements' | 'decidedBy' | 'facts'> => {
  const { facts, ...decided } = decisionFacts(weighed);
  return {
    ...{ reason: 'AUTHORIZATION_FAILURE', action, resource, decision: weighed.decision },
    ...decided,
    facts: { ...principalFacts(caller), ...facts, ...more },
  };
};
