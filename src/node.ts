/**
 * The composition root: one node, from a configuration to its listeners. Store and keys first, then the features over them, then who may do what
 * (authorities), the broker, and last the doors: gateway and API. Closing goes the other way round.
 */
import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { ApiLogEntry, AskedCall } from './api/dispatch.ts';
import { startApi } from './api/server.ts';
import type { AccountRegion } from './aws/arn.ts';
import type { Fault } from './aws/fault.ts';
import { noteChange } from './bus/changes.ts';
import { localBus } from './bus/local.ts';
import { type CallServices, makeCall, makeRequestCall } from './call.ts';
import { type Config, type RootKey, version } from './config.ts';
import { keepRootCertificate, prepareDataFolder, readOrMakeKey, readOrMakeSecretsKey } from './data-folder.ts';
import { extras, rootExtras } from './extras.ts';
import type { Arrival, Caller, Handlers } from './feature.ts';
import { openAccounts } from './features/accounts/account.ts';
import { type CredentialFacts, isLoopbackHost, openCredentials } from './features/accounts/credentials.ts';
import { admitSigner } from './features/accounts/signer.ts';
import { openAcm } from './features/acm/open-acm.ts';
import { openBulk } from './features/bulk/open-bulk.ts';
import { openInput } from './features/bulk/open-input.ts';
import { domainConfigurationArn, getOwnConfiguration, listOwn } from './features/domains/domain-configuration.ts';
import { openEndpoints } from './features/domains/endpoint.ts';
import { followAcm } from './features/domains/follow-acm.ts';
import { openDomains } from './features/domains/open-domains.ts';
import { createStapler, type StapleCount } from './features/domains/stapler.ts';
import { openClaimAdmission } from './features/fleet/claim-admission.ts';
import { createFleetMetrics } from './features/fleet/fleet-metrics.ts';
import { createCallAuthorization } from './features/iam/authorize-call.ts';
import { createLiveSigners } from './features/iam/live-signers.ts';
import { openIam } from './features/iam/open-iam.ts';
import { createDescribeResource } from './features/iam/resource-facts.ts';
import { allFeatures } from './features/index.ts';
import { createFirstConnects } from './features/just-in-time/first-connect.ts';
import { allMigrations } from './features/migrations.ts';
import { createAuthorities } from './features/policies/authority.ts';
import { createRetirement } from './features/provisioning/retirement.ts';
import { createCredentialsProvider } from './features/roles/credentials-provider.ts';
import { holdsSealed } from './features/sealed-secrets.ts';
import { followLogging } from './features/settings/live-logging.ts';
import { listTags } from './features/tags/tag.ts';
import { createInvoker } from './functions/invoker.ts';
import { signatureRecord } from './gateway/signature-record.ts';
import { createEventLogs, droppedLine } from './journal/event-logs.ts';
import { openJournal } from './journal/journal.ts';
import { openLog } from './journal/log.ts';
import { openLogFiles } from './journal/log-files.ts';
import type { RecordAttempt } from './journal/record.ts';
import { refusedCallRecord } from './journal/refused-call.ts';
import { journalMigrations } from './journal/ring.ts';
import { listening, openListeners } from './listeners.ts';
import { startMetrics } from './metrics/listener.ts';
import { nodeFamilies } from './metrics/node-families.ts';
import { watchProcess } from './metrics/process.ts';
import { awsFamilies, awsFamily, type Sample } from './metrics/prometheus.ts';
import type { Admission, Admit } from './mqtt/authority.ts';
import { createBroker, sweepEveryMs } from './mqtt/broker.ts';
import { deviceIssuance } from './pki/issue.ts';
import { createKeyPool } from './pki/key-pool.ts';
import { openOwnCa } from './pki/own-ca.ts';
import { createSecretBox, secretsKeyFile } from './pki/secret-box.ts';
import { StartProblem } from './start-problem.ts';
import { migrate } from './store/migrate.ts';
import { openStores, storeFiles } from './store/open.ts';
import { startTasks } from './tasks.ts';

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

/** No account is known to hold the certificate. */
const isUnknown = (admission: Admission): boolean =>
  'refusal' in admission &&
  (admission.refusal === 'DEVICE_CERTIFICATE_NOT_REGISTERED' || admission.refusal === 'SNI_REQUIRED');

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** The plain name by which a client reaches a listener on `host`, whatever the domain. */
export const plainNameOf = (host: string, ownName: string): string => {
  if (isWildcard(host) || isLoopbackHost(host)) return 'localhost';
  return isIP(host) === 0 ? host : ownName;
};

/** Hands on what already is a sentence for the operator. */
const cannotStart = (cause: Error): never => {
  throw new StartProblem(cause.message, { cause });
};

/** Faults: Error, with a sentence for the operator. */
const openInvoker = async ({ functions, functionsEndpoint }: Config, log: ReturnType<typeof openLog>) =>
  createInvoker({
    ...(functions !== undefined && { folder: functions }),
    ...(functionsEndpoint !== undefined && { endpoint: functionsEndpoint }),
    log: ({ functionArn, text }) => log.server.info({ functionArn, text }, 'a function printed'),
  });

/** Faults: Error, with a sentence for the operator. */
const openBulkInput = async ({ buckets, s3Endpoint, s3Key, accountId, region }: Config) =>
  openInput({
    ...(buckets !== undefined && { folder: buckets }),
    ...(s3Endpoint !== undefined && {
      s3: { endpoint: s3Endpoint, ...(s3Key && { key: { ...s3Key, accountId, region } }) },
    }),
  });

/** Closes what was opened, last first; one failure does not keep the others open. */
const closing = () => {
  const steps: (() => unknown)[] = [];
  return {
    add: (step: () => unknown) => steps.push(step),
    async run() {
      const failures: unknown[] = [];
      for (const step of steps.splice(0).reverse()) {
        try {
          await step();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, 'Closing the node');
    },
  };
};

/** All handlers of all slices, by service. Two slices with one operation are refused. */
const collectHandlers = (features: ReturnType<typeof allFeatures>): Handlers => {
  const collected: Record<string, Record<string, unknown>> = {};
  for (const { operations = {} } of features) {
    for (const [service, handlers] of Object.entries(operations)) {
      const known = collected[service] ?? {};
      collected[service] = known;
      for (const [name, handler] of Object.entries(handlers)) {
        if (name in known) throw new Error(`Two features handle ${service} ${name}`);
        known[name] = handler;
      }
    }
  }
  return collected;
};

const stapleSample = ({ account, domainConfigurationName, successes }: StapleCount): Sample => ({
  labels: { account_id: account.accountId, region: account.region, domain_configuration_name: domainConfigurationName },
  value: successes,
});

/** What no setting leads to. */
export interface NodeOptions {
  /** Tests: false = the store is not synced to the disk, so that a loss of power loses what was acknowledged. */
  readonly durable?: boolean;
  /** Tests: RSA key pairs made ahead of need (pki/key-pool.ts); 0 = each when it is asked for. */
  readonly keyPoolMax?: number;
}

/**
 * Starts a node. Faults: StartProblem and StoreUnavailable, each with a sentence for the operator; what was opened before is closed again.
 */
export const startNode = async (config: Config, options: NodeOptions = {}): Promise<FleetNode> => {
  const opened = closing();
  try {
    return await compose(config, options, opened);
  } catch (error) {
    await opened.run().catch(() => undefined);
    throw error;
  }
};

const compose = async (
  config: Config,
  { durable = true, ...keys }: NodeOptions,
  opened: ReturnType<typeof closing>,
): Promise<FleetNode> => {
  const { limits, host, domain, region, accountId } = config;
  const names = isWildcard(host) ? config.names : [...config.names, host];
  const folder = resolve(config.dataFolder);
  const account: AccountRegion = { accountId, region };
  let offsetMs = 0;
  const now = (): number => Date.now() + offsetMs;
  const log = openLog({ level: config.logLevel, destination: 2 });
  opened.add(log.flush);

  await prepareDataFolder(folder, config.store === undefined ? Object.values(storeFiles) : []);
  const { store, journalStore } = await openStores({ folder, url: config.store, durable });
  opened.add(store.close);
  opened.add(journalStore.close);
  await migrate(store, allMigrations);

  const bus = localBus();
  opened.add(bus.close);
  const { serverCert: certFile, serverKey: keyFile } = config;
  const [ownCa, markerKey, secretsKey, credentials] = await Promise.all([
    openOwnCa(join(folder, 'pki'), {
      domain,
      defaultRegion: region,
      names,
      ...(certFile !== undefined && keyFile !== undefined && { operator: { certFile, keyFile } }),
      onProblem: (error) =>
        log.server.error({ err: error }, 'a server certificate was not renewed, or not written to its file'),
    }),
    readOrMakeKey(join(folder, 'marker.key')),
    readOrMakeSecretsKey(folder, () => holdsSealed(store.db)),
    openCredentials({ dataFolder: folder, host, accountId, ...(config.rootKey && { rootKey: config.rootKey }) }).catch(
      cannotStart,
    ),
    migrate(journalStore, journalMigrations),
  ]);
  opened.add(ownCa.close);
  const rootFile = join(folder, 'root-ca.pem');
  await keepRootCertificate(rootFile, ownCa.rootPem);
  const keyPool = createKeyPool(keys);
  opened.add(keyPool.close);

  const accounts = openAccounts({ store, accountsMax: limits.accountsMax, now });
  const endpoints = openEndpoints({ domain, names, hostName: hostname(), accountId, region }, accounts);
  const invoker = await openInvoker(config, log).catch(cannotStart);
  opened.add(invoker.close);
  const fleetMetrics = createFleetMetrics();
  let apiUrl = '';
  const issue = deviceIssuance(ownCa.deviceIssuer);
  const input = await openBulkInput(config).catch(cannotStart);
  const bulk = openBulk({
    ...{ store, bus, issue, now, input, key: markerKey, apiUrl: () => apiUrl },
    trouble: (error) => log.server.error({ err: error }, 'a bulk registration met a fault'),
  });
  const box = createSecretBox(secretsKey);
  if (await holdsSealed(store.db, box.prefix)) {
    log.server.error(
      `The store holds secrets that were sealed with another key than ${join(folder, secretsKeyFile)}: they do not open.`,
    );
  }
  const iam = openIam({
    ...{ store, bus, box, key: secretsKey, now },
    trouble: (error) => log.server.error({ err: error }, 'the use of an access key was not noted'),
  });
  opened.add(iam.close);
  const domainTrouble = (error: unknown) => log.server.error({ err: error }, 'a domain configuration met a fault');
  const stapler = createStapler({
    ...{ db: store.db, bus, responders: config.ocspResponders, trouble: domainTrouble },
    invokeFunction: invoker.invoke,
    // responders know no other time
    now: Date.now,
    log: (owner, entry) => logs.log(owner, entry),
  });
  const served = openDomains({
    stapleOf: stapler.stapleOf,
    ...{ db: store.db, bus, endpoints, box, newId: randomUUID, trouble: domainTrouble },
    ownRoots: ownCa.rootPem,
    invokeFunction: invoker.invoke,
  });
  opened.add(served.close);
  const followedAcm = followAcm({ store, bus, box, now, trouble: domainTrouble });
  opened.add(followedAcm.close);
  const acmRequests = openAcm({
    ...{ store, bus, box, now, issue: ownCa.issueServerCertificate, takeKeyPair: keyPool.take },
    ...{ validationKey: markerKey, dnsServers: config.dnsServers },
    everyNameIsImmediate: config.acmValidation === 'immediate',
    development: isLoopbackHost(host),
    trouble: (error) => log.server.error({ err: error }, 'a certificate of ACM met a fault'),
  });
  const features = allFeatures({
    issue,
    box,
    iam,
    acmRequests,
    customDomainDeletionDays: config.customDomainDeletionDays,
    domainTasks: [followedAcm.task],
    bulk,
    takeKeyPair: keyPool.take,
    endpoints,
    invokeFunction: invoker.invoke,
    store,
    fleetMetrics,
  });
  await accounts.ensure(account)?.catch((cause: Error) => {
    throw new StartProblem(
      `Account ${accountId} can not be served in ${region}: ${cause.message.replace(/\.$/, '')}.`,
      { cause },
    );
  });

  const journal = await openJournal({
    store: journalStore,
    now,
    log: log.attempt,
    trouble: (error) => log.server.error({ err: error }, 'the journal could not be written'),
  });
  opened.add(journal.close);
  const logFiles = openLogFiles({
    folder: join(folder, 'logs'),
    trouble: (error) => log.server.error({ err: error }, 'log events could not be written'),
    droppedLine: droppedLine({ now, newId: randomUUID }),
  });
  opened.add(logFiles.close);
  const logs = createEventLogs({
    write: logFiles.write,
    now,
    newId: randomUUID,
    trouble: (error) => log.server.error({ err: error }, 'a log event could not be told'),
  });
  const logging = await followLogging({
    db: store.db,
    bus,
    set: logs.setLevels,
    failed: (error) => log.server.error({ err: error }, 'logging levels could not be read again'),
  });
  opened.add(logging.close);
  void stapler.open(); // what comes of it is for handshakes to find
  opened.add(stapler.close);
  const record: RecordAttempt = (attempt) => {
    journal.record(attempt);
    logs.attempt(attempt);
  };
  const firstConnects = createFirstConnects({
    db: store.db,
    write: store.write,
    now,
    newId: randomUUID,
    changed: (owner, kind, id) => noteChange(bus, { account: owner, kind, id }),
    region,
    publish: (owner, event) => broker.publish(owner, event),
    record,
    trouble: (error) => log.server.error({ err: error }, 'a device was not provisioned by a fault of the server'),
  });
  opened.add(firstConnects.close);
  const retirement = createRetirement({
    ...{ write: store.write, now, record },
    changed: (owner, kind, id) => noteChange(bus, { account: owner, kind, id }),
    trouble: (error) => log.server.error({ err: error }, 'a certificate was not retired by a fault of the server'),
  });
  opened.add(retirement.close);
  const authorities = createAuthorities({
    db: store.db,
    bus,
    now,
    region,
    requireSni: config.requireSni,
    connectionsMax: limits.connectionsMax,
    firstConnect: firstConnects.firstConnect,
    succeeded: retirement.connected,
    failed: (error) => log.server.error({ err: error }, 'rights could not be read again'),
  });
  opened.add(authorities.close);
  const claims = openClaimAdmission({
    db: store.db,
    now,
    region,
    requireSni: config.requireSni,
    sessionsMax: limits.connectionsMax,
  });
  opened.add(claims.close);
  const signers = createLiveSigners({
    ...{ iam, bus, now },
    failed: (error) => log.server.error({ err: error }, 'rights of a signer could not be read again'),
  });
  opened.add(signers.close);
  const admit: Admit = async (peer, connect) => {
    if (peer.signer) iam.used(peer.signer.accessKeyId, 'iotdata', peer.signer.account.region);
    if (peer.signer) return admitSigner(peer.signer, accounts, (signer) => signers.admit(signer, peer));
    const admission = await authorities.admit(peer, connect);
    if (!isUnknown(admission)) return admission;
    return (await claims.admit(peer, connect)) ?? admission;
  };
  // closed after the doors: whoever asks meanwhile learns why the node is not ready
  let closeMetrics = async (): Promise<void> => undefined;
  opened.add(() => closeMetrics());
  const broker = createBroker({
    limits,
    store,
    rateQuotas: config.rateQuotas,
    admit,
    record,
    logs,
    trouble: (error) => log.server.error({ err: error }, 'a connection was ended by a fault of the server'),
    now,
    newId: randomUUID,
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
      offsetMs += ms;
      await authorities.recheck();
      await signers.recheck();
      claims.recheck();
      await logging.idle();
      broker.tick(now());
      await tasks.turn();
    },
  };
  /** What the listeners of the API and of HTTPS have in common. */
  const serving = {
    handlers: collectHandlers(features),
    authorize: createCallAuthorization({
      ...{ iam, record },
      describe: createDescribeResource({
        db: store.db,
        listTags: (owner, arn) => listTags(store.db, owner, arn),
        async findDomainArn(owner, name) {
          const found = await getOwnConfiguration(store.db, owner, name);
          return found && domainConfigurationArn(owner, found);
        },
      }),
    }),
    credentials: async (accessKeyId: string, facts: CredentialFacts, sessionToken: string | undefined) =>
      credentials.find(accessKeyId, facts) ?? iam.findAnyKey(accessKeyId, facts, sessionToken),
    refused(asked: AskedCall & { readonly isMalformed: boolean }, fault: Fault) {
      const found = refusedCallRecord(asked, fault);
      if (found) record(found);
    },
    unproven(error: unknown, { source }: Arrival) {
      const found = signatureRecord(error);
      if (!found) return;
      const from = source && { sourceIp: source.ip, sourcePort: source.port };
      record({ eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP', ...from, ...found });
    },
    ensureAccount: async (owner: AccountRegion) => accounts.ensure(owner),
    makeCall(owner: AccountRegion, caller: Caller, arrival: Arrival, operation: string) {
      iam.used(caller.accessKeyId, operation.slice(0, operation.indexOf(' ')), owner.region);
      return makeCall(services, { account: owner, caller, arrival, operation });
    },
    log({ error, account: owner, ...entry }: ApiLogEntry) {
      const fields = { ...entry, ...(owner && { accountId: owner.accountId }) };
      if (error !== undefined) log.server.error({ ...fields, err: error }, 'a request failed');
      else log.server.debug(fields, 'request');
    },
  };
  const { mqttPort, httpsPorts, ...listeners } = await openListeners({
    ...serving,
    giveCredentials: createCredentialsProvider({
      ...{ db: store.db, now, endpoints, record },
      mintSession: iam.mintSession,
    }),
    config,
    // that "curl -O https://..." of AWS's articles needs no other scheme, once the system trusts the root
    extras: rootExtras(ownCa),
    names: [...names, hostname()],
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
  const metrics = await listening(
    startMetrics({
      port: config.metricsPort,
      health,
      families: () => {
        const { connections, sessions, retained } = broker.sizes();
        const keys = keyPool.sizes();
        return [
          ...awsFamilies({
            MQTT: { ...broker.metrics, ...fleetMetrics, ...firstConnects.metrics },
            HTTP: broker.httpMetrics,
          }),
          awsFamily('RetrieveOCSPStapleData.Success', stapler.counts().map(stapleSample)),
          ...nodeFamilies({
            version,
            gauges: {
              ready: { help: '1 while the node can serve.', value: health.causes().length === 0 ? 1 : 0 },
              store_writable: { help: '1 while the store takes writes.', value: store.writable ? 1 : 0 },
              connections: { help: 'MQTT connections, those being admitted among them.', value: connections },
              sessions: { help: 'MQTT sessions, with and without a connection.', value: sessions },
              retained_messages: { help: 'Retained messages, as last counted.', value: retained },
              key_pairs: { help: 'Key pairs in stock for certificates with keys of the service.', value: keys.stock },
              key_pair_waiters: { help: 'Requests that wait for a key pair.', value: keys.waiting },
            },
            counters: {
              journal_dropped_records: { help: 'Records that the journal gave up.', value: journal.dropped },
            },
          }),
          ...processMetrics.families(),
        ];
      },
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
    rootFile,
    mqttHost: endpoints.hasOwnDomain ? endpoints.hostNames(account)['iot:Data-ATS'] : plainNameOf(host, hostname()),
    account,
    ...(credentials.generated && { generatedRootKey: credentials.generated }),
    clock,
    async close(grace = graceMsDefault) {
      graceMs = grace;
      await opened.run();
    },
  };
};
