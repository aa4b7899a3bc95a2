/** What the bench asks of a generator process, and what it answers. One job at a time. */

export interface Credentials {
  readonly certFile: string;
  readonly keyFile: string;
}

interface Target {
  readonly port: number;
  readonly caFile: string;
  readonly devices: readonly Credentials[];
  /** The peer sends back what it gets instead of speaking MQTT. */
  readonly echo: boolean;
  /** Of this generator among all: makes client ids and topics distinct. */
  readonly name: string;
}

/** TCP, TLS, CONNECT, CONNACK, goodbye; `count` times, `concurrency` at once. */
export interface ConnectJob extends Target {
  readonly job: 'connect';
  readonly tls: 'TLSv1.2' | 'TLSv1.3';
  readonly resumed: boolean;
  readonly count: number;
  readonly concurrency: number;
}

/** Opens connections and keeps them for `run`, until `close`. */
export interface OpenJob extends Target {
  readonly job: 'open';
  /** `pairs`: publisher i to subscriber i. `shared`: one publisher (or none) to all subscribers. `idle`: only connected. */
  readonly pattern: 'pairs' | 'shared' | 'idle';
  readonly publishers: number;
  readonly subscribers: number;
  readonly qos: 0 | 1;
  /** Subscribers have sessions that outlive their connections. */
  readonly persistent?: boolean;
}

/** Encrypts what the next `run` sends. */
export interface PrepareJob {
  readonly job: 'prepare';
  /** Per publisher. */
  readonly messages: number;
  /** Published and not yet delivered, per publisher. */
  readonly window: number;
  /** What each subscriber of this generator will get. */
  readonly expected: number;
}

/** Sends it; done when everything has arrived, or nothing more comes. */
export interface RunJob {
  readonly job: 'run';
}

export interface CloseJob {
  readonly job: 'close';
}

/** One HTTP request after the other on each of `connections`, as they stand. */
export interface HttpJob {
  readonly job: 'http';
  readonly port: number;
  readonly connections: number;
  /** Raw bytes, in latin1. */
  readonly requests: readonly string[];
}

export type Job = ConnectJob | OpenJob | PrepareJob | RunJob | CloseJob | HttpJob;

export interface Outcome {
  /** Connects, deliveries, or answers of success. */
  readonly done: number;
  /** What was asked for and did not happen. */
  readonly failed: number;
  /** From the first byte to the last. */
  readonly wallMs: number;
  /** CPU time that the generator itself spent on it. */
  readonly generatorMs: number;
  /** The first failure in words. */
  readonly failure?: string;
}
