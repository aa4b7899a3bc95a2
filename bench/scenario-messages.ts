/**
 * Messages of 128 bytes over TLS 1.3: one to one with many on their way (there is something to coalesce), 200 scattered pairs with one each (there is
 * nothing), and one to 500. The bare echo does the same bytes without MQTT, where that makes sense.
 */
import { type Bench, measure, shareOf, targetOf } from './bench.ts';
import type { OpenJob } from './jobs.ts';
import { type Peer, startEarlier, startEcho, startFleetgate, startMosquitto } from './peers.ts';

interface Variant {
  readonly scenario: string;
  readonly pattern: 'pairs' | 'shared';
  readonly publishers: number;
  readonly subscribers: number;
  readonly qos: 0 | 1;
  /** Per publisher and round. */
  readonly messages: number;
  readonly window: number;
  readonly echo: boolean;
  /** Subscribers have sessions that outlive their connections. */
  readonly persistent?: boolean;
}

const variants: readonly Variant[] = [
  {
    scenario: 'QoS 0, 1 to 1',
    pattern: 'pairs',
    publishers: 1,
    subscribers: 1,
    qos: 0,
    messages: 60_000,
    window: 512,
    echo: true,
  },
  {
    scenario: 'QoS 1, 1 to 1',
    pattern: 'pairs',
    publishers: 1,
    subscribers: 1,
    qos: 1,
    messages: 40_000,
    window: 512,
    echo: false,
  },
  {
    scenario: 'QoS 1, 1 to 1, kept session',
    pattern: 'pairs',
    publishers: 1,
    subscribers: 1,
    qos: 1,
    messages: 10_000,
    window: 512,
    echo: false,
    persistent: true,
  },
  {
    scenario: 'QoS 0, 1 to 500',
    pattern: 'shared',
    publishers: 1,
    subscribers: 500,
    qos: 0,
    messages: 300,
    window: 8,
    echo: false,
  },
  {
    scenario: 'QoS 0, 200 pairs',
    pattern: 'pairs',
    publishers: 200,
    subscribers: 200,
    qos: 0,
    messages: 200,
    window: 1,
    echo: true,
  },
];

/** Opens all connections of a variant: pairs stay together in one generator; a shared topic's publisher is in the first. */
const open = async (
  bench: Bench,
  peer: Peer,
  { pattern, qos, ...variant }: Variant,
  round: number,
): Promise<(index: number) => boolean> => {
  const { count } = bench.generators;
  const part = (total: number, index: number): number => shareOf(total, count, index);
  const works = (index: number): boolean => part(variant.subscribers, index) > 0;
  const jobOf = (index: number): OpenJob => ({
    // a session that is kept goes on collecting: each round has clients and topics of its own
    ...targetOf(bench, peer, variant.persistent ? `m${index}-${round}` : `m${index}`),
    job: 'open',
    pattern,
    qos,
    ...(variant.persistent && { persistent: true }),
    subscribers: part(variant.subscribers, index),
    publishers: pattern === 'pairs' ? part(variant.publishers, index) : index === 0 ? 1 : 0,
  });
  await bench.generators.each((index) => (works(index) ? jobOf(index) : undefined));
  return works;
};

const runVariant = async (bench: Bench, variant: Variant, all: readonly Peer[]): Promise<void> => {
  const { scenario, messages, window } = variant;
  bench.say(scenario);
  const peers = all.filter((peer) => variant.echo || !peer.echo);
  for (let round = -1; round < bench.rounds; round++) {
    for (const peer of peers) {
      const works = await open(bench, peer, variant, round);
      const each =
        <T>(job: T) =>
        (index: number) =>
          works(index) ? job : undefined;
      const share = round < 0 ? Math.ceil(messages / 4) : messages;
      await bench.generators.each(each({ job: 'prepare', messages: share, window, expected: share }));
      if (round < 0) await bench.generators.each(each({ job: 'run' }));
      else await measure(bench, peer, { scenario, round, jobOf: each({ job: 'run' }) });
      await bench.generators.each(() => ({ job: 'close' }));
    }
  }
};

export const messages = async (bench: Bench): Promise<void> => {
  const started = [
    await startFleetgate(bench.place),
    await startEarlier(bench.place),
    await startMosquitto(bench.place),
    await startEcho(bench.place),
  ];
  const peers = started.filter((peer) => peer !== undefined);
  try {
    for (const variant of variants) await runVariant(bench, variant, peers);
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
};
