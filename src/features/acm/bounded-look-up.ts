import type { Proving } from './validation.ts';

type LookUp = Proving['lookUp'];

/** Look-ups up to a number and for a time: afterwards nothing is asked any more, and each is answered as if nobody had. */
export const boundedLookUp = (lookUp: LookUp, { lookUpsMax, msMax }: { lookUpsMax: number; msMax: number }) => {
  // not the node's clock, which tests move
  const untilMs = performance.now() + msMax;
  let left = lookUpsMax;
  const isUsedUp = (): boolean => left === 0 || performance.now() >= untilMs;
  return {
    isUsedUp,
    lookUp: async (name: string): ReturnType<LookUp> => {
      if (isUsedUp()) return undefined;
      left -= 1;
      return lookUp(name);
    },
  };
};
