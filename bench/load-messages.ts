/**
 * Publishers and subscribers on connections that stay open. A publisher keeps `window` messages on their way (and at most `unacknowledgedMax`
 * of QoS 1), so the server is never idle for want of work and never floods; each message is a record of its own, encrypted before the clock runs.
 */
import { once } from 'node:events';
import { pemOf } from './identities.ts';
import type { OpenJob, PrepareJob } from './jobs.ts';
import { connectPacket, PacketSplitter, publishPacket, subscribePacket } from './packets.ts';
import { sealedBytes, Wire } from './tls-records.ts';

export const payloadBytes = 128;
/** QoS 1: as AWS's own bound of unacknowledged messages per connection. */
const unacknowledgedMax = 100;
/** Records that leave in one write. */
const burstMax = 64;
/** Connections that are opened at once. */
const openingMax = 8;
/** Deliveries are given up when nothing has come for so long. */
const silenceMs = 3000;

interface Publisher {
  readonly wire: Wire;
  readonly topic: string;
  sealed: Buffer;
  sent: number;
  /** Deliveries of what it sent. */
  received: number;
  acknowledged: number;
  /** QoS 1: the packet identifier of the next message that is encrypted. */
  nextId: number;
}

const nothing = Buffer.alloc(0);

export class Messages {
  readonly #job: OpenJob;
  readonly #publishers: Publisher[] = [];
  readonly #subscribers: Wire[] = [];
  #plan: PrepareJob = { job: 'prepare', messages: 0, window: 1, expected: 0 };
  #messageBytes = 0;
  #delivered = 0;
  #wanted = 0;
  #finish: (() => void) | undefined;

  constructor(job: OpenJob) {
    this.#job = job;
  }

  async open(): Promise<void> {
    const { pattern, publishers, subscribers, name, echo } = this.#job;
    const todo: (() => Promise<void>)[] = [];
    const topicOf = (index: number): string => (pattern === 'shared' ? 'bench/shared' : `bench/${name}-${index}`);
    for (let index = 0; index < subscribers; index++) todo.push(() => this.#openSubscriber(index, topicOf(index)));
    for (let index = 0; index < publishers; index++) todo.push(() => this.#openPublisher(index, topicOf(index)));
    if (echo && pattern !== 'idle') todo.splice(0, subscribers);
    const work = async (): Promise<void> => {
      for (let next = todo.shift(); next; next = todo.shift()) await next();
    };
    await Promise.all(Array.from({ length: openingMax }, work));
  }

  prepare(plan: PrepareJob): void {
    this.#plan = plan;
    for (const publisher of this.#publishers) {
      const { bytes, idAt } = publishPacket(publisher.topic, this.#job.qos, payloadBytes);
      this.#messageBytes = bytes.length;
      publisher.sent = publisher.received = publisher.acknowledged = 0;
      publisher.sealed = publisher.wire.seal(plan.messages, bytes.length, () => {
        if (idAt >= 0) {
          bytes.writeUInt16BE(publisher.nextId, idAt);
          publisher.nextId = publisher.nextId === 65_535 ? 1 : publisher.nextId + 1;
        }
        return bytes;
      });
    }
  }

  /** Resolves when everything has been delivered, or nothing more comes. */
  async run(): Promise<{ done: number; failed: number }> {
    const { expected } = this.#plan;
    const receivers = this.#job.echo ? this.#publishers.length : this.#subscribers.length;
    this.#delivered = 0;
    this.#wanted = expected * receivers;
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    let before = -1;
    const watch = setInterval(() => {
      if (this.#delivered === before) this.#finish?.();
      before = this.#delivered;
    }, silenceMs);
    for (const publisher of this.#publishers) this.#pump(publisher);
    await finished;
    clearInterval(watch);
    this.#finish = undefined;
    return { done: this.#delivered, failed: this.#wanted - this.#delivered };
  }

  close(): void {
    for (const wire of [...this.#publishers.map((one) => one.wire), ...this.#subscribers]) wire.socket.destroy();
  }

  async #connect(clientId: string, deviceIndex: number, persistent = false): Promise<Wire> {
    const { devices, port, caFile, echo } = this.#job;
    const { certFile, keyFile } = devices[deviceIndex % devices.length]!;
    const wire = await Wire.connect({ port, ca: pemOf(caFile), cert: pemOf(certFile), key: pemOf(keyFile) });
    if (!echo) await this.#ask(wire, connectPacket(clientId, persistent), 0x20);
    return wire;
  }

  /** Sends a packet and waits for its answer. */
  async #ask(wire: Wire, request: Buffer, answer: number): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      wire.onData = (plain) => {
        if (plain[0] === answer && plain.at(-1)! < 0x80) resolve();
        else reject(new Error(`answered ${plain.toString('hex')}`));
      };
      once(wire.socket, 'close').then(() => reject(new Error('closed')), reject);
    });
    wire.send([request]);
    await answered;
  }

  async #openSubscriber(index: number, topic: string): Promise<void> {
    const { name, qos, pattern, persistent } = this.#job;
    const wire = await this.#connect(`${name}-s${index}`, 2 * index + 1, persistent);
    this.#subscribers.push(wire);
    if (pattern === 'idle') return;
    await this.#ask(wire, subscribePacket(topic, qos), 0x90);
    const splitter = new PacketSplitter();
    let messages = 0;
    wire.onData = (plain) => {
      splitter.split(plain, (first, buffer, start) => {
        if (first >> 4 !== 3) return;
        messages++;
        if (!(first & 2)) return;
        const idAt = start + 2 + buffer.readUInt16BE(start);
        wire.send([Buffer.of(0x40, 2, buffer[idAt]!, buffer[idAt + 1]!)]);
      });
    };
    wire.onRead = () => {
      this.#arrived(messages, this.#publishers[pattern === 'pairs' ? index : 0]);
      messages = 0;
    };
  }

  async #openPublisher(index: number, topic: string): Promise<void> {
    const { name, echo } = this.#job;
    const wire = await this.#connect(`${name}-p${index}`, 2 * index);
    const publisher: Publisher = { wire, topic, sealed: nothing, sent: 0, received: 0, acknowledged: 0, nextId: 1 };
    this.#publishers[index] = publisher;
    const splitter = new PacketSplitter();
    let messages = 0;
    wire.onData = (plain) => {
      splitter.split(plain, (first) => {
        if (echo) messages++;
        else if (first === 0x40) publisher.acknowledged++;
      });
    };
    wire.onRead = () => {
      if (echo) this.#arrived(messages, publisher);
      else this.#pump(publisher);
      messages = 0;
    };
  }

  #arrived(messages: number, publisher: Publisher | undefined): void {
    this.#delivered += messages;
    if (publisher) {
      publisher.received += messages;
      this.#pump(publisher);
    }
    if (this.#delivered >= this.#wanted) this.#finish?.();
  }

  /** Sends as much as the window allows. A shared topic's messages have arrived when the mean subscriber of this process has them. */
  #pump(publisher: Publisher): void {
    if (!this.#finish) return;
    const { messages, window } = this.#plan;
    const { pattern, qos } = this.#job;
    const received =
      pattern === 'shared' ? Math.floor(publisher.received / this.#subscribers.length) : publisher.received;
    const unacknowledged = qos === 1 ? unacknowledgedMax - (publisher.sent - publisher.acknowledged) : burstMax;
    const count = Math.min(messages - publisher.sent, received + window - publisher.sent, unacknowledged, burstMax);
    if (count <= 0) return;
    const recordBytes = sealedBytes(this.#messageBytes);
    const start = publisher.sent * recordBytes;
    publisher.sent += count;
    publisher.wire.socket.write(publisher.sealed.subarray(start, start + count * recordBytes));
  }
}
