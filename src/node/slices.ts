/** The features, and what lives as long as the node in some of them: accounts, IAM, domains with their certificates, functions, bulk registration. */
import { randomUUID } from 'node:crypto';
import type { Config } from '../config.ts';
import { openAccounts } from '../features/accounts/account.ts';
import { isLoopbackHost } from '../features/accounts/credentials.ts';
import { openAcm } from '../features/acm/open-acm.ts';
import { openBulk } from '../features/bulk/open-bulk.ts';
import { openInput } from '../features/bulk/open-input.ts';
import { openEndpoints } from '../features/domains/endpoint.ts';
import { followAcm } from '../features/domains/follow-acm.ts';
import { openDomains } from '../features/domains/open-domains.ts';
import { createStapler } from '../features/domains/stapler.ts';
import { createFleetMetrics } from '../features/fleet/fleet-metrics.ts';
import { openIam } from '../features/iam/open-iam.ts';
import { allFeatures } from '../features/index.ts';
import { createInvoker } from '../functions/invoker.ts';
import { deviceIssuance } from '../pki/issue.ts';
import { StartProblem } from '../start-problem.ts';
import { type Base, cannotStart } from './base.ts';
import type { Opened } from './closing.ts';
import type { Telling } from './telling.ts';

/** Faults: Error, with a sentence for the operator. */
const openInvoker = async ({ functions, functionsEndpoint }: Config, log: Base['log']) =>
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

/** Names of an account's own: which there are, what is shown under them, and the staples that go with it. */
const openServed = (
  { config, store, bus, box, now, trouble, ownCa }: Base,
  {
    endpoints,
    invokeFunction,
    logs,
  }: Pick<Parameters<typeof openDomains>[0], 'endpoints' | 'invokeFunction'> & Pick<Telling, 'logs'>,
  opened: Opened,
) => {
  const failed = trouble('a domain configuration met a fault');
  const stapler = createStapler({
    ...{ db: store.db, bus, responders: config.ocspResponders, trouble: failed, invokeFunction },
    // responders know no other time
    now: Date.now,
    log: logs.log,
  });
  const served = openDomains({
    ...{ stapleOf: stapler.stapleOf, db: store.db, bus, endpoints, box, newId: randomUUID, trouble: failed },
    ...{ ownRoots: ownCa.rootPem, invokeFunction },
  });
  opened.add(served.close);
  const followed = followAcm({ store, bus, box, now, trouble: failed });
  opened.add(followed.close);
  void stapler.open(); // what comes of it is for handshakes to find
  opened.add(stapler.close);
  return { stapler, resolve: served.resolve, task: followed.task };
};

/** `apiUrl`: asked once the API is open. Faults: StartProblem. */
export const openSlices = async (
  base: Base,
  { logs, apiUrl }: Pick<Telling, 'logs'> & { readonly apiUrl: () => string },
  opened: Opened,
) => {
  const { config, account, names, hostName, store, bus, now, log, trouble, box, ownCa, markerKey, keyPool } = base;
  const { domain, region, accountId } = config;
  const accounts = openAccounts({ store, accountsMax: config.limits.accountsMax, now });
  const endpoints = openEndpoints({ domain, names, hostName, accountId, region }, accounts);
  const invoker = await openInvoker(config, log).catch(cannotStart);
  opened.add(invoker.close);
  const invokeFunction = invoker.invoke;
  const issue = deviceIssuance(ownCa.deviceIssuer);
  const input = await openBulkInput(config).catch(cannotStart);
  const bulk = openBulk({
    ...{ store, bus, issue, now, input, key: markerKey, apiUrl },
    trouble: trouble('a bulk registration met a fault'),
  });
  const iam = openIam({
    ...{ store, bus, box, key: base.secretsKey, now },
    trouble: trouble('the use of an access key was not noted'),
  });
  opened.add(iam.close);
  const served = openServed(base, { endpoints, invokeFunction, logs }, opened);
  const acmRequests = openAcm({
    ...{ store, bus, box, now, issue: ownCa.issueServerCertificate, takeKeyPair: keyPool.take },
    ...{ validationKey: markerKey, dnsServers: config.dnsServers },
    everyNameIsImmediate: config.acmValidation === 'immediate',
    development: isLoopbackHost(config.host),
    trouble: trouble('a certificate of ACM met a fault'),
  });
  const fleetMetrics = createFleetMetrics();
  const features = allFeatures({
    ...{ issue, box, iam, acmRequests, bulk, endpoints, invokeFunction, store, fleetMetrics },
    customDomainDeletionDays: config.customDomainDeletionDays,
    domainTasks: [served.task],
    takeKeyPair: keyPool.take,
  });
  await accounts.ensure(account)?.catch((cause: Error) => {
    throw new StartProblem(
      `Account ${accountId} can not be served in ${region}: ${cause.message.replace(/\.$/, '')}.`,
      { cause },
    );
  });
  return { accounts, endpoints, bulk, iam, served, fleetMetrics, features };
};

export type Slices = Awaited<ReturnType<typeof openSlices>>;
