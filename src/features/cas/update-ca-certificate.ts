/**
 * Changes what a CA may do. Source: API reference, UpdateCACertificate; spec identity 3.4. Assumed: what changes nothing is no new customerVersion;
 * removeAutoRegistration leaves the autoRegistrationStatus to newAutoRegistrationStatus.
 * Faults, in this order: InvalidRequestException, ResourceNotFoundException (CA, then template), InvalidRequestException (template of another type).
 */
import { isDeepStrictEqual } from 'node:util';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { type CaCertificate, type CaSettings, getCaCertificate, saveCaSettings } from './ca-certificate.ts';
import { assertJitpTemplate, type FindTemplateType, readRegistrationConfig } from './registration-config.ts';

const settingsOf = ({ status, autoRegistrationStatus, registrationConfig }: CaCertificate): CaSettings => ({
  status,
  autoRegistrationStatus,
  registrationConfig,
});

export const updateCACertificate =
  (findTemplateType: FindTemplateType): Handler<'UpdateCACertificate'> =>
  async (input, call) => {
    const { newStatus, newAutoRegistrationStatus, registrationConfig, removeAutoRegistration } = input;
    if (registrationConfig && removeAutoRegistration) {
      throw new Fault(
        'InvalidRequestException',
        'registrationConfig and removeAutoRegistration cannot be given together',
      );
    }
    const config = registrationConfig && readRegistrationConfig(registrationConfig, call.account);
    const caCertificateId = (input.certificateId ?? '').toLowerCase();
    const changed = await call.write(async (db) => {
      const before = settingsOf(await getCaCertificate(db, call.account, caCertificateId));
      await assertJitpTemplate(db, call.account, config, findTemplateType);
      const after: CaSettings = {
        status: newStatus ?? before.status,
        autoRegistrationStatus: newAutoRegistrationStatus ?? before.autoRegistrationStatus,
        registrationConfig: removeAutoRegistration ? undefined : (config ?? before.registrationConfig),
      };
      if (isDeepStrictEqual(before, after)) return false;
      await saveCaSettings(db, call.account, { caCertificateId, ...after }, call.now());
      return true;
    });
    if (changed) call.changed('ca', caCertificateId);
    return {};
  };
