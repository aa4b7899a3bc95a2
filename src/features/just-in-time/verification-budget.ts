/**
 * How many signatures of strangers are verified. Whoever knows the name of a CA can come with any number of certificates that claim to be signed by it, and each
 * costs a public key operation: beyond these bounds a connection is refused without one, and its device comes again.
 */
import { sourceOf } from '../../journal/source.ts';
import { Rate } from '../../mqtt/quotas.ts';

/** Signatures of unknown certificates that this node verifies per second, some 0.5 ms each. */
export const verificationsPerSecondMax = 500;
/** The same for one source: an IPv4 address, or an IPv6 network of 64 bits. A factory behind one address gets so many new devices in. */
export const verificationsPerSourcePerSecondMax = 100;
/** Sources that are remembered; at the bound the one that came first is forgotten, and the bound of the node still holds. */
export const sourcesMax = 10_000;

export interface VerificationBudget {
  /** Whether one more signature may be verified for this source; if so, it counts. */
  take(remoteAddress: string): boolean;
  /** Sources remembered, for tests. */
  readonly sources: number;
}

/** `nowMs`: real time in milliseconds, as this is about real work. */
export const createVerificationBudget = (nowMs: () => number = () => performance.now()): VerificationBudget => {
  const node = new Rate(verificationsPerSecondMax, nowMs());
  const bySource = new Map<string, Rate>();
  const rateOf = (source: string): Rate => {
    const known = bySource.get(source);
    if (known) return known;
    const rate = new Rate(verificationsPerSourcePerSecondMax, nowMs());
    for (const oldest of bySource.keys()) {
      if (bySource.size < sourcesMax) break;
      bySource.delete(oldest);
    }
    bySource.set(source, rate);
    return rate;
  };
  return {
    take: (remoteAddress) => rateOf(sourceOf(remoteAddress)).take(nowMs()) && node.take(nowMs()),
    get sources() {
      return bySource.size;
    },
  };
};
