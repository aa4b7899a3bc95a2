/** The long form of the crash test: kills by the hundred, most of them with QoS 1, then QoS 2, and on files losses of power. Counts are printed. */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ServerOptions, spawnServer } from '../server-process.ts';
import { testEngine } from '../stores.ts';
import { throwAwayFolder } from '../throw-away-certificates.ts';
import { openDisk } from './power.ts';
import { Crashes, type CrashPlan } from './run.ts';

export const killsDefault = 200;
const killsPerPart = 10;

type Kind = 'kill -9' | 'kill -9, QoS 2' | 'loss of power';
/** Which part of all kills. */
const kinds: readonly (readonly [Kind, number])[] = [
  ['kill -9', 0.5],
  ['kill -9, QoS 2', 0.25],
  ...(testEngine === 'sqlite' ? ([['loss of power', 0.25]] as const) : []),
];

/** Runs one kind on a server and a folder of its own; answers what must not be, in sentences. */
const crashOne = async (kind: Kind, kills: number): Promise<string[]> => {
  const folder = throwAwayFolder();
  const dataFolder = join(folder, 'data');
  mkdirSync(dataFolder);
  const ending: (() => unknown)[] = [];
  const after = (step: () => unknown): void => {
    ending[0] = step; // servers before the last have ended
  };
  const isOpen = kind === 'kill -9, QoS 2';
  const disk = kind === 'loss of power' ? openDisk(dataFolder, join(folder, 'disk'), { syncMs: 10 }) : undefined;
  disk?.settle();
  const options: ServerOptions = { ...(isOpen && { flags: ['--limits', 'open'] }), ...(disk && { env: disk.env }) };
  const plan: CrashPlan = {
    dataFolder,
    ledgerFile: join(tmpdir(), `fleetgate-crash-${process.pid}-${kind.replaceAll(/\W+/g, '-')}.log`),
    kills,
    killsPerPart,
    qos: isOpen ? 2 : 1,
    spawn: () => spawnServer({ after }, dataFolder, options),
    ...(disk && {
      async killed() {
        disk.lose({ leastKept: Math.random() < 0.5 });
      },
    }),
    report: (line) => console.log(`  ${line}`),
  };
  const { ledger, run } = new Crashes(plan);
  const failures: string[] = [];
  try {
    await run();
  } catch (error) {
    failures.push(String(error));
  } finally {
    for (const step of ending) await step();
  }
  if (ledger.violationsCount > 0)
    failures.push(`${ledger.violationsCount} violations, the ledger is ${plan.ledgerFile}`);
  return [...ledger.violations, ...failures].map((finding) => `${kind}: ${finding}`);
};

/** Crashes the gateway so often, in all ways; answers what must not be. */
export const crashLong = async (kills: number): Promise<string[]> => {
  const findings: string[] = [];
  for (const [kind, part] of kinds) {
    const count = Math.max(1, Math.round(kills * part));
    console.log(`${count} times ${kind}, the store on ${testEngine}`);
    findings.push(...(await crashOne(kind, count)));
  }
  for (const finding of findings) console.log(`FINDING ${finding}`);
  return findings;
};
