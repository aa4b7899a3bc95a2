/**
 * What both topics that make certificates do: the certificate waits, PENDING_ACTIVATION, with an ownership token, and is made together with it or not at all.
 * Source: spec provisioning.md 4.2, 4.3.
 */
import { strict as assert } from 'node:assert';
import { type AccountRegion, accountKey } from '../../aws/arn.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import type { Db } from '../../store/store.ts';
import { insertCertificate } from '../certificates/certificate.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import type { Attempt } from './fleet-topics.ts';
import {
  countUnspentTokens,
  insertOwnershipToken,
  newOwnershipToken,
  ownershipTokenLifetimeMs,
} from './ownership-token.ts';

/** Certificates of one account and region that wait for their RegisterThing; what would be more is throttled. */
export const unclaimedCertificatesMax = 100_000;
/** Between two counts of them that are asked for because there are too many. */
const recountMs = 10_000;

/** How many certificates wait, as last counted and with those made since; so each node may go a little beyond the bound. */
export class Unclaimed {
  readonly #max: number;
  /** One for each account that has asked; accounts are bounded. */
  readonly #accounts = new Map<string, { count: number; countedAtMs: number }>();

  constructor(max = unclaimedCertificatesMax) {
    this.#max = max;
  }

  /** Counts one more in. Faults: ProvisioningFault (Throttled). */
  async add(db: Db, account: AccountRegion, nowMs: number): Promise<void> {
    const key = accountKey(account);
    let known = this.#accounts.get(key);
    if (known === undefined || (known.count >= this.#max && Math.abs(nowMs - known.countedAtMs) >= recountMs)) {
      known = { count: await countUnspentTokens(db, account), countedAtMs: nowMs };
      this.#accounts.set(key, known);
    }
    if (known.count >= this.#max) {
      throw new ProvisioningFault('Throttled', 'Too many certificates wait for their RegisterThing.');
    }
    known.count++;
  }
}

export interface IssuingToClaims {
  readonly issue: IssueDeviceCertificate;
  readonly unclaimed: Unclaimed;
}

export interface IssuedToClaim {
  readonly certificateId: string;
  readonly certificatePem: string;
  readonly certificateOwnershipToken: string;
}

export const issueToClaim = async (
  { issue }: IssuingToClaims,
  certified: { readonly publicKeyDer: Uint8Array; readonly subjectDer?: Uint8Array },
  { request, call, facts }: Attempt,
): Promise<IssuedToClaim> => {
  const { account } = call;
  const nowMs = call.now();
  const { certificateId, pem, notBeforeMs, notAfterMs } = await issue({ ...certified, nowMs });
  const token = newOwnershipToken();
  const generationId = call.newId();
  const inserted = await call.write(async (db) => {
    const isNew = await insertCertificate(db, account, {
      certificateId,
      status: 'PENDING_ACTIVATION',
      certificateMode: 'DEFAULT',
      pem,
      generationId,
      createdAtMs: nowMs,
      notBeforeMs,
      notAfterMs,
    });
    await insertOwnershipToken(db, account, token, {
      certificateId,
      principalId: request.authority.principalId,
      expiresAtMs: nowMs + ownershipTokenLifetimeMs,
    });
    return isNew;
  });
  assert(inserted, 'a certificate with a random serial number exists already');
  facts['deviceCertificateId'] = certificateId;
  call.changed('certificate', certificateId);
  return { certificateId, certificatePem: pem, certificateOwnershipToken: token };
};
