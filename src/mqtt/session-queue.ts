/** The queues of persistent sessions over the store. */
import type { BrokerContext } from './context.ts';
import type { EncodedPublish } from './message.ts';
import type { Version } from './packets/writer.ts';
import { Queue, type QueueWorld, type Tally } from './queue.ts';
import { messageOf, type Owner } from './session-store.ts';

/** A message ready for the client. */
export interface Deliverable {
  readonly topic: string;
  readonly encoded: EncodedPublish;
}

/** A session as the owner of a queue. */
export interface SessionOwner extends Owner {
  readonly version: Version;
}

export class SessionQueue extends Queue<Deliverable, SessionOwner> {
  /** Messages are being dropped at a bound, and the journal knows. */
  isDropping = false;
}

/** What the queues of one account and region share. */
export const sessionQueues = (context: BrokerContext, tally: Tally): QueueWorld<Deliverable, SessionOwner> => {
  const { sessions, limits, turn, trouble, outbound } = context;
  return {
    tally,
    memoryBytesMax: limits.outboundBytesMax,
    schedule: (queue) => turn.add(queue),
    memory: {
      get isScarce() {
        return outbound.isScarce;
      },
      hold: ({ encoded }) => outbound.hold(encoded),
      release: ({ encoded }) => outbound.release(encoded),
      change: outbound.change,
    },
    rows: {
      async read(owner, page) {
        const { messages, isWhole } = await sessions.read(owner, page);
        return {
          isWhole,
          messages: messages.map(({ position, cost, message, isReleased }) => {
            const { topic, qos, retain } = message;
            const encoded = messageOf(message).encoded(owner.version, qos, { retain });
            return { position, cost, isReleased, message: { topic, encoded } };
          }),
        };
      },
      release: (owner, position) => sessions.release(owner, position),
      remove(owner, upTo, single) {
        sessions.appends.append(sessions.removal(owner, upTo, single)).catch(trouble);
      },
    },
  };
};
