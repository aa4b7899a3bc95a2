/**
 * A publisher of QoS 1 or 2 messages, as many at once as the server receives, on ordinary, shared and retained topics. What was not acknowledged when
 * its connection ended is sent again on the next, in its order, first. With QoS 2 its session is kept, and so are its packet identifiers.
 */
import type { Received, Version } from '../raw-mqtt.ts';
import { bodyOf, type Message } from './records.ts';
import { dial, type Wire } from './wire.ts';
import { between, chance, oneOf, type World } from './world.ts';

export const topics = Array.from({ length: 6 }, (_, index) => `t/${index}`);
export const sharedTopics = ['s/0', 's/1'];
export const retainedTopicsOf = (name: string): string[] => [`r/${name}/0`, `r/${name}/1`, `r/${name}/2`];

/** Receive Maximum of the server. */
const windowMax = 100;
/** Once in so many looks, its network fails. */
const dropEvery = 150;
const expirySeconds = 3600;

interface Unacknowledged {
  readonly message: Message;
  /** QoS 2: the server has it, and has not been told, or not confirmed, that the identifier is free. */
  isReleased: boolean;
}

export interface PublisherPlan {
  readonly name: string;
  readonly version: Version;
  readonly qos: 1 | 2;
}

export class Publisher {
  readonly #world: World;
  readonly #plan: PublisherPlan;
  /** By packet identifier, in the order of the messages. */
  #unacknowledged = new Map<number, Unacknowledged>();
  #lastId = 0;
  #heard = Promise.withResolvers<void>();
  /** To be sent whatever happens. */
  #ordered: string[] = [];
  #isIn = false;

  constructor(world: World, plan: PublisherPlan) {
    this.#world = world;
    this.#plan = plan;
  }

  get name(): string {
    return this.#plan.name;
  }

  /** One message on each topic; resolves when all are acknowledged. */
  async publish(ordered: readonly string[]): Promise<void> {
    this.#ordered = [...ordered];
    await this.run();
  }

  /** Publishes until the world stops and everything is acknowledged. */
  async run(): Promise<void> {
    while (!this.#isDone) {
      const wire = await this.#enter();
      if (wire === undefined) continue;
      await this.#talk(wire);
    }
  }

  get #isDone(): boolean {
    return this.#world.isStopping && this.#unacknowledged.size === 0 && this.#ordered.length === 0;
  }

  async #enter(): Promise<Wire | undefined> {
    const { version, name, qos } = this.#plan;
    const { ledger } = this.#world;
    const isKept = qos === 2;
    const client = isKept ? ledger.client(name) : undefined;
    this.#isIn = false;
    const wire = await dial(await this.#world.place, {
      connect: {
        clientId: name,
        protocolVersion: version,
        clean: !isKept,
        ...(isKept && version === 5 && { properties: { sessionExpiryInterval: expirySeconds } }),
      },
      connecting: () => client && ledger.connecting(client, { cleanStart: false }),
      hear: (packet) => {
        if (packet.cmd === 'connack') {
          this.#isIn = true;
          if (client) ledger.connected(client, { cleanStart: false, present: packet.sessionPresent });
        } else this.#hear(packet, wire);
        this.#wake();
      },
    });
    if (wire === undefined) return undefined;
    void wire.closed.then(() => this.#wake());
    while (!wire.isClosed && !this.#isIn) await this.#heard.promise;
    if (!wire.isClosed) return wire;
    this.#world.lost(name);
    return undefined;
  }

  async #talk(wire: Wire): Promise<void> {
    this.#sendAgain(wire);
    while (!wire.isClosed) {
      if (this.#isDone) {
        wire.send({ cmd: 'disconnect' });
        await wire.closed;
        return;
      }
      this.#fill(wire);
      if (!this.#world.isStopping && between(1, dropEvery) === 1) {
        wire.drop();
        return;
      }
      await this.#heard.promise;
    }
    this.#world.lost(this.#plan.name);
  }

  #wake(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }

  #sendAgain(wire: Wire): void {
    const { qos } = this.#plan;
    const former = [...this.#unacknowledged];
    if (qos === 1) this.#unacknowledged = new Map();
    for (const [packetId, { message, isReleased }] of former) {
      if (isReleased) {
        wire.send({ cmd: 'pubrel', messageId: packetId });
        continue;
      }
      this.#world.ledger.publishingAgain(message, { isSame: qos === 2 });
      this.#send(wire, message, qos === 2 ? packetId : undefined);
    }
  }

  /** Up to the window, or less. */
  #fill(wire: Wire): void {
    const { ledger, isStopping } = this.#world;
    const room = windowMax - this.#unacknowledged.size;
    for (const topic of this.#ordered.splice(0, room)) this.#send(wire, ledger.publishing(this.#plan.name, topic));
    if (isStopping || this.#ordered.length > 0 || (this.#unacknowledged.size > 0 && !chance(0.2))) return;
    for (let count = between(Math.min(1, room), room); count > 0; count--) {
      this.#send(wire, this.#next());
    }
  }

  #next(): Message {
    const { ledger } = this.#world;
    const { name } = this.#plan;
    if (chance(0.06)) {
      return ledger.publishing(name, oneOf(retainedTopicsOf(name)), { retain: true, isDelete: chance(0.3) });
    }
    return ledger.publishing(name, oneOf(chance(0.15) ? sharedTopics : topics));
  }

  #send(wire: Wire, message: Message, former?: number): void {
    const { qos } = this.#plan;
    let packetId = former ?? this.#lastId;
    while (former === undefined && (packetId === this.#lastId || this.#unacknowledged.has(packetId)))
      packetId = (packetId % 60_000) + 1;
    if (former === undefined) this.#lastId = packetId;
    if (former === undefined) this.#unacknowledged.set(packetId, { message, isReleased: false });
    const { topic, retain, isDelete } = message;
    const payload = isDelete ? '' : bodyOf(message);
    wire.send({ cmd: 'publish', qos, dup: former !== undefined, retain, messageId: packetId, topic, payload });
  }

  #hear(packet: Received, wire: Wire | undefined): void {
    const { ledger } = this.#world;
    const { name, qos } = this.#plan;
    const answer = qos === 2 ? 'pubrec' : 'puback';
    if (packet.cmd === 'pubcomp' && packet.messageId !== undefined) {
      if (!this.#unacknowledged.get(packet.messageId)?.isReleased) ledger.violate(`${name}: PUBCOMP out of turn`);
      this.#unacknowledged.delete(packet.messageId);
      return;
    }
    if (packet.cmd !== answer || packet.messageId === undefined) {
      this.#world.unexpected(name, packet);
      return;
    }
    const code = packet.reasonCode ?? 0;
    const known = this.#unacknowledged.get(packet.messageId);
    if (known === undefined || code >= 0x80) {
      ledger.violate(`${name}: ${answer} ${packet.messageId} with code ${code}`);
      return;
    }
    const first = [...this.#unacknowledged.values()].find(({ isReleased }) => !isReleased);
    if (first !== known && !known.isReleased)
      ledger.violate(`${name}: ${known.message.id} is acknowledged out of turn`);
    if (qos === 1) this.#unacknowledged.delete(packet.messageId);
    const isNew = !known.isReleased;
    known.isReleased = true;
    if (isNew) ledger.acknowledged(known.message);
    if (qos === 2) wire?.send({ cmd: 'pubrel', messageId: packet.messageId });
    this.#world.progress();
  }
}
