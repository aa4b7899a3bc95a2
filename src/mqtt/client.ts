/** What a connection has and remembers once its CONNECT was accepted. */
import type { Acknowledgements } from './acknowledgements.ts';
import type { Authority } from './authority.ts';
import type { Sender } from './delivery.ts';
import type { ConnectWill } from './packets/connect.ts';
import type { Receiver } from './receiver.ts';
import type { ConnectionRequests } from './request-line.ts';
import type { Scope, Session } from './session.ts';
import type { Route } from './subscriptions.ts';

/** A topic that this client may publish to, as of `revision` of its authority. */
export interface PublishRight {
  readonly topic: string;
  /** The topic's UTF-8 bytes, to recognise it without decoding. */
  readonly bytes: Buffer;
  readonly revision: number;
  readonly route: Route<Session>;
}

/** What a connection has once its CONNECT was accepted. */
export interface Client {
  readonly clientId: string;
  readonly authority: Authority;
  readonly scope: Scope;
  readonly session: Session;
  readonly receiver: Receiver;
  /** This client as the origin of what it publishes. */
  readonly sender: Sender;
  readonly will: ConnectWill | undefined;
  readonly keepAliveSeconds: number;
  readonly connectedAtMs: number;
  /** Topics that were decided; at most `publishRightsMax`. */
  readonly rights: Map<string, PublishRight>;
  /** The right used last: most clients publish to one topic at a time. */
  lastRight: PublishRight | undefined;
  /** What was published and is being written; undefined until there is something. */
  acknowledgements: Acknowledgements | undefined;
  /** Requests on reserved topics that are not answered yet; undefined until there is one. */
  requests: ConnectionRequests | undefined;
  /** v5 topics by alias, from 1. */
  readonly aliases: (string | undefined)[];
}
