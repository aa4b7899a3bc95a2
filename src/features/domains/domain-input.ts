/** What callers may ask of a domain configuration, beyond the bounds of the model. Source: spec identity 8, gateway 1.2, 1.3. */
import { type AccountRegion, parseArn, sameAccount } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import { parseFunctionArn } from '../../functions/function-arn.ts';
import { defaultSecurityPolicy, securityPolicies } from '../../tls/security-policy.ts';
import { type ApplicationProtocol, type AuthenticationType, authenticationTypesOf } from '../../tls/served-domain.ts';
import type { OcspConfig } from './domain-configuration.ts';

const invalid = (message: string): Fault => new Fault('InvalidRequestException', message);

/** Faults: InvalidRequestException for a name that AWS does not have. */
export const readSecurityPolicy = (given: { securityPolicy?: string | undefined } | undefined): string => {
  const name = given?.securityPolicy ?? defaultSecurityPolicy.name;
  if (!securityPolicies.has(name)) {
    throw invalid(`The security policy ${name} is not one of ${[...securityPolicies.keys()].join(', ')}`);
  }
  return name;
};

/** Faults: InvalidRequestException for a pair that does not fit, and for authorizers, which this version does not have. */
export const checkProtocol = (
  applicationProtocol: ApplicationProtocol,
  authenticationType: AuthenticationType,
): void => {
  const possible = authenticationTypesOf[applicationProtocol];
  if (!possible.includes(authenticationType)) {
    throw invalid(
      `The application protocol ${applicationProtocol} goes with the authentication types ${possible.join(', ')}, not with ${authenticationType}`,
    );
  }
  if (authenticationType === 'CUSTOM_AUTH' || authenticationType === 'CUSTOM_AUTH_X509') {
    throw invalid(
      `The authentication type ${authenticationType} needs custom authorizers, which this version of Fleetgate does not have`,
    );
  }
};

/** Faults: InvalidRequestException: no authorizer exists. */
export const checkAuthorizer = (given: { defaultAuthorizerName?: string | undefined } | undefined): void => {
  if (given?.defaultAuthorizerName === undefined) return;
  throw invalid(
    `The authorizer ${given.defaultAuthorizerName} does not exist: this version of Fleetgate has no custom authorizers`,
  );
};

const checkFunction = (arn: string, account: AccountRegion, member: string): void => {
  const target = parseFunctionArn(arn);
  if (!target || !sameAccount(target, account)) {
    throw invalid(`${member} must be the ARN of a function of this account and region`);
  }
};

/** '' takes it away. Faults: InvalidRequestException. */
export const readCallback = (
  given: { clientCertificateCallbackArn?: string | undefined } | undefined,
  account: AccountRegion,
): string | undefined => {
  const arn = given?.clientCertificateCallbackArn;
  if (arn === undefined || arn === '') return undefined;
  checkFunction(arn, account, 'clientCertificateCallbackArn');
  return arn;
};

/** Faults: InvalidRequestException. */
export const readOcsp = (
  given:
    | {
        enableOCSPCheck?: boolean | undefined;
        ocspLambdaArn?: string | undefined;
        ocspAuthorizedResponderArn?: string | undefined;
      }
    | undefined,
  account: AccountRegion,
): OcspConfig => {
  const { enableOCSPCheck, ocspLambdaArn, ocspAuthorizedResponderArn } = given ?? {};
  if (ocspLambdaArn !== undefined) checkFunction(ocspLambdaArn, account, 'ocspLambdaArn');
  if (ocspAuthorizedResponderArn !== undefined) checkCertificateArn(ocspAuthorizedResponderArn, account);
  return {
    ...(enableOCSPCheck !== undefined && { enableOCSPCheck }),
    ...(ocspLambdaArn !== undefined && { ocspLambdaArn }),
    ...(ocspAuthorizedResponderArn !== undefined && { ocspAuthorizedResponderArn }),
  };
};

/** Faults: InvalidRequestException for a certificate of ACM in another account or region. */
export const checkCertificateArn = (arn: string, account: AccountRegion): void => {
  const parsed = parseArn(arn);
  if (parsed?.service !== 'acm' || !sameAccount(parsed, account)) {
    throw invalid(`The certificate ${arn} is not in this account and region`);
  }
};
