import type { Feature } from '../../feature.ts';
import { createCertificateFromCsr, createKeysAndCertificate, type IssuingServices } from './create-certificate.ts';
import { deleteCertificate } from './delete-certificate.ts';
import { acceptCertificateTransfer, cancelCertificateTransfer, rejectCertificateTransfer } from './end-transfer.ts';
import { migrations } from './migrations.ts';
import { describeCertificate, listCertificates, listOutgoingCertificates } from './operations.ts';
import { registerCertificateWithoutCA } from './register-certificate-without-ca.ts';
import { transferCertificate } from './transfer-certificate.ts';
import { updateCertificate } from './update-certificate.ts';

/** Device certificates: issued by the service or registered without their CA, and sent from account to account. */
export const certificates = (services: IssuingServices): Feature => ({
  name: 'certificates',
  migrations,
  operations: {
    iot: {
      CreateKeysAndCertificate: createKeysAndCertificate(services),
      CreateCertificateFromCsr: createCertificateFromCsr(services),
      RegisterCertificateWithoutCA: registerCertificateWithoutCA,
      DescribeCertificate: describeCertificate,
      ListCertificates: listCertificates,
      UpdateCertificate: updateCertificate,
      DeleteCertificate: deleteCertificate,
      TransferCertificate: transferCertificate,
      AcceptCertificateTransfer: acceptCertificateTransfer,
      RejectCertificateTransfer: rejectCertificateTransfer,
      CancelCertificateTransfer: cancelCertificateTransfer,
      ListOutgoingCertificates: listOutgoingCertificates,
    },
  },
});
