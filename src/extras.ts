/** What the API listener serves beside AWS's operations: health, the root certificate, the journal, the names for /etc/hosts, reports, the clock. */
import type { Extra, ExtraAnswer, ExtraRequest } from './api/dispatch.ts';
import type { Accounts } from './features/accounts/account.ts';
import { type ReportAnswer, reportPath } from './features/bulk/report-link.ts';
import type { DomainConfiguration } from './features/domains/domain-configuration.ts';
import { addressReached, hostsLines } from './features/domains/hosts.ts';
import { answerJournal, type JournalRequest } from './journal/endpoint.ts';
import type { Journal } from './journal/journal.ts';
import { type Health, healthAnswers } from './metrics/health.ts';
import type { OwnCa } from './pki/own-ca.ts';

export interface ExtrasOptions {
  readonly journal: Journal;
  readonly accounts: Pick<Accounts, 'list'>;
  readonly roots: Pick<OwnCa, 'rootPem' | 'rootPems'>;
  readonly domain: string;
  readonly health: Health;
  /** Where cures tell the reader to fetch things from. */
  readonly apiUrl: () => string;
  readonly version: string;
  readonly mqttPort: number;
  readonly httpsPorts: readonly number[];
  /** Of links to reports of bulk registration, which hold their own signature. */
  /** The domain configurations that an account has made. */
  readonly domains: (account: NonNullable<ExtraRequest['account']>) => Promise<readonly DomainConfiguration[]>;
  /** Moves the node's clock forward and answers its time; absent without --dev. */
  readonly moveClock?: (ms: number) => Promise<number>;
  readonly answerReport: (query: ReadonlyMap<string, string>) => Promise<ReportAnswer>;
}

/**
 * The root certificates: both in one file under our own name, and each alone under the names by which AWS's articles fetch theirs (CA 1 is
 * RSA, CA 3 is EC). Source: guide, "Server authentication".
 */
export const rootExtras = ({ rootPem, rootPems }: ExtrasOptions['roots']): readonly Extra[] =>
  [
    ['/root-ca.pem', rootPem],
    ['/AmazonRootCA1.pem', rootPems.rsa],
    ['/repository/AmazonRootCA1.pem', rootPems.rsa],
    ['/AmazonRootCA3.pem', rootPems.ec],
    ['/repository/AmazonRootCA3.pem', rootPems.ec],
  ].map(([path = '', body = '']): Extra => {
    const answer: ExtraAnswer = { status: 200, contentType: 'application/x-pem-file', body };
    return { method: 'GET', path, signed: false, handle: () => answer };
  });

const json = (value: unknown, status = 200): ExtraAnswer => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value)}\n`,
});

/** The operator on this very machine: a development key, which counts on loopback only, with no proxy in between. */
const isDevelopment = ({ arrival, forwarded, caller }: ExtraRequest): boolean =>
  arrival.loopback && !forwarded && /^(test|[0-9]{12})$/.test(caller?.accessKeyId ?? '');

/** A hundred years. */
const advanceMsMax = 100 * 366 * 86_400_000;

const readAdvance = (body: Uint8Array): number | undefined => {
  try {
    const { advanceMs } = JSON.parse(Buffer.from(body).toString('utf8')) as { advanceMs?: unknown };
    const isTime = typeof advanceMs === 'number' && Number.isSafeInteger(advanceMs);
    return isTime && advanceMs >= 0 && advanceMs <= advanceMsMax ? advanceMs : undefined;
  } catch {
    return undefined;
  }
};

export const extras = (options: ExtrasOptions): readonly Extra[] => {
  const { journal, accounts, roots, domain, domains, health, apiUrl, version, mqttPort, httpsPorts } = options;
  const { answerReport, moveClock } = options;
  const ready = (): boolean => health.causes().length === 0;
  return [
    ...rootExtras(roots),
    {
      method: 'GET',
      path: '/_fleetgate/health',
      signed: false,
      handle: () => json({ alive: true, ready: ready(), version, mqttPort, httpsPorts }, ready() ? 200 : 503),
    },
    ...Object.entries(healthAnswers).map(
      ([path, answer]): Extra => ({
        method: 'GET',
        path,
        signed: false,
        handle() {
          const { status, body } = answer(health);
          return json(body, status);
        },
      }),
    ),
    { method: 'GET', path: reportPath, signed: false, handle: ({ query }) => answerReport(query) },
    {
      method: 'GET',
      path: '/_fleetgate/journal',
      signed: true,
      name: 'ReadJournal',
      async handle(request) {
        const { account, query } = request;
        if (!account) return json({ message: 'Sign the request' }, 403);
        const asked: JournalRequest = {
          query: new URLSearchParams([...query]),
          account,
          development: isDevelopment(request),
          apiUrl: apiUrl(),
          async domains() {
            const own = await domains(account);
            return own.filter((it) => it.domainType === 'CUSTOMER_MANAGED' && it.status === 'ENABLED');
          },
        };
        const answer = await answerJournal(journal, asked);
        const { accountId, region } = account;
        const all = answer.records.length > 0 ? [] : await accounts.list();
        // where the asker may look next
        const others = all.filter((other) => other.accountId === accountId && other.region !== region);
        return json({ ...answer, account, otherRegions: others.map((other) => other.region) });
      },
    },
    {
      method: 'POST',
      path: '/_fleetgate/clock',
      signed: true,
      name: 'MoveClock',
      async handle(request) {
        if (!moveClock)
          return json({ message: 'Only a server that was started with --dev lets its clock be moved' }, 403);
        if (!isDevelopment(request))
          return json({ message: 'Only a development key on the same machine moves the clock' }, 403);
        const advanceMs = readAdvance(request.body);
        if (advanceMs === undefined)
          return json({ message: `advanceMs must be a number from 0 to ${advanceMsMax}` }, 400);
        return json({ nowMs: await moveClock(advanceMs) });
      },
    },
    {
      method: 'GET',
      path: '/_fleetgate/hosts',
      signed: true,
      name: 'ListHosts',
      async handle(request) {
        const all = await accounts.list();
        const address = addressReached({ host: request.arrival.host, localAddress: request.localAddress });
        const own = all.filter(({ accountId }) => isDevelopment(request) || accountId === request.account?.accountId);
        const endpoints = hostsLines(own, { domain, address });
        const names = (await Promise.all(own.map(domains))).flat().map(({ domainName }) => `${address} ${domainName}`);
        const lines = [...endpoints, ...names];
        return {
          status: 200,
          contentType: 'text/plain; charset=utf-8',
          body: lines.map((line) => `${line}\n`).join(''),
        };
      },
    },
  ];
};
