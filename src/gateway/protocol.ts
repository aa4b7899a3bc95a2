/** What a listener speaks, by the ALPN names that a client offers. Source: spec gateway.md 1, table of ports. */

export interface Protocol {
  readonly name: 'mqtt' | 'https';
  /** The ALPN name to answer; undefined continues without ALPN. */
  readonly alpn: string | undefined;
  /** `required`: refused without one. `requested`: asked for, the principal may be another. `none`: not asked for. */
  readonly clientCertificate: 'required' | 'requested' | 'none';
}

/** Chooses for one client; `offered` in the client's order, empty without ALPN. */
export type ProtocolChoice = (offered: readonly string[]) => Protocol;

const mqtt: Protocol = { name: 'mqtt', alpn: undefined, clientCertificate: 'required' };
const mqttByAlpn: Protocol = { ...mqtt, alpn: 'x-amzn-mqtt-ca' };

/** Port 8883: MQTT with a client certificate. Some SDKs set `x-amzn-mqtt-ca` always: it is answered; other names are passed over. */
export const mqttsProtocol: ProtocolChoice = (offered) => (offered.includes('x-amzn-mqtt-ca') ? mqttByAlpn : mqtt);
