/**
 * Registers a device certificate under a registered CA, whose mode it takes over. Source: API reference, RegisterCertificate; spec identity 2.1, 2.3.
 * Faults, in this order: CertificateValidationException, CertificateStateException (status), ResourceAlreadyExistsException, then those of `chooseSigner`,
 * InvalidRequestException (another account of the region holds it in DEFAULT mode).
 */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { type ParsedCertificate, parseCertificate } from '../../pki/certificate.ts';
import { namesIn } from '../../pki/issued-by.ts';
import type { Db } from '../../store/store.ts';
import {
  type CertificateStatus,
  certificateArn,
  findCertificate,
  insertCertificate,
} from '../certificates/certificate.ts';
import { alreadyRegistered, initialStatus, readRegistrable, validating } from '../certificates/registrable.ts';
import { type CaCertificate, findCaCertificate, findCasOfIssuer } from './ca-certificate.ts';
import { chooseSigner, inactiveCa, noCa } from './signer.ts';

/** The CA under which a certificate can be registered now; with `caCertificatePem` no other counts. Faults: see above. */
export const findSigner = async (
  db: Db,
  account: AccountRegion,
  certificate: ParsedCertificate,
  caCertificatePem: string | undefined,
): Promise<CaCertificate> => {
  const wanted = caCertificatePem === undefined ? undefined : validating(() => parseCertificate(caCertificatePem));
  if (await findCertificate(db, account, certificate.certificateId)) {
    throw alreadyRegistered(account, certificate.certificateId);
  }
  const { issuerDer } = validating(() => namesIn(certificate.der));
  const candidates = await findCasOfIssuer(db, account, issuerDer);
  return chooseSigner(
    certificate,
    wanted ? candidates.filter(({ caCertificateId }) => caCertificateId === wanted.certificateId) : candidates,
  );
};

/** What is written about a certificate under a CA. */
export interface UnderCa {
  readonly certificate: ParsedCertificate;
  readonly caCertificateId: string;
  readonly status: CertificateStatus;
  readonly generationId: string;
  readonly nowMs: number;
}

/**
 * The unit's part: writes the certificate if the CA still stands for it. Whether the CA signed it is not asked again.
 * Faults: CertificateStateException, ResourceAlreadyExistsException, InvalidRequestException.
 */
export const insertUnderCa = async (
  db: Db,
  account: AccountRegion,
  { certificate, caCertificateId, status, generationId, nowMs }: UnderCa,
): Promise<void> => {
  const ca = await findCaCertificate(db, account, caCertificateId);
  if (!ca) throw noCa();
  if (ca.status !== 'ACTIVE') throw inactiveCa(caCertificateId);
  const { certificateId, pem, notBeforeMs, notAfterMs } = certificate;
  const inserted = await insertCertificate(db, account, {
    ...{ certificateId, status, certificateMode: ca.certificateMode, pem, caCertificateId, generationId },
    ...{ createdAtMs: nowMs, notBeforeMs, notAfterMs },
  });
  if (inserted) return;
  if (await findCertificate(db, account, certificateId)) throw alreadyRegistered(account, certificateId);
  throw new Fault('InvalidRequestException', 'This request is not valid');
};

export const registerCertificate: Handler<'RegisterCertificate'> = async (input, call) => {
  const certificate = readRegistrable(input.certificatePem ?? '', call.now());
  const status = input.setAsActive ? 'ACTIVE' : initialStatus(input.status ?? 'INACTIVE');
  const { caCertificateId } = await findSigner(call.db, call.account, certificate, input.caCertificatePem);
  const generationId = call.newId();
  const under = { certificate, caCertificateId, status, generationId, nowMs: call.now() };
  await call.write((db) => insertUnderCa(db, call.account, under));
  const { certificateId } = certificate;
  call.changed('certificate', certificateId);
  return { certificateArn: certificateArn(call.account, certificateId), certificateId };
};
