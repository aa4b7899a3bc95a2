/**
 * The subscriptions of one account and region: a trie of filter levels, and the routes (topic -> receivers) that were looked up in it.
 * A route is computed once and used until the generation moves, that is until any subscription of the account comes or goes, or until
 * it is forgotten because the routes of the account remember too much together: publishers hold them too, each its own.
 * Whether `a/#` matches `a` is the dialect's (on AWS it does not: spec gateway.md 5.6). Overlapping subscriptions give one copy at the
 * highest QoS, with the identifiers of all that match [MQTT-3.3.4-4].
 */
import type { Qos } from './message.ts';
import { encodeIdentifiers } from './packets/writer.ts';
import { parseShared, type SharedFilter } from './topic.ts';

/** Routes remembered per account; at the bound all are forgotten and looked up anew. */
export const routesMax = 4096;
/** Receivers that all routes of one account remember together, about 20 MB; one more, and all but the newest route look theirs up anew. */
export const rememberedMatchesMax = 200_000;
/** What a route costs beside its receivers, in receivers. */
const routeOverhead = 2;
/** Spec gateway.md 12: members of one shared group, and groups per account. */
export const sharedMembersMax = 100;
export const sharedGroupsMax = 10_000;
/** Subscription Identifiers that one message carries to one subscriber; further ones are left out. */
export const identifiersPerMatchMax = 1024;

export interface Granted {
  readonly qos: Qos;
  /** v5 No Local: not what the subscriber itself published. */
  readonly noLocal: boolean;
  /** v5 Retain As Published, where the dialect has it. Absent = false. */
  readonly retainAsPublished?: boolean;
  /** v5 Subscription Identifier, where the dialect has it; 0 or absent = none. */
  readonly identifier?: number;
}

/** Subscriptions of one client by filter; undefined = not subscribed. */
export type Changes = ReadonlyMap<string, Granted | undefined>;

/** One receiver of a route. `allowed` is its iot:Receive decision as of `revision` of its authority (NaN = not asked yet); the receiver keeps both. */
export interface Match<S> {
  readonly subscriber: S;
  qos: Qos;
  /** What counts for what the subscriber itself published: mostly this match itself; undefined = nothing is delivered. */
  local: Match<S> | undefined;
  /** Set if any of the subscriptions wants RETAIN as it was published, or has an identifier. */
  extras: MatchExtras | undefined;
  revision: number;
  allowed: boolean;
}

export interface MatchExtras {
  readonly retainAsPublished: boolean;
  /** As `Extras` of a message. */
  readonly identifiers: Buffer | undefined;
}

/** One level of filters. Maps come with their first entry: a fleet has a node per device and level. */
interface Node<S> {
  children: Map<string, Node<S>> | undefined;
  subscribers: Map<S, Granted> | undefined;
  groups: Map<string, Group<S>> | undefined;
}
/** Members of one shared subscription. */
interface Group<S> {
  /** As it was written, with the share. */
  readonly filter: string;
  readonly members: Map<S, Granted>;
}
/** A shared subscription in a route. */
export interface GroupMatch<S> {
  readonly filter: string;
  readonly members: readonly Match<S>[];
}
const createNode = <S>(): Node<S> => ({ children: undefined, subscribers: undefined, groups: undefined });
const isBare = <S>({ children, subscribers, groups }: Node<S>): boolean =>
  (children?.size ?? 0) + (subscribers?.size ?? 0) + (groups?.size ?? 0) === 0;

/** Receivers of one topic. Of each shared group one member is chosen per message. */
export class Route<S> {
  readonly topic: string;
  readonly #subscriptions: Subscriptions<S>;
  #generation = 0;
  #matches: readonly Match<S>[] = [];
  #groups: readonly GroupMatch<S>[] = [];
  /** How much it counts against `rememberedMatchesMax`; 0 = it remembers nothing. */
  cost = 0;

  constructor(topic: string, subscriptions: Subscriptions<S>) {
    this.topic = topic;
    this.#subscriptions = subscriptions;
  }

  get matches(): readonly Match<S>[] {
    this.#refresh();
    return this.#matches;
  }

  get groups(): readonly GroupMatch<S>[] {
    this.#refresh();
    return this.#groups;
  }

  #refresh(): void {
    if (this.#generation === this.#subscriptions.generation) return;
    const { matches, groups } = this.#subscriptions.match(this.topic);
    this.#matches = matches;
    this.#groups = groups;
    this.#generation = this.#subscriptions.generation;
    const cost = groups.reduce((sum, { members }) => sum + members.length, routeOverhead + matches.length);
    this.#subscriptions.remembers(this, cost);
  }

  /** Looks its receivers up anew when it is asked again. */
  forget(): void {
    this.#matches = [];
    this.#groups = [];
    this.#generation = 0;
    this.cost = 0;
  }
}

/** What the dialect decides about matching. */
export interface MatchingRules {
  /** `a/#` matches `a` as well. */
  readonly hashMatchesParent: boolean;
}

export class Subscriptions<S> {
  /** Moves with every change. */
  generation = 1;
  #groupCount = 0;
  readonly #root: Node<S> = createNode();
  readonly #routes = new Map<string, Route<S>>();
  /** Routes that remember their receivers, and what that costs. */
  readonly #remembering = new Set<Route<S>>();
  #rememberedCost = 0;
  readonly #hashMatchesParent: boolean;

  constructor({ hashMatchesParent }: MatchingRules) {
    this.#hashMatchesParent = hashMatchesParent;
  }

  /** Adds or replaces; false when a bound of shared groups is reached. */
  add(subscriber: S, filter: string, shared: SharedFilter | undefined, granted: Granted): boolean {
    if (shared === undefined) {
      const node = this.#reach(filter);
      node.subscribers ??= new Map();
      node.subscribers.set(subscriber, granted);
    } else {
      const known = this.#find(shared.filter)?.groups?.get(shared.shareName);
      if (known === undefined && this.#groupCount >= sharedGroupsMax) return false;
      if (known !== undefined && !known.members.has(subscriber) && known.members.size >= sharedMembersMax) return false;
      const node = this.#reach(shared.filter);
      node.groups ??= new Map();
      if (known === undefined) {
        this.#groupCount++;
        node.groups.set(shared.shareName, { filter, members: new Map([[subscriber, granted]]) });
      } else known.members.set(subscriber, granted);
    }
    this.generation++;
    return true;
  }

  remove(subscriber: S, filter: string, shared: SharedFilter | undefined): void {
    this.#removeAt(this.#root, (shared?.filter ?? filter).split('/'), 0, (node) => {
      if (shared === undefined) {
        node.subscribers?.delete(subscriber);
        return;
      }
      const members = node.groups?.get(shared.shareName)?.members;
      if (members?.delete(subscriber) && members.size === 0) {
        node.groups?.delete(shared.shareName);
        this.#groupCount--;
      }
    });
    this.generation++;
  }

  route(topic: string): Route<S> {
    const known = this.#routes.get(topic);
    if (known !== undefined) return known;
    if (this.#routes.size >= routesMax) this.#routes.clear();
    const route = new Route(topic, this);
    this.#routes.set(topic, route);
    return route;
  }

  /** A route has looked its receivers up. */
  remembers(route: Route<S>, cost: number): void {
    this.#rememberedCost += cost - route.cost;
    route.cost = cost;
    this.#remembering.add(route);
    if (this.#rememberedCost <= rememberedMatchesMax) return;
    this.#remembering.delete(route);
    for (const other of this.#remembering) other.forget();
    this.#remembering.clear();
    this.#remembering.add(route);
    this.#rememberedCost = cost;
  }

  /** Receivers that all routes hold at this moment, with the overhead of the routes. */
  get rememberedCost(): number {
    return this.#rememberedCost;
  }

  /** Looks a topic up in the trie: for routes; callers on the message path ask `route`. */
  match(topic: string): { matches: readonly Match<S>[]; groups: readonly GroupMatch<S>[] } {
    const matching = new Map<S, Granted[]>();
    const groups: GroupMatch<S>[] = [];
    const collect = (node: Node<S>): void => {
      for (const [subscriber, granted] of node.subscribers ?? []) {
        const known = matching.get(subscriber);
        if (known === undefined) matching.set(subscriber, [granted]);
        else known.push(granted);
      }
      for (const { filter, members } of node.groups?.values() ?? []) {
        groups.push({ filter, members: matchesOf(members) });
      }
    };
    this.#walk(topic, collect);
    return { matches: Array.from(matching, ([subscriber, granted]) => createMatch(subscriber, granted)), groups };
  }

  /** The unshared subscriptions of one subscriber that match a topic: for what is not for everybody else. */
  grantsOf(subscriber: S, topic: string): readonly Granted[] {
    const granted: Granted[] = [];
    this.#walk(topic, ({ subscribers }) => {
      const own = subscribers?.get(subscriber);
      if (own !== undefined) granted.push(own);
    });
    return granted;
  }

  /** Visits every node that filters which match the topic end in. */
  #walk(topic: string, visit: (node: Node<S>) => void): void {
    const levels = topic.split('/');
    const walk = (node: Node<S>, index: number): void => {
      if (index === levels.length) {
        visit(node);
        const parentOf = this.#hashMatchesParent ? node.children?.get('#') : undefined;
        if (parentOf) visit(parentOf);
        return;
      }
      const level = levels[index] ?? '';
      const exact = node.children?.get(level);
      if (exact) walk(exact, index + 1);
      if (index === 0 && level.startsWith('$')) return; // wildcards never reach $ topics [MQTT-4.7.2-1]
      const one = node.children?.get('+');
      if (one) walk(one, index + 1);
      const rest = node.children?.get('#');
      if (rest) visit(rest);
    };
    walk(this.#root, 0);
  }

  /** Members of a shared subscription, as it was written; empty for any other filter. */
  members(filter: string): readonly Match<S>[] {
    const shared = parseShared(filter);
    if (typeof shared !== 'object') return [];
    return matchesOf(this.#find(shared.filter)?.groups?.get(shared.shareName)?.members ?? new Map());
  }

  #find(filter: string): Node<S> | undefined {
    let node: Node<S> | undefined = this.#root;
    for (const level of filter.split('/')) node = node?.children?.get(level);
    return node;
  }

  #reach(filter: string): Node<S> {
    let node = this.#root;
    for (const level of filter.split('/')) {
      let next = node.children?.get(level);
      if (next === undefined) {
        next = createNode();
        node.children ??= new Map();
        node.children.set(level, next);
      }
      node = next;
    }
    return node;
  }

  /** Removes at the end of the path and, on the way back, every node that holds nothing any more. */
  #removeAt(node: Node<S>, levels: readonly string[], index: number, remove: (leaf: Node<S>) => void): void {
    const level = levels[index];
    if (level === undefined) {
      remove(node);
      return;
    }
    const child = node.children?.get(level);
    if (child === undefined) return;
    this.#removeAt(child, levels, index + 1, remove);
    if (isBare(child)) node.children?.delete(level);
  }
}

/** One copy per subscriber, however many of its subscriptions match: at the highest QoS of them (spec gateway.md 5.6). */
const createMatch = <S>(subscriber: S, granted: readonly Granted[]): Match<S> => {
  const match = matchOf(subscriber, granted);
  const local = granted.filter(({ noLocal }) => !noLocal);
  if (local.length === granted.length) match.local = match;
  else if (local.length > 0) match.local = matchOf(subscriber, local);
  return match;
};

const matchesOf = <S>(members: ReadonlyMap<S, Granted>): Match<S>[] =>
  Array.from(members, ([subscriber, granted]) => createMatch(subscriber, [granted]));

/** A receiver of one message, by the subscriptions of it that match. */
export const matchOf = <S>(subscriber: S, granted: readonly Granted[]): Match<S> => ({
  subscriber,
  qos: granted.reduce<Qos>((highest, { qos }) => (qos > highest ? qos : highest), 0),
  local: undefined,
  extras: extrasOf(granted),
  revision: Number.NaN,
  allowed: false,
});

const extrasOf = (granted: readonly Granted[]): MatchExtras | undefined => {
  const retainAsPublished = granted.some((each) => each.retainAsPublished);
  const identifiers = granted.flatMap(({ identifier = 0 }) => (identifier === 0 ? [] : [identifier]));
  if (identifiers.length === 0) return retainAsPublished ? { retainAsPublished, identifiers: undefined } : undefined;
  return { retainAsPublished, identifiers: encodeIdentifiers(identifiers.slice(0, identifiersPerMatchMax)) };
};
