/**
 * Runs a function of the functions folder: one fresh child process per invocation. That costs some 35 ms (60 ms from source), and a changed
 * file counts at once, nothing of one invocation reaches the next, and whatever goes wrong ends with the process.
 *
 * The child may read its own file and nothing else, may not write, open connections, start processes or threads or load native code
 * (Node's permission model), knows no environment, and has bounds on memory, processor time, descriptors and file size that the kernel
 * keeps. It is a process group of its own and is killed at the time-out. What this leaves open is told in docs/functions.md.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import type { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ChildReports, ChildTask, ReportDescriptor } from './child-protocol.ts';
import { errorTypeOf, FunctionFailure, readable } from './failure.ts';
import { answerBytesMax, type FunctionRequest, readAnswer, timeoutFailure, tooLongFailure } from './request.ts';

/** Of JavaScript objects, in MB; buffers have what is left of `dataMegabytesMax`. */
export const heapMegabytesMax = 64;
/** Writable private memory of the process, in MB. V8 reserves up to 575 MB of it without using it. */
const dataMegabytesMax = 832;
const descriptorsMax = 64;
/** What a function prints goes to the log; more than `logBytesMax` is cut, and more than `printedBytesMax` ends it. */
export const logBytesMax = 8 * 1024;
export const printedBytesMax = 1024 * 1024;
/** What stands around an answer in a report, and the stack of an error. */
const reportBytesMax = answerBytesMax + 64 * 1024;

/** What a function printed in one invocation, readable: bounded, control characters escaped. It may quote what a device sent. */
export interface FunctionLog {
  readonly functionArn: string;
  readonly text: string;
}

const reportDescriptor: ReportDescriptor = 3;
const childFile = realpathSync(
  fileURLToPath(new URL(`./child.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)),
);

/** Sets the kernel's bounds for what it then becomes; one that is lower already, or that the system does not know, stays as it is. */
const shell = `unset PWD OLDPWD
{
ulimit -c 0 || :
ulimit -f 0 || :
ulimit -n ${descriptorsMax} || :
ulimit -d ${dataMegabytesMax * 1024} || :
ulimit -t "$1" || :
} 2>/dev/null
shift
exec "$@"`;

/** Modules of Node that reach files and memory past its permission model: the child has none of them. */
const reachingPast = ['sqlite', 'ffi', 'webstorage'];
const isKnown = (flag: string): boolean => process.allowedNodeEnvironmentFlags.has(flag);

const nodeFlags = [
  '--permission',
  '--no-addons',
  '--disable-sigusr1',
  `--max-old-space-size=${heapMegabytesMax}`,
  // A Node that has no such module may know no such flag.
  ...reachingPast.map((name) => `--no-experimental-${name}`).filter(isKnown),
];

/** This Node confines a child: its permission model covers the network (from Node 25 on), and what reaches past it can be left out. */
export const canRunModules =
  process.platform !== 'win32' &&
  isKnown('--allow-net') &&
  reachingPast.every((name) => isKnown(`--no-experimental-${name}`) || !isBuiltin(`node:${name}`));

const startChild = (file: string, timeoutMs: number): ChildProcess => {
  const reads = [`--allow-fs-read=${childFile}`, `--allow-fs-read=${file}`];
  // Several threads of one process count together.
  const processorSecondsMax = String(Math.ceil(timeoutMs / 1000) * 4 + 1);
  return spawn(
    '/bin/sh',
    ['-c', shell, 'sh', processorSecondsMax, process.execPath, ...nodeFlags, ...reads, childFile],
    {
      env: {},
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    },
  );
};

const killGroup = (child: ChildProcess): void => {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It ended in this instant.
  }
};

/** Why a child ended that reported nothing. */
const endOf = (name: string, code: number | null, signal: string | null, printed: string): FunctionFailure => {
  const failure = (what: string) => new FunctionFailure('error', `The function ${name} ${what}.`, printed.slice(-1000));
  if (/heap out of memory|Fatal process out of memory/.test(printed)) {
    return failure(`used more than ${heapMegabytesMax} MB of memory and was ended`);
  }
  if (code === 13) return failure('ended with its promise unsettled, so there is no answer');
  if (signal !== null) return failure(`was ended by ${signal} before it answered`);
  return failure(`ended with exit code ${code} before it answered`);
};

const readReport = (request: FunctionRequest, bytes: Buffer): unknown => {
  const name = request.target.functionName;
  // The child wrote it; but a function may write there too, so nothing is taken for granted.
  const said = readAnswer(request, bytes) as { readonly [key in keyof ChildReports]?: unknown } | null;
  if (typeof said !== 'object' || said === null) {
    throw new FunctionFailure('bad-answer', `The function ${name} wrote to the descriptor of its answer.`);
  }
  if ('answer' in said) return said.answer;
  if ('noHandler' in said) {
    throw new FunctionFailure(
      'error',
      `The module of the function ${name} exports no function, neither as default nor as handler.`,
    );
  }
  if ('unwritable' in said) {
    throw new FunctionFailure('bad-answer', `The answer of the function ${name} has no form in JSON.`);
  }
  const thrown = said.thrown as { readonly errorType?: unknown; readonly stack?: unknown } | null | undefined;
  const detail = typeof thrown?.stack === 'string' ? thrown.stack : '';
  throw new FunctionFailure(
    'error',
    `The function ${name} ended with an error${errorTypeOf(thrown?.errorType)}.`,
    detail,
  );
};

export interface ModuleRun {
  /** Faults: FunctionFailure. */
  readonly answer: Promise<unknown>;
  /** Resolves when the process is gone, after the answer. */
  readonly ended: Promise<void>;
  /** Ends the process; `answer` is rejected with `failure`. */
  end(failure: FunctionFailure): void;
}

/** Starts one invocation of the module at `file` (its real path). */
export const runModule = (
  request: FunctionRequest,
  file: string,
  log: ((entry: FunctionLog) => void) | undefined,
): ModuleRun => {
  const { target, functionArn } = request;
  const name = target.functionName;
  const remainingMs = Math.max(0, request.deadlineMs - performance.now());
  const { promise: answer, resolve, reject } = Promise.withResolvers<unknown>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const child = startChild(file, request.timeoutMs);
  const late = setTimeout(() => fail(timeoutFailure(request)), remainingMs);
  const fail = (failure: FunctionFailure): void => {
    clearTimeout(late);
    reject(failure);
    killGroup(child);
  };

  const printed: Buffer[] = [];
  let printedBytes = 0;
  const print = (chunk: Buffer): void => {
    if (printedBytes < logBytesMax) printed.push(chunk.subarray(0, logBytesMax - printedBytes));
    printedBytes += chunk.length;
    if (printedBytes > printedBytesMax) {
      fail(new FunctionFailure('error', `The function ${name} printed more than ${printedBytesMax / 1024} kB.`));
    }
  };
  const reported: Buffer[] = [];
  let reportedBytes = 0;
  const takeReport = (chunk: Buffer): void => {
    reportedBytes += chunk.length;
    if (reportedBytes > reportBytesMax) fail(tooLongFailure(request));
    else reported.push(chunk);
  };
  /** The report is whole: the process is not waited for. */
  const settle = (): void => {
    if (reportedBytes === 0 || reportedBytes > reportBytesMax) return;
    clearTimeout(late);
    resolve(new Promise((read) => read(readReport(request, Buffer.concat(reported)))));
    killGroup(child);
  };

  child.stdout?.on('data', print);
  child.stderr?.on('data', print);
  // Opened for reading by us: the child's end is for writing.
  const reports = child.stdio?.[reportDescriptor] as Readable | undefined;
  reports?.on('data', takeReport).on('end', settle);
  // The child is gone, which `close` tells. Where the process has no descriptors left there are no streams.
  for (const stream of child.stdio ?? []) stream?.on('error', () => {});
  child.on('error', (error) => {
    fail(new FunctionFailure('error', `The function ${name} could not be started.`, error.message));
    if (child.pid === undefined) end();
  });
  child.on('close', (code, signal) => {
    const text = Buffer.concat(printed).toString();
    fail(endOf(name, code, signal, text));
    if (text !== '') {
      const cut = printedBytes > logBytesMax ? `\n(cut after ${logBytesMax / 1024} kB)` : '';
      log?.({ functionArn, text: readable(text, logBytesMax) + cut });
    }
    end();
  });

  const context = {
    functionName: name,
    functionVersion: target.qualifier ?? '$LATEST',
    invokedFunctionArn: functionArn,
    awsRequestId: randomUUID(),
    memoryLimitInMB: String(heapMegabytesMax),
  };
  const task: Omit<ChildTask, 'event'> = { module: pathToFileURL(file).href, context, remainingMs };
  child.stdin?.end(`{"event":${request.eventText},${JSON.stringify(task).slice(1)}`);
  return { answer, ended, end: fail };
};
