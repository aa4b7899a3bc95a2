/** The words for what a domain configuration refuses: see `explain.ts`. */
import type { Explanation, KnownDomain } from './cure-lines.ts';
import type { DomainFacts, Reason } from './record.ts';
import { command, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type DomainReason = Extract<
  Reason,
  'DOMAIN_CONFIGURATION_DISABLED' | 'CLIENT_CERTIFICATE_CALLBACK_REFUSED' | 'TLS_VERSION_UNSUPPORTED'
>;

/** Inside a sentence; what is said of a function may be a sentence itself. */
const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text.replace(/\.$/, '')}`);

/** AWS's default, which speaks TLS 1.2 and 1.3. */
const widePolicy = 'IoTSecurityPolicy_TLS13_1_2_2022_10';

const named = (domain: DomainFacts | undefined): string =>
  domain === undefined ? 'a domain configuration' : `the domain configuration "${domain.name}"`;

export const explainDomain = (reason: DomainReason, record: StoredRecord): Explanation => {
  const { domain, serverName } = record.tls ?? {};
  const server = serverName === undefined ? '' : ` "${serverName}" (SNI)`;
  switch (reason) {
    case 'DOMAIN_CONFIGURATION_DISABLED':
      return {
        sentence: `The client asked for the host${server}, which belongs to ${named(domain)}, and that is DISABLED.`,
        cure: `Let the client use another endpoint, or enable the domain configuration${domain ? ':' : '.'}`,
        commands: script(
          domain &&
            command`aws iot update-domain-configuration --domain-configuration-name ${domain.name} --domain-configuration-status ENABLED`,
        ),
      };
    case 'CLIENT_CERTIFICATE_CALLBACK_REFUSED':
      return {
        sentence: `The function that ${named(domain)} asks about client certificates did not accept this one${detail(record)}.`,
        cure: `See why the function refuses, or cannot be asked; the server log has what it printed. It must answer {"isAuthenticated": true} within 5 seconds. To let clients in without asking it${domain ? ':' : ', leave it out of the configuration.'}`,
        commands: script(
          domain &&
            command`aws iot update-domain-configuration --domain-configuration-name ${domain.name} --client-certificate-config ${'{"clientCertificateCallbackArn":""}'}`,
        ),
      };
    case 'TLS_VERSION_UNSUPPORTED':
      if (domain?.securityPolicy === undefined || domain.securityPolicy === widePolicy) {
        return {
          sentence: `The client offers no version of TLS that this server speaks${detail(record)}.`,
          cure: 'Let the client use TLS 1.2 or 1.3; for mosquitto that is --tls-version tlsv1.2.',
          commands: [],
        };
      }
      return {
        sentence: `The client offers no version of TLS that ${named(domain)} speaks: its security policy is ${domain.securityPolicy}${detail(record)}.`,
        cure: 'Let the client use the version that the policy names, or give the domain configuration one that speaks TLS 1.2 and 1.3:',
        commands: script(
          command`aws iot update-domain-configuration --domain-configuration-name ${domain.name} --tls-config ${`securityPolicy=${widePolicy}`}`,
        ),
      };
  }
};

/** Of a domain whose configuration says what is spoken there. */
const spoken = (domain: DomainFacts): string =>
  `${named(domain)} lets nothing else in than applicationProtocol ${domain.applicationProtocol} with authenticationType ${domain.authenticationType}`;

/** By the port again: what was there before the configuration said anything. */
const byPort = ({ name }: DomainFacts): readonly string[] =>
  script(
    command`aws iot update-domain-configuration --domain-configuration-name ${name} --application-protocol DEFAULT --authentication-type DEFAULT`,
  );

/** A client that speaks what its domain configuration does not; undefined where no configuration says what is spoken. */
export const explainDomainProtocol = (who: string, record: StoredRecord): Explanation | undefined => {
  const domain = record.tls?.domain;
  if (domain?.applicationProtocol === undefined || domain.applicationProtocol === 'DEFAULT') return undefined;
  return {
    sentence: `${who} speaks something else than its domain name stands for: ${spoken(domain)}.`,
    cure: 'Let it use another endpoint, or speak what is configured on any of the ports; or let port and ALPN decide again, for all clients of that name:',
    commands: byPort(domain),
  };
};

/** A request without a signature where nothing else counts; undefined where a certificate would have counted. */
export const explainUnsigned = (record: StoredRecord): Explanation | undefined => {
  const domain = record.tls?.domain;
  if (domain?.authenticationType !== 'AWS_SIGV4') return undefined;
  return {
    sentence: `The client did not sign its request (SigV4), and ${named(domain)} asks for no certificate: its authenticationType is AWS_SIGV4.`,
    cure: 'Let it sign with an access key, or let port and ALPN decide again, which lets both in:',
    commands: byPort(domain),
  };
};

/** A client that does not trust a certificate of the account's own; undefined for one that this server has issued. `seen`: how it was noticed. */
export const explainDomainTrust = (seen: string, { tls }: StoredRecord): Explanation | undefined => {
  const { domain } = tls ?? {};
  const presented = domain?.serverCertificate;
  if (!domain || !presented || presented.root === 'server') return undefined;
  const sentence = `${seen}: it is the one of ${named(domain)}, and ${presented.root === 'chain' ? 'its chain ends in' : 'it was issued by'} "${presented.issuer}".`;
  if (presented.root === 'public') {
    return {
      sentence,
      cure: 'Let the client trust the public certificate authorities, which its system has (mosquitto: --capath /etc/ssl/certs), instead of the root certificate of this server or of AWS.',
      commands: [],
    };
  }
  const toTrust = 'Give the client the certificate of that authority to trust, not the one of this server or of AWS';
  if (presented.root === 'maker') {
    return {
      sentence,
      cure: `${toTrust}: whoever signed the server certificate has it. Imported into ACM as the certificate chain, it would stand here.`,
      commands: [],
    };
  }
  return {
    sentence,
    cure: `${toTrust}; for mosquitto that is --cafile server-ca.pem, after:`,
    commands: script(
      command`aws acm get-certificate --certificate-arn ${presented.arn} --query ${'CertificateChain || Certificate'} --output text > server-ca.pem`,
    ),
  };
};

const lastLabels = (name: string): string => name.toLowerCase().split('.').slice(-2).join('.');

/** A server name that is nobody's, while the reader's account serves another below the same domain; undefined when it serves none. */
export const explainSimilarName = (
  serverName: string | undefined,
  domains: readonly KnownDomain[],
): Explanation | undefined => {
  if (serverName === undefined) return undefined;
  const similar = domains.find(({ domainName }) => lastLabels(domainName) === lastLabels(serverName));
  if (!similar) return undefined;
  return {
    sentence: `The client asked for the host "${serverName}" (SNI), which is no endpoint of this server; the domain configuration "${similar.name}" has the name "${similar.domainName}", and each name is served by one of its own.`,
    cure: 'Connect to that name, or create a domain configuration for the other one. The name is printed by:',
    commands: script(
      command`aws iot describe-domain-configuration --domain-configuration-name ${similar.name} --query domainName --output text`,
    ),
  };
};
