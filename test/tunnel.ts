/** Plain TCP on this machine, carried over TLS with one device certificate to a node: for clients that know no TLS. Either side may end its half first. */
import { connect as connectPlain, createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';

export interface TunnelOptions {
  /** Where it listens on 127.0.0.1; 0 = a free one. */
  readonly port: number;
  readonly mqttPort: number;
  readonly rootPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Opens a tunnel to `localhost`. Faults: the system error of a port that cannot be had. */
export const openTunnel = async ({ port, mqttPort, rootPem, certificatePem, privateKeyPem }: TunnelOptions) => {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (plain) => {
    const secure = connect({
      socket: connectPlain({ host: '127.0.0.1', port: mqttPort, allowHalfOpen: true, noDelay: true }),
      servername: 'localhost',
      ca: rootPem,
      cert: certificatePem,
      key: privateKeyPem,
    });
    for (const [from, to] of [
      [plain, secure],
      [secure, plain],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        if (!from.readableEnded) to.destroy(); // cut off, not ended
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as { port: number }).port, // of a TCP server that listens: never a string or null
    close(): void {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
};
