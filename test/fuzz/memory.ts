/** The memory of this thread: at its peak, and what stays behind. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The thread's garbage collector, which Node keeps to itself unless asked. */
const collector = (): (() => void) => {
  setFlagsFromString('--expose-gc');
  // a function without arguments, by V8's own documentation of the flag
  return runInNewContext('gc') as () => void;
};

const usedBytes = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
};

export interface Memory {
  /** Looks at it; `share` is how much of the campaign is over, from 0 to 1. */
  look(share: number): void;
  readonly peakBytes: number;
  /** What the second half left behind: caches have filled by then, as far as they may. */
  grownBytes(): number;
}

export const watchMemory = (): Memory => {
  const collect = collector();
  let peakBytes = 0;
  let halfwayBytes: number | undefined;
  const collected = (): number => {
    collect();
    return usedBytes();
  };
  return {
    look(share) {
      peakBytes = Math.max(peakBytes, usedBytes());
      if (share > 0.5) halfwayBytes ??= collected();
    },
    get peakBytes() {
      return peakBytes;
    },
    grownBytes: () => (halfwayBytes === undefined ? 0 : collected() - halfwayBytes),
  };
};
