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
  /** Which constraints of its input it broke, before any rule of the operation was looked at; without any value. */
  readonly malformed?: string;
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

/** What a cure may need of an input that broke no constraint: in others anything may stand anywhere, also a secret. */
const inputFacts = (action: string, { name }: Fault, input: RefusedCall['input']): Readonly<Record<string, string>> => {
  const names = naming.flatMap((member) => {
    const value = input[member];
    return typeof value === 'string' ? [[member, value]] : [];
  });
  const corrected = correctedInput(`${action} ${name}`, input);
  return { ...Object.fromEntries(names), ...(corrected !== undefined && { correctedInput: corrected }) };
};

/** Undefined for what is none of the journal's business, or stands in it already. */
export const refusedCallRecord = (call: RefusedCall, fault: Fault): JournalRecord | undefined => {
  if (!isKept(call) || isAnswer(call, fault) || isTold(call, fault)) return undefined;
  const { service, operation, input, account, caller, arrival, malformed } = call;
  const { arn, iam } = caller;
  const action = `${service}:${operation}`;
  const key = keyFacts(input);
  const facts: Record<string, string> = { fault: fault.name, principalArn: arn };
  if (iam?.kind === 'user') facts['userName'] = iam.userName;
  if (iam?.kind === 'role') Object.assign(facts, { roleName: iam.roleName, sessionName: iam.sessionName });
  Object.assign(facts, malformed === undefined ? inputFacts(action, fault, input) : { malformed: 'true' });
  const detail = malformed ?? (key.isKey ? fault.message : undefined);
  return {
    ...{ account, eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP', reason: 'CALL_REFUSED', action },
    ...(detail !== undefined && { detail }),
    ...(arrival.source && { sourceIp: arrival.source.ip, sourcePort: arrival.source.port }),
    facts: { ...facts, ...key.facts },
  };
};
