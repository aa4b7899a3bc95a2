/**
 * What ACM has under a server certificate's ARN comes to the domains that present it: imported again or renewed, it takes the old one's place without touching any
 * connection, if its signature algorithm and its names are the same; otherwise the old one stays, and the configuration says why.
 * Source: developer guide, "Managing custom domains"; spec identity 8, lifecycle.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Bus } from '../../bus/bus.ts';
import { noteChange, onChange } from '../../bus/changes.ts';
import type { Task } from '../../feature.ts';
import { firstPemBlock } from '../../pki/pem.ts';
import { type SecretBox, SecretUnreadable } from '../../pki/secret-box.ts';
import { readServerLeaf } from '../../pki/server-leaf.ts';
import type { Db, Store } from '../../store/store.ts';
import { findAcmCertificate, openAcmPrivateKey } from '../acm/acm-certificate.ts';
import { fullChainOf } from './domain-certificate.ts';
import {
  type DomainConfiguration,
  findUsersOfCertificate,
  getOwnConfiguration,
  listServing,
  saveDomainConfiguration,
  sealServerKey,
} from './domain-configuration.ts';
import { maySucceed, serverCertificateProblem } from './server-certificate-rules.ts';

export interface FollowAcmOptions {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly bus: Bus;
  readonly box: SecretBox;
  readonly now: () => number;
  /** Hears what kept a certificate from being looked at. Must not throw. */
  readonly trouble: (error: unknown) => void;
}

const leafOf = (chainPem: string) => readServerLeaf(firstPemBlock(chainPem, 'CERTIFICATE') ?? new Uint8Array());

/** Why what ACM has now may not be presented; undefined: it may. */
const whyNot = (configuration: DomainConfiguration, chainPem: string, nowMs: number): string | undefined => {
  const { served, domainName } = configuration;
  const problem = serverCertificateProblem(chainPem, domainName, nowMs);
  if (problem !== undefined) return problem;
  return served && !maySucceed(leafOf(served.chainPem), leafOf(chainPem))
    ? 'The imported certificate has another signature algorithm or other names than the one that is presented'
    : undefined;
};

export interface FollowedAcm {
  /** Catches up with what no notice told of. */
  readonly task: Task;
  /** Resolves when everything that was noticed has been looked at. */
  idle(): Promise<void>;
  close(): void;
}

export const followAcm = ({ store, bus, box, now, trouble }: FollowAcmOptions): FollowedAcm => {
  /** The configuration as it is to be, or undefined when it is so already. */
  const compare = async (db: Db, configuration: DomainConfiguration): Promise<DomainConfiguration | undefined> => {
    const { account, name, served, serverCertificateArn } = configuration;
    if (serverCertificateArn === undefined) return undefined;
    const found = await findAcmCertificate(db, account, serverCertificateArn);
    // while it is in use it cannot be deleted
    if (found?.certificatePem === undefined) return undefined;
    const chainPem = fullChainOf(found);
    const problem = chainPem === served?.chainPem ? undefined : whyNot(configuration, chainPem, now());
    const keyPem = chainPem === served?.chainPem ? undefined : openAcmPrivateKey(box, account, found);
    if (problem === undefined && keyPem !== undefined) {
      const keySealed = sealServerKey(box, account, name, keyPem);
      return { ...configuration, served: { chainPem, keySealed }, certificateDetail: undefined };
    }
    return problem === configuration.certificateDetail ? undefined : { ...configuration, certificateDetail: problem };
  };

  const refresh = async ({ account, name }: DomainConfiguration): Promise<void> => {
    const changed = await store.write(async (db) => {
      const before = await getOwnConfiguration(db, account, name);
      const after = before && (await compare(db, before));
      if (after) await saveDomainConfiguration(db, after);
      return after;
    });
    if (changed) noteChange(bus, { account, kind: 'domain', id: changed.domainName });
  };

  /** One secret that does not open keeps nobody else's certificate from being looked at. */
  const unless = async (asked: Promise<void>): Promise<void> => {
    try {
      await asked;
    } catch (error) {
      if (!(error instanceof SecretUnreadable)) throw error;
      trouble(error);
    }
  };

  const follow = async (configuration: DomainConfiguration): Promise<void> => {
    if (await compare(store.db, configuration)) await refresh(configuration);
  };

  const look = async (account: AccountRegion, arn: string): Promise<void> => {
    for (const user of await findUsersOfCertificate(store.db, account, arn)) await unless(refresh(user));
  };

  let under = Promise.resolve();
  const end = onChange(bus, ({ account, kind, id }) => {
    if (kind === 'acm') under = under.then(() => look(account, id)).catch(trouble);
  });

  return {
    task: {
      name: 'domain-certificates',
      everyMs: 60_000,
      async run() {
        for (let after = '', page = await listServing(store.db, after, pageRows); page.length > 0; ) {
          for (const configuration of page) await unless(follow(configuration));
          after = page.at(-1)?.domainName ?? '';
          page = await listServing(store.db, after, pageRows);
        }
      },
    },
    idle: () => under,
    close: end,
  };
};

const pageRows = 100;
