/**
 * Registers a CA for one account and region. In DEFAULT mode the caller proves to have its key, and no other account of the region holds it so; in SNI_ONLY mode anyone
 * may hold it. Source: API reference, RegisterCACertificate; spec identity 3.2, 3.3.
 * Faults, in this order: InvalidRequestException (proof without need or missing, registrationConfig, tags), CertificateValidationException,
 * RegistrationCodeValidationException, ResourceNotFoundException and InvalidRequestException (template), ResourceAlreadyExistsException, LimitExceededException,
 * InvalidRequestException (held by another account).
 */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { namesIn } from '../../pki/issued-by.ts';
import { readTags, saveTags } from '../tags/tag.ts';
import {
  caCertificateArn,
  casPerSubjectMax,
  findCaCertificate,
  findCasOfIssuer,
  insertCaCertificate,
} from './ca-certificate.ts';
import { assertPossession, readCa } from './possession.ts';
import { findRegistrationCode } from './registration-code.ts';
import { assertJitpTemplate, type FindTemplateType, readRegistrationConfig } from './registration-config.ts';

const assertProofFits = (certificateMode: 'DEFAULT' | 'SNI_ONLY', verificationCertificate: string | undefined) => {
  if (certificateMode === 'DEFAULT' && verificationCertificate === undefined) {
    throw new Fault(
      'InvalidRequestException',
      'verificationCertificate is required to register a CA certificate in DEFAULT mode',
    );
  }
  if (certificateMode === 'SNI_ONLY' && verificationCertificate !== undefined) {
    throw new Fault(
      'InvalidRequestException',
      'verificationCertificate must not be given to register a CA certificate in SNI_ONLY mode',
    );
  }
};

export const registerCACertificate =
  (findTemplateType: FindTemplateType): Handler<'RegisterCACertificate'> =>
  async (input, call) => {
    const { certificateMode = 'DEFAULT', verificationCertificate } = input;
    const nowMs = call.now();
    assertProofFits(certificateMode, verificationCertificate);
    const registrationConfig =
      input.registrationConfig && readRegistrationConfig(input.registrationConfig, call.account);
    const tags = readTags(input.tags);
    const ca = readCa(input.caCertificate ?? '', nowMs);
    if (verificationCertificate !== undefined) {
      const registrationCode = await findRegistrationCode(call.db, call.account);
      assertPossession(ca, verificationCertificate, { registrationCode, nowMs });
    }
    const { subjectDer } = namesIn(ca.der);
    const caCertificateId = ca.certificateId;
    const certificateArn = caCertificateArn(call.account, caCertificateId);
    const generationId = call.newId();
    await call.write(async (db) => {
      await assertJitpTemplate(db, call.account, registrationConfig, findTemplateType);
      if (await findCaCertificate(db, call.account, caCertificateId)) {
        throw new Fault('ResourceAlreadyExistsException', 'The CA certificate is already registered in this account', {
          resourceId: caCertificateId,
          resourceArn: certificateArn,
        });
      }
      if ((await findCasOfIssuer(db, call.account, subjectDer)).length >= casPerSubjectMax) {
        throw new Fault('LimitExceededException', 'Limit reached for number of CA Certificates with same subject');
      }
      const inserted = await insertCaCertificate(db, call.account, {
        caCertificateId,
        subjectDer,
        certificatePem: ca.pem,
        status: input.setAsActive ? 'ACTIVE' : 'INACTIVE',
        certificateMode,
        autoRegistrationStatus: input.allowAutoRegistration ? 'ENABLE' : 'DISABLE',
        registrationConfig,
        generationId,
        createdAtMs: nowMs,
        notBeforeMs: ca.notBeforeMs,
        notAfterMs: ca.notAfterMs,
      });
      if (!inserted) throw new Fault('InvalidRequestException', 'Cannot accept this CACertificate');
      await saveTags(db, call.account, certificateArn, tags);
    });
    call.changed('ca', caCertificateId);
    return { certificateArn, certificateId: caCertificateId };
  };
