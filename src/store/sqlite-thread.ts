import { Worker } from 'node:worker_threads';
import { threadDied } from './sqlite-failure.ts';
import type { Control, WriterReady, WriterReply, WriterRequest, WriterSettings } from './sqlite-protocol.ts';
import type { Statement } from './store.ts';

/** The main thread's end of the writer thread. */
export interface WriterThread {
  /** Resolves with the answer; when the thread dies, with the failure that says so. Never rejects. */
  ask(
    kind: WriterRequest['kind'],
    controls: readonly Control[],
    statements: readonly Statement[],
  ): Promise<WriterReply>;
  /** While busy the thread keeps the process alive. */
  setBusy(busy: boolean): void;
  /** Tests: kills the thread as a crash would. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

/** A view into a large buffer would be sent with the whole of it. */
const compact = (value: unknown): unknown =>
  value instanceof Uint8Array && value.byteLength !== value.buffer.byteLength ? new Uint8Array(value) : value;
const compactStatement = ({ sql, parameters }: Statement): Statement => ({ sql, parameters: parameters.map(compact) });

// The published package is compiled, and its files end in .js.
const workerFile = new URL(`./sqlite-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

/** Starts the thread; `ready` resolves when it has opened the file or failed to. A thread that died is replaced at the next request. */
export const startWriterThread = (settings: WriterSettings): { thread: WriterThread; ready: Promise<WriterReady> } => {
  let worker: Worker | undefined;
  let nextId = 0;
  let busy = false;
  const waiting = new Map<number, (reply: WriterReply) => void>();

  const start = (mode: WriterSettings['mode'], onReady: (ready: WriterReady) => void): Worker => {
    const started = new Worker(workerFile, { workerData: { ...settings, mode }, execArgv: [], name: 'store' });
    let isReady = false;
    let reason = 'The writer of the store stopped; it is started again at the next write.';
    started.on('message', (message: WriterReady | WriterReply) => {
      if (!isReady || !('id' in message)) {
        isReady = true;
        onReady(message);
        return;
      }
      const settle = waiting.get(message.id);
      waiting.delete(message.id);
      settle?.(message);
    });
    started.on('error', (error: Error) => {
      reason = `The writer of the store stopped and is started again at the next write: ${error.message}`;
    });
    started.on('exit', () => {
      if (worker === started) worker = undefined;
      const failure = { message: reason, errcode: threadDied };
      onReady({ failure });
      for (const [id, settle] of waiting) settle({ id, failure, groupLost: true });
      waiting.clear();
    });
    return started;
  };

  const { promise: ready, resolve } = Promise.withResolvers<WriterReady>();
  worker = start(settings.mode, resolve);
  const thread: WriterThread = {
    ask(kind, controls, statements) {
      if (!worker) {
        worker = start('write', () => {});
        if (!busy) worker.unref();
      }
      const id = nextId++;
      const { promise, resolve: settle } = Promise.withResolvers<WriterReply>();
      waiting.set(id, settle);
      worker.postMessage({ id, controls, kind, statements: statements.map(compactStatement) } satisfies WriterRequest);
      return promise;
    },
    setBusy(value) {
      busy = value;
      if (busy) worker?.ref();
      else worker?.unref();
    },
    async crash() {
      await worker?.terminate();
    },
    async close() {
      const closing = worker;
      if (!closing) return;
      const { promise: exited, resolve: onExit } = Promise.withResolvers<void>();
      closing.ref();
      closing.once('exit', () => onExit());
      closing.postMessage('close');
      await exited;
    },
  };
  return { thread, ready };
};
