/**
 * What is to be written to one connection. Everything of one event-loop turn leaves in one write: segments are collected (views into
 * received chunks, shared encodings) and joined when the turn ends; neighbouring views of one chunk become one, so a stream of forwarded
 * packets is written without being copied. While the socket is full nothing is written and what waits is copied, so that no received
 * chunk is pinned. Whoever offers messages asks `hasRoom` first; acknowledgements are always taken, because reading from a
 * connection stops while its outbox is over the bound.
 */
import type { Duplex } from 'node:stream';

/** Collects the outboxes that have something to write and flushes them when the event loop has handled its input. */
export class Turn {
  #dirty: { flush(): void }[] = [];
  #scheduled = false;

  add(outbox: { flush(): void }): void {
    this.#dirty.push(outbox);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    this.#scheduled = false;
    for (const outbox of dirty) outbox.flush();
  }
}

const nothing = Buffer.alloc(0);
/** A copied segment shorter than this is cheaper in a loop than through a call. */
const shortBytes = 16;
/** `idAt` of a segment without packet identifier. */
const noId = -1;

/** Where packets for one client go. */
export interface Outlet {
  /** Bytes that wait. */
  readonly queuedBytes: number;
  /** Whether `bytes` more stay within `bytesMax`. */
  hasRoom(bytes: number, bytesMax: number): boolean;
  /** Whole packets `source[start, end)`; the bytes must not change any more. */
  append(source: Buffer, start: number, end: number): void;
  /** One packet, with `packetId` written at `idAt` of the copy that leaves. */
  appendWithId(source: Buffer, idAt: number, packetId: number): void;
}

export class Outbox implements Outlet {
  /** Bytes that wait here or that the socket reported as too much; without what a ready socket holds by itself. */
  queuedBytes = 0;
  readonly #socket: Duplex;
  readonly #turn: Turn;
  readonly #onDrained: () => void;
  /** Segments of this turn: `sources[i]`, and at `bounds[4i]` its start, end, position of the packet identifier and identifier. */
  #sources: Buffer[] = [];
  #bounds: number[] = [];
  #turnBytes = 0;
  #dirty = false;
  /** Bytes handed to a socket that is full; 0 = it takes more. */
  #blockedBytes = 0;
  /** Copies of what came while the socket was full: `backlog[0, backlogBytes)`. */
  #backlog = nothing;
  #backlogBytes = 0;
  #ended = false;
  /** What this node holds for it: what the socket was given and has not taken, and the backlog. */
  heldBytes = 0;
  /** Since when the socket has taken nothing, by `performance.now()`; meaningless while something else is not held. */
  #blockedAtMs = 0;
  readonly #onHeld: (bytes: number) => void;

  /** `onHeld` is told of every change of `heldBytes`. */
  constructor(socket: Duplex, turn: Turn, onDrained: () => void, onHeld: (bytes: number) => void = () => undefined) {
    this.#socket = socket;
    this.#turn = turn;
    this.#onDrained = onDrained;
    this.#onHeld = onHeld;
    socket.on('drain', () => this.#drained());
  }

  /** Whether `bytes` more stay within `bytesMax`. A ready socket is given what waits first: only what it cannot take counts. */
  hasRoom(bytes: number, bytesMax: number): boolean {
    if (this.queuedBytes + bytes > bytesMax && this.#blockedBytes === 0) this.flush();
    return this.queuedBytes === 0 || this.queuedBytes + bytes <= bytesMax;
  }

  /** How long the socket has taken nothing, milliseconds; 0 = it takes what it is given. */
  get blockedMs(): number {
    return this.#blockedBytes === 0 ? 0 : performance.now() - this.#blockedAtMs;
  }

  /** Bytes `source[start, end)`; they must not change any more: the socket may still hold them when the turn is over. */
  append(source: Buffer, start: number, end: number): void {
    this.#add(source, start, end, noId, 0);
  }

  /** The whole of `source`, with `packetId` written at `idAt` of the copy that leaves. */
  appendWithId(source: Buffer, idAt: number, packetId: number): void {
    this.#add(source, 0, source.length, idAt, packetId);
  }

  #add(source: Buffer, start: number, end: number, idAt: number, packetId: number): void {
    if (this.#ended) return;
    this.#turnBytes += end - start;
    this.queuedBytes += end - start;
    const bounds = this.#bounds;
    const last = this.#sources.length - 1;
    if (idAt === noId && this.#sources[last] === source && bounds[4 * last + 1] === start) {
      bounds[4 * last + 1] = end;
      return;
    }
    this.#sources.push(source);
    bounds.push(start, end, idAt, packetId);
    if (this.#dirty) return;
    this.#dirty = true;
    this.#turn.add(this);
  }

  /** End of the turn: one write, or none while the socket is full. */
  flush(): void {
    this.#dirty = false;
    if (this.#ended || this.#turnBytes === 0) return;
    if (this.#blockedBytes > 0) this.#keep();
    else this.#write(this.#take());
  }

  /** Writes what waits and ends the stream; nothing is taken any more. */
  end(): void {
    if (this.#ended) return;
    if (this.#turnBytes > 0) this.#keep();
    this.#ended = true;
    if (this.#socket.writable) {
      if (this.#backlogBytes > 0) this.#write(this.#backlog.subarray(0, this.#backlogBytes));
      this.#socket.end();
    }
    this.#backlog = nothing;
    this.#backlogBytes = 0;
    this.queuedBytes = 0;
    this.#hold();
    if (this.#blockedBytes === 0) return;
    if (this.#socket.destroyed) this.discard();
    else this.#socket.once('close', () => this.discard());
  }

  /** The socket is gone, and what it held with it. */
  discard(): void {
    this.#ended = true;
    this.#clear();
    this.#backlog = nothing;
    this.#backlogBytes = 0;
    this.#blockedBytes = 0;
    this.queuedBytes = 0;
    this.#hold();
  }

  #hold(): void {
    const heldBytes = this.#blockedBytes + this.#backlog.length;
    if (heldBytes === this.heldBytes) return;
    this.#onHeld(heldBytes - this.heldBytes);
    this.heldBytes = heldBytes;
  }

  #write(bytes: Buffer): void {
    if (this.#socket.write(bytes)) {
      this.queuedBytes -= bytes.length;
      return;
    }
    this.#blockedBytes += bytes.length;
    this.#blockedAtMs = performance.now();
    this.#hold();
  }

  #drained(): void {
    if (this.#ended || this.#blockedBytes === 0) return;
    this.queuedBytes -= this.#blockedBytes;
    this.#blockedBytes = 0;
    if (this.#backlogBytes > 0) {
      const bytes = this.#backlog.subarray(0, this.#backlogBytes);
      this.#backlog = nothing;
      this.#backlogBytes = 0;
      this.#write(bytes);
    }
    this.#hold();
    this.#onDrained();
  }

  /** The segments of this turn as one buffer: a view when there is only one, otherwise a copy. */
  #take(): Buffer {
    const only = this.#sources.length === 1 && this.#bounds[2] === noId ? this.#sources[0] : undefined;
    const bytes = only?.subarray(this.#bounds[0], this.#bounds[1]) ?? Buffer.allocUnsafe(this.#turnBytes);
    if (only === undefined) this.#copy(bytes, 0);
    this.#clear();
    return bytes;
  }

  #keep(): void {
    const total = this.#backlogBytes + this.#turnBytes;
    if (total > this.#backlog.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(total, 2 * this.#backlogBytes));
      this.#backlog.copy(larger, 0, 0, this.#backlogBytes);
      this.#backlog = larger;
    }
    this.#copy(this.#backlog, this.#backlogBytes);
    this.#backlogBytes = total;
    this.#hold();
    this.#clear();
  }

  #copy(into: Buffer, from: number): void {
    const bounds = this.#bounds;
    let at = from;
    for (let index = 0; index < this.#sources.length; index++) {
      const source = this.#sources[index]!;
      const start = bounds[4 * index]!;
      const end = bounds[4 * index + 1]!;
      const idAt = bounds[4 * index + 2]!;
      if (end - start < shortBytes) for (let byte = start; byte < end; byte++) into[at + byte - start] = source[byte]!;
      else source.copy(into, at, start, end);
      if (idAt !== noId) {
        const packetId = bounds[4 * index + 3]!;
        into[at + idAt] = packetId >> 8;
        into[at + idAt + 1] = packetId & 0xff;
      }
      at += end - start;
    }
  }

  #clear(): void {
    this.#sources = [];
    this.#bounds = [];
    this.#turnBytes = 0;
  }
}
