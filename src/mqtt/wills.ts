/**
 * Wills that are owed: published when their connection ended without a word of its client, or later where v5 Will Delay Interval asks for it
 * and the dialect has it. A will that waits is published when the session ends, if that comes first, and forgotten when its client is back
 * before [MQTT-3.1.3-9]. It waits in memory: a node that stops publishes all that wait, one that is killed loses them, as it does the wills
 * of its connections. Source: MQTT 5.0 3.1.3.2.2.
 */
import type { ConnectWill } from './packets/connect.ts';
import type { Timed, Wheel } from './wheel.ts';

/** What all waiting wills of a node cost together, in bytes; one more is published without delay. */
export const waitingWillBytesMax = 67_108_864;
/** What a will costs beside its payload and properties. */
const willOverheadBytes = 512;

export interface WillsOptions {
  readonly wheel: Wheel;
  now(): number;
  /** The dialect has the delay. */
  readonly honoursDelay: boolean;
}

/** Whose will it is: it lives for so long without a connection. */
interface Session {
  readonly expirySeconds: number;
}

interface Waiting extends Timed {
  readonly publish: () => void;
  readonly bytes: number;
}

export class Wills {
  readonly #options: WillsOptions;
  readonly #waiting = new Map<Session, Waiting>();
  #bytes = 0;

  constructor(options: WillsOptions) {
    this.#options = options;
  }

  /** The connection of a session ended, and its will is to be published now or later. */
  owe(session: Session, will: ConnectWill, publish: () => void): void {
    const delaySeconds = this.#options.honoursDelay
      ? Math.min(will.properties.willDelay ?? 0, session.expirySeconds)
      : 0;
    const bytes = will.payload.length + (will.properties.forwarded?.length ?? 0) + willOverheadBytes;
    if (delaySeconds === 0 || this.#bytes + bytes > waitingWillBytesMax) {
      publish();
      return;
    }
    const waiting: Waiting = { slot: 0, publish, bytes, due: () => this.sessionEnded(session) };
    this.#waiting.set(session, waiting);
    this.#bytes += bytes;
    this.#options.wheel.schedule(waiting, this.#options.now() + delaySeconds * 1000);
  }

  /** The client is back on its session: its will is not published. */
  resumed(session: Session): void {
    this.#take(session);
  }

  /** Nothing can come after this session: what it owes is published. */
  sessionEnded(session: Session): void {
    this.#take(session)?.publish();
  }

  /** The node stops. */
  publishAll(): void {
    for (const session of [...this.#waiting.keys()]) this.sessionEnded(session);
  }

  #take(session: Session): Waiting | undefined {
    const waiting = this.#waiting.get(session);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(session);
    this.#bytes -= waiting.bytes;
    this.#options.wheel.cancel(waiting);
    return waiting;
  }
}
