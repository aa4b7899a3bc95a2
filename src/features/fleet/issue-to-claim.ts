/**
 * What both topics that make certificates do: the certificate waits, PENDING_ACTIVATION, with an ownership token, and is made together with it or not at all.
 * Source: spec provisioning.md 4.2, 4.3.
 */
import { strict as assert } from 'node:assert';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import { insertCertificate } from '../certificates/certificate.ts';
import type { Attempt } from './fleet-topics.ts';
import { insertOwnershipToken, newOwnershipToken, ownershipTokenLifetimeMs } from './ownership-token.ts';
import type { Unclaimed } from './unclaimed.ts';

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
  { request, call, facts, trail }: Attempt,
): Promise<IssuedToClaim> => {
  const { account } = call;
  const nowMs = call.now();
  const { certificateId, pem, notBeforeMs, notAfterMs } = await issue({ ...certified, nowMs });
  const token = newOwnershipToken(nowMs);
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
  trail.say({ subject: certificateId });
  call.changed('certificate', certificateId);
  return { certificateId, certificatePem: pem, certificateOwnershipToken: token };
};
