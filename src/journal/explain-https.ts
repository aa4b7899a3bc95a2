/** The words for what is refused on the ports of HTTPS and WebSocket: see `explain.ts`. */
import { type Explanation, firstIdentity } from './cure-lines.ts';
import { explainDomainProtocol, explainUnsigned } from './explain-domains.ts';
import type { Reason } from './record.ts';
import type { StoredRecord } from './stored-record.ts';

export type HttpsReason = Extract<
  Reason,
  'NOT_AUTHENTICATED' | `SECURITY_TOKEN_${string}` | 'PROTOCOL_MISMATCH' | 'WEBSOCKET_TTL_EXPIRATION'
>;

const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text}`);
const client = ({ clientId }: StoredRecord): string =>
  clientId === undefined ? 'The client' : `The client "${clientId}"`;

export const explainHttps = (reason: HttpsReason, record: StoredRecord): Explanation => {
  const region = record.account ? ` and the region ${record.account.region}` : '';
  switch (reason) {
    case 'NOT_AUTHENTICATED': {
      const unsigned = explainUnsigned(record);
      if (unsigned) return unsigned;
      return {
        sentence: 'The client showed neither a certificate nor a signature (SigV4).',
        cure: 'Pass the certificate and the key of the device (curl: --cert and --key), or sign the request with an access key. If the device has no certificate, this makes one (it writes device.pem and device.key into the current folder), with a policy that allows every client id and topic, to be narrowed later:',
        commands: firstIdentity(),
      };
    }
    case 'SECURITY_TOKEN_EXPIRED':
      if (record.eventType === 'Disconnect') {
        return {
          sentence: `${client(record)} was disconnected because the temporary credentials that it signed with have expired.`,
          cure: 'Let it connect again with fresh credentials; a connection lasts no longer than what it was opened with.',
          commands: [],
        };
      }
      return {
        sentence: `The signature (SigV4) of the request has expired${detail(record)}.`,
        cure: 'Sign each attempt anew. A signature holds for five minutes, a URL with X-Amz-Expires for that many seconds, at most a day. If it was just made, compare the clocks:',
        commands: ['fleetgate doctor'],
      };
    case 'SECURITY_TOKEN_INVALID':
      if (record.eventType === 'ApiCall') {
        return {
          sentence: `${record.facts?.['principalArn'] ?? 'The caller'} was refused ${record.action ?? 'a call of IAM'}: temporary credentials of GetSessionToken are not taken by IAM without MFA, which this server does not have.`,
          cure: 'Sign calls of IAM with the access key itself, or with the credentials of a role.',
          commands: [],
        };
      }
      return {
        sentence: `The signature (SigV4) of the request does not count here${detail(record)}.`,
        cure: `Sign for the service iotdevicegateway (WebSocket) or iotdata (HTTPS)${region}, with a key of the account that the host name belongs to. Development keys count only when the client runs on this machine.`,
        commands: [],
      };
    case 'SECURITY_TOKEN_SIGNATURE_MISMATCH':
      return {
        sentence: `The signature (SigV4) does not belong to the request${detail(record)}.`,
        cure: 'Check the secret access key, and that host, path and query are sent as they were signed; only a session token may be added to a signed URL.',
        commands: [],
      };
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
