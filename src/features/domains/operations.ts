/** The short operations on domain configurations. Source: API reference; spec identity 8. */
import type { Handler } from '../../feature.ts';
import { defaultSecurityPolicy } from '../../tls/security-policy.ts';
import type { DomainServices } from './create-domain-configuration.ts';
import {
  defaultEndpoints,
  domainConfigurationArn,
  listOwn,
  removeDomainConfiguration,
} from './domain-configuration.ts';
import { getDomainConfiguration } from './endpoint-configuration.ts';
import { DomainRefusal } from './refusal.ts';

/** Configurations of a page when the caller names no number. Source: spec identity 1.2. */
const pageDefault = 25;

const defaultsOf = ({ endpoints }: DomainServices) => ({
  domain: endpoints.domain,
  securityPolicy: defaultSecurityPolicy.name,
});

/** The validation certificate is not told, as on AWS. Faults: ResourceNotFoundException. */
export const describeDomainConfiguration =
  (services: DomainServices): Handler<'DescribeDomainConfiguration'> =>
  async ({ domainConfigurationName = '' }, call) => {
    const found = await getDomainConfiguration(call.db, call.account, domainConfigurationName, defaultsOf(services));
    const { serverCertificateArn, certificateDetail, ocsp, clientCertificateCallbackArn } = found;
    return {
      domainConfigurationName,
      domainConfigurationArn: domainConfigurationArn(call.account, found),
      domainName: found.domainName,
      serverCertificates:
        serverCertificateArn === undefined
          ? []
          : [
              {
                serverCertificateArn,
                serverCertificateStatus: certificateDetail === undefined ? 'VALID' : 'INVALID',
                ...(certificateDetail !== undefined && { serverCertificateStatusDetail: certificateDetail }),
              },
            ],
      domainConfigurationStatus: found.status,
      serviceType: serviceTypes[found.name] ?? 'DATA',
      domainType: found.domainType,
      lastStatusChangeDate: new Date(found.statusChangedAtMs),
      tlsConfig: { securityPolicy: found.securityPolicy },
      ...(Object.keys(ocsp).length > 0 && { serverCertificateConfig: ocsp }),
      authenticationType: found.authenticationType,
      applicationProtocol: found.applicationProtocol,
      ...(clientCertificateCallbackArn !== undefined && { clientCertificateConfig: { clientCertificateCallbackArn } }),
    };
  };

/** By name, the default endpoints among them. */
export const listDomainConfigurations: Handler<'ListDomainConfigurations'> = async (input, call) => {
  const { pageSize: limit = pageDefault, serviceType } = input;
  const after = call.openMarker(input.marker);
  const endpoints = defaultEndpoints.map((name) => ({ name, suffix: '' }));
  const all = [...endpoints, ...(await listOwn(call.db, call.account))]
    .map((it) => ({
      domainConfigurationName: it.name,
      domainConfigurationArn: domainConfigurationArn(call.account, it),
      serviceType: serviceTypes[it.name] ?? ('DATA' as const),
    }))
    .filter((it) => serviceType === undefined || it.serviceType === serviceType)
    .sort((a, b) => (a.domainConfigurationName < b.domainConfigurationName ? -1 : 1))
    .filter((it) => it.domainConfigurationName > after);
  const domainConfigurations = all.slice(0, limit);
  const last = domainConfigurations.at(-1);
  return {
    domainConfigurations,
    ...(all.length > limit && last && { nextMarker: call.sealMarker(last.domainConfigurationName) }),
  };
};

/** Of the default endpoints; everything else serves data. */
const serviceTypes: Readonly<Record<string, 'CREDENTIAL_PROVIDER' | 'JOBS'>> = {
  'iot:CredentialProvider': 'CREDENTIAL_PROVIDER',
  'iot:Jobs': 'JOBS',
};

const dayMs = 24 * 3_600_000;
/** AWS's own rule for the names that it manages. Source: O in spec identity 8. */
const awsManagedDays = 7;

const kept = (message: string, facts: Readonly<Record<string, string>>): DomainRefusal =>
  new DomainRefusal('DOMAIN_CONFIGURATION_KEPT', 'InvalidRequestException', message, facts);

/**
 * Deletes a configuration that has been DISABLED for long enough: seven days for a name of ours, `customDomainDeletionDays` for one of the customer.
 * Its certificates can be deleted from then on.
 * Faults, in this order: ResourceNotFoundException, InvalidRequestException.
 */
export const deleteDomainConfiguration =
  (services: DomainServices & { readonly customDomainDeletionDays: number }): Handler<'DeleteDomainConfiguration'> =>
  async ({ domainConfigurationName: name = '' }, call) => {
    const nowMs = call.now();
    const removed = await call.write(async (db) => {
      const found = await getDomainConfiguration(db, call.account, name, defaultsOf(services));
      const isOurs = found.domainType === 'AWS_MANAGED';
      const days = isOurs ? awsManagedDays : services.customDomainDeletionDays;
      if (found.status === 'ENABLED') {
        throw kept('Domain Configuration must be disabled before it can be deleted', { deletionDays: String(days) });
      }
      const deletableAtMs = found.statusChangedAtMs + days * dayMs;
      if (nowMs < deletableAtMs) {
        throw kept(
          `${isOurs ? 'AWS' : 'Customer'} Managed Domain Configuration must be disabled for at least ${days} days before it can be deleted`,
          { deletionDays: String(days), deletableAt: new Date(deletableAtMs).toISOString() },
        );
      }
      await removeDomainConfiguration(db, call.account, name);
      await call.release(db, domainConfigurationArn(call.account, found));
      return found;
    });
    call.changed('domain', removed.domainName);
    return {};
  };
