/**
 * The ledger of a crash test, kept outside the process that is killed: what was published and acknowledged, who was subscribed when, and what arrived. Its
 * clock is the order in which this process sent and heard things, so every rule is about before and after, never about time:
 *
 * - A message that got its PUBACK must reach every session that is kept and was entitled to it: SUBACK heard before the message was sent, no
 *   UNSUBSCRIBE and no end of the session sent before its PUBACK was heard. It has reached a session when the client has acknowledged it. In between, it may.
 * - In each session, messages of one publisher come in their order. What was sent once comes once per connection; again only after a reconnect.
 * - Of a shared subscription, somebody gets each message, and as many members as it was sent times at most.
 * - Nothing comes that nobody published, nor to a session that was not entitled.
 * - Sessions are there if, and only if, that was acknowledged; a retained message is the last one acknowledged, or a later one.
 *
 * With QoS 2, once means once: nothing that was taken may come again, whatever was killed in between.
 * Source: spec gateway.md 5.3, 5.9, 5.10; MQTT 5.0 4.3, 4.6.
 */
import { createWriteStream, rmSync } from 'node:fs';
import {
  type Arrived,
  bodyOf,
  type Client,
  type Heard,
  has,
  type Incarnation,
  innerOf,
  isShared,
  type Message,
  type RareEvent,
  type Subscribed,
  type Totals,
} from './records.ts';

const violationsKept = 20;

export class Ledger {
  readonly totals: Totals = {
    published: 0,
    acknowledged: 0,
    delivered: 0,
    repeated: 0,
    retained: 0,
    wills: 0,
    kills: 0,
    lost: 0,
  };
  /** What must not be, in sentences; the first ones. */
  readonly violations: string[] = [];
  violationsCount = 0;
  /** Told of what is acknowledged seldom, at that moment. */
  happened: (event: RareEvent) => void = () => {};
  /** Acknowledged messages that somebody is still owed. */
  readonly open = new Set<Message>();
  readonly clients = new Map<string, Client>();
  /** QoS 2, and retained messages for filters with wildcards: `--limits open`. */
  readonly #isOpen: boolean;
  readonly #file: string;
  readonly #out: ReturnType<typeof createWriteStream>;
  readonly #messages = new Map<string, Message>();
  /** By publisher: messages up to this number were settled, and are no longer kept here. */
  readonly #settled = new Map<string, number>();
  readonly #numbers = new Map<string, number>();
  /** By topic: the last acknowledged message, and what was sent after it. */
  readonly #retained = new Map<string, { acknowledged: Message | undefined; later: Message[] }>();
  readonly #wills = new Map<string, 'armed' | 'void'>();
  #now = 0;
  #wake = Promise.withResolvers<void>();

  /** Everything is also written to `file`, a line each. */
  constructor(file: string, { isOpen = false } = {}) {
    this.#file = file;
    this.#isOpen = isOpen;
    this.#out = createWriteStream(file);
  }

  /** Resolves at the next event that is told here. */
  get next(): Promise<void> {
    return this.#wake.promise;
  }

  #tick(...words: (string | number)[]): number {
    this.#now++;
    if (!this.#out.writableEnded) this.#out.write(`${this.#now} ${words.join(' ')}\n`);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    return this.#now;
  }

  violate(sentence: string): void {
    this.#tick('VIOLATION', sentence);
    this.violationsCount++;
    if (this.violations.length < violationsKept) this.violations.push(`${sentence} (line ${this.#now})`);
  }

  note(...words: (string | number)[]): void {
    this.#tick(...words);
  }

  client(clientId: string): Client {
    const known = this.clients.get(clientId) ?? { clientId, incarnation: undefined, opens: 0 };
    this.clients.set(clientId, known);
    return known;
  }

  // --- publishers

  publishing(publisher: string, topic: string, { retain = false, isDelete = false } = {}): Message {
    const number = (this.#numbers.get(publisher) ?? 0) + 1;
    this.#numbers.set(publisher, number);
    const id = `${publisher}/${number}`;
    const at = this.#tick('publish', id, topic, retain ? (isDelete ? 'delete' : 'retain') : '');
    const message: Message = {
      id,
      publisher,
      number,
      topic,
      isDelete,
      retain,
      firstSentAt: at,
      lastSentAt: at,
      attempts: 1,
      acknowledgedAt: Number.POSITIVE_INFINITY,
      owed: new Set(),
      owedByGroup: false,
      takenBy: new Set(),
    };
    this.#messages.set(id, message);
    if (retain) this.#retainedOn(topic).later.push(message);
    this.totals.published++;
    return message;
  }

  /** `isSame`: QoS 2, the server may have it already and then takes it for what it is; it counts as sent when it was first. */
  publishingAgain(message: Message, { isSame = false } = {}): void {
    const at = this.#tick('again', message.id);
    if (isSame) return;
    message.lastSentAt = at;
    message.attempts++;
  }

  acknowledged(message: Message): void {
    const at = this.#tick('acknowledged', message.id);
    message.acknowledgedAt = at;
    this.totals.acknowledged++;
    if (message.retain) {
      this.happened('retained');
      const retained = this.#retainedOn(message.topic);
      retained.acknowledged = message;
      retained.later = retained.later.filter(({ number }) => number > message.number);
    }
    if (message.isDelete) return; // nothing tells one empty message from another
    for (const { incarnation } of this.clients.values()) {
      if (incarnation === undefined || incarnation.endingAt !== undefined) continue;
      for (const [filter, { since }] of incarnation.filters) {
        if (since === undefined || since > message.lastSentAt || !has(innerOf(filter), message.topic)) continue;
        if (isShared(filter)) {
          if (message.takenBy.size === 0) message.owedByGroup = true;
        } else if (!message.takenBy.has(incarnation)) {
          message.owed.add(incarnation);
          incarnation.owed.add(message);
        }
      }
    }
    this.#close(message);
  }

  #close(message: Message): void {
    if (message.owed.size > 0 || message.owedByGroup) this.open.add(message);
    else this.open.delete(message);
  }

  // --- wills

  /** A will that may come from now on. */
  armed(will: string): void {
    this.#tick('will', will);
    this.#wills.set(will, 'armed');
  }

  /** Its client is about to say goodbye. */
  disarmed(will: string): void {
    this.#tick('no will', will);
    this.#wills.set(will, 'void');
  }

  // --- sessions

  connecting(client: Client, { cleanStart }: { readonly cleanStart: boolean }): void {
    const at = this.#tick('connect', client.clientId, cleanStart ? 'clean' : '');
    if (cleanStart && client.incarnation !== undefined) client.incarnation.endingAt ??= at;
    if (!cleanStart && client.incarnation === undefined) client.opens++;
  }

  /** CONNACK. A clean session is not kept: it is none of those that are counted here. */
  connected(
    client: Client,
    { cleanStart, present }: { readonly cleanStart: boolean; readonly present: boolean },
  ): void {
    const at = this.#tick('connected', client.clientId, cleanStart ? 'clean' : '', present ? 'present' : '');
    const { clientId, incarnation, opens } = client;
    client.opens = 0;
    this.happened(cleanStart ? 'ended' : present ? 'resumed' : 'began');
    if (cleanStart) {
      if (present) this.violate(`${clientId}: a session is present after a clean start`);
      this.#end(client);
      return;
    }
    if (incarnation === undefined && present && opens < 2)
      this.violate(`${clientId}: a session is present that was ended`);
    if (incarnation !== undefined && !present && incarnation.endingAt === undefined) {
      this.violate(`${clientId}: its session is gone`);
      for (const message of incarnation.owed) this.note('lost with its session', clientId, message.id);
    }
    if (!present) this.#end(client);
    if (present && incarnation?.endingAt !== undefined) {
      // its end was never acknowledged and has not happened; what was published meanwhile may have missed it
      incarnation.endingAt = undefined;
      for (const subscribed of incarnation.filters.values()) if (subscribed.since !== undefined) subscribed.since = at;
    }
    client.incarnation ??= {
      clientId,
      filters: new Map(),
      owed: new Set(),
      endingAt: undefined,
      latest: new Map(),
      seen: new Set(),
    };
  }

  #end(client: Client): void {
    const { incarnation } = client;
    client.incarnation = undefined;
    for (const message of incarnation?.owed ?? []) {
      if (incarnation?.endingAt === undefined) continue; // gone without a word: what it was owed is lost
      message.owed.delete(incarnation);
      this.#close(message);
    }
  }

  // --- subscriptions

  #subscribed({ incarnation }: Client, filter: string): Subscribed {
    const subscribed = incarnation?.filters.get(filter) ?? { spans: [], since: undefined, asked: [] };
    incarnation?.filters.set(filter, subscribed);
    return subscribed;
  }

  subscribing(client: Client, filter: string): void {
    const at = this.#tick('subscribe', client.clientId, filter);
    const { spans, asked } = this.#subscribed(client, filter);
    asked.push(at);
    if (spans.at(-1)?.to !== Number.POSITIVE_INFINITY) spans.push({ from: at, to: Number.POSITIVE_INFINITY });
  }

  subscribed(client: Client, filter: string, code: number): void {
    const at = this.#tick('subscribed', client.clientId, filter, code);
    if (code >= 0x80) this.violate(`${client.clientId}: ${filter} was refused with ${code}`);
    this.#subscribed(client, filter).since ??= at;
    this.happened('subscribed');
  }

  unsubscribing(client: Client, filter: string): void {
    this.#tick('unsubscribe', client.clientId, filter);
    this.#subscribed(client, filter).since = undefined;
  }

  unsubscribed(client: Client, filter: string): void {
    const at = this.#tick('unsubscribed', client.clientId, filter);
    const span = this.#subscribed(client, filter).spans.at(-1);
    if (span !== undefined) span.to = Math.min(span.to, at);
    this.happened('unsubscribed');
  }

  // --- what arrives

  /** `isAgain`: the client has not acknowledged this identifier yet, and had the same message under it. */
  received({ client, times }: Heard, arrived: Arrived, isAgain: boolean): Message | undefined {
    const { topic, payload, retain, packetId } = arrived;
    const { clientId, incarnation } = client;
    this.#tick('received', clientId, packetId, topic, payload.split(' ')[0] ?? '', retain ? 'retained' : '');
    if (incarnation === undefined) {
      this.violate(`${clientId}: ${topic} came without a session`);
      return undefined;
    }
    if (topic.startsWith('w/')) {
      this.#will(incarnation, topic, payload);
      return undefined;
    }
    if (payload === '') {
      this.#empty(incarnation, topic);
      return undefined;
    }
    const message = this.#find(clientId, arrived);
    if (message === undefined) return undefined;
    if (retain) {
      this.totals.retained++;
      if (!this.#mayHaveRetained(incarnation, message))
        this.violate(`${clientId}: ${message.id} came as retained on ${topic}, where it was not`);
      return undefined;
    }
    const filters = this.#filtersFor(incarnation, message);
    if (filters.length === 0) this.violate(`${clientId} was not entitled to ${message.id} on ${topic}`);
    if (!isAgain) times.set(message, (times.get(message) ?? 0) + 1);
    if ((times.get(message) ?? 0) > message.attempts)
      this.violate(`${clientId}: ${message.id}, sent ${message.attempts} times, came more often on one connection`);
    if (incarnation.seen.has(message)) {
      this.totals.repeated++;
      return message;
    }
    incarnation.seen.add(message);
    this.totals.delivered++;
    if (filters.every(isShared)) return message; // in no order
    // sent again, it may come after what followed it the first time: it may have been nothing to the session then
    const latest = incarnation.latest.get(message.publisher);
    if (latest !== undefined && message.lastSentAt < latest.firstSentAt)
      this.violate(`${clientId}: ${message.id} came after ${latest.id}`);
    if (latest === undefined || message.firstSentAt > latest.firstSentAt)
      incarnation.latest.set(message.publisher, message);
    return message;
  }

  /** The client has taken it: its acknowledgement is on the way. */
  taken(client: Client, message: Message): void {
    const { incarnation } = client;
    if (incarnation === undefined) return;
    this.#tick('taken', client.clientId, message.id);
    if (this.#isOpen && message.takenBy.has(incarnation)) {
      this.violate(`${client.clientId}: ${message.id} was taken twice`);
    }
    const filters = this.#filtersFor(incarnation, message);
    const isOfGroup = filters.length > 0 && filters.every(isShared);
    message.takenBy.add(incarnation);
    message.owed.delete(incarnation);
    incarnation.owed.delete(message);
    if (isOfGroup) {
      message.owedByGroup = false;
      if (message.takenBy.size > message.attempts)
        this.violate(`${message.id}, sent ${message.attempts} times, came to ${message.takenBy.size} of a group`);
    }
    this.#close(message);
  }

  #find(clientId: string, { topic, payload, retain }: Arrived): Message | undefined {
    const [id = ''] = payload.split(' ');
    const message = this.#messages.get(id);
    const [publisher = '', number = ''] = id.split('/');
    const isSettled = Number(number) <= (this.#settled.get(publisher) ?? 0);
    if (message?.topic === topic && (retain || !isSettled)) {
      if (payload !== bodyOf(message)) this.violate(`${clientId}: ${id} came with another payload`);
      return message;
    }
    if (isSettled) {
      this.totals.repeated++; // of an earlier part of the test
      if (this.#isOpen) this.violate(`${clientId}: ${id} came again`);
    } else this.violate(`${clientId}: nobody has published ${id} on ${topic}`);
    return undefined;
  }

  #will(incarnation: Incarnation, topic: string, will: string): void {
    this.totals.wills++;
    const state = this.#wills.get(will);
    if (state !== 'armed')
      this.violate(`${incarnation.clientId}: the will ${will} came, which is ${state ?? 'unknown'}`);
    const may = [...incarnation.filters].some(([filter, { spans }]) => spans.length > 0 && has(filter, topic));
    if (!may) this.violate(`${incarnation.clientId} was not entitled to ${will} on ${topic}`);
  }

  #empty(incarnation: Incarnation, topic: string): void {
    const may = [...incarnation.filters].some(([filter, { spans }]) => spans.length > 0 && has(filter, topic));
    if (!may || !this.#retained.has(topic)) this.violate(`${incarnation.clientId}: an empty message came on ${topic}`);
  }

  /** Filters by which a session may have it. What waits for a shared subscription may go to a member that joins later. */
  #filtersFor({ filters }: Incarnation, { topic, firstSentAt, acknowledgedAt }: Message): string[] {
    return [...filters].flatMap(([filter, { spans }]) =>
      has(innerOf(filter), topic) &&
      spans.some(({ from, to }) => (from <= acknowledgedAt || isShared(filter)) && to >= firstSentAt)
        ? [filter]
        : [],
    );
  }

  // --- retained messages

  #retainedOn(topic: string): { acknowledged: Message | undefined; later: Message[] } {
    const retained = this.#retained.get(topic) ?? { acknowledged: undefined, later: [] };
    this.#retained.set(topic, retained);
    return retained;
  }

  /** Some time after the filter was asked for it was, or may have been, the newest on its topic. */
  #mayHaveRetained({ filters }: Incarnation, message: Message): boolean {
    const asked = [...filters].flatMap(([filter, subscribed]) =>
      filter === message.topic || (this.#isOpen && has(filter, message.topic)) ? subscribed.asked : [],
    );
    const replacedAt = [...this.#messages.values()]
      .filter(({ topic, retain, number }) => topic === message.topic && retain && number > message.number)
      .reduce((first, { acknowledgedAt }) => Math.min(first, acknowledgedAt), Number.POSITIVE_INFINITY);
    return message.retain && asked.some((at) => at < replacedAt);
  }

  get retainedTopics(): string[] {
    return [...this.#retained.keys()];
  }

  /** What a topic holds, while nobody publishes there; undefined = nothing. */
  checkRetained(topic: string, id: string | undefined): void {
    const { acknowledged, later } = this.#retainedOn(topic);
    const may = [acknowledged, ...later].map((message) => (message?.isDelete ? undefined : message?.id));
    this.#tick('retained', topic, id ?? 'nothing');
    if (may.includes(id)) return;
    this.violate(`${topic} retains ${id ?? 'nothing'} instead of ${may.map((each) => each ?? 'nothing').join(' or ')}`);
    this.totals.lost++;
  }

  // --- the end of a part

  /** Whatever is owed now is lost. */
  close(): void {
    for (const message of this.open) {
      const whom = [...message.owed].map(({ clientId }) => clientId);
      if (message.owedByGroup) whom.push('its group');
      this.totals.lost += whom.length;
      this.violate(`${message.id} on ${message.topic} was acknowledged and never reached ${whom.join(', ')}`);
    }
    this.open.clear();
  }

  /** Everything so far is settled: it is only remembered that it was. Needs to be called while nothing is under way. */
  forget(): void {
    for (const { publisher, number } of this.#messages.values()) {
      this.#settled.set(publisher, Math.max(number, this.#settled.get(publisher) ?? 0));
    }
    const kept = [...this.#retained.values()].flatMap(({ acknowledged, later }) => [acknowledged, ...later]);
    this.#messages.clear();
    for (const message of kept) if (message !== undefined) this.#messages.set(message.id, message);
    for (const { incarnation } of this.clients.values()) {
      incarnation?.owed.clear();
      incarnation?.seen.clear();
    }
  }

  /** The file stays only if something was violated. */
  async end(): Promise<void> {
    await new Promise<void>((resolve) => this.#out.end(resolve));
    if (this.violationsCount === 0) rmSync(this.#file, { force: true });
  }

  get summary(): string {
    const { published, acknowledged, delivered, repeated, retained, wills, kills, lost } = this.totals;
    return (
      `${published} published, ${acknowledged} acknowledged, ${delivered} delivered, ${repeated} repeated, ` +
      `${retained} retained ones and ${wills} wills received, ${kills} kills, ${lost} lost`
    );
  }
}
