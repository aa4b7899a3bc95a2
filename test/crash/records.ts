/** What the ledger of a crash test knows of messages, clients and their sessions, and what follows from that alone. */
export interface Message {
  /** `<publisher>/<number>`: the beginning of its payload. */
  readonly id: string;
  readonly publisher: string;
  readonly number: number;
  readonly topic: string;
  readonly retain: boolean;
  /** Without a payload: the retained message of its topic is deleted. */
  readonly isDelete: boolean;
  readonly firstSentAt: number;
  lastSentAt: number;
  /** Times that it was sent as a message of its own: a repetition within QoS 2 is none. */
  attempts: number;
  /** When its acknowledgement was heard; Infinity before. */
  acknowledgedAt: number;
  /** Whose acknowledgement is outstanding. */
  readonly owed: Set<Incarnation>;
  /** A shared subscription that still owes it to one of its members. */
  owedByGroup: boolean;
  readonly takenBy: Set<Incarnation>;
}

export interface Subscribed {
  /** The session may have had it in these spans. */
  readonly spans: { readonly from: number; to: number }[];
  /** The session has it, by its acknowledgement at this time; undefined: perhaps not. */
  since: number | undefined;
  /** When it was asked for. */
  readonly asked: number[];
}

/** A session from its beginning to its end. */
export interface Incarnation {
  readonly clientId: string;
  readonly filters: Map<string, Subscribed>;
  readonly owed: Set<Message>;
  /** A CONNECT that ends it was sent: it may be over. */
  endingAt: number | undefined;
  /** By publisher, the last of its messages that has come. */
  readonly latest: Map<string, Message>;
  readonly seen: Set<Message>;
}

/** A client identifier and the session it has. */
export interface Client {
  readonly clientId: string;
  incarnation: Incarnation | undefined;
  /** CONNECTs since the last answer that may have made a session. */
  opens: number;
}

/** What came to one connection. */
export interface Heard {
  readonly client: Client;
  /** Times per message, apart from what the client had not acknowledged under the same identifier. */
  readonly times: Map<Message, number>;
}

/** What is acknowledged seldom: the moment after it is when a kill tells most. */
export const rareEvents = ['began', 'resumed', 'ended', 'subscribed', 'unsubscribed', 'retained'] as const;
export type RareEvent = (typeof rareEvents)[number];

export interface Arrived {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
  readonly packetId: number;
}

export interface Totals {
  published: number;
  acknowledged: number;
  /** Messages that a session was owed or might have, the first time. */
  delivered: number;
  repeated: number;
  retained: number;
  wills: number;
  kills: number;
  lost: number;
}

export const sharedPrefix = '$share/';

/** Whether a filter has the topic, for what is used here: `+` and a `#` with something above it. */
export const has = (filter: string, topic: string): boolean => {
  const asked = filter.split('/');
  const levels = topic.split('/');
  for (const [index, level] of asked.entries()) {
    if (level === '#') return levels.length > index;
    if (levels[index] === undefined || (level !== '+' && level !== levels[index])) return false;
  }
  return asked.length === levels.length;
};
export const innerOf = (filter: string): string =>
  filter.startsWith(sharedPrefix) ? filter.split('/').slice(2).join('/') : filter;
/** What a message carries: its name, and filler whose length follows from its number. */
export const bodyOf = ({ id, number }: Pick<Message, 'id' | 'number'>): string =>
  `${id} ${'.'.repeat(number % 97 === 0 ? 30_000 : (number * 7919) % 400)}`;
export const isShared = (filter: string): boolean => filter.startsWith(sharedPrefix);
