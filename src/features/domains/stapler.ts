/**
 * The OCSP responses that are stapled to the server certificates of domain configurations. One is held in memory for each configuration that asks for it, asked
 * for when the configuration is made or changed, when the node starts, and from then on every hour: never in a handshake, which takes what is there. The
 * source is the configuration's function or, without one, the responder that the certificate names. What fails leaves the last response in place until it
 * ends, and then none. Source: developer guide, "Server certificate configuration for OCSP stapling"; spec gateway.md 1.4.
 */
import { hash } from 'node:crypto';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Bus } from '../../bus/bus.ts';
import { onChange } from '../../bus/changes.ts';
import type { EventLogs } from '../../journal/log-event.ts';
import type { OcspStatus } from '../../pki/ocsp.ts';
import { type DomainConfiguration, findByDomainName, listServing } from './domain-configuration.ts';
import { OcspUnavailable } from './ocsp-responder.ts';
import { type OcspSource, type OcspSources, openOcspRetrieval } from './ocsp-retrieval.ts';

/** Responses held; configurations beyond it are served without, and `trouble` hears of it. */
export const staplesMax = 1000;
/** Responders and functions asked at once, and for one account; the others wait for their turn. */
export const askingMax = 8;
export const askingPerAccountMax = 4;
/** AWS asks every hour. */
export const refreshMs = 3_600_000;
/** After a failure, doubled with each further one, up to `refreshMs`. */
const retryMs = 60_000;
/** How often it is looked whether something is due. */
const tickMs = 15_000;
/** How often all configurations are read again, for what no notice told of. */
const lookAgainMs = 600_000;
const pageRows = 100;

export interface StaplerOptions extends OcspSources {
  readonly bus: Bus;
  /** The accounts' own logs. */
  readonly log: EventLogs['log'];
  /** Hears of configurations that have begun to be without a new response, and of faults. Must not throw. */
  readonly trouble: (error: unknown) => void;
}

/** AWS's metric RetrieveOCSPStapleData.Success. */
export interface StapleCount {
  readonly account: AccountRegion;
  readonly domainConfigurationName: string;
  readonly successes: number;
}

export interface Stapler {
  /** What gives the response for the certificate of this very configuration, from memory; undefined where none is wanted. */
  stapleOf(configuration: DomainConfiguration): (() => Uint8Array | undefined) | undefined;
  /** Reads all configurations and asks from then on. Resolves when they have been read. */
  open(): Promise<void>;
  /** Asks for what is due. Resolves when nothing is under way. It also happens by itself. */
  turn(): Promise<void>;
  counts(): readonly StapleCount[];
  close(): void;
}

interface Staple {
  readonly configuration: DomainConfiguration;
  readonly source: string;
  held: { readonly response: Uint8Array; readonly thisUpdateMs: number; readonly endMs: number } | undefined;
  dueAtMs: number;
  /** In a row. */
  failures: number;
  successes: number;
}

/** What a response is for, and where from: another one of these needs another response. */
const sourceOf = ({ account, name, served, ocsp }: DomainConfiguration): string =>
  hash('sha256', JSON.stringify([account.accountId, account.region, name, served?.chainPem, ocsp]));

const wantsStaple = ({ status, served, ocsp }: DomainConfiguration): boolean =>
  status === 'ENABLED' && served !== undefined && ocsp.enableOCSPCheck === true;

export const createStapler = (options: StaplerOptions): Stapler => {
  const { db, bus, now, log, trouble } = options;
  const retrieval = openOcspRetrieval(options);
  /** By domain name. */
  const staples = new Map<string, Staple>();
  const asking = new Map<Staple, Promise<void>>();
  /** Reading of configurations, one after the other: what was read last is the newest. */
  let looking = Promise.resolve();
  let lookAgainAtMs = Number.POSITIVE_INFINITY;
  let closed = false;

  const refresh = async (staple: Staple): Promise<void> => {
    const { configuration } = staple;
    const { account, name } = configuration;
    let asked: OcspSource | undefined;
    const tell = (more: Record<string, unknown>, reason?: string): void =>
      log(account, {
        eventType: 'RetrieveOCSPStapleData',
        status: reason === undefined ? 'Success' : 'Failure',
        protocol: 'HTTP',
        reason,
        more: { domainConfigName: name, ...(asked && { connectionDetails: asked }), ...more },
      });
    try {
      const { response, status } = await retrieval.retrieve(configuration, (source) => {
        asked = source;
      });
      if (closed) return;
      const { held } = staple;
      if (held && status.thisUpdateMs < held.thisUpdateMs) {
        throw new OcspUnavailable('The OCSP response is older than the one that is shown already');
      }
      const nowMs = now();
      staple.held = { response, ...status };
      staple.dueAtMs = nowMs + Math.min(refreshMs, Math.max(retryMs, (status.endMs - nowMs) / 2));
      staple.failures = 0;
      staple.successes += 1;
      tell({ ocspResponseDetails: detailsOf(status, response) });
    } catch (error) {
      if (closed) return;
      staple.dueAtMs = now() + Math.min(refreshMs, retryMs * 2 ** staple.failures);
      staple.failures += 1;
      const reason = error instanceof Error ? error.message : String(error);
      tell({}, reason);
      if (staple.failures > 1) return;
      trouble(
        new Error(`No OCSP response for the domain configuration ${name} of ${account.accountId}: ${reason}`, {
          cause: error,
        }),
      );
    }
  };

  const mayAsk = (staple: Staple): boolean => {
    const { accountId } = staple.configuration.account;
    const ofAccount = Array.from(asking.keys()).filter((each) => each.configuration.account.accountId === accountId);
    return !asking.has(staple) && ofAccount.length < askingPerAccountMax;
  };

  /** Begins with what is due longest, as far as there are places. */
  const begin = (): void => {
    const nowMs = now();
    while (!closed && asking.size < askingMax) {
      let next: Staple | undefined;
      for (const staple of staples.values()) {
        if (staple.dueAtMs <= nowMs && (!next || staple.dueAtMs < next.dueAtMs) && mayAsk(staple)) next = staple;
      }
      if (!next) return;
      const staple = next;
      asking.set(
        staple,
        refresh(staple)
          .catch(trouble)
          .finally(() => {
            asking.delete(staple);
            begin();
          }),
      );
    }
  };

  /** Takes a configuration as it is now; undefined: there is none of that name. */
  const take = (domainName: string, configuration: DomainConfiguration | undefined): void => {
    if (!configuration || !wantsStaple(configuration)) {
      staples.delete(domainName);
      return;
    }
    const source = sourceOf(configuration);
    const before = staples.get(domainName);
    if (before?.source === source) return;
    if (!before && staples.size >= staplesMax) {
      trouble(new Error(`The domain ${domainName} is served without OCSP responses: staplesMax (${staplesMax})`));
      return;
    }
    staples.set(domainName, {
      ...{ configuration, source, held: undefined, dueAtMs: now(), failures: 0, successes: 0 },
    });
    begin();
  };

  const lookAtAll = async (): Promise<void> => {
    const gone = new Set(staples.keys());
    for (let after = '', page = await listServing(db, after, pageRows); page.length > 0; ) {
      for (const configuration of page) {
        gone.delete(configuration.domainName);
        take(configuration.domainName, configuration);
      }
      after = page.at(-1)?.domainName ?? '';
      page = await listServing(db, after, pageRows);
    }
    for (const domainName of gone) staples.delete(domainName);
  };
  const look = (work: () => Promise<void>): Promise<void> => {
    looking = looking
      .then(() => (closed ? undefined : work()))
      .catch((error: unknown) => {
        if (!closed) trouble(error);
      });
    return looking;
  };

  const endNotices = onChange(bus, ({ kind, id }) => {
    if (kind === 'domain') void look(async () => take(id, await findByDomainName(db, id)));
  });
  const tick = (): void => {
    if (now() >= lookAgainAtMs) {
      lookAgainAtMs = now() + lookAgainMs;
      void look(lookAtAll);
    }
    begin();
  };
  let timer: NodeJS.Timeout | undefined;

  return {
    stapleOf(configuration) {
      if (!wantsStaple(configuration)) return undefined;
      const source = sourceOf(configuration);
      const { domainName } = configuration;
      return () => {
        const staple = staples.get(domainName);
        const held = staple?.source === source ? staple.held : undefined;
        return held && now() < held.endMs ? held.response : undefined;
      };
    },
    open() {
      lookAgainAtMs = now() + lookAgainMs;
      timer ??= setInterval(tick, tickMs).unref();
      return look(lookAtAll);
    },
    async turn() {
      await looking;
      begin();
      while (asking.size > 0) await Promise.all(asking.values());
    },
    counts: () =>
      Array.from(staples.values(), ({ configuration: { account, name }, successes }) => ({
        ...{ account, domainConfigurationName: name, successes },
      })),
    close() {
      closed = true;
      clearInterval(timer);
      endNotices();
      retrieval.close();
      staples.clear();
    },
  };
};

const timeText = (ms: number): string => new Date(ms).toISOString();

/** For the log. */
const detailsOf = (
  { status, producedAtMs, thisUpdateMs, nextUpdateMs }: OcspStatus,
  { length }: Uint8Array,
): Record<string, unknown> => ({
  ...{ certStatus: status, producedAtTime: timeText(producedAtMs), thisUpdateTime: timeText(thisUpdateMs) },
  ...(nextUpdateMs !== undefined && { nextUpdateTime: timeText(nextUpdateMs) }),
  stapledDataPayloadSize: length,
});
