/**
 * RSA-2048 key pairs for CreateKeysAndCertificate. The search for primes takes some 50 ms of a core, so it runs on the thread pool and
 * ahead of need: after the first `take` or `warm`, a small stock is kept. Whoever finds the stock empty waits in line, and beyond
 * `keyWaitersMax` is told so at once. Sizes: performance measurements, "Keys and certificates".
 */
import { strict as assert } from 'node:assert';
import { generateKeyPair } from 'node:crypto';
import { firstPemBlock } from './pem.ts';

export interface KeyPair {
  /** SubjectPublicKeyInfo, `BEGIN PUBLIC KEY`. */
  readonly publicKeyPem: string;
  /** PKCS#1, `BEGIN RSA PRIVATE KEY`. */
  readonly privateKeyPem: string;
}

/** More callers wait for keys than the pool allows; a later attempt may succeed. */
export class KeyPoolExhausted extends Error {
  override readonly name = 'KeyPoolExhausted';
}

/** A pair, or the error that the caller makes of an exhausted pool. */
export const takePair = async (
  take: KeyPool['take'],
  refused: (cause: KeyPoolExhausted) => Error,
): Promise<KeyPair> => {
  try {
    return await take();
  } catch (cause) {
    throw cause instanceof KeyPoolExhausted ? refused(cause) : cause;
  }
};

/** The public key of a pair as DER of its SubjectPublicKeyInfo. */
export const publicKeyDerOf = ({ publicKeyPem }: KeyPair): Uint8Array => {
  const der = firstPemBlock(publicKeyPem, 'PUBLIC KEY');
  assert(der, 'the public key of a pair is SubjectPublicKeyInfo in PEM');
  return der;
};

export interface KeyPoolOptions {
  /** Pairs kept in stock. */
  readonly keyPoolMax?: number;
  /** Callers that may wait; one more is refused with KeyPoolExhausted. */
  readonly keyWaitersMax?: number;
  /** Makes one pair; a test passes its own. */
  readonly generate?: () => Promise<KeyPair>;
}

export interface KeyPool {
  /** A pair that nobody else gets. Faults: KeyPoolExhausted; an Error once the pool is closed. */
  take(): Promise<KeyPair>;
  /** Starts to fill the stock. */
  warm(): void;
  /** Pairs in stock, and callers that wait for one. */
  sizes(): { readonly stock: number; readonly waiting: number };
  /** Forgets the stock and rejects whoever waits. */
  close(): void;
}

/** Generations at once while callers wait; half of the default thread pool. To fill the stock, one at a time is enough. */
export const keysInFlightMax = 2;

const generateRsa = (): Promise<KeyPair> =>
  new Promise((resolve, reject) => {
    generateKeyPair(
      'rsa',
      {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
      },
      (error, publicKeyPem, privateKeyPem) => (error ? reject(error) : resolve({ publicKeyPem, privateKeyPem })),
    );
  });

interface Waiter {
  readonly resolve: (pair: KeyPair) => void;
  readonly reject: (error: Error) => void;
}

export const createKeyPool = (options: KeyPoolOptions = {}): KeyPool => {
  const { keyPoolMax = 16, keyWaitersMax = 100, generate = generateRsa } = options;
  const stock: KeyPair[] = [];
  const waiters: Waiter[] = [];
  let inFlight = 0;
  let closed = false;
  let pause: NodeJS.Timeout | undefined;

  const deliver = (pair: KeyPair): void => {
    const waiter = waiters.shift();
    if (waiter) waiter.resolve(pair);
    else if (!closed && stock.length < keyPoolMax) stock.push(pair);
  };

  const start = (): void => {
    inFlight++;
    generate()
      // A failure goes to one waiter, and ends the filling until somebody asks again: it would not succeed by repeating.
      .then(deliver, (error: Error) => {
        waiters.shift()?.reject(error);
        return 'failed' as const;
      })
      .then((outcome) => {
        inFlight--;
        if (outcome !== 'failed' || waiters.length > 0) advance();
      });
  };

  /** Waiters are served at once; between two pairs for the stock an idle process may end (the timer does not hold it). */
  const advance = (): void => {
    if (closed) return;
    while (inFlight < Math.min(keysInFlightMax, waiters.length)) start();
    if (inFlight > 0 || stock.length >= keyPoolMax || pause !== undefined) return;
    pause = setTimeout(() => {
      pause = undefined;
      if (!closed && inFlight === 0 && stock.length < keyPoolMax) start();
    }, 0).unref();
  };

  return {
    async take() {
      if (closed) throw new Error('The key pool is closed');
      const pair = stock.shift();
      if (!pair && waiters.length >= keyWaitersMax) {
        throw new KeyPoolExhausted(`More than ${keyWaitersMax} callers wait for a key pair`);
      }
      const taken = pair ?? new Promise<KeyPair>((resolve, reject) => waiters.push({ resolve, reject }));
      advance();
      return taken;
    },
    warm: advance,
    sizes: () => ({ stock: stock.length, waiting: waiters.length }),
    close() {
      closed = true;
      clearTimeout(pause);
      stock.length = 0;
      for (const waiter of waiters.splice(0)) waiter.reject(new Error('The key pool is closed'));
    },
  };
};
