/** The short operations. Source: API reference, GetCertificate, DeleteCertificate; spec identity 10. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { getAcmCertificate, removeAcmCertificate } from './acm-certificate.ts';

/** The certificate and the chain above it, never its key. Faults: ResourceNotFoundException, RequestInProgressException. */
export const getCertificate: Handler<'GetCertificate', 'acm'> = async ({ CertificateArn }, call) => {
  const { arn, certificatePem, chainPem } = await getAcmCertificate(call.db, call.account, CertificateArn);
  if (certificatePem === undefined) {
    throw new Fault('RequestInProgressException', `Certificate ${arn} is not issued yet.`);
  }
  return { Certificate: certificatePem, CertificateChain: chainPem };
};

/** Faults: ResourceNotFoundException, ResourceInUseException. */
export const deleteCertificate: Handler<'DeleteCertificate', 'acm'> = async ({ CertificateArn }, call) => {
  await call.write(async (db) => {
    const { arn, uuid } = await getAcmCertificate(db, call.account, CertificateArn);
    const holders = await call.holdersOf(db, arn);
    if (holders.length > 0) {
      throw new Fault(
        'ResourceInUseException',
        `Certificate ${arn} in account ${call.account.accountId} is in use by ${holders.map(({ name }) => name).join(', ')}.`,
      );
    }
    await call.release(db, arn);
    await removeAcmCertificate(db, call.account, uuid);
  });
  call.changed('acm', CertificateArn ?? '');
  return {};
};
