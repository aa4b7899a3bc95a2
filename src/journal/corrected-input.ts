/**
 * The input of a refused call as this server would take it: what it has not is left out, what does not fit together is as it is without being asked for. Only of
 * operations whose input holds no secret. Source: spec identity 8, gateway 1.2, 1.3; API reference of each operation.
 */
import { defaultSecurityPolicy, securityPolicies } from '../tls/security-policy.ts';
import { authenticationTypesOf } from '../tls/served-domain.ts';

type Input = Readonly<Record<string, unknown>>;

const without = (input: Input, ...members: readonly string[]): Input =>
  Object.fromEntries(Object.entries(input).filter(([member]) => !members.includes(member)));

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Input)[name] : undefined;

const typesOf: Readonly<Record<string, readonly string[]>> = authenticationTypesOf;

/** Custom authorizers are not there; of the others some do not go together. */
const withProtocol = (input: Input): Input => {
  const { applicationProtocol, authenticationType } = input;
  if (applicationProtocol === undefined && authenticationType === undefined) return input;
  const [protocol, type] = [textOf(applicationProtocol) || 'DEFAULT', textOf(authenticationType) || 'DEFAULT'];
  const possible = (typesOf[protocol] ?? []).filter((each) => !each.startsWith('CUSTOM_AUTH'));
  if (possible.includes(type)) return input;
  const [first] = possible;
  return first === undefined || protocol === 'DEFAULT'
    ? { ...input, applicationProtocol: 'DEFAULT', authenticationType: 'DEFAULT' }
    : { ...input, authenticationType: first };
};

const ofDomain = (given: Input): Input => {
  let input = withProtocol(without(given, 'authorizerConfig'));
  if (input['serviceType'] !== undefined) input = { ...input, serviceType: 'DATA' };
  const policy = memberOf(input['tlsConfig'], 'securityPolicy');
  if (policy !== undefined && !securityPolicies.has(textOf(policy))) {
    input = { ...input, tlsConfig: { securityPolicy: defaultSecurityPolicy.name } };
  }
  return input;
};

const requestableKeys = ['RSA_2048', 'EC_prime256v1', 'EC_secp384r1'];

/** Operation and fault -> what it may be asked instead. */
const corrections: Readonly<Record<string, (input: Input) => Input>> = {
  'iot:CreateDomainConfiguration InvalidRequestException': (given) => {
    const input = ofDomain(given);
    // certificates are for a name of the customer's own
    return input['domainName'] === undefined
      ? without(input, 'serverCertificateArns', 'validationCertificateArn')
      : input;
  },
  'iot:UpdateDomainConfiguration InvalidRequestException': ofDomain,
  'acm:RequestCertificate InvalidParameterException'(given) {
    const input = without(given, 'CertificateAuthorityArn', 'ManagedBy', 'DomainValidationOptions');
    const isRequestable =
      input['KeyAlgorithm'] === undefined || requestableKeys.includes(textOf(input['KeyAlgorithm']));
    const isExported = memberOf(input['Options'], 'Export') === 'ENABLED';
    return {
      ...(isRequestable ? input : without(input, 'KeyAlgorithm')),
      ValidationMethod: 'DNS',
      ...(isExported && { Options: { ...(input['Options'] as Input), Export: 'DISABLED' } }),
    };
  },
  // an external id is nobody's business but of those two
  'sts:AssumeRole InvalidRequestException': (input) =>
    input['ExternalId'] === undefined ? without(input, 'DurationSeconds') : input,
};

/** `refusal`: operation and fault. As JSON; undefined where nothing of it can be told to be wrong. */
export const correctedInput = (refusal: string, input: Input): string | undefined => {
  const correct = corrections[refusal];
  if (!correct) return undefined;
  const [before, after] = [JSON.stringify(input), JSON.stringify(correct(input))];
  return before === after ? undefined : after;
};
