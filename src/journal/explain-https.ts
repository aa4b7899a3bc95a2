/** The words for what is refused on the ports of HTTPS and WebSocket: see `explain.ts`. */
import { type Explanation, firstIdentity, type Surroundings } from './cure-lines.ts';
import { explainDomainProtocol, explainUnsigned } from './explain-domains.ts';
import type { Reason } from './record.ts';
import { command, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type HttpsReason = Extract<Reason, 'NOT_AUTHENTICATED' | 'PROTOCOL_MISMATCH' | 'WEBSOCKET_TTL_EXPIRATION'>;

const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text}`);
const client = ({ clientId }: StoredRecord): string =>
  clientId === undefined ? 'The client' : `The client "${clientId}"`;

export const explainHttps = (
  reason: HttpsReason,
  record: StoredRecord,
  surroundings: Pick<Surroundings, 'apiUrl'>,
): Explanation => {
  switch (reason) {
    case 'NOT_AUTHENTICATED': {
      if (record.eventType === 'ApiCall') {
        return {
          sentence: 'A request to the API was not signed (SigV4).',
          cure: 'Give the client an access key. For the tools of a shell on this machine, this sets the one for development:',
          commands: script(command`eval "$(fleetgate env --api-url ${surroundings.apiUrl})"`),
        };
      }
      const unsigned = explainUnsigned(record);
      if (unsigned) return unsigned;
      return {
        sentence: 'The client showed neither a certificate nor a signature (SigV4).',
        cure: 'Pass the certificate and the key of the device (curl: --cert and --key), or sign the request with an access key. If the device has no certificate, this makes one (it writes device.pem and device.key into the current folder), with a policy that allows every client id and topic, to be narrowed later:',
        commands: firstIdentity(),
      };
    }
    case 'PROTOCOL_MISMATCH': {
      const configured = explainDomainProtocol(client(record), record);
      if (configured) return configured;
      return {
        sentence: `${client(record)} spoke MQTT where HTTPS is expected${detail(record)}.`,
        cure: 'Let it offer the ALPN name x-amzn-mqtt-ca on this port (mosquitto: --tls-alpn x-amzn-mqtt-ca), connect to the port for MQTT, 8883 by default, or speak MQTT over WebSocket at /mqtt.',
        commands: [],
      };
    }
    case 'WEBSOCKET_TTL_EXPIRATION':
      return {
        sentence: `${client(record)} was disconnected because a WebSocket that was opened with a signature lives for 24 hours at most.`,
        cure: 'Let it connect again, with a new signature; AWS closes this connection too.',
        commands: [],
      };
  }
};
