/**
 * Imports a certificate with its key, or puts another in the place of one that was imported: same ARN, and whoever presents it goes over to it.
 * Source: API reference, ImportCertificate; ACM user guide, "Reimporting a certificate".
 * Faults: ValidationException, ResourceNotFoundException, InvalidTagException, TooManyTagsException, LimitExceededException.
 */
import { Fault } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import {
  type AcmCertificate,
  acmArn,
  type CertificateMaterial,
  countAcmCertificates,
  getAcmCertificate,
  insertImported,
  saveMaterial,
} from './acm-certificate.ts';
import { readAcmTags, saveAcmTags } from './acm-tags.ts';
import { readImport } from './read-import.ts';
import { usageNamesIn } from './usage-names.ts';

/** Certificates of an account in one region, imported and requested. Source: ACM user guide, "Quotas". */
export const certificatesMax = 2500;

/** To be asked in the unit that has added one. Faults: LimitExceededException. */
export const assertRoom = async (db: Db, call: Call): Promise<void> => {
  if ((await countAcmCertificates(db, call.account)) <= certificatesMax) return;
  throw new Fault(
    'LimitExceededException',
    'You have reached the maximum number of certificates. Delete certificates that are not in use.',
  );
};

const without = (before: readonly string[], after: readonly string[]): readonly string[] =>
  before.filter((each) => !after.includes(each));

/** What the successor of an imported certificate must have kept. Source: ACM user guide, "Reimporting a certificate". Faults: ValidationException. */
const assertSuccessor = (before: AcmCertificate, after: CertificateMaterial): void => {
  const refuse = (message: string): never => {
    throw new Fault('ValidationException', message);
  };
  if (before.type !== 'IMPORTED') refuse('Only a certificate that was imported can be imported again.');
  if (before.keyAlgorithm !== after.keyAlgorithm) {
    refuse(`The key type and size cannot change: the certificate has ${before.keyAlgorithm}.`);
  }
  if (before.names.length > 0 && after.names.length === 0) {
    refuse('The certificate has domain names; they cannot all be removed.');
  }
  const used = usageNamesIn(before.certificatePem ?? '');
  const lost = [
    ...without(used.keyUsages, after.keyUsages),
    ...without(
      used.extendedKeyUsages.map(({ Name }) => Name),
      after.extendedKeyUsages,
    ),
  ].filter((name) => name !== 'ANY' && name !== 'NONE');
  if (lost.length > 0) refuse(`The certificate has key usages that cannot be removed: ${lost.join(', ')}.`);
};

export const importCertificate =
  (box: SecretBox): Handler<'ImportCertificate', 'acm'> =>
  async (input, call) => {
    const { Certificate: certificate, PrivateKey: privateKey, CertificateChain: chain, CertificateArn } = input;
    if (!certificate || !privateKey) throw new Fault('ValidationException', 'Certificate and PrivateKey are required.');
    const tags = readAcmTags(input.Tags);
    if (CertificateArn !== undefined && tags.length > 0) {
      throw new Fault('ValidationException', 'Tagging is not permitted on re-import.');
    }
    const nowMs = call.now();
    const material = readImport({ certificate, privateKey, chain }, nowMs);
    if (CertificateArn !== undefined) {
      await call.write(async (db) => {
        const before = await getAcmCertificate(db, call.account, CertificateArn);
        assertSuccessor(before, material);
        await saveMaterial(db, box, call.account, { ...material, uuid: before.uuid, nowMs });
      });
      call.changed('acm', CertificateArn);
      return { CertificateArn };
    }
    const uuid = call.newId();
    const arn = acmArn(call.account, uuid);
    await call.write(async (db) => {
      await insertImported(db, box, call.account, { ...material, uuid, nowMs });
      await assertRoom(db, call);
      await saveAcmTags(db, call.account, arn, tags);
    });
    return { CertificateArn: arn };
  };
