/** The bare peer: a TLS server of Node that asks for a client certificate, looks at nothing but its fingerprint, and sends back what it gets. */
import { createServer } from 'node:tls';
import { pemOf } from './identities.ts';

const [certFile = '', keyFile = ''] = process.argv.slice(2);
const server = createServer(
  {
    cert: pemOf(certFile),
    key: pemOf(keyFile),
    requestCert: true,
    rejectUnauthorized: false,
    ca: [],
    minVersion: 'TLSv1.2',
    honorCipherOrder: true,
    sessionIdContext: 'echo',
    noDelay: true,
  },
  (socket) => {
    socket.on('error', () => socket.destroy());
    if (socket.getPeerX509Certificate()?.fingerprint256 === undefined) socket.destroy();
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
  },
);
server.on('tlsClientError', () => {});
server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  const address = server.address();
  if (address && typeof address === 'object') process.stdout.write(`port ${address.port}\n`);
});
