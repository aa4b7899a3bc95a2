/** What is spoken with the clients of a domain. Source: spec gateway.md 1.2. */
import type { ServedDomain } from '../tls/served-domain.ts';
import type { Protocol, ProtocolChoice, Unavailable } from './protocol.ts';

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
