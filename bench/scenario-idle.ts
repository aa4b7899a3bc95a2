/** What an idle connection costs in memory: 1000 connections over mutual TLS that said CONNECT and nothing more. */
import { type Bench, shareOf, targetOf } from './bench.ts';
import { residentBytes } from './counters.ts';
import type { OpenJob } from './jobs.ts';
import { type Peer, startEarlier, startEcho, startFleetgate, startMosquitto } from './peers.ts';

const connections = 1000;
/** Memory is looked at when it has stopped growing, or after this. */
const settleMsMax = 3000;
const lookEveryMs = 250;

const settled = async (pid: number): Promise<number> => {
  let before = 0;
  for (const endMs = performance.now() + settleMsMax; performance.now() < endMs; ) {
    const now = residentBytes(pid);
    if (now === before) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  return before;
};

/** Opens `total` connections through all generators. */
const open = (bench: Bench, peer: Peer, total: number): Promise<unknown> =>
  bench.generators.each(
    (index): OpenJob => ({
      ...targetOf(bench, peer, `i${index}`),
      job: 'open',
      pattern: 'idle',
      publishers: 0,
      subscribers: shareOf(total, bench.generators.count, index),
      qos: 0,
    }),
  );
const close = (bench: Bench): Promise<unknown> => bench.generators.each(() => ({ job: 'close' }));

export const idle = async (bench: Bench): Promise<void> => {
  const scenario = `memory per idle connection, of ${connections}`;
  bench.say(scenario);
  for (let round = 0; round < Math.min(bench.rounds, 2); round++) {
    for (const start of [startFleetgate, startEarlier, startMosquitto, startEcho]) {
      const peer = await start(bench.place);
      if (!peer) continue;
      try {
        await open(bench, peer, connections / 4); // what the first connections cost stays
        await close(bench);
        const before = await settled(peer.pid);
        await open(bench, peer, connections);
        const after = await settled(peer.pid);
        bench.figure({
          scenario,
          peer: peer.name,
          round,
          value: (after - before) / 1024 / connections,
          unit: 'kB',
          compared: true,
        });
        await close(bench);
      } finally {
        await peer.stop();
      }
    }
  }
};
