import { randomInt } from 'node:crypto';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import { isServerName } from '../../pki/server-certificate.ts';
import { readTags, saveTags } from '../tags/tag.ts';
import { serverCertificateOf } from './domain-certificate.ts';
import {
  type DomainConfiguration,
  defaultEndpoints,
  domainConfigurationArn,
  insertDomainConfiguration,
  listOwn,
  sealServerKey,
} from './domain-configuration.ts';
import { checkAuthorizer, checkProtocol, readCallback, readOcsp, readSecurityPolicy } from './domain-input.ts';
import { isCoveredElsewhere, saveWildcards } from './domain-wildcard.ts';
import { type Endpoints, isEndpointName } from './endpoint.ts';

/** Domain configurations of one account and region. */
export const domainConfigurationsMax = 10;

export interface DomainServices {
  readonly endpoints: Endpoints;
  /** Seals private keys. */
  readonly box: SecretBox;
}

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
const randomName = (length: number): string =>
  Array.from({ length }, () => letters[randomInt(letters.length)] ?? '').join('');

const invalid = (message: string): Fault => new Fault('InvalidRequestException', message);

/** A name of the customer, lower case. Faults: InvalidRequestException. */
const readDomainName = (given: string, endpoints: Endpoints): string => {
  const name = given.toLowerCase().replace(/\.$/, '');
  if (!isServerName(name) || !name.includes('.') || /^[0-9.]+$/.test(name)) {
    throw invalid(`${given} is not a fully qualified domain name`);
  }
  if (endpoints.isPlainName(name) || isEndpointName(name, endpoints.domain)) {
    throw invalid(`The domain name ${name} belongs to this server`);
  }
  return name;
};

/**
 * Creates a configuration, which is served at once: without a domain name under a name of ours (AWS_MANAGED), with one under that (CUSTOMER_MANAGED).
 * Source: API reference, CreateDomainConfiguration; spec identity 8.
 * Faults, in this order: InvalidRequestException (what is asked), then in the unit InvalidRequestException and CertificateValidationException (the
 * certificates), LimitExceededException, ResourceAlreadyExistsException, InvalidRequestException (the domain is another account's).
 */
export const createDomainConfiguration =
  ({ endpoints, box }: DomainServices): Handler<'CreateDomainConfiguration'> =>
  async (input, call) => {
    const { account } = call;
    const { domainConfigurationName: name = '', serverCertificateArns: arns = [], validationCertificateArn } = input;
    const { serviceType = 'DATA', applicationProtocol = 'DEFAULT', authenticationType = 'DEFAULT' } = input;
    if (serviceType !== 'DATA') throw invalid(`The service type ${serviceType} is not available: use DATA`);
    checkProtocol(applicationProtocol, authenticationType);
    checkAuthorizer(input.authorizerConfig);
    const isCustomer = input.domainName !== undefined;
    const [serverCertificateArn] = arns;
    if (isCustomer && serverCertificateArn === undefined) {
      throw invalid('A server certificate is needed for a domain name of your own (serverCertificateArns)');
    }
    if (!isCustomer && (serverCertificateArn !== undefined || validationCertificateArn !== undefined)) {
      throw invalid('Certificates are for a domain name of your own (domainName)');
    }
    const domainName =
      input.domainName === undefined
        ? `d${randomName(20)}-ats.iot.${account.region}.${endpoints.domain}`
        : readDomainName(input.domainName, endpoints);
    const tags = readTags(input.tags);
    const nowMs = call.now();
    const suffix = randomName(5);
    const settings = {
      securityPolicy: readSecurityPolicy(input.tlsConfig),
      ...{ applicationProtocol, authenticationType },
      ocsp: readOcsp(input.serverCertificateConfig, account),
      clientCertificateCallbackArn: readCallback(input.clientCertificateConfig, account),
    };

    const arn = domainConfigurationArn(account, { name, suffix });
    await call.write(async (db) => {
      const own = await listOwn(db, account);
      if (own.some((known) => known.name === name) || defaultEndpoints.some((known) => known === name)) {
        throw new Fault('ResourceAlreadyExistsException', 'Domain configuration with given name already exists.', {
          resourceId: name,
        });
      }
      const presented =
        serverCertificateArn === undefined
          ? undefined
          : await serverCertificateOf(db, box, {
              ...{ account, domainName, serverCertificateArn, validationCertificateArn, nowMs },
            });
      if (own.length >= domainConfigurationsMax) {
        throw new Fault(
          'LimitExceededException',
          `An account has at most ${domainConfigurationsMax} domain configurations`,
        );
      }
      // names that are made up here are this server's to give, whatever a certificate covers
      if (isCustomer && (await isCoveredElsewhere(db, account, domainName))) throw taken(domainName);
      const configuration: DomainConfiguration = {
        ...{ account, name, suffix, domainName, ...settings },
        ...{ domainType: isCustomer ? 'CUSTOMER_MANAGED' : 'AWS_MANAGED', status: 'ENABLED' },
        ...{ statusChangedAtMs: nowMs, createdAtMs: nowMs, serverCertificateArn, validationCertificateArn },
        served: presented && {
          chainPem: presented.chainPem,
          keySealed: sealServerKey(box, account, name, presented.keyPem),
        },
        certificateDetail: undefined,
      };
      if (!(await insertDomainConfiguration(db, configuration))) {
        if (own.some((known) => known.domainName === domainName)) {
          throw new Fault(
            'ResourceAlreadyExistsException',
            `The domain ${domainName} already has a domain configuration`,
          );
        }
        throw taken(domainName);
      }
      if (presented) await saveWildcards(db, account, name, presented.provenNames);
      await saveTags(db, account, arn, tags);
    });
    call.changed('domain', domainName);
    return { domainConfigurationName: name, domainConfigurationArn: arn };
  };

/** Of another account or region: not told whose. */
const taken = (domainName: string): Fault =>
  invalid(`The domain name ${domainName} is in use, or covered by a certificate that is in use`);
