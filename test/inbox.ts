/** What a client has received, in order, and waits for it that end. */
import { waitMsMax } from './within.ts';

/** One message as one line, whatever client received it: `a/b hello qos 1`, and ` retained` behind it with RETAIN 1. */
export const lineOf = (topic: string, payload: string, qos: number, retain: boolean): string =>
  `${topic} ${payload} qos ${qos}${retain ? ' retained' : ''}`;

export interface Inbox<T> {
  /** Everything so far. */
  readonly items: readonly T[];
  put(item: T): void;
  /** Resolves with everything so far once there are this many; rejects when they do not come. */
  until(count: number): Promise<readonly T[]>;
}

export const openInbox = <T>(): Inbox<T> => {
  const items: T[] = [];
  const waiting = new Set<() => void>();
  return {
    items,
    put(item) {
      items.push(item);
      for (const look of waiting) look();
    },
    until: (count) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (items.length < count) return;
          waiting.delete(look);
          clearTimeout(timer);
          resolve(items);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(
            new Error(`${items.length} instead of ${count} came within ${waitMsMax} ms: ${JSON.stringify(items)}`),
          );
        }, waitMsMax);
        waiting.add(look);
        look();
      }),
  };
};
