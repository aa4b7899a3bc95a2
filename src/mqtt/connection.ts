/**
 * One connection: bytes in, packets to their rules in order, one write per turn out, and its end. Reading stops while anything is
 * undecided (admission, rights being read again), while a slow receiver holds this publisher back, while the client does not read its own
 * answers, and for a turn when its packets have taken their time; what was received by then waits in the reader, at most one chunk, the
 * rest in the kernel.
 */
import type { EventType, JournalRecord, Reason } from '../journal/record.ts';
import type { Authority, Peer } from './authority.ts';
import { type Carrier, signedWebsocketMsMax } from './carrier.ts';
import type { Client } from './client.ts';
import { type BrokerContext, effortBytesShift, effortPerLook } from './context.ts';
import { type Ending, endings } from './ending.ts';
import type { HeldBack, Publisher } from './held-back.ts';
import { type Holding, slowMsMin } from './outbound.ts';
import { Outbox } from './outbox.ts';
import { code, PacketFault, packetType } from './packets/codes.ts';
import { PacketReader } from './packets/reader.ts';
import { disconnect, type Version } from './packets/writer.ts';
import { type ConnectionRates, throttled } from './quotas.ts';
import { TrafficLog } from './traffic-log.ts';
import type { Timed } from './wheel.ts';

/** From the end of a connection until its socket is destroyed if the peer does not close: the last bytes may still leave. */
export const closeGraceMs = 5_000;

/** Applies the rules of the packet that the connection's reader stands on. */
export type Rules = (connection: Connection) => void;

/** What makes reading stop, as bits. */
const pause = {
  admission: 1,
  rights: 2,
  receivers: 4,
  answers: 8,
  turn: 16,
  store: 32,
  acknowledgements: 64,
  rate: 128,
  fanOut: 256,
  requests: 512,
} as const;
type Pause = (typeof pause)[keyof typeof pause];

export class Connection implements Publisher, Holding {
  readonly context: BrokerContext;
  readonly peer: Peer;
  readonly reader: PacketReader;
  readonly outbox: Outbox;
  client: Client | undefined;
  /** As the CONNECT said it, '' before. */
  clientId = '';
  /** Known from the CONNECT packet on; settled by admission. */
  authority: Authority | undefined;
  /** v5: reason strings are wanted. */
  wantsReasons = true;
  /** Largest packet that the client accepts. */
  packetBytesMax = Number.POSITIVE_INFINITY;
  isEnded = false;
  /** Of this connection's life-cycle events; set when CONNECT is accepted. */
  versionNumber = 0;

  #traffic: TrafficLog | undefined;
  readonly #socket: Carrier;
  readonly #rules: Rules;
  readonly #onEnd: (connection: Connection, ending: Ending) => void;
  #pauses = 0;
  #resuming = false;
  /** It has more to read and was counted among those that have. */
  #isBusy = false;
  /** The packet that the reader stands on has not been handled yet. */
  #pending = false;
  #lastPacketMs: number;
  #keepAliveMs = 0;
  readonly #silence: Timed = { slot: 0, due: (nowMs) => this.#silent(nowMs) };
  readonly #lifetime: Timed = { slot: 0, due: () => this.end(endings.outlived) };
  #heldBy: Set<HeldBack> | undefined;
  /** Limits per unit of time; undefined: none is kept. */
  rates: ConnectionRates | undefined;
  #delay: Timed | undefined;

  constructor(
    context: BrokerContext,
    wire: { readonly socket: Carrier; readonly peer: Peer },
    rules: Rules,
    onEnd: (connection: Connection, ending: Ending) => void,
  ) {
    this.context = context;
    this.peer = wire.peer;
    this.#socket = wire.socket;
    this.#rules = rules;
    this.#onEnd = onEnd;
    const { packetBytesMax, dialect } = context.limits;
    this.reader = new PacketReader(packetBytesMax, dialect.qosMax, context.gathering);
    this.outbox = new Outbox(wire.socket, context.turn, () => this.#drained(), context.outbound.change);
    this.#lastPacketMs = context.now();
    context.wheel.schedule(this.#silence, this.#lastPacketMs + context.limits.connectPacketMs);
    const { socket, peer } = wire;
    if (peer.signer && peer.transport === 'websocket') {
      context.wheel.schedule(this.#lifetime, this.#lastPacketMs + signedWebsocketMsMax);
    }
    socket.on('data', (chunk: Buffer) => {
      if (this.isEnded) return;
      this.reader.push(chunk);
      this.#read();
    });
    socket.on('error', () => {}); // 'close' follows and says all that matters
    socket.on('end', () => this.#lost());
    socket.on('close', () => this.#lost());
  }

  get version(): Version {
    return this.reader.version === 5 ? 5 : 4;
  }

  /** Where its ordinary packets are logged; asked for once CONNECT was accepted. */
  get traffic(): TrafficLog {
    this.#traffic ??= new TrafficLog(this.context.logs, {
      account: this.authority!.account,
      clientId: this.clientId,
      principalId: this.authority!.principalId,
      sourceIp: this.peer.remoteAddress,
      sourcePort: this.peer.remotePort,
    });
    return this.#traffic;
  }

  /** Writes a journal record with what is known of this connection. */
  record(eventType: EventType, fields: Partial<JournalRecord> & Pick<JournalRecord, 'status'>): void {
    const account = this.authority?.account;
    const certificateId = this.peer.signer ? undefined : this.peer.certificate?.certificateId;
    this.context.record({
      ...(account && { account }),
      ...(certificateId && { certificateId }),
      ...(this.clientId !== '' && { clientId: this.clientId }),
      sourceIp: this.peer.remoteAddress,
      sourcePort: this.peer.remotePort,
      eventType,
      ...fields,
    });
  }

  /** Sends `build(reason)`, or without the reason when the client does not want it or the packet would be too large for it. */
  reply(build: (reason: string | undefined) => Buffer, reason: string): void {
    const bytes = build(this.wantsReasons ? reason : undefined);
    if (bytes.length <= this.packetBytesMax) this.outbox.append(bytes, 0, bytes.length);
    else this.send(build(undefined));
  }

  /** Sends a packet unless it is larger than the client accepts [MQTT-3.1.2-24]. */
  send(bytes: Buffer): void {
    if (bytes.length <= this.packetBytesMax) this.outbox.append(bytes, 0, bytes.length);
  }

  /** Stops reading until `work` is done; its failure ends the connection as the server's error. */
  readAfter(work: Promise<void>, why: 'admission' | 'rights' | 'store' | 'fanOut' | 'requests'): void {
    this.#pause(pause[why]);
    work.then(
      () => this.#resume(pause[why]),
      (error: unknown) => this.failed(error),
    );
  }

  pauseFor(work: Promise<void>): void {
    this.readAfter(work, 'fanOut');
  }

  /** Reading stops while too many of its messages are being written, and goes on when they are not. */
  waitForAcknowledgements(areTooMany: boolean): void {
    if (areTooMany) this.#pause(pause.acknowledgements);
    else this.#resume(pause.acknowledgements);
  }

  /** CONNECT was accepted: from now on packets are expected within 1.5 times the keep-alive, unless it is off (spec gateway.md 5.2). */
  opened(client: Client): void {
    this.client = client;
    this.#keepAliveMs = client.keepAliveSeconds * 1500;
    this.#lastPacketMs = this.context.now();
    if (this.#keepAliveMs === 0) this.context.wheel.cancel(this.#silence);
    else this.context.wheel.schedule(this.#silence, this.#lastPacketMs + this.#keepAliveMs);
  }

  /** Ends the connection: says so to a v5 client, frees all it holds, then closes. Once only. */
  end(ending: Ending): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.context.wheel.cancel(this.#lifetime);
    const { code: reasonCode, text } = ending;
    if (this.client !== undefined && this.version === 5 && reasonCode !== undefined) {
      if (text === undefined) this.send(disconnect(reasonCode));
      else this.reply((reason) => disconnect(reasonCode, reason), text);
    }
    this.outbox.end();
    this.reader.discard();
    if (this.#delay !== undefined) this.context.wheel.cancel(this.#delay);
    for (const each of this.#heldBy ?? []) each.forget(this);
    this.#heldBy = undefined;
    this.#onEnd(this, ending);
    this.authority?.release();
    if (this.#socket.destroyed) {
      this.context.wheel.cancel(this.#silence);
      return;
    }
    this.#socket.resume(); // what still arrives is discarded: unread bytes would turn the close into a reset
    this.context.wheel.schedule(this.#silence, this.context.now() + closeGraceMs);
  }

  get heldBytes(): number {
    return this.outbox.heldBytes + (this.client?.receiver.heldBytes ?? 0);
  }

  get isSlow(): boolean {
    return this.isEnded || this.outbox.blockedMs >= slowMsMin || this.client?.receiver.isCongested === true;
  }

  cut(): void {
    this.end(endings.slowest);
    this.outbox.discard();
    this.#socket.destroy();
  }

  /** Something that is not the client's fault went wrong. */
  failed(error: unknown): void {
    if (this.isEnded) return;
    this.context.trouble(error);
    if (this.client === undefined) this.context.metrics['Connect.ServerError']++;
    const detail = error instanceof Error ? error.name : 'unknown';
    this.#endFor('INTERNAL_SERVER_ERROR', detail, { disconnectReason: 'SERVER_ERROR', code: code.unspecified });
  }

  holdBack(by: HeldBack): void {
    if (this.isEnded || this.client?.receiver.isCongested) return;
    this.#heldBy ??= new Set();
    this.#heldBy.add(by);
    this.#pause(pause.receivers);
  }

  letGo(by: HeldBack): void {
    if (!this.#heldBy?.delete(by)) return;
    if (this.#heldBy.size === 0) this.#resume(pause.receivers);
  }

  /** Its own inflight window is over the bound: it must be read, or its acknowledgements never come. */
  congested(): void {
    for (const each of this.#heldBy ?? []) each.forget(this);
    this.#heldBy = undefined;
    this.#resume(pause.receivers);
  }

  #read(): void {
    let packets = 0;
    const { effort, slices } = this.context;
    const sliceMs = slices.ms;
    const startedAt = performance.now();
    let countedAt = startedAt;
    let lookAt = effort.units + effortPerLook;
    try {
      while (this.#pauses === 0 && !this.isEnded) {
        if (!this.#pending && !this.reader.next()) break;
        this.#pending = true;
        const stale = this.client?.authority.stale();
        if (stale !== undefined) {
          this.readAfter(stale, 'rights');
          break;
        }
        this.#pending = false;
        packets++;
        this.#rules(this);
        if (this.rates !== undefined) this.#slow(this.rates);
        if (!this.outbox.hasRoom(0, this.context.limits.outboundBytesMax)) this.#pause(pause.answers);
        effort.units += 1 + ((this.reader.end - this.reader.start) >> effortBytesShift);
        if (effort.units < lookAt || this.isEnded) continue;
        lookAt = effort.units + effortPerLook;
        const nowMs = performance.now();
        slices.spend(nowMs - countedAt);
        countedAt = nowMs;
        if (nowMs - startedAt < sliceMs) continue;
        this.#pause(pause.turn);
        this.#resume(pause.turn);
        if (this.#resuming && !this.#isBusy) {
          this.#isBusy = true;
          slices.busy++;
        }
        break;
      }
    } catch (error) {
      if (error instanceof PacketFault) this.#refuse(error);
      else this.failed(error);
    }
    if (packets > 0) this.#lastPacketMs = this.context.now();
  }

  /** What comes faster than the quota is read later, not dropped (spec gateway.md 5.5). */
  #slow(rates: ConnectionRates): void {
    const nowMs = this.context.now();
    const waitMs = rates.bytesIn.spend(this.reader.end - this.reader.start, nowMs);
    if (waitMs === 0 || this.isEnded) return;
    const told = throttled(rates, 'bytesPerSecondMax', nowMs);
    if (told !== undefined) this.record('Publish-In', told);
    this.#delay ??= { slot: 0, due: () => this.#resume(pause.rate) };
    this.#pause(pause.rate);
    this.context.wheel.schedule(this.#delay, nowMs + waitMs);
  }

  /** A packet broke a rule that ends the connection. */
  #refuse(fault: PacketFault): void {
    const eventType = this.#eventType();
    const { metrics } = this.context;
    if (eventType === 'Connect') metrics['Connect.ClientError']++;
    if (eventType === 'Publish-In') metrics['PublishIn.ClientError']++;
    if (eventType === 'Subscribe') metrics['Subscribe.ClientError']++;
    const ending = { disconnectReason: 'CLIENT_ERROR', code: fault.code, text: fault.message } as const;
    this.#endFor(fault.reason, fault.message, ending);
  }

  /** Records the cause under the packet that it came with, else under the Disconnect itself, and ends the connection. */
  #endFor(failure: Reason, detail: string, ending: Ending): void {
    const eventType = this.#eventType();
    if (eventType === 'Disconnect') {
      this.end({ ...ending, failure, detail });
      return;
    }
    const tls = eventType === 'Connect' && { tls: this.peer.tls };
    this.record(eventType, { status: 'Failure', reason: failure, detail, ...tls });
    this.end(ending);
  }

  #eventType(): EventType {
    if (this.client === undefined) return 'Connect';
    const type = this.reader.first >> 4;
    if (type === packetType.publish) return 'Publish-In';
    return type === packetType.subscribe || type === packetType.unsubscribe ? 'Subscribe' : 'Disconnect';
  }

  #pause(why: Pause): void {
    if (this.#pauses === 0) this.#socket.pause();
    this.#pauses |= why;
  }

  /** Reading goes on after this turn, so that no packet is handled inside another's handling. */
  #resume(why: Pause): void {
    if ((this.#pauses & why) === 0) return;
    this.#pauses &= ~why;
    if (this.#pauses !== 0 || this.#resuming || this.isEnded) return;
    this.#resuming = true;
    setImmediate(() => {
      this.#resuming = false;
      if (this.#isBusy) this.context.slices.busy--;
      this.#isBusy = false;
      if (this.#pauses !== 0 || this.isEnded) return;
      this.#lastPacketMs = this.context.now();
      this.#read();
      if (this.#pauses === 0 && !this.#resuming && !this.isEnded) this.#socket.resume();
    });
  }

  #drained(): void {
    this.client?.receiver.drained();
    if (this.outbox.hasRoom(0, this.context.limits.outboundBytesMax)) this.#resume(pause.answers);
  }

  #lost(): void {
    if (this.#socket.destroyed) this.context.wheel.cancel(this.#silence);
    if (this.isEnded) return;
    const { farewell } = this.#socket;
    if (this.client === undefined && farewell?.failure === undefined) {
      this.#failedToConnect('CLIENT_ERROR', 'closed before its CONNECT was answered');
    }
    this.end(farewell ?? endings.lost);
  }

  /** The wheel's call: the end of the grace after a close, no CONNECT in time, or silence for 1.5 times the keep-alive. */
  #silent(nowMs: number): void {
    if (this.isEnded) {
      this.#socket.destroy();
      return;
    }
    if (this.client === undefined && this.reader.version !== 0) {
      this.context.wheel.schedule(this.#silence, nowMs + this.context.limits.connectPacketMs); // being admitted
      return;
    }
    if (this.client === undefined) {
      this.#failedToConnect('CONNECT_PACKET_TIMEOUT');
      this.end({ disconnectReason: 'CLIENT_ERROR' });
      return;
    }
    // A pause of our own making is not the client's silence; not reading its answers is.
    const ours = (this.#pauses & ~pause.answers) !== 0;
    const dueMs = (ours ? nowMs : this.#lastPacketMs) + this.#keepAliveMs;
    if (dueMs > nowMs) this.context.wheel.schedule(this.#silence, dueMs);
    else this.end(endings.silent);
  }

  #failedToConnect(reason: Reason, detail?: string): void {
    this.context.metrics['Connect.ClientError']++;
    this.record('Connect', { status: 'Failure', reason, tls: this.peer.tls, ...(detail && { detail }) });
  }
}
