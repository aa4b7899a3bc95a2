/**
 * The PKI of the nodes of tests: made once for a whole run of `npm test` (or for the tests of a process without one) and copied into the data folders
 * of nodes, which would spend some 150 ms of a core each on RSA keys of their own. A node that starts without it makes one: src/pki/own-ca.test.ts,
 * and every test that starts the command itself.
 */
import { existsSync, rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../src/config.ts';
import { openOwnCa } from '../src/pki/own-ca.ts';

/** Names the folder of a PKI that is there already. */
export const pkiVariable = 'FLEETGATE_TEST_PKI';

/** Makes one, with the server certificates of the default region. It goes with this process. */
export const makePki = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-pki-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { domain, region, names } = readConfig([], {});
  const ca = await openOwnCa(folder, { domain, defaultRegion: region, names });
  await Promise.all([ca.serverCertificate(region, 'rsa'), ca.serverCertificate(region, 'ec')]);
  ca.close();
  return folder;
};

let shared: Promise<string> | undefined;

/** Gives a data folder the PKI that the others have, unless it holds one. */
export const putPki = async (dataFolder: string): Promise<void> => {
  const pki = join(dataFolder, 'pki');
  if (existsSync(pki)) return;
  shared ??= Promise.resolve(process.env[pkiVariable] ?? makePki());
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  await cp(await shared, pki, { recursive: true });
};
