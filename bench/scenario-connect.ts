/** TCP, mutual TLS, CONNECT, CONNACK, DISCONNECT: full and resumed, TLS 1.3 and 1.2, EC P-256 on both sides. */
import { type Bench, measure, shareOf, targetOf } from './bench.ts';
import type { ConnectJob } from './jobs.ts';
import { type Peer, startEarlier, startEcho, startFleetgate, startMosquitto } from './peers.ts';

const variants = [
  { scenario: 'connect, TLS 1.3', tls: 'TLSv1.3', resumed: false, count: 600 },
  { scenario: 'connect, TLS 1.3 resumed', tls: 'TLSv1.3', resumed: true, count: 900 },
  { scenario: 'connect, TLS 1.2', tls: 'TLSv1.2', resumed: false, count: 600 },
  { scenario: 'connect, TLS 1.2 resumed', tls: 'TLSv1.2', resumed: true, count: 1500 },
] as const;
/** Per generator. */
const concurrency = 6;

let serial = 0;

const run = async (bench: Bench, peer: Peer, variant: (typeof variants)[number], round: number): Promise<void> => {
  const { tls, resumed, scenario } = variant;
  const { count: generators } = bench.generators;
  const jobOf = (index: number): ConnectJob => ({
    ...targetOf(bench, peer, `c${serial++}`),
    job: 'connect',
    tls,
    resumed,
    concurrency,
    count: shareOf(variant.count, generators, index),
  });
  await bench.generators.each(jobOf);
  if (round >= 0) await measure(bench, peer, { scenario, round, jobOf: () => ({ job: 'run' }) });
  else await bench.generators.each(() => ({ job: 'run' }));
  await bench.generators.each(() => ({ job: 'close' }));
};

export const connects = async (bench: Bench): Promise<void> => {
  const started = [
    await startFleetgate(bench.place),
    await startEarlier(bench.place),
    await startMosquitto(bench.place),
    await startEcho(bench.place),
  ];
  const peers = started.filter((peer) => peer !== undefined);
  try {
    for (const peer of peers) await run(bench, peer, variants[0], -1); // warm
    for (const variant of variants) {
      bench.say(variant.scenario);
      for (let round = 0; round < bench.rounds; round++) {
        for (const peer of peers) await run(bench, peer, variant, round);
      }
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
};
