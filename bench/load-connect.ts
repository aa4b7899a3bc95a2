/** Connects again and again, through Node's own TLS client: a handshake is what the client and the server have most in common. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { pemOf } from './identities.ts';
import type { ConnectJob } from './jobs.ts';
import { connectPacket, disconnectPacket } from './packets.ts';
import { curves, suite } from './tls-records.ts';

const suiteOfTls12 = 'ECDHE-ECDSA-AES128-GCM-SHA256';
/** A connect that takes longer has failed. */
const connectMsMax = 20_000;

interface Slot {
  readonly context: tls.SecureContext;
  session: Buffer | undefined;
}

/** One connect from TCP to CONNACK, or to the echo of the CONNECT packet. Resolves with the session when `wanted`. */
const connectOnce = async (job: ConnectJob, slot: Slot, clientId: string, keepsSession: boolean): Promise<void> => {
  const tcp = net.connect({ port: job.port, host: '127.0.0.1', noDelay: true });
  const { context: secureContext, session } = slot;
  const socket = tls.connect({ socket: tcp, secureContext, servername: 'localhost', ...(session && { session }) });
  const failed = new Promise<never>((_, reject) => {
    socket.setTimeout(connectMsMax, () => reject(new Error('no answer in time')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed before CONNACK')));
  });
  failed.catch(() => {});
  const sessions: Buffer[] = [];
  if (keepsSession) socket.on('session', (one: Buffer) => sessions.push(one));
  const request = connectPacket(clientId);
  socket.write(request);
  const [answer]: Buffer[] = await Promise.race([once(socket, 'data'), failed]);
  if (!job.echo && (answer?.[0] !== 0x20 || answer[3] !== 0)) throw new Error(`CONNACK ${answer?.toString('hex')}`);
  if (socket.getProtocol() !== job.tls) throw new Error(`agreed on ${socket.getProtocol()}`);
  if (slot.session && !socket.isSessionReused()) throw new Error('the session was not resumed');
  if (keepsSession) slot.session = sessions.at(-1) ?? (await Promise.race([once(socket, 'session'), failed]))[0];
  if (job.echo) socket.end();
  else socket.end(disconnectPacket);
  await once(socket, 'close');
};

/** Prepares the slots (certificates, and sessions to be resumed) and returns the run, which resolves with how many failed. */
export const prepareConnects = async (
  job: ConnectJob,
): Promise<() => Promise<{ failed: number; failure?: string }>> => {
  const ciphers = `${suite}:${suiteOfTls12}`;
  const slots = Array.from({ length: job.concurrency }, (_, index): Slot => {
    const { certFile, keyFile } = job.devices[index % job.devices.length]!;
    const [cert, key, ca] = [pemOf(certFile), pemOf(keyFile), pemOf(job.caFile)];
    const offer = { ciphers, ecdhCurve: curves, minVersion: job.tls, maxVersion: job.tls };
    return { context: tls.createSecureContext({ cert, key, ca, ...offer }), session: undefined };
  });
  if (job.resumed) {
    await Promise.all(slots.map((slot, index) => connectOnce(job, slot, `${job.name}-first-${index}`, true)));
  }
  return async () => {
    let left = job.count;
    let failed = 0;
    let failure: string | undefined;
    const work = async (slot: Slot): Promise<void> => {
      while (left > 0) {
        const number = left--;
        try {
          await connectOnce(job, slot, `${job.name}-${number}`, false);
        } catch (error) {
          failed++;
          failure ??= String(error);
        }
      }
    };
    await Promise.all(slots.map(work));
    return { failed, ...(failure !== undefined && { failure }) };
  };
};
