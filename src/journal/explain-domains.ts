/** The words for what a domain configuration refuses: see `explain.ts`. */
import type { Explanation } from './cure-lines.ts';
import type { Reason } from './record.ts';
import { command, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type DomainReason = Extract<
  Reason,
  'DOMAIN_CONFIGURATION_DISABLED' | 'CLIENT_CERTIFICATE_CALLBACK_REFUSED' | 'TLS_VERSION_UNSUPPORTED'
>;

const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text}`);

/** The configuration's name as a fact that may stand in a command. */
const nameOf = ({ facts, altered = [] }: StoredRecord): string | undefined =>
  altered.includes('facts.domainConfigurationName') ? undefined : facts?.['domainConfigurationName'];

/** AWS's default, which speaks TLS 1.2 and 1.3. */
const widePolicy = 'IoTSecurityPolicy_TLS13_1_2_2022_10';

export const explainDomain = (reason: DomainReason, record: StoredRecord): Explanation => {
  const name = nameOf(record);
  const named = name === undefined ? 'a domain configuration' : `the domain configuration "${name}"`;
  const server = record.tls?.serverName === undefined ? '' : ` "${record.tls.serverName}" (SNI)`;
  switch (reason) {
    case 'DOMAIN_CONFIGURATION_DISABLED':
      return {
        sentence: `The client asked for the server name${server}, which belongs to ${named}, and that is DISABLED.`,
        cure: `Let the client use another endpoint, or enable the domain configuration${name === undefined ? '.' : ':'}`,
        commands:
          name === undefined
            ? []
            : script(
                command`aws iot update-domain-configuration --domain-configuration-name ${name} --domain-configuration-status ENABLED`,
              ),
      };
    case 'CLIENT_CERTIFICATE_CALLBACK_REFUSED':
      return {
        sentence: `The function that ${named} asks about client certificates did not accept this one${detail(record)}.`,
        cure: 'See why the function refuses, or cannot be asked; the server log has what it printed. It must answer {"isAuthenticated": true} within 5 seconds.',
        commands: [],
      };
    case 'TLS_VERSION_UNSUPPORTED': {
      const policy = record.facts?.['securityPolicy'];
      if (policy === undefined || policy === widePolicy) {
        return {
          sentence: `The client offers no version of TLS that this server speaks${detail(record)}.`,
          cure: 'Let the client use TLS 1.2 or 1.3; for mosquitto that is --tls-version tlsv1.2.',
          commands: [],
        };
      }
      return {
        sentence: `The client offers no version of TLS that ${named} speaks: its security policy is ${policy}${detail(record)}.`,
        cure: `Let the client use the version that the policy names, or give the domain configuration one that speaks TLS 1.2 and 1.3${name === undefined ? '.' : ':'}`,
        commands:
          name === undefined
            ? []
            : script(
                command`aws iot update-domain-configuration --domain-configuration-name ${name} --tls-config securityPolicy=${widePolicy}`,
              ),
      };
    }
  }
};
