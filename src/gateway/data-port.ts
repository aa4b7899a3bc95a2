/**
 * What is spoken on a connection of HTTPS once its TLS is done: the iot-data operations (spec gateway.md 3, 4), requests of devices for credentials, and upgrades
 * to MQTT over WebSocket (2). The same HTTP server as the API's, with the same bounds, that serves this one service; it never listens, its connections come from
 * the gateway.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { type ApiLogEntry, createDispatch, type Dispatching } from '../api/dispatch.ts';
import { checkFetchSite, checkHost, checkOrigin, withName } from '../api/host.ts';
import { type ApiLimits, apiLimits, createHttpServer, type HttpError, writeRaw } from '../api/http-server.ts';
import { ClientGone, type Incoming, incoming } from '../api/incoming.ts';
import { refusal } from '../api/refusal.ts';
import { Fault } from '../aws/fault.ts';
import type { GiveCredentials } from '../feature.ts';
import type { RecordAttempt } from '../journal/record.ts';
import type { Limits } from '../limits.ts';
import type { Peer } from '../mqtt/authority.ts';
import type { Carrier } from '../mqtt/carrier.ts';
import { answerCredentials, askedRoleAlias } from './credentials-request.ts';
import { createPrincipals, type DataConnection, type PrincipalOptions } from './principal.ts';
import type { Protocol } from './protocol.ts';
import { createWebSockets, websocketPath } from './websocket.ts';

/** Connections that speak HTTP, before any upgrade; one more, and a silent one is closed. Those of WebSockets count with MQTT's. */
export const dataConnectionsMax = 8192;

export interface DataPortOptions
  extends PrincipalOptions,
    Pick<Dispatching, 'handlers' | 'makeCall' | 'ensureAccount' | 'hostNames' | 'extras'> {
  readonly limits: Pick<Limits, 'packetBytesMax' | 'payloadBytesMax'>;
  readonly httpLimits?: Partial<ApiLimits>;
  /** Absent: nobody does. */
  readonly giveCredentials?: GiveCredentials;
  /** Takes over a WebSocket whose peer is known. */
  readonly acceptMqtt: (stream: Carrier, peer: Peer) => void;
  /** Told of every answer. Must not throw. */
  readonly log: (entry: ApiLogEntry) => void;
  readonly record: RecordAttempt;
}

export interface DataPort {
  /** Serves a connection whose protocol is HTTPS. */
  accept(tlsSocket: TLSSocket, peer: Peer, protocol: Protocol): void;
  /** Ends idle connections, lets requests under way finish for `graceMs`, then cuts them. Who waits for connections to be gone is the gateway. */
  close(graceMs: number): Promise<void>;
}

/** The first byte of a CONNECT packet: no letter, so no HTTP. */
const connectPacket = 0x10;

export const createDataPort = (options: DataPortOptions): DataPort => {
  const { limits, log, record } = options;
  const hostNames = { ...options.hostNames, scheme: 'https' } as const;
  const principals = createPrincipals(options);
  const websockets = createWebSockets(limits.packetBytesMax);
  /** By socket, as that is what requests and upgrades come with. */
  const connections = new WeakMap<object, DataConnection>();
  const connectionOf = (socket: object): DataConnection => {
    const connection = connections.get(socket);
    if (!connection) throw new Error('a connection that the gateway has not handed in');
    return connection;
  };

  const dispatch = createDispatch({
    ...options,
    hostNames,
    services: ['iot-data'],
    // nobody gets this far with a server name that no endpoint or domain of this node has
    ownName: (request) => connectionOf(request.connection).peer.serverName,
    whoAsks: (request) => principals.ofRequest(request, connectionOf(request.connection)),
  });

  const { giveCredentials } = options;
  const credentials = giveCredentials && answerCredentials({ principals, hostNames, giveCredentials });

  /** Another protocol than this connection's: it is closed without a word (spec gateway.md 1.2). */
  const mismatch = ({ socket, peer }: DataConnection, detail?: string): void => {
    record({
      eventType: 'Connection.AuthNError',
      status: 'Failure',
      reason: 'PROTOCOL_MISMATCH',
      sourceIp: peer.remoteAddress,
      sourcePort: peer.remotePort,
      tls: peer.tls,
      ...(detail !== undefined && { detail }),
      ...(peer.account && { account: peer.account }),
    });
    socket.destroy();
  };

  const strange = (error: HttpError, socket: Duplex): boolean => {
    if (error.rawPacket?.[0] !== connectPacket) return false;
    mismatch(connectionOf(socket));
    return true;
  };

  const http = createHttpServer({
    limits: {
      ...apiLimits,
      connectionsMax: dataConnectionsMax,
      bodyBytesMax: limits.payloadBytesMax,
      ...options.httpLimits,
    },
    async dispatch(request, requestId) {
      const connection = connectionOf(request.connection);
      if (connection.carries !== 'upgrades') {
        const roleAlias = askedRoleAlias(request);
        return credentials && roleAlias !== undefined
          ? credentials(request, connection, roleAlias, requestId)
          : dispatch(request, requestId);
      }
      mismatch(connection, 'a request where the domain configuration allows MQTT over WebSocket only');
      throw new ClientGone('The connection was closed');
    },
    service: 'iot-data',
    log,
    newId: randomUUID,
    strange,
  });

  /** Faults: ForbiddenException, ResourceNotFoundException and those of signatures. */
  const peerOfUpgrade = (request: Incoming, connection: DataConnection): Promise<Peer> => {
    const { headerMap } = request;
    const hostHeader = headerMap.get('host');
    checkHost(hostHeader, withName(hostNames, connection.peer.serverName), request.localAddress);
    const origin = checkOrigin(headerMap.get('origin'), hostHeader ?? '', hostNames);
    checkFetchSite(headerMap.get('sec-fetch-site'), origin);
    if (request.path !== websocketPath) {
      throw new Fault('ResourceNotFoundException', `MQTT over WebSocket is spoken at ${websocketPath}`);
    }
    return principals.ofUpgrade(request, connection);
  };

  const upgrade = async (message: IncomingMessage, socket: Socket, head: Buffer): Promise<void> => {
    const request = incoming(message, 0);
    const requestId = randomUUID();
    const logged = { requestId, method: request.method, path: request.path };
    try {
      const peer = await peerOfUpgrade(request, connectionOf(socket));
      websockets.upgrade(message, socket, head, (stream) => {
        log({ ...logged, status: 101 });
        options.acceptMqtt(stream, peer);
      });
    } catch (error) {
      const { answer, ...why } = refusal('iot-data', error, requestId);
      log({ ...logged, status: answer.status, ...why });
      writeRaw(socket, answer, requestId);
    }
  };

  http.server.on('upgrade', (message, _socket, head) => {
    const { socket } = message;
    http.forget(socket);
    const connection = connectionOf(socket);
    if (connection.carries === 'requests') {
      mismatch(connection, 'a WebSocket where the domain configuration allows HTTPS requests only');
      return;
    }
    void upgrade(message, socket, head);
  });
  // what a listening server does by itself: the bounds on the time of requests begin to be kept
  http.server.emit('listening');

  return {
    accept(tlsSocket, peer, protocol) {
      connections.set(tlsSocket, {
        socket: tlsSocket,
        peer,
        certificateOnly: protocol.clientCertificate === 'required',
        ...(protocol.carries && { carries: protocol.carries }),
      });
      http.server.emit('connection', tlsSocket);
    },
    close: http.close,
  };
};
