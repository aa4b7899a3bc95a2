/**
 * A subscriber whose session is kept: it comes and goes, subscribes and unsubscribes, ends its session now and then, and acknowledges what it gets late or
 * at once, always in order. When the world stops it stays and takes everything.
 */
import type { Received, Version } from '../raw-mqtt.ts';
import { type Client, type Heard, type Message, sharedPrefix } from './records.ts';
import { dial, type Wire } from './wire.ts';
import { between, chance, oneOf, type World } from './world.ts';

/** Unacknowledged messages that it holds back at most; the server sends 100. */
const heldMax = 50;
const expirySeconds = 3600;

export interface SubscriberPlan {
  readonly clientId: string;
  readonly version: Version;
  readonly qos: 1 | 2;
  /** Subscribed at first, and never given up. */
  readonly always: readonly string[];
  /** Subscribed and given up at random. */
  readonly sometimes: readonly string[];
  /** It may end its session. */
  readonly mayEnd: boolean;
}

interface Held {
  readonly packetId: number;
  readonly message: Message | undefined;
  readonly qos: number;
}

export class Subscriber {
  readonly #world: World;
  readonly #plan: SubscriberPlan;
  readonly #client: Client;
  #wire: Wire | undefined;
  /** Not acknowledged, in the order of arrival. */
  #held: Held[] = [];
  /** QoS 2: identifiers that were taken and not released by the server yet; they belong to the session. */
  readonly #taken = new Set<number>();
  /** Of the session: what was not acknowledged on an earlier connection, and its identifier. */
  #carried = new Map<Message, number>();
  #isGreedy = false;
  /** Who waits for an answer, by the packet it is. */
  readonly #asked = new Map<Received['cmd'], (packet: Received | undefined) => void>();
  #lastId = 0;
  arrivals = 0;

  constructor(world: World, plan: SubscriberPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#client = world.ledger.client(plan.clientId);
  }

  /** Comes and goes until the world stops; then it is connected, or was at last. */
  async run(): Promise<void> {
    this.#isGreedy = false;
    while (!this.#world.isStopping) {
      if (!(await this.#connect(false))) continue;
      await this.#stay();
      if (this.#world.isStopping) break;
      await this.#leave();
      await this.#world.later(between(0, 120));
    }
  }

  /** Connected, it takes what comes until the world is over. */
  async drain(): Promise<void> {
    this.#isGreedy = true;
    while (!this.#world.isOver) {
      if (this.#wire?.isClosed !== false && !(await this.#connect(false))) continue;
      for (const filter of this.#plan.always) if (!this.#isKnown(filter)) await this.#subscribe(filter);
      this.#acknowledge(this.#held.length);
      await this.#wire?.closed;
      if (!this.#world.isOver) this.#world.lost(this.#plan.clientId);
    }
  }

  /** A round trip: what was sent to it before has arrived. */
  async ping(): Promise<void> {
    await this.#ask({ cmd: 'pingreq' }, 'pingresp');
  }

  goodbye(): void {
    this.#wire?.send({ cmd: 'disconnect' });
  }

  #isKnown(filter: string): boolean {
    return this.#client.incarnation?.filters.get(filter)?.since !== undefined;
  }

  /** Takes its session up, or with `cleanStart` ends it; false when it did not come to that. */
  async #connect(cleanStart: boolean): Promise<boolean> {
    const { version, clientId } = this.#plan;
    const { ledger } = this.#world;
    const heard: Heard = { client: this.#client, times: new Map() };
    const place = await this.#world.place;
    this.#carry();
    const isIn = Promise.withResolvers<boolean>();
    const wire = await dial(place, {
      connect: {
        clientId,
        protocolVersion: version,
        clean: cleanStart,
        ...(version === 5 && !cleanStart && { properties: { sessionExpiryInterval: expirySeconds } }),
      },
      connecting: () => ledger.connecting(this.#client, { cleanStart }),
      hear: (packet, from) => {
        if (packet.cmd !== 'connack') {
          this.#hear(packet, from, heard);
          return;
        }
        const code = packet.reasonCode ?? packet.returnCode ?? 0;
        if (code !== 0) ledger.violate(`${clientId}: CONNACK ${code}`);
        ledger.connected(this.#client, { cleanStart, present: packet.sessionPresent });
        if (!packet.sessionPresent) {
          this.#carried.clear();
          this.#taken.clear();
        }
        isIn.resolve(true);
      },
    });
    if (wire === undefined) return false;
    this.#wire = wire;
    void wire.closed.then(() => {
      isIn.resolve(false);
      if (this.#wire === wire) for (const cmd of this.#asked.keys()) this.#answered(cmd, undefined);
    });
    if (await isIn.promise) return true;
    this.#world.lost(clientId);
    return false;
  }

  /** The connection is over: what it holds back is still unacknowledged. */
  #carry(): void {
    for (const { message, packetId } of this.#held) if (message !== undefined) this.#carried.set(message, packetId);
    this.#held = [];
  }

  async #stay(): Promise<void> {
    const { always, sometimes, clientId } = this.#plan;
    for (const filter of always) if (!this.#isKnown(filter)) await this.#subscribe(filter);
    for (let steps = between(1, 6); steps > 0; steps--) {
      await Promise.race([this.#world.later(between(10, 150)), this.#wire?.closed]);
      if (this.#wire?.isClosed) {
        this.#world.lost(clientId);
        return;
      }
      if (this.#world.isStopping) return;
      this.#acknowledge(between(0, this.#held.length));
      if (sometimes.length === 0) continue;
      if (chance(0.6)) await this.#subscribe(oneOf(sometimes));
      else await this.#unsubscribe(oneOf(sometimes));
    }
  }

  async #leave(): Promise<void> {
    const wire = this.#wire;
    if (wire === undefined || wire.isClosed) return;
    const way = between(1, this.#plan.mayEnd ? 14 : 11);
    if (way <= 5) {
      wire.send({ cmd: 'disconnect' });
      await wire.closed;
    } else if (way <= 9) wire.drop();
    else if (way <= 11) {
      // the next CONNECT finds this connection still there: it is taken over
      wire.abandon();
    } else if (await this.#connect(true)) {
      this.#wire?.drop();
    }
  }

  #answered(cmd: Received['cmd'], packet: Received | undefined): void {
    this.#asked.get(cmd)?.(packet);
    this.#asked.delete(cmd);
  }

  /** Undefined when the connection ends instead. */
  async #ask(packet: Parameters<Wire['send']>[0], answer: Received['cmd']): Promise<Received | undefined> {
    if (this.#wire === undefined || this.#wire.isClosed) return undefined;
    const { promise, resolve } = Promise.withResolvers<Received | undefined>();
    this.#asked.set(answer, resolve);
    this.#wire.send(packet);
    return promise;
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 60_000) + 1;
    return this.#lastId;
  }

  async #subscribe(filter: string): Promise<void> {
    if (this.#wire?.isClosed !== false) return;
    const { ledger } = this.#world;
    ledger.subscribing(this.#client, filter);
    const subscription = { topic: filter, qos: this.#plan.qos, nl: false, rap: false, rh: 0 } as const;
    const suback = await this.#ask(
      { cmd: 'subscribe', messageId: this.#nextId(), subscriptions: [subscription] },
      'suback',
    );
    if (suback?.cmd === 'suback') ledger.subscribed(this.#client, filter, Number(suback.granted[0]));
  }

  async #unsubscribe(filter: string): Promise<void> {
    if (this.#wire?.isClosed !== false) return;
    const { ledger } = this.#world;
    ledger.unsubscribing(this.#client, filter);
    const unsuback = await this.#ask(
      { cmd: 'unsubscribe', messageId: this.#nextId(), unsubscriptions: [filter] },
      'unsuback',
    );
    if (unsuback?.cmd === 'unsuback') ledger.unsubscribed(this.#client, filter);
  }

  #hear(packet: Received, wire: Wire, heard: Heard): void {
    if (wire !== this.#wire) return;
    switch (packet.cmd) {
      case 'publish':
        this.#arrived(packet, heard);
        return;
      case 'pubrel':
        this.#taken.delete(packet.messageId ?? 0);
        wire.send({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 });
        return;
      case 'suback':
      case 'unsuback':
      case 'pingresp':
        this.#answered(packet.cmd, packet);
        return;
      default:
        this.#world.unexpected(this.#plan.clientId, packet);
    }
  }

  #arrived(packet: Extract<Received, { cmd: 'publish' }>, heard: Heard): void {
    const { ledger } = this.#world;
    const { topic, retain, qos, messageId: packetId = 0 } = packet;
    this.arrivals++;
    if (qos === 2 && this.#taken.has(packetId)) {
      this.#held.push({ packetId, message: undefined, qos });
    } else {
      const known = this.#held.find((held) => held.packetId === packetId);
      const payload = packet.payload.toString();
      const isAgain = known?.message !== undefined && payload.startsWith(`${known.message.id} `);
      const message = ledger.received(heard, { topic, payload, retain, packetId }, isAgain);
      if (message !== undefined) {
        const former = this.#carried.get(message);
        if (former !== undefined && former !== packetId && message.attempts === 1)
          ledger.violate(`${this.#plan.clientId}: ${message.id} came as ${former} and again as ${packetId}`);
      }
      if (!isAgain) this.#held.push({ packetId, message, qos });
    }
    if (this.#isGreedy || this.#held.length >= heldMax || chance(0.4)) this.#acknowledge(this.#held.length);
  }

  /** The oldest ones. */
  #acknowledge(count: number): void {
    const wire = this.#wire;
    if (wire === undefined || wire.isClosed) return;
    for (const { packetId, message, qos } of this.#held.splice(0, count)) {
      if (message !== undefined) {
        this.#world.ledger.taken(this.#client, message);
        this.#carried.delete(message);
      }
      if (qos === 2) this.#taken.add(packetId);
      if (qos !== 0) wire.send({ cmd: qos === 2 ? 'pubrec' : 'puback', messageId: packetId });
    }
  }
}

/** Of the shared subscription that some are members of. */
export const groupFilter = `${sharedPrefix}group/s/+`;
