/** The queue of one persistent session over the store. */
import type { BrokerContext } from './context.ts';
import type { EncodedPublish } from './message.ts';
import type { Version } from './packets/writer.ts';
import { type Left, Queue, type QueueOptions, type Tally } from './queue.ts';
import { messageOf, type Owner } from './session-store.ts';

/** A message ready for the client. */
export interface Deliverable {
  readonly topic: string;
  readonly encoded: EncodedPublish;
}

export class SessionQueue extends Queue<Deliverable> {
  readonly owner: Owner;
  readonly version: Version;
  /** Messages are being dropped at a bound, and the journal knows. */
  isDropping = false;

  constructor(owner: Owner, version: Version, options: QueueOptions<Deliverable>) {
    super(options);
    this.owner = owner;
    this.version = version;
  }
}

export const createSessionQueue = (
  context: BrokerContext,
  owner: Owner,
  { version, left, tally }: { readonly version: Version; readonly left: Left; readonly tally: Tally },
): SessionQueue => {
  const { sessions, limits, turn, trouble } = context;
  return new SessionQueue(owner, version, {
    left,
    tally,
    memoryBytesMax: limits.outboundBytesMax,
    schedule: (queue) => turn.add(queue),
    rows: {
      async read(after, upTo, bytes) {
        const { messages, isWhole } = await sessions.read(owner, { after, upTo, bytes });
        return {
          isWhole,
          messages: messages.map(({ position, cost, message, isReleased }) => {
            const { topic, qos, retain } = message;
            const encoded = messageOf(message).encoded(version, qos, { retain });
            return { position, cost, isReleased, message: { topic, encoded } };
          }),
        };
      },
      release: (position) => sessions.release(owner, position),
      remove(upTo, single) {
        sessions.appends.append(sessions.removal(owner, upTo, single)).catch(trouble);
      },
    },
  });
};
