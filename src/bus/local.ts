import type { Bus } from './bus.ts';

type Receive = (payload: Uint8Array, subject: string) => void;

/** The bus of a node that is alone: a call. Receivers run inside `publish`, so a notice has acted when it returns. */
export const localBus = (): Bus => {
  const exact = new Map<string, Set<Receive>>();
  const below = new Map<string, Set<Receive>>();
  return {
    publish(subject, payload) {
      for (const receive of exact.get(subject) ?? []) receive(payload, subject);
      if (below.size === 0) return;
      for (let dot = subject.indexOf('.'); dot >= 0; dot = subject.indexOf('.', dot + 1)) {
        for (const receive of below.get(subject.slice(0, dot)) ?? []) receive(payload, subject);
      }
    },
    subscribe(subject, receive) {
      const [map, key] = subject.endsWith('.>') ? [below, subject.slice(0, -2)] : [exact, subject];
      const receivers = map.get(key) ?? new Set();
      map.set(key, receivers.add(receive));
      return () => {
        receivers.delete(receive);
        if (receivers.size === 0) map.delete(key);
      };
    },
    async close() {
      exact.clear();
      below.clear();
    },
  };
};
