/** One MQTT connection of the crash test: it says what it is told, at once, and hands on every packet; nothing is acknowledged by itself. */
import { once } from 'node:events';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import mqttPacket, { type IConnectPacket } from 'mqtt-packet';
import { bytesOf, type Packets, type Received, type Version } from '../raw-mqtt.ts';

/** A server that may be asked now. */
export interface Place {
  readonly mqttPort: number;
  readonly secureContext: SecureContext;
}

export class Wire {
  readonly version: Version;
  isClosed = false;
  readonly closed: Promise<void>;
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket, version: Version, hear: (packet: Received, wire: Wire) => void) {
    this.#socket = socket;
    this.version = version;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    const parser = mqttPacket.parser({ protocolVersion: version });
    parser.on('packet', (packet: Received) => {
      if (!this.isClosed) hear(packet, this);
    });
    socket.on('data', (chunk: Buffer) => parser.parse(chunk));
    const over = (): void => {
      this.isClosed = true;
      closed.resolve();
    };
    for (const event of ['error', 'end', 'close']) socket.on(event, over);
  }

  send(packets: Packets): void {
    if (!this.isClosed) this.#socket.write(bytesOf(packets, this.version));
  }

  /** Stays open, and nothing is heard or said any more. */
  abandon(): void {
    this.isClosed = true;
  }

  /** As a lost network: nothing more is heard. */
  drop(): void {
    this.isClosed = true;
    this.#socket.destroy();
  }
}

export interface Dialling {
  readonly connect: Partial<IConnectPacket> & { readonly clientId: string; readonly protocolVersion: Version };
  /** Told of every packet. */
  hear(packet: Received, wire: Wire): void;
  /** CONNECT is about to leave. */
  connecting?(): void;
}

/** Connects and sends CONNECT; undefined when the server is not there. */
export const dial = async (
  { mqttPort, secureContext }: Place,
  { connect: fields, hear, connecting }: Dialling,
): Promise<Wire | undefined> => {
  const socket = connect({ host: '127.0.0.1', port: mqttPort, servername: 'localhost', secureContext });
  socket.setNoDelay(true);
  try {
    await once(socket, 'secureConnect');
  } catch {
    return undefined;
  }
  const wire = new Wire(socket, fields.protocolVersion, hear);
  connecting?.();
  wire.send({ cmd: 'connect', protocolId: 'MQTT', clean: true, keepalive: 1200, ...fields });
  return wire;
};
