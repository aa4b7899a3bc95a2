/** The long form of the provisioning crash test: kills by the dozen on one folder, then ten thousand devices against one server. Figures are printed. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProvisioning } from '../provisioning-load.ts';
import { type ServerOptions, type ServerProcess, spawnServer } from '../server-process.ts';
import { testEngine } from '../stores.ts';
import { throwAwayFolder } from '../throw-away-certificates.ts';
import { inFlightCount, ProvisioningCrashes } from './provisioning.ts';

export const provisioningKillsDefault = 20;
const devicesCount = 10_000;

/** Runs on a folder of its own; the last server does not outlive it. */
const withFolder = async (
  work: (dataFolder: string, spawn: (options?: ServerOptions) => Promise<ServerProcess>) => Promise<void>,
): Promise<void> => {
  const dataFolder = join(throwAwayFolder(), 'data');
  mkdirSync(dataFolder);
  let end: () => unknown = () => undefined;
  const after = (step: () => unknown): void => {
    end = step; // servers before the last have ended
  };
  try {
    await work(dataFolder, (options) => spawnServer({ after }, dataFolder, options));
  } finally {
    await end();
  }
};

/** Answers what must not be, in sentences. */
export const provisioningLong = async (kills: number): Promise<string[]> => {
  const findings: string[] = [];
  console.log(`${kills} times kill -9 during ${inFlightCount} claim provisionings, the store on ${testEngine}`);
  await withFolder(async (dataFolder, spawn) => {
    const repliesBetweenKills = [1, 3 * inFlightCount] as const;
    const report = (line: string): void => console.log(`  ${line}`);
    const crashes = new ProvisioningCrashes({ dataFolder, kills, repliesBetweenKills, spawn, report });
    await crashes.run();
    findings.push(...crashes.violations);
  }).catch((error: unknown) => findings.push(String(error)));
  console.log(`${devicesCount} devices by claim, the store on ${testEngine}`);
  await withFolder(async (dataFolder, spawn) => {
    const { report, refused } = await loadProvisioning({ dataFolder, devices: devicesCount, spawn });
    for (const line of report) console.log(`  ${line}`);
    findings.push(...refused);
  }).catch((error: unknown) => findings.push(String(error)));
  for (const finding of findings) console.log(`FINDING provisioning: ${finding}`);
  return findings.map((finding) => `provisioning: ${finding}`);
};
