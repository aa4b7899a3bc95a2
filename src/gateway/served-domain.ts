/** What a domain configuration changes about the connections that name it. Types, and the protocols of gateway.md 1.2. */
import type { X509Certificate } from 'node:crypto';
import type { Protocol, ProtocolChoice, Unavailable } from './protocol.ts';
import type { SecurityPolicy } from './security-policy.ts';
import type { ServerCertificate } from './tls-servers.ts';

export type AuthenticationType = 'DEFAULT' | 'AWS_X509' | 'AWS_SIGV4' | 'CUSTOM_AUTH' | 'CUSTOM_AUTH_X509';
export type ApplicationProtocol = 'DEFAULT' | 'SECURE_MQTT' | 'MQTT_WSS' | 'HTTPS';

/** Who is asked about a client certificate after mutual TLS. */
export interface ClientCertificateQuestion {
  readonly certificate: X509Certificate;
  readonly serverName: string | undefined;
}

export interface ServedDomain {
  /** Of the domain configuration. */
  readonly name: string;
  readonly securityPolicy: SecurityPolicy;
  readonly authenticationType: AuthenticationType;
  readonly applicationProtocol: ApplicationProtocol;
  /** Absent: the node's own. The same object until it is replaced. */
  readonly certificate?: ServerCertificate;
  /** clientCertificateCallbackArn: whether the client may go on. A rejection counts as no. It must answer in bounded time. */
  readonly acceptsClient?: (question: ClientCertificateQuestion) => Promise<boolean>;
}

/** Which pairs a configuration may have. CUSTOM_AUTH_X509: documented; the other rows: spec gateway.md 1.2. */
export const authenticationTypesOf: Readonly<Record<ApplicationProtocol, readonly AuthenticationType[]>> = {
  DEFAULT: ['DEFAULT'],
  SECURE_MQTT: ['AWS_X509', 'CUSTOM_AUTH', 'CUSTOM_AUTH_X509'],
  MQTT_WSS: ['AWS_SIGV4', 'CUSTOM_AUTH'],
  HTTPS: ['AWS_X509', 'AWS_SIGV4', 'CUSTOM_AUTH', 'CUSTOM_AUTH_X509'],
};

const customAuthorizers: Unavailable = {
  name: 'unavailable',
  detail: 'custom authorizers, which the domain configuration asks for',
};

/** What is spoken with the clients of a domain, on whatever port; where it says DEFAULT, what the port speaks. */
export const domainProtocol = (
  { applicationProtocol, authenticationType }: Pick<ServedDomain, 'applicationProtocol' | 'authenticationType'>,
  ofPort: ProtocolChoice,
): ProtocolChoice => {
  if (applicationProtocol === 'DEFAULT') return ofPort;
  if (authenticationType !== 'AWS_X509' && authenticationType !== 'AWS_SIGV4') return () => customAuthorizers;
  const isMqtt = applicationProtocol === 'SECURE_MQTT';
  const answered = isMqtt ? ['x-amzn-mqtt-ca'] : ['x-amzn-http-ca', 'http/1.1'];
  const protocol: Omit<Protocol, 'alpn'> = {
    name: isMqtt ? 'mqtt' : 'https',
    clientCertificate: authenticationType === 'AWS_X509' ? 'required' : 'none',
    ...(!isMqtt && { carries: applicationProtocol === 'MQTT_WSS' ? 'upgrades' : 'requests' }),
  };
  return (offered) => ({ ...protocol, alpn: offered.find((name) => answered.includes(name)) });
};
