/**
 * Who may work on requests, of all connections of a node: so many at once, of one account half as many at most, and the others in the order in which
 * they came, one account after the other. So a pre-provisioning hook that is slow holds up its own account.
 */

/** Requests of all accounts, and of one, that are worked on at once. */
export const requestsPerNodeMax = 64;
export const requestsPerAccountMax = 32;
/** What all requests that wait or are worked on hold in memory; what comes beyond it is refused as throttled. */
export const requestBytesPerNodeMax = 67_108_864;
/** What a request costs beside its payload. */
export const requestOverheadBytes = 1024;

interface Queue {
  running: number;
  readonly waiting: (() => void)[];
}

export class RequestLine {
  bytes = 0;
  #running = 0;
  /** By account; the one that was served last is last. Only those that have a request here. */
  readonly #queues = new Map<string, Queue>();

  hasRoom(payloadBytes: number): boolean {
    return this.bytes + payloadBytes + requestOverheadBytes <= requestBytesPerNodeMax;
  }

  /** Calls `work` when it is its turn. */
  async run(account: string, work: () => Promise<void>): Promise<void> {
    const queue = this.#queues.get(account) ?? { running: 0, waiting: [] };
    this.#queues.set(account, queue);
    await new Promise<void>((resolve) => {
      queue.waiting.push(resolve);
      this.#proceed();
    });
    try {
      await work();
    } finally {
      this.#running--;
      queue.running--;
      if (queue.running === 0 && queue.waiting.length === 0) this.#queues.delete(account);
      this.#proceed();
    }
  }

  #proceed(): void {
    while (this.#running < requestsPerNodeMax) {
      const account = this.#nextAccount();
      if (account === undefined) return;
      const queue = this.#queues.get(account)!;
      this.#queues.delete(account);
      this.#queues.set(account, queue);
      this.#running++;
      queue.running++;
      queue.waiting.shift()?.();
    }
  }

  #nextAccount(): string | undefined {
    for (const [account, { running, waiting }] of this.#queues) {
      if (waiting.length > 0 && running < requestsPerAccountMax) return account;
    }
    return undefined;
  }
}

/** Requests of one connection that wait or are worked on; at the bound it is not read. */
export const requestsPerConnectionMax = 8;

/** The requests of one connection, in order. */
export class ConnectionRequests {
  count = 0;
  #last: Promise<void> = Promise.resolve();

  /** Resolves when this one is done. `work` does not reject. */
  add(work: () => Promise<void>): Promise<void> {
    this.count++;
    this.#last = this.#last.then(work).finally(() => {
      this.count--;
    });
    return this.#last;
  }
}
