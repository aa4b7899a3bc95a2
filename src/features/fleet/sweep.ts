/**
 * What nobody came for: ownership tokens whose hour is over, and the certificates that were made with them, unless somebody has activated or attached them
 * meanwhile; then claims of trusted users that expired long ago. Source: spec provisioning.md 4.3.
 */
import type { Task } from '../../feature.ts';
import type { Db, Store } from '../../store/store.ts';
import { certificateArn, findCertificate, removeCertificate } from '../certificates/certificate.ts';
import { policiesHolding } from '../policies/policy-attachment.ts';
import { thingsHolding } from '../things/thing-principal.ts';
import { deleteExpiredToken, type ExpiredToken, listExpiredTokens } from './ownership-token.ts';
import { forgetExpiredClaims } from './provisioning-claim.ts';

/** Tokens of one unit of writing, so that others get their turn between two. */
const batchMax = 100;

/** It still waits, and nobody has done anything with it. */
const isUnclaimed = async (db: Db, { account, certificateId }: ExpiredToken): Promise<boolean> => {
  const certificate = await findCertificate(db, account, certificateId);
  if (certificate?.status !== 'PENDING_ACTIVATION') return false;
  const arn = certificateArn(account, certificateId);
  const holders = [...(await policiesHolding(db, account, arn)), ...(await thingsHolding(db, account, arn))];
  return holders.length === 0;
};

export const sweepUnclaimed = async (store: Pick<Store, 'db' | 'write'>, nowMs: number): Promise<void> => {
  for (let found = batchMax; found === batchMax; ) {
    found = await store.write(async (db) => {
      const expired = await listExpiredTokens(db, nowMs, batchMax);
      for (const token of expired) {
        if (!token.isSpent && (await isUnclaimed(db, token))) {
          await removeCertificate(db, token.account, token.certificateId);
        }
        await deleteExpiredToken(db, token);
      }
      return expired.length;
    });
  }
  await store.write((db) => forgetExpiredClaims(db, nowMs));
};

export const sweepTask = (store: Pick<Store, 'db' | 'write'>): Task => ({
  name: 'unclaimed-certificates',
  everyMs: 60_000,
  run: (nowMs) => sweepUnclaimed(store, nowMs),
});
