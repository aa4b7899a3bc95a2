/** Requests over kept connections, as bytes that were signed before the clock runs; of the answers only status and length are read. */
import { once } from 'node:events';
import net from 'node:net';
import type { HttpJob } from './jobs.ts';

/** No answer for so long is a failure. */
const answerMsMax = 20_000;

/** Reads answers off one socket, each after its request. */
const exchange = async (socket: net.Socket, request: string): Promise<number> => {
  let text = '';
  const answered = new Promise<number>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const length = Number(/^content-length: *(\d+)/im.exec(text.slice(0, headEnd))?.[1] ?? 0);
      if (text.length < headEnd + 4 + length) return;
      socket.off('data', read);
      socket.off('close', closed);
      resolve(Number(text.slice(9, 12)));
    };
    const closed = (): void => reject(new Error('the connection was closed'));
    socket.on('data', read);
    socket.once('close', closed);
  });
  socket.write(request, 'latin1');
  return answered;
};

export const runHttp = async (job: HttpJob): Promise<{ done: number; failed: number; failure?: string }> => {
  const left = [...job.requests].reverse();
  const result = { done: 0, failed: 0 };
  let failure: string | undefined;
  const work = async (): Promise<void> => {
    const socket = net.connect({ port: job.port, host: '127.0.0.1', noDelay: true, timeout: answerMsMax });
    socket.on('error', () => {});
    socket.on('timeout', () => socket.destroy());
    await once(socket, 'connect');
    for (let request = left.pop(); request !== undefined; request = left.pop()) {
      const status = await exchange(socket, request);
      if (status >= 200 && status < 300) result.done++;
      else {
        result.failed++;
        failure ??= `status ${status}`;
      }
    }
    socket.destroy();
  };
  await Promise.all(Array.from({ length: job.connections }, work));
  return { ...result, ...(failure !== undefined && { failure }) };
};
