/** Why a connection ends, what the client is told, and what becomes of its will. Source: spec gateway.md 5.8, 5.13. */
import type { Reason } from '../journal/record.ts';
import type { Peer } from './authority.ts';
import { code } from './packets/codes.ts';

/** AWS's words for it (life-cycle events), as far as this version knows them. */
export type DisconnectReason =
  | 'API_INITIATED_DISCONNECT'
  | 'AUTH_ERROR'
  | 'CLIENT_ERROR'
  | 'CLIENT_INITIATED_DISCONNECT'
  | 'CONNECTION_LOST'
  | 'DUPLICATE_CLIENTID'
  | 'FORBIDDEN_ACCESS'
  | 'MQTT_KEEP_ALIVE_TIMEOUT'
  | 'SERVER_ERROR'
  | 'SERVER_INITIATED_DISCONNECT'
  | 'THROTTLED'
  | 'WEBSOCKET_TTL_EXPIRATION';

export interface Ending {
  readonly disconnectReason: DisconnectReason;
  /** v5 DISCONNECT reason code; absent: nothing is sent. v3 clients only see the close. */
  readonly code?: number;
  /** v5 Reason String. */
  readonly text?: string;
  /** Set when the cause is not in the journal yet: the Disconnect record then is a failure with this reason. */
  readonly failure?: Reason;
  readonly detail?: string;
  /** The client asked for its will not to be published. */
  readonly withoutWill?: boolean;
  /** Who took the client id over, for the log. */
  readonly successor?: string;
}

/** A peer as details of log events name it. */
export const peerText = ({ remoteAddress, remotePort }: Peer, principalId: string): string =>
  `${remoteAddress} port ${remotePort} (principal ${principalId})`;

/** Another connection took the client id over (spec gateway.md 5.4). */
export const takenOverBy = (peer: Peer, principalId: string): Ending => ({
  ...endings.takenOver,
  successor: peerText(peer, principalId),
});

export const endings = {
  clientDisconnected: { disconnectReason: 'CLIENT_INITIATED_DISCONNECT', withoutWill: true },
  clientDisconnectedWithWill: { disconnectReason: 'CLIENT_INITIATED_DISCONNECT' },
  lost: { disconnectReason: 'CONNECTION_LOST' },
  takenOver: {
    disconnectReason: 'DUPLICATE_CLIENTID',
    code: code.sessionTakenOver,
    failure: 'DUPLICATE_CLIENT_ID',
    detail: 'A new connection was established with the same client ID',
  },
  silent: {
    disconnectReason: 'MQTT_KEEP_ALIVE_TIMEOUT',
    code: code.keepAliveTimeout,
    failure: 'MQTT_KEEP_ALIVE_TIMEOUT',
  },
  /** AWS's choice of code is not documented (spec gateway.md 5.13). */
  outlived: {
    disconnectReason: 'WEBSOCKET_TTL_EXPIRATION',
    code: code.administrativeAction,
    failure: 'WEBSOCKET_TTL_EXPIRATION',
  },
  /** It kept too much waiting while the node had no room left. */
  slowest: {
    disconnectReason: 'THROTTLED',
    code: code.quotaExceeded,
    failure: 'SLOW_CONSUMER',
    detail: 'outboundBytesPerNodeMax',
  },
  unauthorized: { disconnectReason: 'AUTH_ERROR', code: code.notAuthorized },
  byCall: { disconnectReason: 'API_INITIATED_DISCONNECT', code: code.administrativeAction },
  shutDown: { disconnectReason: 'SERVER_INITIATED_DISCONNECT', code: code.serverShuttingDown },
} as const satisfies Record<string, Ending>;
