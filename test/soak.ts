/**
 * `npm run soak [-- minutes]`: the crash test of the gateway with 200 kills (test/crash; over PostgreSQL with FLEETGATE_TEST_STORE=postgres), that of claim
 * provisioning with 20 and a fleet of 10,000 devices, then hostile
 * input for as long as asked, 10 minutes without a number: rounds of a campaign on each target, with new seeds, guided by the code that is reached,
 * and of attacks on a server of its own with healthy clients beside them. Seeds, executions, findings and peak memory are printed; the input of a finding is
 * written to a file, so that it can become a fixture; the exit code is 1 when there is one. `--crash N`: N kills and nothing else;
 * `--provisioning N`: N kills of provisioning and its fleet, and nothing else; `--no-crash`: none of these.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { provisioningKillsDefault, provisioningLong } from './crash/provisioning-soak.ts';
import { crashLong, killsDefault } from './crash/soak.ts';
import { told } from './fuzz/findings.ts';
import { attacks } from './fuzz/hostile/attacker.ts';
import { reportLine, startSiege } from './fuzz/hostile/siege.ts';
import { fixturesOf, runCampaign } from './fuzz/run.ts';
import { targets } from './fuzz/targets.ts';
import { ensurePrograms } from './setup.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', multiple: true },
    'no-siege': { type: 'boolean', default: false },
    crash: { type: 'string' },
    provisioning: { type: 'string' },
    'no-crash': { type: 'boolean', default: false },
  },
});
const minutes = Number(positionals[0] ?? 10);
const kills = Number(values.crash ?? killsDefault);
const provisioningKills = Number(values.provisioning ?? provisioningKillsDefault);
const areCounts = [kills, provisioningKills].every((count) => Number.isInteger(count) && count > 0);
if (!(minutes > 0 && minutes <= 24 * 60) || !areCounts) {
  console.error(
    'Usage: npm run soak [-- MINUTES [--target NAME]... [--no-siege] [--no-crash] | -- --crash KILLS | -- --provisioning KILLS]',
  );
  process.exit(2);
}
const names = Object.keys(targets).filter((name) => values.target?.includes(name) ?? true);

ensurePrograms();
const crashFindings: string[] = [];
const isChosen = (option: 'crash' | 'provisioning'): boolean =>
  values[option] !== undefined ||
  (!values['no-crash'] && values.crash === undefined && values.provisioning === undefined);
if (isChosen('crash')) crashFindings.push(...(await crashLong(kills)));
if (isChosen('provisioning')) crashFindings.push(...(await provisioningLong(provisioningKills)));
if (values.crash !== undefined || values.provisioning !== undefined) process.exit(crashFindings.length > 0 ? 1 : 0);
const endMs = performance.now() + minutes * 60_000;
const left = (): number => endMs - performance.now();
/** Of a round: what each target gets, and each attack. */
const sliceMs = Math.min(20_000, (minutes * 60_000) / names.length / 2);
const attackMs = Math.min(5_000, sliceMs);
const keptMax = 4_000;
const inputMsMax = 5_000;

interface Total {
  executions: number;
  findings: number;
  slowestMs: number;
  peakBytes: number;
  kept: Uint8Array[];
}
const totals = new Map<string, Total>();
const findings: string[] = [...crashFindings];
const report = (text: string): void => {
  findings.push(text);
  console.log(`FINDING ${text}`);
};
const mega = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MB`;

const soakTarget = async (name: string): Promise<void> => {
  const total = totals.get(name) ?? { executions: 0, findings: 0, slowestMs: 0, peakBytes: 0, kept: [] };
  totals.set(name, total);
  const seed = randomInt(2 ** 32);
  const known = [...fixturesOf(name).map(([, input]) => input), ...total.kept];
  const ms = Math.min(sliceMs, left());
  const plan = { seed, executionsMax: Number.MAX_SAFE_INTEGER, ms, inputMsMax, guided: true, known };
  const outcome = await runCampaign(name, plan);
  total.executions += outcome.executions;
  total.findings += outcome.findings.length;
  total.slowestMs = Math.max(total.slowestMs, outcome.slowestMs);
  total.peakBytes = Math.max(total.peakBytes, outcome.peakBytes);
  total.kept = [...total.kept, ...outcome.kept].slice(-keptMax);
  console.log(`${name}: seed ${seed}, ${outcome.executions} executions, ${outcome.kept.length} kept`);
  for (const finding of outcome.findings) report(told(name, finding));
};

let serverPeakBytes = 0;
/** Every attack once, of another size in each round, on one server: what an attack leaves behind meets the next. */
const besiege = async (round: number): Promise<void> => {
  const siege = await startSiege();
  const connections = [3_000, 200, 1_000][round % 3] ?? 200;
  console.log(`a server besieged by ${connections} connections at once; calm it takes ${mega(siege.calmBytes)}`);
  try {
    for (const attack of Object.keys(attacks)) {
      if (left() <= 0) break;
      const slow = attack.startsWith('slow');
      const outcome = await siege.run([attack], { connections, ms: Math.min(slow ? 3 * attackMs : attackMs, left()) });
      serverPeakBytes = Math.max(serverPeakBytes, outcome.peakBytes);
      console.log(`  ${reportLine(outcome)}`);
      for (const finding of outcome.findings) report(`${attack}, ${connections} connections: ${finding}`);
    }
    console.log(`  afterwards ${mega(await siege.residentBytes())}`);
  } finally {
    await siege.close();
  }
};

process.once('SIGINT', () => summary());
const summary = (): never => {
  const all = [...totals];
  console.log('\ntarget, executions, findings, slowest input, peak memory of its thread, inputs kept');
  for (const [name, { executions, findings: found, slowestMs, peakBytes, kept }] of all) {
    console.log(`${name}: ${executions}, ${found}, ${slowestMs.toFixed(0)} ms, ${mega(peakBytes)}, ${kept.length}`);
  }
  const executions = all.reduce((sum, [, total]) => sum + total.executions, 0);
  const peak = process.resourceUsage().maxRSS * 1024;
  console.log(`\n${executions} executions, ${findings.length} findings`);
  console.log(`peak memory: ${mega(peak)} of all campaigns, ${mega(serverPeakBytes)} of a besieged server`);
  for (const finding of findings) console.log(`\n${finding}`);
  process.exit(findings.length > 0 ? 1 : 0);
};

for (let round = 0; left() > 0; round++) {
  for (const name of names) if (left() > 0) await soakTarget(name);
  if (left() > 0 && !values['no-siege']) await besiege(round);
}
summary();
