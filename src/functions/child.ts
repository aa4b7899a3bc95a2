/**
 * The program of the child process that runs one function once: takes the event, loads the module, calls its handler, reports, ends.
 * What Node's permission model leaves open towards other processes is taken away before the module is loaded.
 */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import v8 from 'node:v8';
import type { ChildReport, ChildTask, ReportDescriptor } from './child-protocol.ts';

const reportDescriptor: ReportDescriptor = 3;
const startedMs = performance.now();
// Our parent wrote it.
const task = JSON.parse(readFileSync(0, 'utf8')) as ChildTask;
const { remainingMs } = task;

// A child whose parent is gone ends by itself; endless loops end at the limit on processor time.
setTimeout(() => process.exit(1), remainingMs + 1000).unref();

const deny = (owner: object, names: readonly string[]): void => {
  for (const name of names) {
    if (!(name in owner)) continue;
    const value = () => {
      throw new Error(`${name} is denied to functions`);
    };
    Object.defineProperty(owner, name, { value, writable: false, configurable: false });
  }
};
deny(process, ['kill', '_kill', '_debugProcess', '_debugEnd']);
deny(os, ['setPriority', 'getPriority']);
deny(v8, ['setFlagsFromString', 'setHeapSnapshotNearHeapLimit']);
syncBuiltinESMExports();

const send = (text: string): never => {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += writeSync(reportDescriptor, bytes, written);
  closeSync(reportDescriptor);
  process.exit(0);
};
const report = (said: ChildReport): never => send(JSON.stringify(said));

type Callable = (event: unknown, context: unknown) => unknown;

const findHandler = async (): Promise<Callable | undefined> => {
  const module: Record<string, unknown> = await import(task.module);
  const handler = [module['default'], module['handler']].find((each) => typeof each === 'function');
  // A function of unknown parameters: it is called with two.
  return handler as Callable | undefined;
};

const stackCharactersMax = 8000;
const describe = (error: unknown): ChildReport => {
  const [errorType, stack] = error instanceof Error ? [error.name, error.stack ?? error.message] : ['', String(error)];
  return { thrown: { errorType, stack: stack.slice(0, stackCharactersMax) } };
};

let answer: unknown;
try {
  const handler = await findHandler();
  if (!handler) report({ noHandler: true });
  const getRemainingTimeInMillis = () => Math.max(0, Math.round(remainingMs - (performance.now() - startedMs)));
  answer = await handler?.(task.event, { ...task.context, getRemainingTimeInMillis });
} catch (error) {
  report(describe(error));
}
let text = '';
try {
  text = JSON.stringify(answer) ?? 'null'; // as Lambda's own runtime writes undefined
} catch {
  report({ unwritable: true });
}
send(`{"answer":${text}}`);
