/** What a listener speaks, by the ALPN names that a client offers. Source: spec gateway.md 1, table of ports. */

export interface Protocol {
  readonly name: 'mqtt' | 'https';
  /** The ALPN name to answer; undefined continues without ALPN. */
  readonly alpn: string | undefined;
  /** `required`: refused without one. `requested`: asked for, the principal may be another. `none`: not asked for. */
  readonly clientCertificate: 'required' | 'requested' | 'none';
  /** Of HTTPS: only requests, or only upgrades to MQTT over WebSocket; absent: both. */
  readonly carries?: 'requests' | 'upgrades';
}

/** A protocol that this version does not speak: refused before the handshake. */
export interface Unavailable {
  readonly name: 'unavailable';
  /** What it is, for the journal. */
  readonly detail: string;
}

/** Chooses for one client; `offered` in the client's order, empty without ALPN. */
export type ProtocolChoice = (offered: readonly string[]) => Protocol | Unavailable;

const mqtt: Protocol = { name: 'mqtt', alpn: undefined, clientCertificate: 'required' };
const mqttByAlpn: Protocol = { ...mqtt, alpn: 'x-amzn-mqtt-ca' };

/** Port 8883: MQTT with a client certificate. Some SDKs set `x-amzn-mqtt-ca` always: it is answered; other names are passed over. */
export const mqttsProtocol: ProtocolChoice = (offered) => (offered.includes('x-amzn-mqtt-ca') ? mqttByAlpn : mqtt);

const https: Protocol = { name: 'https', alpn: undefined, clientCertificate: 'requested' };

/**
 * Ours: offered by who looks at what is shown to clients, and does not mean to get in (`fleetgate doctor`). It is never answered. That such a
 * connection brought no certificate, and ended once it had seen ours, is no refusal.
 */
export const lookAlpn = 'fleetgate-look';

/** What the names mean on the ports of HTTPS. */
const byName: ReadonlyMap<string, Protocol | Unavailable> = new Map<string, Protocol | Unavailable>([
  ['x-amzn-mqtt-ca', mqttByAlpn],
  ['x-amzn-http-ca', { name: 'https', alpn: 'x-amzn-http-ca', clientCertificate: 'required' }],
  ['http/1.1', { ...https, alpn: 'http/1.1' }],
  ['mqtt', { name: 'unavailable', detail: 'custom authorizers, which the ALPN name mqtt asks for' }],
]);

/**
 * Ports 8443 and 443: the first name that is known decides. Nothing but unknown names (`h2` alone) goes on without ALPN, as HTTPS: no HTTP client
 * that also speaks HTTP/2 should meet an alert.
 */
export const httpsProtocol: ProtocolChoice = (offered) => {
  const known = offered.find((name) => byName.has(name));
  return (known === undefined ? undefined : byName.get(known)) ?? https;
};
