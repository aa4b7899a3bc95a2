import type { Feature } from '../../feature.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import { addTagsToCertificate, listTagsForCertificate, removeTagsFromCertificate } from './acm-tags.ts';
import { describeCertificate } from './describe-certificate.ts';
import { importCertificate } from './import-certificate.ts';
import { listCertificates } from './list-certificates.ts';
import { migrations } from './migrations.ts';
import { deleteCertificate, getCertificate } from './operations.ts';

export interface AcmServices {
  /** Seals private keys for the store. */
  readonly box: SecretBox;
}

/** Server certificates for domains of the account's own. */
export const acm = ({ box }: AcmServices): Feature => ({
  name: 'acm',
  migrations,
  operations: {
    acm: {
      ImportCertificate: importCertificate(box),
      DescribeCertificate: describeCertificate,
      GetCertificate: getCertificate,
      ListCertificates: listCertificates,
      DeleteCertificate: deleteCertificate,
      AddTagsToCertificate: addTagsToCertificate,
      RemoveTagsFromCertificate: removeTagsFromCertificate,
      ListTagsForCertificate: listTagsForCertificate,
    },
  },
});
