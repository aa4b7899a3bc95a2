/** The contract between a feature and the rest of the server: what a slice plugs in, and what its handlers are given. Types only. */
import type { AccountRegion } from './aws/arn.ts';
import type { IamPrincipal, IamSession } from './aws/iam-principal.ts';
import type { Operations, ServiceName } from './aws/operations.ts';
import type { ChangeKind } from './bus/changes.ts';
import type { LogEntry } from './journal/log-event.ts';
import type { EventType, JournalRecord } from './journal/record.ts';
import type { AskedKeys, Authority, IotAction, Peer } from './mqtt/authority.ts';
import type { Control } from './mqtt/control.ts';
import type { ClientRequest, RequestTopic } from './mqtt/requests.ts';
import type { Migration } from './store/migrate.ts';
import type { Db, Unit } from './store/store.ts';

/** Who signed a request, as the credential proved it. */
export interface Caller {
  readonly accessKeyId: string;
  /** e.g. `arn:aws:iam::000000000000:root`. */
  readonly arn: string;
  /** The `UserId` of GetCallerIdentity. */
  readonly userId: string;
  /** Absent for a device. */
  readonly iam?: IamPrincipal;
  /** Of temporary credentials. */
  readonly session?: IamSession;
  /**
   * The rights that the data plane asks (`iot:Publish` on `topic/a/b`): a device certificate's, or a signer's. Absent where nobody has asked for
   * them: everything of the caller's own account is allowed. Whoever made it releases it after the answer.
   */
  readonly principal?: Authority;
}

/** What api/ knows of the HTTP request beyond its input; a handler that depends on it says why. */
export interface Arrival {
  /** The Host header without its port, lower-case. */
  readonly host: string;
  /** The Host header as it was written, once its host is known to be this server's; absent where there is none. */
  readonly authority?: string;
  /** Both ends of the TCP connection are loopback addresses. */
  readonly loopback: boolean;
  /** The other end of the TCP connection, for the journal; absent where there is none. */
  readonly source?: { readonly ip: string; readonly port: number };
  /** Of whoever asks over MQTT; absent over HTTP. */
  readonly clientId?: string;
}

/** A call whose input satisfies its constraints, or a page of the node's own, whose service is `fleetgate`: what is asked whether it may be. */
export interface AskedCall {
  readonly service: ServiceName | 'fleetgate';
  /** e.g. `AttachPolicy`. */
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly account: AccountRegion;
  readonly caller: Caller;
  readonly arrival: Arrival;
}

/** Something that still holds on to a resource. */
export interface Holder {
  readonly kind: 'thing' | 'policy' | 'domain-configuration';
  /** Of a thing or a policy its name; of a domain configuration its ARN. */
  readonly name: string;
}

/** Everything one operation may use. */
export interface Call {
  readonly account: AccountRegion;
  readonly caller: Caller;
  readonly arrival: Arrival;
  /** For reading what is committed. */
  readonly db: Db;
  /** Runs one unit of writing: all or nothing, durable when the promise resolves. It awaits the store and nothing else. */
  write<T>(unit: Unit<T>): Promise<T>;
  /** Milliseconds since the epoch, by the node's clock (which a test may move). */
  now(): number;
  /** A fresh lower-case UUID. */
  newId(): string;
  /** Tells every node, after the commit, that its cached copy is void. */
  changed(kind: ChangeKind, id: string): void;
  /** All features' answers to "what is attached to this resource?"; inside a unit pass the unit's db. */
  holdersOf(db: Db, arn: string): Promise<readonly Holder[]>;
  /** Makes all features let go of a resource that is being deleted by force. */
  release(db: Db, arn: string): Promise<void>;
  /** Wraps a page cursor into the opaque, tamper-evident marker of this account, region and operation. */
  sealMarker(cursor: string): string;
  /** The cursor inside a marker, '' for the first page. Faults: InvalidRequestException for one that is not ours. */
  openMarker(marker: string | undefined): string;
  /** The broker, as far as this account and region go. */
  readonly messages: Control;
  /**
   * Resolves when the caller may do this on the data plane. `resource` is what follows the account in the ARN (`topic/a/b`), or `*`. Faults: ForbiddenException, with all that was weighed in the journal.
   */
  authorize(action: IotAction, resource: string, keys?: AskedKeys): Promise<void>;
  /** Tells the account's log what was done, if its levels ask for it; what is recorded as refused gets there by itself. */
  log(event: Pick<LogEntry, 'eventType' | 'clientId' | 'topicName' | 'more'>): void;
  /** Tells the journal what became of this request; who and from where is known. */
  record(eventType: EventType, fields: Partial<JournalRecord> & Pick<JournalRecord, 'status'>): void;
}

export type Handler<Name extends keyof Operations[Service], Service extends ServiceName = 'iot'> = (
  input: Operations[Service][Name] extends { input: infer Input } ? Input : never,
  call: Call,
) => Promise<Operations[Service][Name] extends { output: infer Output } ? Output : never>;

export type HandlersOf<Service extends ServiceName> = {
  readonly [Name in keyof Operations[Service]]?: Handler<Name, Service>;
};
export type Handlers = { readonly [Service in ServiceName]?: HandlersOf<Service> };

/** Periodic work that one node at a time does, by the node's clock. */
export interface Task {
  /** Unique among all slices. */
  readonly name: string;
  readonly everyMs: number;
  /** Must bear being cut off and run again. A failure is logged and tried again at the next turn. */
  run(nowMs: number): Promise<void>;
}

/** A topic on which clients ask: an operation with another wire. Its caller is the principal of the connection. */
export interface ReservedTopic extends Omit<RequestTopic, 'answer'> {
  answer(request: ClientRequest, call: Call): ReturnType<RequestTopic['answer']>;
}

/** Everything a slice adds to the server. Features stand in `features/index.ts` in dependency order. */
export interface Feature {
  readonly name: string;
  readonly migrations: readonly Migration[];
  readonly operations?: Handlers;
  /** `$aws/...` that this slice answers. */
  readonly topics?: readonly ReservedTopic[];
  readonly tasks?: readonly Task[];
  /** What of this slice is attached to `arn`. */
  readonly holders?: (db: Db, account: AccountRegion, arn: string) => Promise<readonly Holder[]>;
  /** Forgets what of this slice is attached to `arn`, which is being deleted. */
  readonly release?: (db: Db, account: AccountRegion, arn: string) => Promise<void>;
}

/** What a device asks the credentials provider for, with the rights of its certificate as they are now. */
export interface CredentialsQuestion {
  readonly peer: Peer;
  readonly authority: Pick<Authority, 'account' | 'principalId' | 'facts'>;
  /** As it was asked for: not necessarily the name of anything. */
  readonly roleAlias: string;
  /** What the header says. */
  readonly thingName: string | undefined;
}

/** By the names of the answer. */
export interface DeviceCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** ISO 8601, e.g. `2026-01-01T00:00:00Z`. */
  readonly expiration: string;
}

/**
 * Whatever it refuses is in the journal by then.
 * Faults: AccessDeniedException, ResourceNotFoundException, InvalidRequestException, ServiceUnavailableException.
 */
export type GiveCredentials = (question: CredentialsQuestion) => Promise<DeviceCredentials>;
