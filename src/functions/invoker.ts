/**
 * The one invoker of Lambda-like functions. A function is a local module `<folder>/<account>/<name>.mjs`, else one of the functions
 * endpoint; both are named by the configuration alone. Whoever calls holds no transaction open meanwhile: an answer may take the whole
 * time-out. Source: issue "Provisioning", Build 5; spec provisioning 6.
 */
import { statSync } from 'node:fs';
import { type AccountRegion, sameAccount } from '../aws/arn.ts';
import { quoted } from '../aws/quoted.ts';
import { createEndpoint } from './endpoint.ts';
import { FunctionFailure } from './failure.ts';
import { type FunctionArn, parseFunctionArn } from './function-arn.ts';
import { closedFailure, createGate, type GateBounds } from './gate.ts';
import { findModule } from './local-module.ts';
import { eventBytesMax, type FunctionRequest } from './request.ts';
import { canRunModules, type FunctionLog, type ModuleRun, runModule } from './run-module.ts';

/** AWS gives hooks, callbacks and authorizers five seconds. Source: spec provisioning 6, gateway 1.2, 11. */
export const functionTimeoutMs = 5000;

/** Of child processes: each may take a core and some 100 MB. */
export const moduleBounds: GateBounds = {
  runningMax: 8,
  runningPerAccountMax: 6,
  waitingMax: 1000,
  waitingPerAccountMax: 750,
};
/** Of requests to the endpoint, which cost us a connection each. */
export const endpointBounds: GateBounds = {
  runningMax: 128,
  runningPerAccountMax: 96,
  waitingMax: 1000,
  waitingPerAccountMax: 750,
};

export interface InvokerOptions {
  /** Of `--functions`. */
  readonly folder?: string;
  /** Of `--functions-endpoint`: an http or https URL. */
  readonly endpoint?: string;
  /** Hears what local functions print. */
  readonly log?: (entry: FunctionLog) => void;
  readonly moduleBounds?: GateBounds;
  readonly endpointBounds?: GateBounds;
}

export interface Invocation {
  /** As the caller's own resource names it; it must belong to `account`. */
  readonly functionArn: string;
  readonly account: AccountRegion;
  /** Sent as JSON. */
  readonly event: unknown;
  /** Real time for all of it, the wait for a place included; `functionTimeoutMs` when absent. */
  readonly timeoutMs?: number;
}

export interface Invoker {
  /**
   * The function's answer: any JSON value. Never called inside a transaction. Faults: FunctionFailure, and nothing else.
   */
  invoke(invocation: Invocation): Promise<unknown>;
  /** Ends what runs and sends away what waits (`busy`); resolves when no child process is left. */
  close(): Promise<void>;
}

const checkTarget = (functionArn: string, account: AccountRegion): FunctionArn => {
  const target = parseFunctionArn(functionArn);
  if (!target) {
    throw new FunctionFailure(
      'not-found',
      `${quoted(functionArn)} is not the ARN of a function. Write arn:aws:lambda:${account.region}:${account.accountId}:function:NAME.`,
    );
  }
  if (!sameAccount(target, account)) {
    throw new FunctionFailure(
      'not-found',
      `${functionArn} belongs to another account or region. Name a function of ${account.accountId} in ${account.region}.`,
    );
  }
  return target;
};

const eventTextOf = (event: unknown): string => {
  const text = JSON.stringify(event) ?? 'null';
  if (Buffer.byteLength(text) <= eventBytesMax) return text;
  throw new FunctionFailure('error', `The event for the function is longer than ${eventBytesMax / 1024} kB.`);
};

/** Faults: Error, with a sentence for the operator, when there is no such folder, or this Node cannot confine modules. */
export const createInvoker = (options: InvokerOptions): Invoker => {
  const { folder, log } = options;
  if (folder !== undefined && !canRunModules) {
    throw new Error('--functions needs Node 25 or later, on a system other than Windows; or use --functions-endpoint.');
  }
  if (folder !== undefined && !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`--functions must name a folder, and ${quoted(folder)} is none.`);
  }
  const boundsOfEndpoint = options.endpointBounds ?? endpointBounds;
  const endpoint =
    options.endpoint === undefined ? undefined : createEndpoint(options.endpoint, boundsOfEndpoint.runningMax);
  const endpointGate = createGate(boundsOfEndpoint);
  const moduleGate = createGate(options.moduleBounds ?? moduleBounds);
  const runs = new Set<ModuleRun>();
  let closed = false;

  const remainingMs = (request: FunctionRequest): number => Math.max(0, request.deadlineMs - performance.now());

  const askModule = async (request: FunctionRequest, file: string): Promise<unknown> => {
    const leave = await moduleGate.enter(request.target.accountId, remainingMs(request));
    let run: ModuleRun;
    try {
      if (closed) throw closedFailure();
      run = runModule(request, file, log);
    } catch (error) {
      leave();
      throw error;
    }
    runs.add(run);
    void run.ended.then(() => {
      runs.delete(run);
      leave();
    });
    return run.answer;
  };

  const askEndpoint = async (request: FunctionRequest): Promise<unknown> => {
    const { functionName, accountId } = request.target;
    if (!endpoint) {
      const place = `${accountId}/${functionName}.mjs`;
      const cure = folder
        ? `Put it into the folder of --functions as ${place}, or start Fleetgate with --functions-endpoint URL.`
        : `Start Fleetgate with --functions FOLDER and put it there as ${place}, or with --functions-endpoint URL.`;
      throw new FunctionFailure('not-found', `There is no function ${functionName} of account ${accountId}. ${cure}`);
    }
    const leave = await endpointGate.enter(accountId, remainingMs(request));
    try {
      if (closed) throw closedFailure();
      return await endpoint.invoke(request);
    } catch (error) {
      throw closed ? closedFailure() : error;
    } finally {
      leave();
    }
  };

  return {
    async invoke({ functionArn, account, event, timeoutMs = functionTimeoutMs }) {
      if (closed) throw closedFailure();
      const target = checkTarget(functionArn, account);
      const deadlineMs = performance.now() + timeoutMs;
      const request = { functionArn, target, eventText: eventTextOf(event), deadlineMs, timeoutMs };
      const file = folder === undefined ? undefined : await findModule(folder, target.accountId, target.functionName);
      return file === undefined ? askEndpoint(request) : askModule(request, file);
    },
    async close() {
      closed = true;
      moduleGate.close();
      endpointGate.close();
      endpoint?.close();
      for (const run of runs) run.end(closedFailure());
      await Promise.all(Array.from(runs, ({ ended }) => ended));
    },
  };
};
