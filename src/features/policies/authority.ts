/**
 * Who a peer is and what it may do: the implementation of `Admit` and `Authority` (mqtt/authority.ts) over the registry. Admission decides the account,
 * then looks at the certificate's standing there; the certificate's chain is never asked (spec gateway 1.5). What an admitted connection may do
 * is decided by policy/, over what live-principals.ts keeps current.
 */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { Weighing } from '../../aws/decision.ts';
import type { Bus } from '../../bus/bus.ts';
import { onChange } from '../../bus/changes.ts';
import type { Reason } from '../../journal/record.ts';
import type { Admission, Admit, AskedKeys, Authority, ConnectFacts, Peer } from '../../mqtt/authority.ts';
import type { PolicyRequest } from '../../policy/context.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { weigh } from '../../policy/weigh.ts';
import type { Db } from '../../store/store.ts';
import { type CertificateStatus, findHoldersOfCertificate } from '../certificates/certificate.ts';
import { findTwin } from '../certificates/standing.ts';
import { findSuccessor } from '../certificates/succession.ts';
import type { ConnectionThings } from '../things/thing-principal.ts';
import { connectionContext, withThing } from './connection-context.ts';
import { type Connection, createLivePrincipals, type LivePrincipals } from './live-principals.ts';

export type Refused = Extract<Admission, { readonly refusal: Reason }>;

/**
 * Asked at a CONNECT whose certificate the account does not hold, or holds PENDING_ACTIVATION: what else is done about such a device, which is refused in any case.
 * `account` is undefined where a connection without SNI has no single holder of its certificate. Undefined: nothing, the refusal is the ordinary one.
 */
export type FirstConnect = (
  peer: Peer,
  account: AccountRegion | undefined,
  clientId: string,
) => Promise<Refused | undefined>;

export interface AuthoritiesOptions {
  readonly db: Db;
  readonly bus: Bus;
  /** Milliseconds since the epoch, by the node's clock. */
  readonly now: () => number;
  /** The default region: the only one in which a connection without SNI is looked for. */
  readonly region: string;
  /** Refuses every connection without SNI. */
  readonly requireSni: boolean;
  /** Connections with an authority, and admissions under way. */
  readonly connectionsMax: number;
  /** Sets of policies kept compiled; default 1000. */
  readonly policySetsMax?: number;
  /** Between two rounds of re-reading, by real time; also the age beyond which an admission reads anew. Default 1000. */
  readonly recheckMs?: number;
  /** Default: nothing is done about unknown devices. */
  readonly firstConnect?: FirstConnect;
  /** Told of an accepted CONNECT with a certificate that has predecessors. */
  readonly succeeded?: (account: AccountRegion, certificateId: string, clientId: string) => void;
  /** Told of a reading of the store that failed in the background; it is tried again. */
  readonly failed?: (cause: unknown) => void;
}

export interface Authorities {
  /** Rejects when the store cannot be read. */
  readonly admit: Admit;
  /** One round of what otherwise happens every `recheckMs`: expired certificates are closed, a share of the rest is read again. */
  recheck(): Promise<void>;
  sizes: LivePrincipals['sizes'];
  close(): Promise<void>;
}

/** Searches for a registered namesake of an unknown certificate are this far apart at least, in milliseconds: a flood of strangers costs one. */
const twinSearchMs = 500;

const refusalOf: Record<Exclude<CertificateStatus, 'ACTIVE'>, Reason> = {
  INACTIVE: 'DEVICE_CERTIFICATE_INACTIVE',
  REVOKED: 'DEVICE_CERTIFICATE_REVOKED',
  PENDING_TRANSFER: 'DEVICE_CERTIFICATE_PENDING',
  PENDING_ACTIVATION: 'DEVICE_CERTIFICATE_PENDING',
};

export const createAuthorities = (options: AuthoritiesOptions): Authorities => {
  const { db, now, recheckMs = 1000 } = options;
  const live = createLivePrincipals({
    db,
    now,
    connectionsMax: options.connectionsMax,
    policySetsMax: options.policySetsMax ?? 1000,
    recheckMs,
    failed: options.failed ?? (() => undefined),
  });
  const endNotices = onChange(options.bus, live.noteChange);
  const timer = setInterval(live.sweep, recheckMs);
  timer.unref();

  let twinSearchedAtMs = Number.NEGATIVE_INFINITY;
  /** A registered certificate with the subject of this unknown one, if the search is due. */
  const twinFacts = async (account: AccountRegion, der: Uint8Array): Promise<Record<string, string>> => {
    if (performance.now() - twinSearchedAtMs < twinSearchMs) return {};
    twinSearchedAtMs = performance.now();
    const registeredTwin = await findTwin(db, account, der);
    return registeredTwin === undefined ? {} : { registeredTwin };
  };

  /**
   * The account that a connection means: the one that its SNI names; without SNI, in the default region, the only one that holds the
   * certificate in DEFAULT mode. Source: design 3, spec gateway 1.1.
   */
  const accountOf = async (peer: Peer, certificateId: string): Promise<AccountRegion | undefined> => {
    if (peer.account || options.requireSni || peer.serverName !== undefined) return peer.account;
    const holders = await findHoldersOfCertificate(db, options.region, certificateId);
    const [only, ...others] = holders.filter(({ certificateMode }) => certificateMode === 'DEFAULT');
    return others.length === 0 ? only?.account : undefined;
  };

  /** HTTPS has no CONNECT packet, and brings nobody in (design 6). */
  const asFirst = async (
    peer: Peer,
    { clientId }: ConnectFacts,
    account: AccountRegion | undefined,
  ): Promise<Refused | undefined> =>
    clientId === undefined ? undefined : options.firstConnect?.(peer, account, clientId);

  const refusal = async (
    connection: Connection,
    der: Uint8Array,
    ask: (account: AccountRegion) => Promise<Refused | undefined>,
  ): Promise<Refused | undefined> => {
    const { account, certificateId, standing } = connection.principal;
    const certificateArn = iotArn(account, 'cert', certificateId);
    if (!standing) {
      const first = await ask(account);
      return first ?? { refusal: 'DEVICE_CERTIFICATE_NOT_REGISTERED', account, facts: await twinFacts(account, der) };
    }
    const facts = { certificateArn, certificateStatus: standing.status, ...registryFacts(connection) };
    if (standing.status !== 'ACTIVE') {
      const first = standing.status === 'PENDING_ACTIVATION' ? await ask(account) : undefined;
      if (first) return { ...first, facts: { ...facts, ...first.facts } };
      const successorId = standing.status === 'INACTIVE' ? await findSuccessor(db, account, certificateId) : undefined;
      return { refusal: refusalOf[standing.status], account, facts: { ...facts, ...(successorId && { successorId }) } };
    }
    const nowMs = now();
    if (nowMs < standing.notBeforeMs) return { refusal: 'DEVICE_CERTIFICATE_NOT_YET_VALID', account, facts };
    if (nowMs > standing.notAfterMs) {
      const notAfter = new Date(standing.notAfterMs).toISOString();
      return { refusal: 'DEVICE_CERTIFICATE_EXPIRED', account, facts: { ...facts, notAfter } };
    }
    return undefined;
  };

  const admit: Admit = async (peer, connect) => {
    if (!peer.certificate) return { refusal: 'CLIENT_CERTIFICATE_MISSING', account: peer.account };
    const { certificateId, der } = peer.certificate;
    const account = await accountOf(peer, certificateId);
    if (!account) {
      if (peer.serverName !== undefined) return { refusal: 'SNI_MISUSED', account: undefined };
      const first = options.requireSni ? undefined : await asFirst(peer, connect, undefined);
      return first ?? { refusal: 'SNI_REQUIRED', account: undefined };
    }
    const connection = await live.enter(account, certificateId, connect.clientId ?? '');
    if (!connection) return { refusal: 'CONNECTION_LIMIT', account };
    try {
      const refused = await refusal(connection, der, (holder) => asFirst(peer, connect, holder));
      if (refused) live.leave(connection);
      return (
        refused ?? { authority: authorityOf({ connection, live, peer, connect, now, succeeded: options.succeeded }) }
      );
    } catch (cause) {
      live.leave(connection);
      throw cause;
    }
  };

  return {
    admit,
    async recheck() {
      await live.idle();
      live.sweep();
      await live.idle();
    },
    sizes: live.sizes,
    async close() {
      clearInterval(timer);
      endNotices();
      await live.close();
    },
  };
};

/** What the registry has attached to a certificate, as cures name it. Policy names hold no blanks. */
const registryFacts = ({ principal, things }: Connection): Record<string, string> => ({
  policyNames: principal.rights.policyNames.join(' '),
  ...(things.attachedThingName !== undefined && { thingName: things.attachedThingName }),
  ...(things.thing?.exclusive && { exclusiveThingName: things.thing.thingName }),
});

/** Nothing applies: the connection is over. */
const nothingWeighed: Weighing = { decision: 'IMPLICIT_DENY', statements: [], unresolved: [] };

/** Revisions of sets that ask for the time: never the same twice, so that no decision of theirs is remembered. */
let momentaryRevision = 2 ** 40;

interface AuthorityParts {
  readonly connection: Connection;
  readonly live: LivePrincipals;
  readonly peer: Peer;
  readonly connect: ConnectFacts;
  readonly now: () => number;
  readonly succeeded: AuthoritiesOptions['succeeded'];
}

const authorityOf = ({ connection, live, peer, connect, now, succeeded }: AuthorityParts): Authority => {
  const { principal } = connection;
  const { account, certificateId } = principal;
  const certificateArn = iotArn(account, 'cert', certificateId);
  const resourcePrefix = `arn:aws:iot:${account.region}:${account.accountId}:`;
  const fixed = connectionContext({
    certificateId,
    der: peer.certificate?.der,
    clientId: connect.clientId,
    sourceIp: peer.remoteAddress,
    domainName: peer.serverName,
    connectAttributes: connect.connectAttributes,
    lastWillTopic: connect.lastWillTopic,
    now,
  });
  // one object for all decisions: evaluate and weigh are done with it when they return
  const request = { action: '', resource: '', context: fixed };
  let contextThings: ConnectionThings | undefined;
  const ask = (action: string, resource: string, keys: AskedKeys | undefined): PolicyRequest => {
    if (contextThings !== connection.things) {
      contextThings = connection.things;
      request.context = withThing(fixed, contextThings);
    }
    request.action = action;
    request.resource = resource === '*' ? resource : resourcePrefix + resource;
    return keys ? { ...request, context: { ...request.context, ...keys } } : request;
  };
  let decidingDocument: string | undefined;
  let waiting: Promise<void> | undefined;

  return {
    account,
    principalId: certificateId,
    get revision() {
      if (!principal.rights.set.usesClock) return principal.revision + connection.revision;
      momentaryRevision += 1;
      return momentaryRevision;
    },
    stale() {
      if (connection.isOver || !(principal.isStale || connection.isStale)) return undefined;
      waiting ??= live.untilRead(connection).finally(() => {
        waiting = undefined;
      });
      return waiting;
    },
    allows(action, resource, keys) {
      return !connection.isOver && evaluate(principal.rights.set, ask(action, resource, keys)) === 'ALLOWED';
    },
    weigh(action, resource, keys) {
      const weighing = connection.isOver ? nothingWeighed : weigh(principal.rights.set, ask(action, resource, keys));
      const deciding = weighing.statements[weighing.decidedBy ?? -1];
      decidingDocument =
        weighing.decision === 'EXPLICIT_DENY' && deciding
          ? principal.rights.documents.get(deciding.policyName)
          : undefined;
      return weighing;
    },
    facts: () => ({
      certificateArn,
      ...(principal.standing && { certificateStatus: principal.standing.status }),
      ...registryFacts(connection),
      ...(decidingDocument !== undefined && { decidingDocument }),
    }),
    onLost(close) {
      if (connection.isOver) return;
      connection.onLost = close;
      live.loseIfDue(connection);
    },
    connected: principal.standing?.hasPredecessors
      ? () => succeeded?.(account, certificateId, connect.clientId ?? '')
      : undefined,
    release: () => live.leave(connection),
  };
};
