/**
 * What happens to a requested certificate after its request: its names are proven, it is issued, and in time renewed under the same ARN. One function looks at one
 * certificate and does what is due; a periodic task calls it for those that are due, and a handler for one whose names need no proof.
 *
 * Steps of a request: PENDING_VALIDATION, looked at every ten seconds at first and later every five minutes, until all its names are proven: ISSUED; or until 72
 * hours have gone by: VALIDATION_TIMED_OUT. Of a renewal: from 60 days before the end on, hourly until all names are proven once more; then another key and
 * certificate take the place of the old, and every node is told. When the end comes first, it is FAILED.
 * Source: ACM user guide, "DNS validation", "Managed certificate renewal"; spec identity 10.
 */
import { createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Bus } from '../../bus/bus.ts';
import { noteChange } from '../../bus/changes.ts';
import type { IssueServerCertificate } from '../../pki/issue-server.ts';
import type { KeyPool } from '../../pki/key-pool.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Store } from '../../store/store.ts';
import { type AcmCertificate, type CertificateMaterial, findAcmCertificate } from './acm-certificate.ts';
import { boundedLookUp } from './bounded-look-up.ts';
import { type DueCertificate, listDue, listDueAccounts } from './due-certificates.ts';
import { orderBehind, type Share, takeFairTurns } from './fair-turns.ts';
import { type Outcome, saveOutcome } from './request-rows.ts';
import { usageNamesIn } from './usage-names.ts';
import { isWholly, type Proving, prove, unproven } from './validation.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** A request that is not validated by then never will be. */
export const validationMsMax = 72 * hourMs;
/** Before the end of a certificate, when its renewal begins. */
export const renewBeforeMs = 60 * dayMs;
/** How often a pending request is looked at, while it is young and afterwards. */
const youngMs = 10 * minuteMs;
const lookEveryMs = { young: 10_000, old: 5 * minuteMs } as const;
const renewalEveryMs = hourMs;
/** Certificates that are looked at at once; none is begun when a turn lasts so long: the next turn begins with the accounts that had none. */
const atOnceMax = 32;
const turnMsMax = 20_000;
/** The same of one account, and what of it one turn looks at and asks DNS at most: a server that is away costs its account these, and the others nothing. */
const atOnceOfAccountMax = 4;
const ofAccountMax = 100;
const lookUpsOfAccount = { lookUpsMax: 400, msMax: 10_000 } as const;
/** After a failure of the server's own. */
const retryMs = minuteMs;

export interface IssuanceOptions extends Proving {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly bus: Bus;
  readonly box: SecretBox;
  readonly now: () => number;
  readonly issue: IssueServerCertificate;
  /** RSA_2048. */
  readonly takeKeyPair: KeyPool['take'];
  /** Something failed that no answer tells; for the log. */
  readonly trouble: (error: unknown) => void;
}

export interface Issuance {
  isImmediate(domainName: string): boolean;
  /** Looks at one certificate and does what is due. What fails is told to the log and tried again by the task. */
  look(due: DueCertificate): Promise<void>;
  /** Looks at what is due: of each account its share. */
  turn(nowMs: number): Promise<void>;
}

const generate = promisify(generateKeyPair);
const curves = { EC_prime256v1: 'prime256v1', EC_secp384r1: 'secp384r1' } as const;

/** A key pair as DER of the public and PEM of the private key (PKCS #8). */
const newKeys = async (keyAlgorithm: string, takeKeyPair: KeyPool['take']) => {
  const pair =
    keyAlgorithm === 'EC_prime256v1' || keyAlgorithm === 'EC_secp384r1'
      ? await generate('ec', { namedCurve: curves[keyAlgorithm] })
      : await rsaPair(takeKeyPair);
  return {
    kind: pair.privateKey.asymmetricKeyType === 'ec' ? ('ec' as const) : ('rsa' as const),
    publicKeyDer: new Uint8Array(pair.publicKey.export({ type: 'spki', format: 'der' })),
    privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
};

const rsaPair = async (takeKeyPair: KeyPool['take']) => {
  const { privateKeyPem, publicKeyPem } = await takeKeyPair();
  return { privateKey: createPrivateKey(privateKeyPem), publicKey: createPublicKey(publicKeyPem) };
};

/** An issued one is renewed when it is due: between a list of those that are and a look at one, another node may have done it. */
const isWaiting = ({ status, nextActionMs }: AcmCertificate, nowMs: number): boolean =>
  status === 'PENDING_VALIDATION' || (status === 'ISSUED' && nextActionMs !== undefined && nextActionMs <= nowMs);

export const openIssuance = (options: IssuanceOptions): Issuance => {
  const { store, bus, box, now, issue, takeKeyPair, trouble } = options;

  const mint = async ({ domainName, names, keyAlgorithm }: AcmCertificate): Promise<CertificateMaterial> => {
    const { kind, publicKeyDer, privateKeyPem } = await newKeys(keyAlgorithm, takeKeyPair);
    const issued = await issue({ names, kind, publicKeyDer, nowMs: now() });
    const { keyUsages, extendedKeyUsages } = usageNamesIn(issued.certificatePem);
    return {
      ...{ domainName, names, keyAlgorithm, privateKeyPem, keyUsages, ...issued },
      extendedKeyUsages: extendedKeyUsages.map(({ Name }) => Name),
    };
  };

  /** What comes of a request now. */
  const validate = async (certificate: AcmCertificate, proving: Proving): Promise<Outcome> => {
    const ageMs = now() - certificate.createdAtMs;
    const validation = await prove(certificate.validation, proving);
    if (isWholly(validation, 'SUCCESS')) {
      const material = await mint(certificate);
      const nextActionMs = material.notAfterMs - renewBeforeMs;
      return { status: 'ISSUED', material, issuedAtMs: now(), validation, nextActionMs };
    }
    if (ageMs >= validationMsMax) {
      const failed = validation.map((option) =>
        option.status === 'SUCCESS' ? option : { ...option, status: 'FAILED' as const },
      );
      return { status: 'VALIDATION_TIMED_OUT', validation: failed, nextActionMs: undefined };
    }
    return { validation, nextActionMs: now() + (ageMs < youngMs ? lookEveryMs.young : lookEveryMs.old) };
  };

  /** What comes of a renewal now. */
  const renew = async (certificate: AcmCertificate, proving: Proving): Promise<Outcome> => {
    const validation = await prove(unproven(certificate.validation), proving);
    const updatedAtMs = now();
    if (isWholly(validation, 'SUCCESS')) {
      const material = await mint(certificate);
      const renewal = { status: 'SUCCESS', validation, updatedAtMs } as const;
      return { material, renewal, nextActionMs: material.notAfterMs - renewBeforeMs };
    }
    if (updatedAtMs > (certificate.notAfterMs ?? 0)) {
      return { renewal: { status: 'FAILED', validation, updatedAtMs }, nextActionMs: undefined };
    }
    const renewal = { status: 'PENDING_VALIDATION', validation, updatedAtMs } as const;
    return { renewal, nextActionMs: updatedAtMs + renewalEveryMs };
  };

  const save = (account: AccountRegion, before: AcmCertificate, outcome: Outcome): Promise<boolean> =>
    store.write((db) => saveOutcome(db, box, account, { before, outcome }));

  const look = async ({ account, arn }: DueCertificate, proving: Proving): Promise<void> => {
    const before = await findAcmCertificate(store.db, account, arn);
    if (!before || !isWaiting(before, now())) return;
    try {
      const outcome = await (before.status === 'ISSUED' ? renew(before, proving) : validate(before, proving));
      if ((await save(account, before, outcome)) && outcome.material)
        noteChange(bus, { account, kind: 'acm', id: arn });
    } catch (error) {
      trouble(error);
      await save(account, before, { nextActionMs: now() + retryMs });
    }
  };

  const openProving = () => ({ isImmediate: options.isImmediate, ...boundedLookUp(options.lookUp, lookUpsOfAccount) });

  /** What one account is given of a turn. */
  const openShare = async (accountId: string, nowMs: number): Promise<Share> => {
    const proving = openProving();
    const due = [
      ...(await listDue(store.db, accountId, { nowMs, youngSinceMs: nowMs - youngMs, limit: ofAccountMax })),
    ];
    return () => {
      const next = proving.isUsedUp() ? undefined : due.shift();
      return next && look(next, proving).catch(trouble);
    };
  };

  /** Where the last turn ended. */
  let reached: string | undefined;

  return {
    isImmediate: options.isImmediate,
    look: (due) => look(due, openProving()).catch(trouble),
    async turn(nowMs) {
      // not the node's clock, which tests move
      const beginUntilMs = performance.now() + turnMsMax;
      reached = await takeFairTurns({
        accountIds: orderBehind(await listDueAccounts(store.db, nowMs), reached),
        openShare: (accountId) =>
          openShare(accountId, nowMs).catch((error: unknown) => {
            trouble(error);
            return () => undefined;
          }),
        ...{ atOnceMax, atOnceOfAccountMax },
        isOver: () => performance.now() >= beginUntilMs,
      });
    },
  };
};
