/** The certificate of a provisioning: registered, or given a status as far as the template's override settings say. Source: spec provisioning.md 7.3, 7.5. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { insertUnderCa } from '../cas/register-certificate.ts';
import { type Certificate, findCertificate, insertCertificate, saveStatus } from '../certificates/certificate.ts';
import type { CertificatePlan } from './prepare-provisioning.ts';
import { ProvisioningFault } from './provisioning-fault.ts';

const failed = (message: string): ProvisioningFault => new ProvisioningFault('ResourceRegistrationFailure', message);

/**
 * The status that an existing certificate is left with. PENDING_ACTIVATION always takes the template's: overrides are for what has been decided before.
 * Assumed: nothing is provisioned for a revoked certificate; FAIL stops whenever the status has been decided. Faults: ProvisioningFault.
 */
export const statusAfter = (
  { certificateId, status: before }: Pick<Certificate, 'certificateId' | 'status'>,
  { status, override }: Pick<CertificatePlan, 'status' | 'override'>,
): Certificate['status'] => {
  if (before === 'REVOKED') throw failed(`The certificate ${certificateId} is revoked`);
  if (before === 'PENDING_TRANSFER') throw failed(`The certificate ${certificateId} is being transferred`);
  if (before === 'PENDING_ACTIVATION' || override === 'REPLACE') return status;
  if (override === 'DO_NOTHING' || (override === undefined && before === status)) return before;
  throw new ProvisioningFault(
    'ResourceConflicts',
    override === 'FAIL'
      ? `The certificate ${certificateId} is ${before} already, and the template's OverrideSettings say FAIL`
      : `The certificate ${certificateId} is ${before}, not ${status}, and the template has no OverrideSettings for Status`,
  );
};

export interface GivenCertificate {
  readonly certificateId: string;
  readonly pem: string;
  readonly status: Certificate['status'];
  /** It was registered, or its status was changed. */
  readonly changed: boolean;
}

interface Fresh {
  /** A lower-case UUID. */
  readonly generationId: string;
  readonly nowMs: number;
}

const add = async (
  db: Db,
  account: AccountRegion,
  { source, status }: CertificatePlan,
  { generationId, nowMs }: Fresh,
): Promise<GivenCertificate> => {
  if (source.kind === 'issued') {
    const { certificateId, pem, notBeforeMs, notAfterMs } = source.certificate;
    const isNew = await insertCertificate(db, account, {
      ...{ certificateId, status, certificateMode: 'DEFAULT', pem, generationId },
      ...{ createdAtMs: nowMs, notBeforeMs, notAfterMs },
    });
    if (!isNew) throw new Error('a certificate with a random serial number exists already');
    return { certificateId, pem, status, changed: true };
  }
  if (source.kind === 'held') throw failed(`The certificate ${source.certificateId} does not exist`);
  const { certificate, caCertificateId } = source;
  const { certificateId, pem } = certificate;
  if (caCertificateId === undefined) throw failed(`The certificate ${certificateId} has just been deleted`);
  await insertUnderCa(db, account, { certificate, caCertificateId, status, generationId, nowMs });
  return { certificateId, pem, status, changed: true };
};

/** Inside a unit. Faults: ProvisioningFault, Fault. */
export const provisionCertificate = async (
  db: Db,
  account: AccountRegion,
  plan: CertificatePlan,
  fresh: Fresh,
): Promise<GivenCertificate> => {
  const { source } = plan;
  if (source.kind === 'issued') return add(db, account, plan, fresh);
  const certificateId = source.kind === 'held' ? source.certificateId : source.certificate.certificateId;
  const existing = await findCertificate(db, account, certificateId);
  if (!existing) return add(db, account, plan, fresh);
  const status = statusAfter(existing, plan);
  const changed = status !== existing.status;
  if (changed) await saveStatus(db, account, { certificateId, status, nowMs: fresh.nowMs });
  return { certificateId, pem: existing.pem, status, changed };
};
