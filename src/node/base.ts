/** What all of a node stands on: its log and clock, store and bus, the keys of the data folder, and the CA of its own. */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { AccountRegion } from '../aws/arn.ts';
import { localBus } from '../bus/local.ts';
import type { Config } from '../config.ts';
import { keepRootCertificate, prepareDataFolder, readOrMakeKey, readOrMakeSecretsKey } from '../data-folder.ts';
import { openCredentials } from '../features/accounts/credentials.ts';
import { allMigrations } from '../features/migrations.ts';
import { holdsSealed } from '../features/sealed-secrets.ts';
import { openLog } from '../journal/log.ts';
import { journalMigrations } from '../journal/ring.ts';
import { createKeyPool, type KeyPoolOptions } from '../pki/key-pool.ts';
import { openOwnCa } from '../pki/own-ca.ts';
import { createSecretBox, secretsKeyFile } from '../pki/secret-box.ts';
import { StartProblem } from '../start-problem.ts';
import { migrate } from '../store/migrate.ts';
import { openStores, storeFiles } from '../store/open.ts';
import type { Opened } from './closing.ts';

/** What no setting leads to: tests choose it, and how RSA key pairs are made. */
export interface NodeOptions extends Pick<KeyPoolOptions, 'generate' | 'keyPoolMax'> {
  /** False = the store is not synced to the disk, so that a loss of power loses what was acknowledged. */
  readonly durable?: boolean;
}

/** Hands on what already is a sentence for the operator. */
export const cannotStart = (cause: Error): never => {
  throw new StartProblem(cause.message, { cause });
};

/** An address that stands for all of this machine. */
export const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** Faults: StartProblem and StoreUnavailable, each with a sentence for the operator. */
export const openBase = async (config: Config, { durable = true, ...pool }: NodeOptions, opened: Opened) => {
  const { host, domain, region, accountId } = config;
  const names = isWildcard(host) ? config.names : [...config.names, host];
  const folder = resolve(config.dataFolder);
  const account: AccountRegion = { accountId, region };
  let offsetMs = 0;
  const log = openLog({ level: config.logLevel, destination: 2 });
  opened.add(log.flush);
  /** For what nobody is answered: the error, and in words what it kept from happening. */
  const trouble = (words: string) => (error: unknown) => log.server.error({ err: error }, words);

  await prepareDataFolder(folder, config.store === undefined ? Object.values(storeFiles) : []);
  const { store, journalStore } = await openStores({ folder, url: config.store, durable });
  opened.add(store.close);
  opened.add(journalStore.close);
  await migrate(store, allMigrations);

  const bus = localBus();
  opened.add(bus.close);
  const { serverCert: certFile, serverKey: keyFile } = config;
  // by itself: what is opened must be closed, whatever else fails meanwhile
  const ownCa = await openOwnCa(join(folder, 'pki'), {
    domain,
    defaultRegion: region,
    names,
    ...(certFile !== undefined && keyFile !== undefined && { operator: { certFile, keyFile } }),
    onProblem: trouble('a server certificate was not renewed, or not written to its file'),
  });
  opened.add(ownCa.close);
  const [markerKey, secretsKey, credentials] = await Promise.all([
    readOrMakeKey(join(folder, 'marker.key')),
    readOrMakeSecretsKey(folder, () => holdsSealed(store.db)),
    openCredentials({ dataFolder: folder, host, accountId, ...(config.rootKey && { rootKey: config.rootKey }) }).catch(
      cannotStart,
    ),
    migrate(journalStore, journalMigrations),
  ]);
  const rootFile = join(folder, 'root-ca.pem');
  await keepRootCertificate(rootFile, ownCa.rootPem);
  const keyPool = createKeyPool(pool);
  opened.add(keyPool.close);
  const box = createSecretBox(secretsKey);
  if (await holdsSealed(store.db, box.prefix)) {
    log.server.error(
      `The store holds secrets that were sealed with another key than ${join(folder, secretsKeyFile)}: they do not open.`,
    );
  }
  return {
    ...{ config, folder, account, names, hostName: hostname(), log, trouble, store, journalStore, bus },
    ...{ ownCa, rootFile, markerKey, secretsKey, box, credentials, keyPool },
    /** Milliseconds since the epoch, as the node sees it. */
    now: (): number => Date.now() + offsetMs,
    moveClock(ms: number) {
      offsetMs += ms;
    },
  };
};

export type Base = Awaited<ReturnType<typeof openBase>>;
