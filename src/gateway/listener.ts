/**
 * A TLS listener: TCP connections in, connections with a known peer out. How one of them gets in: `incoming.ts`.
 *
 * At its bounds it refuses the new before it harms the old: beyond `connectionsMax` a connection is closed before its handshake, beyond
 * `hellosMax` the one that has kept us waiting longest for its ClientHello goes, and handshakes stand in line (`handshake-line.ts`).
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type Gate, type GatewayOptions, gatewayBounds, type Shared } from './gate.ts';
import { HandshakeLine } from './handshake-line.ts';
import { Incoming, plainAddress } from './incoming.ts';
import { mqttsProtocol } from './protocol.ts';
import { TlsServers } from './tls-servers.ts';

export interface Gateway {
  /** The port it listens on, also when 0 was asked for. */
  readonly port: number;
  /** All TCP connections, authenticated or not. */
  connections(): number;
  /**
   * Takes no new connections, drops those that are not yet in, and waits up to `graceMs` for the others to end (which whoever accepted them
   * sees to); then closes these too.
   */
  close(graceMs: number): Promise<void>;
}

/** What several listeners of one node are to be given, so that its bounds are the node's. */
export const shareGateway = ({
  limits,
  now,
  bounds: changed,
}: Pick<GatewayOptions, 'limits' | 'now' | 'bounds'>): Shared => {
  const bounds = { ...gatewayBounds, ...changed };
  return {
    tlsServers: new TlsServers({ now }),
    line: new HandshakeLine({
      handshakesMax: limits.handshakesMax,
      waitingMax: bounds.handshakesWaitingMax,
      perTurnMax: bounds.handshakesPerTurnMax,
      slotMs: bounds.handshakeSlotMs,
    }),
    connections: { count: 0 },
  };
};

/** Rejects with Node's listen error (EADDRINUSE, EACCES) when the port cannot be had. */
export const startGateway = async (options: GatewayOptions): Promise<Gateway> => {
  const bounds = { ...gatewayBounds, ...options.bounds };
  const shared = { ...shareGateway(options), ...options.shared };
  const gate: Gate = {
    options,
    protocol: options.protocol ?? mqttsProtocol,
    shared,
    lingerMs: bounds.lingerMs,
  };
  const all = new Set<Incoming>();
  /** Those without a whole ClientHello, oldest first. */
  const silent = new Set<Incoming>();
  /** Set while closing. */
  let emptied: (() => void) | undefined;

  const { connectionsMax } = options.limits;
  const drop = (source: { remoteAddress?: string | undefined; remotePort?: number | undefined } | undefined): void => {
    options.record({
      eventType: 'Connection.AuthNError',
      status: 'Failure',
      reason: 'CONNECTION_LIMIT',
      detail: `connectionsMax ${connectionsMax}`,
      ...(source?.remoteAddress === undefined ? {} : { sourceIp: plainAddress(source.remoteAddress) }),
      ...(source?.remotePort === undefined ? {} : { sourcePort: source.remotePort }),
    });
  };
  const server = createServer({ noDelay: true }, (socket) => {
    if (shared.connections.count >= connectionsMax) {
      drop(socket);
      socket.destroy();
      return;
    }
    shared.connections.count += 1;
    const incoming = new Incoming(gate, socket, {
      helloDone: () => silent.delete(incoming),
      closed: () => {
        silent.delete(incoming);
        if (all.delete(incoming)) shared.connections.count -= 1;
        if (all.size === 0) emptied?.();
      },
    });
    all.add(incoming);
    silent.add(incoming);
    if (silent.size <= bounds.hellosMax) return;
    for (const oldest of silent) {
      silent.delete(oldest);
      oldest.giveWay();
      return;
    }
  });
  // cheaper than the count, as it makes no socket; but it knows of this listener only
  server.maxConnections = connectionsMax;
  server.on('drop', drop);
  server.listen({ host: options.host, port: options.port, backlog: 1024 });
  await once(server, 'listening');
  // an error of accept(), such as too many open files, costs that connection and not the process
  server.on('error', () => {});

  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  let closing: Promise<void> | undefined;
  const shut = async (graceMs: number): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      emptied = resolve;
    });
    server.close();
    shared.line.close();
    if (all.size === 0) emptied?.();
    for (const incoming of all) if (!incoming.open) incoming.destroy();
    const timer = setTimeout(() => {
      for (const incoming of all) incoming.destroy();
    }, graceMs);
    await closed;
    clearTimeout(timer);
  };
  return {
    port,
    connections: () => all.size,
    close: (graceMs) => {
      closing ??= shut(graceMs);
      return closing;
    },
  };
};
