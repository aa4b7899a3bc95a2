/**
 * May this caller do that? Asked of every call of the API before its handler, and of the node's own signed pages, which are `fleetgate:ReadJournal` and the like.
 * An account's root may do everything. What is refused is in the journal of the account. Source: IAM user guide, "Policy evaluation logic".
 */
import { parseArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { AskedCall } from '../../feature.ts';
import type { RecordAttempt } from '../../journal/record.ts';
import type { Question } from './actions/demand.ts';
import { actionOf, questionsOf } from './actions/table.ts';
import { accessDenied, denialRecord, principalFacts } from './denial.ts';
import type { Iam } from './open-iam.ts';
import type { IamCaller } from './principal.ts';
import { requestKeys } from './request-keys.ts';
import type { DescribeResource } from './resource-facts.ts';
import type { WeighedDenial } from './weigh-denial.ts';

export interface CallAuthorization {
  readonly iam: Pick<Iam, 'rightsOf'>;
  readonly describe: DescribeResource;
  readonly record: RecordAttempt;
}

const askedOf = (asked: AskedCall): readonly Question[] | undefined => {
  const { service, operation, input, account, caller } = asked;
  if (service === 'fleetgate') return [{ action: `fleetgate:${operation}`, resource: '*' }];
  return questionsOf(service, operation, input, { account, callerArn: caller.arn });
};

/** What IAM calls its own resources in refusals. Observed: `on resource: user alice`, `on resource: policy arn:aws:iam::...`. */
const shownOf = (resource: Question['resource'], arn: string): string => {
  if (typeof resource === 'string' || resource.type === 'domainconfiguration') return arn;
  if (resource.type === 'accesskey') return arn.replace(/^.*:user\/(?:.*\/)?/, 'user ');
  return `${resource.type} ${resource.name}`;
};

/** Of an operation that stands in no table: nobody but root may do it, whatever policies say. */
const unlisted: WeighedDenial = { decision: 'IMPLICIT_DENY', policyType: 'identity', unallowed: true };

/**
 * Whether these are credentials of GetSessionToken that ask for IAM: without MFA, which there is not, they may not, or whoever finds them could make a key that does not
 * end. Source: STS API reference, GetSessionToken. Observed: the fault, and that it comes before any policy (99designs/aws-vault #328, #1056).
 */
const isClosedToSession = ({ service, caller: { iam, session } }: AskedCall): boolean =>
  service === 'iam' && session !== undefined && iam?.kind !== 'role';

/** Faults: UnrecognizedClientException, AccessDeniedException. Rejects when the store cannot be asked. */
export const createCallAuthorization = ({ iam, describe, record }: CallAuthorization) => {
  const refuse = (
    asked: AskedCall,
    { action, resource: named, keys }: Question,
    resource: string,
    weighed: WeighedDenial,
  ): never => {
    const { service, operation, account, caller, arrival } = asked;
    const who: IamCaller = { ...caller, accountId: account.accountId };
    const own = service === 'fleetgate' ? action : actionOf(service, operation);
    const passedTo = keys?.['iam:PassedToService'];
    const denied = { action, resource, weighed };
    record({
      ...{ account, eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP' },
      ...(arrival.source && { sourceIp: arrival.source.ip, sourcePort: arrival.source.port }),
      ...denialRecord(who, denied, {
        ...(action !== own && { operation: own }),
        ...(typeof passedTo === 'string' && { passedTo }),
      }),
    });
    throw accessDenied(who, denied, shownOf(named, resource));
  };

  const refuseSession = ({ operation, account, caller, arrival }: AskedCall): never => {
    record({
      ...{ account, eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP', reason: 'SECURITY_TOKEN_INVALID' },
      ...(arrival.source && { sourceIp: arrival.source.ip, sourcePort: arrival.source.port }),
      action: actionOf('iam', operation),
      facts: { ...principalFacts({ ...caller, accountId: account.accountId }), keyProblem: 'WITHOUT_MFA' },
    });
    throw new Fault('UnrecognizedClientException', 'The security token included in the request is invalid');
  };

  return async (asked: AskedCall): Promise<void> => {
    const { service, operation, account, caller } = asked;
    if (isClosedToSession(asked)) return refuseSession(asked);
    // on the ports of the data plane the handlers ask the caller's authority
    if (caller.iam?.kind === 'root' || caller.principal) return;
    // a role's trust policy may stand in for rights: its handler asks for both (assume-role.ts)
    if (service === 'sts' && operation === 'AssumeRole') return;
    const questions = askedOf(asked);
    if (!questions) {
      const action = service === 'fleetgate' ? operation : actionOf(service, operation);
      return refuse(asked, { action, resource: '*' }, '*', unlisted);
    }
    if (questions.length === 0) return;
    const rights = await iam.rightsOf({ ...caller, accountId: account.accountId });
    for (const question of questions) {
      const { action, keys } = question;
      const resource = await describe(account, question.resource, { tags: rights.asksForTags });
      // a role that is passed may be another account's by its ARN
      const resourceAccount = parseArn(resource.arn)?.accountId || account.accountId;
      const own = { 'aws:ResourceAccount': resourceAccount };
      const context = { ...requestKeys(asked), ...own, ...resource.keys, ...keys };
      const request = { action, resource: resource.arn, context };
      if (!rights.decide(request).allowed) refuse(asked, question, resource.arn, rights.weigh(request));
    }
  };
};
