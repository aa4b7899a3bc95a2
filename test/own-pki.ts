/**
 * What the nodes of tests would spend most of their time on: RSA keys. The PKI of their data folders and the key pairs that the service gives to devices are
 * made once for a whole run of `npm test` (or for the tests of a process without one). A node that starts without a PKI makes one: src/pki/own-ca.test.ts,
 * and every test that starts the command itself; there, too, each device gets a pair that nobody else has (src/pki/key-pool.test.ts).
 */
import { existsSync, rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../src/config.ts';
import { createKeyPool, type KeyPair } from '../src/pki/key-pool.ts';
import { openOwnCa } from '../src/pki/own-ca.ts';

/** Names the folder of what is there already. */
export const pkiVariable = 'FLEETGATE_TEST_PKI';

const pairsCount = 8;
const pairsFile = 'key-pairs.json';

/** Makes a PKI with the server certificates of the default region, and key pairs. They go with this process. */
export const makePki = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-pki-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { domain, region, names } = readConfig([], {});
  const ca = await openOwnCa(join(folder, 'pki'), { domain, defaultRegion: region, names });
  await Promise.all([ca.serverCertificate(region, 'rsa'), ca.serverCertificate(region, 'ec')]);
  ca.close();
  const pool = createKeyPool({ keyPoolMax: 0 });
  const pairs = await Promise.all(Array.from({ length: pairsCount }, pool.take));
  pool.close();
  await writeFile(join(folder, pairsFile), JSON.stringify(pairs), { mode: 0o600 });
  return folder;
};

let shared: Promise<string> | undefined;
const sharedFolder = (): Promise<string> => {
  shared ??= Promise.resolve(process.env[pkiVariable] ?? makePki());
  return shared;
};

/** Gives a data folder the PKI that the others have, unless it holds one. */
export const putPki = async (dataFolder: string): Promise<void> => {
  const pki = join(dataFolder, 'pki');
  if (existsSync(pki)) return;
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  await cp(join(await sharedFolder(), 'pki'), pki, { recursive: true });
};

/** A search for primes takes so long, and stories look at what comes in between. */
const pairMs = 50;
let given = 0;

/** One of the key pairs, in turn, after the time that another would take. */
export const giveKeyPair = async (): Promise<KeyPair> => {
  const [text] = await Promise.all([
    readFile(join(await sharedFolder(), pairsFile), 'utf8'),
    new Promise((resolve) => setTimeout(resolve, pairMs)),
  ]);
  const pairs: readonly KeyPair[] = JSON.parse(text);
  return pairs[given++ % pairs.length] ?? Promise.reject(new Error(`${pairsFile} is empty`));
};
