/**
 * What this node keeps in memory of the certificates that are connected to it: one `Principal` per certificate and account, shared by its connections,
 * and one `Connection` for what only the client id decides (its thing). They live as long as a connection or an admission needs them.
 *
 * The store is the truth. A notice of change marks what it may concern as stale, which holds up every decision about it until it has been read again
 * (reading-queue.ts). A lost notice is healed by age: `sweep` re-reads everything in turn without holding anything up.
 */
import { type AccountRegion, accountKey, sameAccount } from '../../aws/arn.ts';
import type { Change } from '../../bus/changes.ts';
import type { Reason } from '../../journal/record.ts';
import type { Db } from '../../store/store.ts';
import { type CertificateStanding, readCertificateStandings } from '../certificates/standing.ts';
import { type ConnectionThings, findConnectionThings } from '../things/thing-principal.ts';
import { readOperativePolicies } from './policy-attachment.ts';
import { createReadingQueue, isFresh, type Readable, unread } from './reading-queue.ts';
import { createRightsCache, noRights, type Rights } from './rights.ts';

/** A certificate in one account, with everything that is the same for all its connections. */
export interface Principal extends Readable {
  readonly kind: 'principal';
  readonly certificateId: string;
  /** Undefined: not registered in this account. */
  standing: CertificateStanding | undefined;
  rights: Rights;
  /** Moves when the rights do. */
  revision: number;
  /** Readings in a row that found an attached version missing. */
  misses: number;
  readonly connections: Set<Connection>;
}

/** One connection, or one that asks to be. It is over when it left or its certificate was lost. */
export interface Connection extends Readable {
  readonly kind: 'connection';
  readonly principal: Principal;
  readonly clientId: string;
  things: ConnectionThings;
  /** Moves when the thing does. */
  revision: number;
  /** Told once when the certificate no longer lets it stay. */
  onLost: ((reason: Reason) => void) | undefined;
}

export interface LivePrincipalsOptions {
  readonly db: Db;
  /** Milliseconds since the epoch; decides when a certificate has expired. */
  readonly now: () => number;
  /** Connections, and admissions under way; one more is refused by `enter`. Bounds everything that is held here. */
  readonly connectionsMax: number;
  /** Sets of policies kept compiled. */
  readonly policySetsMax: number;
  /** An admission never uses what is older. */
  readonly recheckMs: number;
  /** Told of a reading that failed; it is tried again. */
  readonly failed: (cause: unknown) => void;
}

/** Connections that one call of `sweep` has re-read. */
export const sweptConnectionsMax = 1000;
/** After so many readings an attached version that is not there counts as unreadable: it grants nothing. */
const missesMax = 3;

const nothingAttached: ConnectionThings = { thing: undefined, attachedThingName: undefined };

export const createLivePrincipals = (options: LivePrincipalsOptions) => {
  const { db, now, connectionsMax, recheckMs } = options;
  const rightsCache = createRightsCache({ setsMax: options.policySetsMax });
  /** By account and region, then certificateId. */
  const accounts = new Map<string, Map<string, Principal>>();
  const connections = new Set<Connection>();
  /** Connections by the thing that is attached to them, to find those that a change of it concerns. */
  const byThing = new Map<string, Set<Connection>>();
  let rotation = connections.values();
  let isClosed = false;

  const thingKey = (account: AccountRegion, thingName: string): string => `${accountKey(account)}/${thingName}`;
  const setThings = (connection: Connection, things: ConnectionThings): void => {
    const { account } = connection;
    const before = connection.things.attachedThingName;
    if (before !== undefined) {
      const named = byThing.get(thingKey(account, before));
      if (named?.delete(connection) && named.size === 0) byThing.delete(thingKey(account, before));
    }
    connection.things = things;
    if (things.attachedThingName !== undefined && !connection.isOver) {
      const key = thingKey(account, things.attachedThingName);
      byThing.set(key, (byThing.get(key) ?? new Set()).add(connection));
    }
  };

  const leave = (connection: Connection): void => {
    if (connection.isOver) return;
    const { principal, account } = connection;
    queue.drop(connection);
    setThings(connection, connection.things); // over: out of the index, while cures may still name the thing
    connections.delete(connection);
    principal.connections.delete(connection);
    if (principal.connections.size > 0) return;
    queue.drop(principal);
    const inAccount = accounts.get(accountKey(account));
    inAccount?.delete(principal.certificateId);
    if (inAccount?.size === 0) accounts.delete(accountKey(account));
  };

  const lose = (connection: Connection, reason: Reason): void => {
    const { onLost } = connection;
    if (connection.isOver || !onLost) return; // an admission under way looks at the standing itself
    leave(connection);
    onLost(reason);
  };
  const loseAll = (principal: Principal, reason: Reason): void => {
    for (const connection of [...principal.connections]) lose(connection, reason);
  };

  /** False: an attached policy is just being changed, read again. */
  const updateRights = (principal: Principal, rights: Rights | undefined): boolean => {
    principal.misses = rights ? 0 : principal.misses + 1;
    if (!rights && principal.misses <= missesMax) return false;
    if (rights !== principal.rights) principal.revision += 1;
    principal.rights = rights ?? noRights;
    return true;
  };

  const updateStanding = (principal: Principal, standing: CertificateStanding | undefined): void => {
    // a change of status that was taken back before it was read ends the connections all the same
    const wasInterrupted = principal.standing !== undefined && principal.standing.version !== standing?.version;
    principal.standing = standing;
    if (standing?.status !== 'ACTIVE' || wasInterrupted) loseAll(principal, 'CERTIFICATE_NO_LONGER_ACTIVE');
  };

  const readPrincipals = async (account: AccountRegion, batch: readonly Principal[]): Promise<Set<Principal>> => {
    const again = new Set<Principal>();
    if (batch.length === 0) return again;
    const ids = batch.map(({ certificateId }) => certificateId);
    const standings = await readCertificateStandings(db, account, ids);
    const policies = await readOperativePolicies(db, account, ids);
    for (const principal of batch) {
      const rights = rightsCache.rightsOf(db, account, policies.get(principal.certificateId) ?? []);
      if (!updateRights(principal, rights instanceof Promise ? await rights : rights)) again.add(principal);
      updateStanding(principal, standings.get(principal.certificateId));
    }
    return again;
  };

  const readConnections = async (account: AccountRegion, batch: readonly Connection[]): Promise<void> => {
    const asked = batch.map(({ clientId, principal: { certificateId } }) => ({ certificateId, clientId }));
    const things = await findConnectionThings(db, account, asked);
    for (const [index, connection] of batch.entries()) {
      const found = things[index] ?? nothingAttached;
      if (connection.isOver || sameThings(found, connection.things)) continue;
      setThings(connection, found);
      connection.revision += 1;
    }
  };

  const queue = createReadingQueue<Principal | Connection>({
    failed: options.failed,
    async read(account, items) {
      const again = await readPrincipals(account, items.filter(isPrincipal));
      await readConnections(account, items.filter(isConnection));
      return again;
    },
  });

  const principalOf = (account: AccountRegion, certificateId: string): Principal => {
    const inAccount = accounts.get(accountKey(account)) ?? new Map<string, Principal>();
    accounts.set(accountKey(account), inAccount);
    const principal: Principal = inAccount.get(certificateId) ?? {
      ...unread,
      kind: 'principal',
      account: { accountId: account.accountId, region: account.region },
      certificateId,
      standing: undefined,
      rights: noRights,
      revision: 1,
      misses: 0,
      connections: new Set(),
    };
    inAccount.set(certificateId, principal);
    return principal;
  };

  return {
    /**
     * Takes a connection in and reads what it needs; undefined when `connectionsMax` are in, or after `close`. Rejects when the store cannot be read.
     * The caller looks at `principal.standing` and, if it will not have the connection, lets it `leave`.
     */
    async enter(account: AccountRegion, certificateId: string, clientId: string): Promise<Connection | undefined> {
      if (connections.size >= connectionsMax || isClosed) return undefined;
      const principal = principalOf(account, certificateId);
      const connection: Connection = {
        ...unread,
        kind: 'connection',
        account: principal.account,
        principal,
        clientId,
        things: nothingAttached,
        revision: 1,
        onLost: undefined,
      };
      connections.add(connection);
      principal.connections.add(connection);
      if (!isFresh(principal, recheckMs)) queue.refresh(principal);
      queue.refresh(connection);
      try {
        await Promise.all([principal.reading?.promise, connection.reading?.promise]);
        return connection.isOver ? undefined : connection;
      } catch (cause) {
        leave(connection);
        throw cause;
      }
    },

    leave,

    /** Loses a connection that became unwelcome between its admission and the time when somebody could be told. */
    loseIfDue(connection: Connection): void {
      if (connection.principal.standing?.status === 'ACTIVE') return;
      queueMicrotask(() => lose(connection, 'CERTIFICATE_NO_LONGER_ACTIVE'));
    },

    /** Resolves when nothing that is known to have changed remains unread, or when the connection is over. */
    async untilRead(connection: Connection): Promise<void> {
      const { principal } = connection;
      while (!connection.isOver && (principal.isStale || connection.isStale)) {
        const { reading } = principal.isStale ? principal : connection;
        // a failed reading is being tried again
        await reading?.promise.catch(() => undefined);
      }
    },

    noteChange({ account, kind, id }: Change): void {
      if (kind === 'logging' || kind === 'ca') return;
      const inAccount = accounts.get(accountKey(account));
      if (!inAccount) return;
      if (kind === 'certificate' || kind === 'principal') {
        const principal = inAccount.get(id);
        if (principal) queue.mark(principal);
        if (kind === 'principal') for (const connection of principal?.connections ?? []) queue.mark(connection);
        return;
      }
      const reading = queue.inFlight().filter((item) => sameAccount(item.account, account));
      if (kind === 'policy') {
        for (const principal of inAccount.values()) {
          if (principal.rights.policyNames.includes(id)) queue.mark(principal);
        }
        for (const item of reading.filter(isPrincipal)) queue.mark(item);
      } else {
        for (const connection of byThing.get(thingKey(account, id)) ?? []) queue.mark(connection);
        for (const item of reading.filter(isConnection)) queue.mark(item);
      }
    },

    /**
     * Closes what has expired and, unless a reading is under way, has up to `sweptConnectionsMax` connections and their principals read again,
     * in turn: the guarantee by age for lost notices.
     */
    sweep(): void {
      const nowMs = now();
      for (const principal of [...accounts.values()].flatMap((inAccount) => [...inAccount.values()])) {
        if (principal.standing && nowMs > principal.standing.notAfterMs) {
          loseAll(principal, 'DEVICE_CERTIFICATE_EXPIRED');
        }
      }
      if (queue.busy()) return;
      for (let left = Math.min(sweptConnectionsMax, connections.size); left > 0; left -= 1) {
        let next = rotation.next();
        if (next.done) {
          rotation = connections.values();
          next = rotation.next();
        }
        if (next.done) break;
        queue.refresh(next.value.principal);
        queue.refresh(next.value);
      }
    },

    /** Resolves when nothing is queued. */
    idle: async (): Promise<void> => queue.busy(),

    /** Lets everything go; whoever waits goes on. */
    async close(): Promise<void> {
      isClosed = true;
      for (const connection of [...connections]) leave(connection);
      await queue.close();
    },

    /** What is held, for tests and metrics. */
    sizes: () => ({
      connections: connections.size,
      principals: [...accounts.values()].reduce((sum, inAccount) => sum + inAccount.size, 0),
      things: byThing.size,
      ...rightsCache.sizes(),
    }),
  };
};

export type LivePrincipals = ReturnType<typeof createLivePrincipals>;

const isPrincipal = (item: Principal | Connection): item is Principal => item.kind === 'principal';
const isConnection = (item: Principal | Connection): item is Connection => item.kind === 'connection';

const sameThings = (a: ConnectionThings, b: ConnectionThings): boolean =>
  a.attachedThingName === b.attachedThingName && JSON.stringify(a.thing) === JSON.stringify(b.thing);
