/** Calls of the API that a rule of the service refused, as the journal keeps them: what operates on domains, their certificates, IAM, STS and role aliases. */
import type { AccountRegion } from '../aws/arn.ts';
import type { Fault } from '../aws/fault.ts';
import type { IamPrincipal } from '../aws/iam-principal.ts';
import { correctedInput } from './corrected-input.ts';
import type { JournalRecord } from './record.ts';

export interface RefusedCall {
  readonly service: string;
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly account: AccountRegion;
  readonly caller: { readonly arn: string; readonly iam?: IamPrincipal };
  readonly arrival: { readonly source?: { readonly ip: string; readonly port: number } };
  /** By the constraints of its input, before any rule of the operation was looked at. */
  readonly isMalformed: boolean;
}

/** Members of inputs that name something: what a cure may need. */
const naming = [
  ...['domainConfigurationName', 'domainName', 'validationCertificateArn', 'roleAlias', 'roleArn'],
  ...['UserName', 'GroupName', 'RoleName', 'PolicyName', 'PolicyArn', 'VersionId', 'CertificateArn', 'DomainName'],
  ...['RoleArn', 'RoleSessionName'],
];

const isKept = ({ service, operation }: RefusedCall): boolean =>
  service === 'iot' ? /DomainConfiguration|RoleAlias/.test(operation) : /^(?:acm|iam|sts)$/.test(service);

/** Who asks whether something is there is not refused when it is not. */
const isAnswer = ({ operation }: RefusedCall, { name }: Fault): boolean =>
  /^(?:Get|List|Describe)/.test(operation) && /NotFound|NoSuchEntity/.test(name);

/** Of these whoever refused has told already: the fault has a reason, or it was a matter of rights. */
const isTold = ({ operation, caller }: RefusedCall, fault: Fault): boolean =>
  'reason' in fault ||
  (operation === 'AssumeRole' && fault.name === 'AccessDeniedException' && caller.iam?.kind !== 'root');

const accessKeyShape = /^A[KS]IA[A-Z0-9]{12,28}$/;

/** What was sent in the place of an access key may be a secret: then neither it nor what repeats it is kept. */
const keyFacts = ({
  AccessKeyId: given,
}: RefusedCall['input']): { readonly facts: object; readonly isKey: boolean } => {
  const isKey = given === undefined || (typeof given === 'string' && accessKeyShape.test(given));
  return { isKey, facts: isKey && given !== undefined ? { AccessKeyId: given } : {} };
};

/** Undefined for what is none of the journal's business, or stands in it already. */
export const refusedCallRecord = (call: RefusedCall, fault: Fault): JournalRecord | undefined => {
  if (!isKept(call) || isAnswer(call, fault) || isTold(call, fault)) return undefined;
  const { service, operation, input, account, caller, arrival, isMalformed } = call;
  const { arn, iam } = caller;
  const action = `${service}:${operation}`;
  const key = keyFacts(input);
  const facts: Record<string, string> = { fault: fault.name, principalArn: arn };
  if (iam?.kind === 'user') facts['userName'] = iam.userName;
  if (iam?.kind === 'role') Object.assign(facts, { roleName: iam.roleName, sessionName: iam.sessionName });
  for (const member of naming) {
    const value = input[member];
    if (typeof value === 'string') facts[member] = value;
  }
  if (isMalformed) facts['malformed'] = 'true';
  const corrected = isMalformed ? undefined : correctedInput(action, input);
  if (corrected !== undefined) facts['correctedInput'] = corrected;
  return {
    ...{ account, eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP', reason: 'CALL_REFUSED', action },
    ...(key.isKey && { detail: fault.message }),
    ...(arrival.source && { sourceIp: arrival.source.ip, sourcePort: arrival.source.port }),
    facts: { ...facts, ...key.facts },
  };
};
