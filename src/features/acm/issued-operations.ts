/** What can be asked of a certificate after it was requested. Source: API reference of each operation. All answer ResourceNotFoundException for one that is not there. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { getAcmCertificate } from './acm-certificate.ts';
import type { Issuance } from './issuance.ts';
import { saveRenewal, saveTransparency } from './request-rows.ts';
import { unproven } from './validation.ts';

/**
 * Renews a certificate that was issued here, now. AWS renews by this operation only what was exported; here it is a way to see a renewal before its time.
 * Faults: RequestInProgressException, ValidationException.
 */
export const renewCertificate =
  (issuance: Pick<Issuance, 'isImmediate' | 'look'>): Handler<'RenewCertificate', 'acm'> =>
  async ({ CertificateArn }, call) => {
    const { account } = call;
    const { arn, names } = await call.write(async (db) => {
      const before = await getAcmCertificate(db, account, CertificateArn);
      if (before.status === 'PENDING_VALIDATION') {
        throw new Fault('RequestInProgressException', `Certificate ${before.arn} is not issued yet.`);
      }
      if (before.type !== 'AMAZON_ISSUED' || before.status !== 'ISSUED') {
        throw new Fault(
          'ValidationException',
          `Certificate ${before.arn} cannot be renewed: only certificates that were requested from ACM and issued can.`,
        );
      }
      const nowMs = call.now();
      const validation = unproven(before.validation);
      const renewal = { status: 'PENDING_AUTO_RENEWAL', validation, updatedAtMs: nowMs } as const;
      await saveRenewal(db, account, { uuid: before.uuid, renewal });
      return before;
    });
    if (names.every((name) => issuance.isImmediate(name))) await issuance.look({ account, arn });
    return {};
  };

/** Faults: InvalidStateException, ValidationException. */
export const updateCertificateOptions: Handler<'UpdateCertificateOptions', 'acm'> = async (input, call) => {
  const { CertificateTransparencyLoggingPreference: preference, Export, ValidationMethod } = input.Options ?? {};
  await call.write(async (db) => {
    const { arn, uuid, type } = await getAcmCertificate(db, call.account, input.CertificateArn);
    if (type === 'IMPORTED')
      throw new Fault('InvalidStateException', `Certificate ${arn} was imported: it has no options.`);
    if (Export === 'ENABLED') {
      throw new Fault('ValidationException', 'Fleetgate exports no private keys: Export can only be DISABLED.');
    }
    if (ValidationMethod !== undefined && ValidationMethod !== 'DNS') {
      throw new Fault(
        'ValidationException',
        `The validation method ${ValidationMethod} is not available in this version of Fleetgate.`,
      );
    }
    if (preference !== undefined) await saveTransparency(db, call.account, { uuid, preference });
  });
  return {};
};

/** No private key leaves the server. Observed: the sentence of AWS for what cannot be exported. Faults: RequestInProgressException, ValidationException. */
export const exportCertificate: Handler<'ExportCertificate', 'acm'> = async ({ CertificateArn }, call) => {
  const { arn, status } = await getAcmCertificate(call.db, call.account, CertificateArn);
  if (status === 'PENDING_VALIDATION') {
    throw new Fault('RequestInProgressException', `Certificate ${arn} is not issued yet.`);
  }
  throw new Fault('ValidationException', `Certificate ARN: ${arn} is not a private certificate`);
};

/** Nothing is validated by mail. Faults: InvalidStateException. */
export const resendValidationEmail: Handler<'ResendValidationEmail', 'acm'> = async ({ CertificateArn }, call) => {
  const { arn } = await getAcmCertificate(call.db, call.account, CertificateArn);
  throw new Fault('InvalidStateException', `Certificate ${arn} is not validated by email.`);
};

/** Only what was exported can be revoked, and nothing is exported. Faults: ValidationException. */
export const revokeCertificate: Handler<'RevokeCertificate', 'acm'> = async ({ CertificateArn }, call) => {
  const { arn } = await getAcmCertificate(call.db, call.account, CertificateArn);
  throw new Fault(
    'ValidationException',
    `Certificate ${arn} was never exported: only exported certificates can be revoked.`,
  );
};
