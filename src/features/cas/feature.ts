import type { Feature } from '../../feature.ts';
import { migrations } from './migrations.ts';
import { deleteCACertificate, describeCACertificate, listCACertificates, listCertificatesByCA } from './operations.ts';
import { registerCACertificate } from './register-ca-certificate.ts';
import { registerCertificate } from './register-certificate.ts';
import { deleteRegistrationCode, getRegistrationCode } from './registration-code.ts';
import type { FindTemplateType } from './registration-config.ts';
import { updateCACertificate } from './update-ca-certificate.ts';

export interface CaServices {
  /** The provisioning templates of a later slice, which CAs may name. */
  readonly findTemplateType: FindTemplateType;
}

/** CA certificates, the proof of having their keys, and the device certificates that are registered under them. */
export const cas = ({ findTemplateType }: CaServices): Feature => ({
  name: 'cas',
  migrations,
  operations: {
    iot: {
      GetRegistrationCode: getRegistrationCode,
      DeleteRegistrationCode: deleteRegistrationCode,
      RegisterCACertificate: registerCACertificate(findTemplateType),
      DescribeCACertificate: describeCACertificate,
      ListCACertificates: listCACertificates,
      UpdateCACertificate: updateCACertificate(findTemplateType),
      DeleteCACertificate: deleteCACertificate,
      ListCertificatesByCA: listCertificatesByCA,
      RegisterCertificate: registerCertificate,
    },
  },
});
