import type { Feature, Task } from '../../feature.ts';
import { createDomainConfiguration, type DomainServices } from './create-domain-configuration.ts';
import { describeEndpoint } from './describe-endpoint.ts';
import { domainConfigurationArn, findUsersOfCertificate } from './domain-configuration.ts';
import { migrations } from './migrations.ts';
import { deleteDomainConfiguration, describeDomainConfiguration, listDomainConfigurations } from './operations.ts';
import { journaled } from './refusal.ts';
import { updateDomainConfiguration } from './update-domain-configuration.ts';

export interface DomainsServices extends DomainServices {
  /** How long a domain name of a customer must be DISABLED before its configuration can be deleted. */
  readonly customDomainDeletionDays: number;
  readonly domainTasks: readonly Task[];
}

/** The endpoints of accounts, and names of their own. What a server name means is told to the gateway by `open-domains.ts`. */
export const domains = (services: DomainsServices): Feature => ({
  name: 'domains',
  migrations,
  operations: {
    iot: {
      DescribeEndpoint: describeEndpoint(services.endpoints),
      CreateDomainConfiguration: journaled(
        'CreateDomainConfiguration',
        createDomainConfiguration(services),
        ({ domainConfigurationName, domainName, serverCertificateArns, validationCertificateArn }) => ({
          ...{ domainConfigurationName, domainName, validationCertificateArn },
          serverCertificateArn: serverCertificateArns?.[0],
        }),
      ),
      DescribeDomainConfiguration: describeDomainConfiguration(services),
      ListDomainConfigurations: listDomainConfigurations,
      UpdateDomainConfiguration: updateDomainConfiguration(services),
      DeleteDomainConfiguration: journaled(
        'DeleteDomainConfiguration',
        deleteDomainConfiguration(services),
        ({ domainConfigurationName }) => ({ domainConfigurationName }),
      ),
    },
  },
  tasks: services.domainTasks,
  async holders(db, account, arn) {
    if (!arn.startsWith('arn:aws:acm:')) return [];
    const users = await findUsersOfCertificate(db, account, arn);
    return users.map((user) => ({ kind: 'domain-configuration', name: domainConfigurationArn(account, user) }));
  },
});
