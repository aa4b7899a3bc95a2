import type { Feature } from '../../feature.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import { addTagsToCertificate, listTagsForCertificate, removeTagsFromCertificate } from './acm-tags.ts';
import { describeCertificate } from './describe-certificate.ts';
import { importCertificate } from './import-certificate.ts';
import type { Issuance } from './issuance.ts';
import {
  exportCertificate,
  renewCertificate,
  resendValidationEmail,
  revokeCertificate,
  updateCertificateOptions,
} from './issued-operations.ts';
import { listCertificates } from './list-certificates.ts';
import { migrations } from './migrations.ts';
import { deleteCertificate, getCertificate } from './operations.ts';
import { type RequestServices, requestCertificate } from './request-certificate.ts';

export interface AcmServices {
  /** Seals private keys for the store. */
  readonly box: SecretBox;
  readonly acmRequests: RequestServices & { readonly issuance: Issuance };
}

/** Server certificates for domains of the account's own. */
export const acm = ({ box, acmRequests }: AcmServices): Feature => ({
  name: 'acm',
  migrations,
  operations: {
    acm: {
      ImportCertificate: importCertificate(box),
      RequestCertificate: requestCertificate(acmRequests),
      DescribeCertificate: describeCertificate,
      GetCertificate: getCertificate,
      ListCertificates: listCertificates,
      DeleteCertificate: deleteCertificate,
      RenewCertificate: renewCertificate(acmRequests.issuance),
      UpdateCertificateOptions: updateCertificateOptions,
      ExportCertificate: exportCertificate,
      ResendValidationEmail: resendValidationEmail,
      RevokeCertificate: revokeCertificate,
      AddTagsToCertificate: addTagsToCertificate,
      RemoveTagsFromCertificate: removeTagsFromCertificate,
      ListTagsForCertificate: listTagsForCertificate,
    },
  },
  tasks: [{ name: 'acm', everyMs: 10_000, run: acmRequests.issuance.turn }],
});
