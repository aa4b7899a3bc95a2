/**
 * The composition root: one node, from a configuration to its listeners. Store and keys first, then the journal, the features, who may do what, the broker, and last
 * the doors: gateway and API. Closing goes the other way round.
 */
import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { startApi } from './api/server.ts';
import type { AccountRegion } from './aws/arn.ts';
import { type CallServices, makeRequestCall } from './call.ts';
import { type Config, type RootKey, version } from './config.ts';
import { extras, rootExtras } from './extras.ts';
import { isLoopbackHost } from './features/accounts/credentials.ts';
import { listOwn } from './features/domains/domain-configuration.ts';
import { createCredentialsProvider } from './features/roles/credentials-provider.ts';
import { listening, openListeners } from './listeners.ts';
import { startMetrics } from './metrics/listener.ts';
import { watchProcess } from './metrics/process.ts';
import { createBroker, sweepEveryMs } from './mqtt/broker.ts';
import { openAdmission } from './node/admission.ts';
import { cannotStart, isWildcard, type NodeOptions, openBase } from './node/base.ts';
import { type Opened, opening } from './node/closing.ts';
import { measure } from './node/metrics.ts';
import { openServing } from './node/serving.ts';
import { openSlices } from './node/slices.ts';
import { openTelling } from './node/telling.ts';
import { startTasks } from './tasks.ts';

export type { NodeOptions } from './node/base.ts';

/** Time as the node sees it. Moving it moves expiry and time-outs, not signatures and not our own certificates. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Moves the clock forward and acts on everything that has become due, before it resolves. */
  advance(ms: number): Promise<void>;
}

export interface FleetNode {
  readonly apiUrl: string;
  readonly apiPort: number;
  readonly mqttPort: number;
  /** HTTPS, WebSocket and all that ALPN chooses; in the order of the configuration. */
  readonly httpsPorts: readonly number[];
  /** The first of them; 0 where none was asked for. */
  readonly httpsPort: number;
  /** Of `/metrics`, always on 127.0.0.1. */
  readonly metricsPort: number;
  /** What clients are told to trust, and the file that holds it. */
  readonly rootPem: string;
  readonly rootFile: string;
  /** A plain name, mostly `localhost`; the account endpoint where a domain is configured. */
  readonly mqttHost: string;
  /** The default account and region. */
  readonly account: AccountRegion;
  /** Made at this start, to be shown to the operator once. */
  readonly generatedRootKey?: RootKey;
  readonly clock: Clock;
  /** Takes nothing new, says goodbye to the clients, finishes what is under way for at most `graceMs`, and closes the store. */
  close(graceMs?: number): Promise<void>;
}

const graceMsDefault = 5000;

/** The plain name by which a client reaches a listener on `host`, whatever the domain. */
export const plainNameOf = (host: string, ownName: string): string => {
  if (isWildcard(host) || isLoopbackHost(host)) return 'localhost';
  return isIP(host) === 0 ? host : ownName;
};

/**
 * Starts a node. Faults: StartProblem and StoreUnavailable, each with a sentence for the operator; what was opened before is closed again.
 */
export const startNode = async (config: Config, options: NodeOptions = {}): Promise<FleetNode> => {
  const opened = opening();
  try {
    return await compose(config, options, opened);
  } catch (error) {
    await opened.close().catch(() => undefined);
    throw error;
  }
};

const compose = async (config: Config, options: NodeOptions, opened: Opened): Promise<FleetNode> => {
  const { limits, host, domain, region } = config;
  const base = await openBase(config, options, opened);
  const { account, names, hostName, store, bus, now, log, trouble, ownCa, markerKey, credentials } = base;
  let apiUrl = '';
  const telling = await openTelling(base, opened);
  const { journal, logs, logging, record } = telling;
  const slices = await openSlices(base, { logs, apiUrl: () => apiUrl }, opened);
  const { accounts, endpoints, bulk, iam, served, features } = slices;
  const admission = openAdmission(
    base,
    slices,
    { record, publish: (owner, event) => broker.publish(owner, event) },
    opened,
  );
  const { admit } = admission;
  // closed after the doors: whoever asks meanwhile learns why the node is not ready
  let closeMetrics = async (): Promise<void> => undefined;
  opened.add(() => closeMetrics());
  const broker = createBroker({
    ...{ limits, store, rateQuotas: config.rateQuotas, admit, record, logs, now, newId: randomUUID },
    trouble: trouble('a connection was ended by a fault of the server'),
    requestTopics: features
      .flatMap(({ topics = [] }) => topics)
      .map((topic) => ({ ...topic, answer: (request) => topic.answer(request, makeRequestCall(services, request)) })),
  });
  const services: CallServices = { store, bus, features, markerKey, now, control: broker.control, record, logs };
  await broker.open();
  await broker.sweepRetained(now()); // from then on it knows which accounts have retained messages at all
  const tasks = startTasks({
    store,
    tasks: [
      { name: 'retained', everyMs: 600_000, run: broker.sweepRetained },
      { name: 'mqtt-sessions', everyMs: sweepEveryMs, run: broker.sweep },
      ...features.flatMap((feature) => feature.tasks ?? []),
    ],
    now,
    newId: randomUUID,
    failed: (task, error) => log.server.error({ task, err: error }, 'a periodic task failed; it is tried again'),
  });
  let graceMs = graceMsDefault;
  opened.add(() => tasks.close(graceMs));
  opened.add(bulk.close);
  const clock: Clock = {
    now,
    async advance(ms) {
      base.moveClock(ms);
      await admission.recheck();
      await logging.idle();
      broker.tick(now());
      await tasks.turn();
    },
  };
  const serving = openServing(base, slices, services);
  const { mqttPort, httpsPorts, ...listeners } = await openListeners({
    ...serving,
    giveCredentials: createCredentialsProvider({
      ...{ db: store.db, now, endpoints, record },
      mintSession: iam.mintSession,
    }),
    config,
    // that "curl -O https://..." of AWS's articles needs no other scheme, once the system trusts the root
    extras: rootExtras(ownCa),
    names: [...names, hostName],
    account,
    resolve: served.resolve,
    serverCertificates: (endpoint, kind) => ownCa.serverCertificate(endpoint.account?.region ?? region, kind),
    admit,
    record,
    broker,
  });
  opened.add(() => listeners.close(graceMs));

  /** What else keeps the node from serving. */
  let notYet: string | undefined = 'The listeners are not all open yet.';
  const health = {
    causes: () => [
      ...(store.writable ? [] : ['The store takes no writes.']),
      ...(notYet === undefined ? [] : [notYet]),
    ],
  };
  const api = await listening(
    startApi({
      host,
      port: config.apiPort,
      domain,
      names,
      allowedOrigins: config.allowedOrigins,
      limits: { bodyBytesMax: limits.httpBodyBytesMax },
      ...serving,
      extras: extras({
        journal,
        accounts,
        roots: ownCa,
        domain,
        health,
        apiUrl: () => apiUrl,
        version,
        mqttPort,
        httpsPorts,
        answerReport: bulk.answerReport,
        domains: (owner) => listOwn(store.db, owner),
        ...(config.dev && {
          async moveClock(ms) {
            await clock.advance(ms);
            return now();
          },
        }),
      }),
    }),
    host,
    config.apiPort,
    '--api-port',
  );
  opened.add(() => api.close(graceMs));
  const reachable = isWildcard(host) ? '127.0.0.1' : host;
  apiUrl = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${api.port}`;
  await credentials.keepGenerated().catch(cannotStart);
  const processMetrics = watchProcess();
  opened.add(processMetrics.close);
  const measured = measure({ base, slices, firstConnects: admission.metrics, broker, journal, health });
  const metrics = await listening(
    startMetrics({
      port: config.metricsPort,
      health,
      families: () => [...measured(), ...processMetrics.families()],
    }),
    '127.0.0.1',
    config.metricsPort,
    '--metrics-port',
  );
  closeMetrics = metrics.close;
  notYet = undefined;
  bulk.runner.wake();
  opened.add(() => {
    notYet = 'The node is shutting down.';
  });

  return {
    apiUrl,
    apiPort: api.port,
    mqttPort,
    httpsPorts,
    httpsPort: httpsPorts[0] ?? 0,
    metricsPort: metrics.port,
    rootPem: ownCa.rootPem,
    rootFile: base.rootFile,
    mqttHost: endpoints.hasOwnDomain ? endpoints.hostNames(account)['iot:Data-ATS'] : plainNameOf(host, hostName),
    account,
    ...(credentials.generated && { generatedRootKey: credentials.generated }),
    clock,
    async close(grace = graceMsDefault) {
      graceMs = grace;
      await opened.close();
    },
  };
};
