import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { defaultSecurityPolicy } from '../../tls/security-policy.ts';
import type { DomainServices } from './create-domain-configuration.ts';
import { type DomainConfiguration, domainConfigurationArn, saveDomainConfiguration } from './domain-configuration.ts';
import { checkAuthorizer, checkProtocol, readCallback, readOcsp, readSecurityPolicy } from './domain-input.ts';
import { getDomainConfiguration } from './endpoint-configuration.ts';

/**
 * Changes what is given and leaves the rest; new connections meet the change at once, those that are open stay as they are. Writing DISABLED again
 * begins the time until a deletion anew. The server certificate is not changed here: it is imported again under its ARN.
 * Source: API reference, UpdateDomainConfiguration; spec identity 8, lifecycle.
 * Faults: ResourceNotFoundException, InvalidRequestException (also for anything but the TLS configuration of the default data endpoint).
 */
export const updateDomainConfiguration =
  ({ endpoints }: DomainServices): Handler<'UpdateDomainConfiguration'> =>
  async (input, call) => {
    const { domainConfigurationName = '', domainConfigurationStatus: status, tlsConfig } = input;
    const { serverCertificateConfig, clientCertificateConfig } = input;
    checkAuthorizer(input.authorizerConfig);
    const nowMs = call.now();
    const changed = await call.write(async (db) => {
      const defaults = { domain: endpoints.domain, securityPolicy: defaultSecurityPolicy.name };
      const before = await getDomainConfiguration(db, call.account, domainConfigurationName, defaults);
      if (before.domainType === 'ENDPOINT') checkEndpointUpdate(before, input);
      const after: DomainConfiguration = {
        ...before,
        ...(status !== undefined && { status, statusChangedAtMs: nowMs }),
        ...(tlsConfig?.securityPolicy !== undefined && { securityPolicy: readSecurityPolicy(tlsConfig) }),
        applicationProtocol: input.applicationProtocol ?? before.applicationProtocol,
        authenticationType: input.authenticationType ?? before.authenticationType,
        ...(serverCertificateConfig && { ocsp: readOcsp(serverCertificateConfig, call.account) }),
        ...(clientCertificateConfig?.clientCertificateCallbackArn !== undefined && {
          clientCertificateCallbackArn: readCallback(clientCertificateConfig, call.account),
        }),
      };
      checkProtocol(after.applicationProtocol, after.authenticationType);
      await saveDomainConfiguration(db, after);
      return after;
    });
    call.changed('domain', changed.domainName);
    return { domainConfigurationName, domainConfigurationArn: domainConfigurationArn(call.account, changed) };
  };

/** Members that the default endpoints do not let change. */
const fixed = [
  'domainConfigurationStatus',
  'removeAuthorizerConfig',
  'serverCertificateConfig',
  'authenticationType',
  'applicationProtocol',
  'clientCertificateConfig',
] as const;

const checkEndpointUpdate = (
  { name }: DomainConfiguration,
  input: Partial<Record<(typeof fixed)[number], unknown>>,
): void => {
  const other = fixed.find((member) => input[member] !== undefined);
  if (name === 'iot:Data-ATS' && other === undefined) return;
  throw new Fault(
    'InvalidRequestException',
    other === undefined
      ? `The default endpoint ${name} cannot be updated`
      : `${other} of a default endpoint cannot be updated`,
  );
};
