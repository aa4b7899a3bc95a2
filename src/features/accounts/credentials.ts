/**
 * Whom an access key stands for. Two kinds of key: development keys, which everybody knows and which therefore count only for a peer on this very
 * machine; and one root key of the default account, from the environment or made at the first start that listens to other machines (design 3).
 */
import { isIP } from 'node:net';
import type { CredentialFacts, Identity } from '../../aws/identity.ts';
import type { RootKey } from '../../config.ts';
import { generateRootKey, keepRootKey, readRootKey } from './root-key.ts';

export interface CredentialsOptions {
  readonly dataFolder: string;
  /** The address that the listeners bind. */
  readonly host: string;
  /** The default account: the root key's. */
  readonly accountId: string;
  readonly rootKey?: RootKey;
}

export interface Credentials {
  /** Undefined: no such key, or it does not count for this peer. */
  find(accessKeyId: string, facts: CredentialFacts): Identity | undefined;
  /** Made at this start: to be shown to the operator once. Absent otherwise. */
  readonly generated?: RootKey;
  /**
   * Keeps the generated key for later starts, which do not show it again: to be called when nothing else can keep this start from showing it.
   * Faults: Error with a sentence.
   */
  keepGenerated(): Promise<void>;
}

/**
 * Everybody knows it. It is also the session token of the temporary development keys, `ASIA` and an account id: for clients that always send a token, as
 * browsers with credentials of Cognito do.
 */
export const developmentSecret = 'test';
const developmentAccountId = '000000000000';

/** Whether a listener on this address can be reached from this machine only. */
export const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

const rootOf = (accountId: string, secretAccessKey: string, development?: true): Identity => ({
  accountId,
  secretAccessKey,
  arn: `arn:aws:iam::${accountId}:root`,
  userId: accountId,
  iam: { kind: 'root', ...(development && { development }) },
});

const findDevelopment = (accessKeyId: string, facts: CredentialFacts): Identity | undefined => {
  if (!facts.loopback || facts.forwarded) return undefined;
  if (accessKeyId === 'test') return rootOf(developmentAccountId, developmentSecret, true);
  const [, temporary, accountId] = /^(ASIA)?([0-9]{12})$/.exec(accessKeyId) ?? [];
  if (accountId === undefined) return undefined;
  const root = rootOf(accountId, developmentSecret, true);
  return temporary ? { ...root, sessionToken: developmentSecret } : root;
};

/** Faults: Error with a sentence for a key file that cannot be read. */
export const openCredentials = async (options: CredentialsOptions): Promise<Credentials> => {
  const { dataFolder, host, accountId } = options;
  const given = options.rootKey ?? (await readRootKey(dataFolder));
  const generated = given || isLoopbackHost(host) ? undefined : generateRootKey();
  const rootKey = given ?? generated;
  return {
    find(accessKeyId, facts) {
      if (rootKey && accessKeyId === rootKey.accessKeyId) return rootOf(accountId, rootKey.secretAccessKey);
      return findDevelopment(accessKeyId, facts);
    },
    ...(generated && { generated }),
    async keepGenerated() {
      if (generated) await keepRootKey(dataFolder, generated);
    },
  };
};
