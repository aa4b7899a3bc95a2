/** The thread that attacks: it has an event loop of its own, so that healthy clients measure the server and not the attacker. */
import { parentPort, workerData } from 'node:worker_threads';
import { httpsAttacks } from './attacks-https.ts';
import { knownAttacks } from './attacks-known.ts';
import { sessionAttacks } from './attacks-sessions.ts';
import { unknownAttacks } from './attacks-unknown.ts';
import type { Attack, Scene, Tally } from './scene.ts';

export const attacks: Readonly<Record<string, Attack>> = {
  ...unknownAttacks,
  ...knownAttacks,
  ...httpsAttacks,
  ...sessionAttacks,
};

export interface Orders {
  readonly attack: string;
  readonly scene: Scene;
}

if (parentPort !== null) {
  // siege.ts is the only one who starts this file
  const { attack, scene } = workerData as Orders;
  const counts: Tally = {};
  await attacks[attack]?.(scene, (word, by = 1) => {
    counts[word] = (counts[word] ?? 0) + by;
  });
  parentPort.postMessage(counts);
}
