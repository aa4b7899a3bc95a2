/**
 * Just-in-time provisioning of one device: the template of its CA, with what the certificate's subject says. All of it in one unit, or nothing: a certificate that
 * could not be provisioned stays PENDING_ACTIVATION and is tried again when its device comes again. Source: spec provisioning.md 3.
 */
import { isDeepStrictEqual } from 'node:util';
import type { AccountRegion } from '../../aws/arn.ts';
import type { ChangeKind } from '../../bus/changes.ts';
import { parseCertificate } from '../../pki/certificate.ts';
import type { Store } from '../../store/store.ts';
import { parseTemplate, type Template } from '../../templates/template.ts';
import { type CaCertificate, findCaCertificate, type RegistrationConfig } from '../cas/ca-certificate.ts';
import { findCertificate } from '../certificates/certificate.ts';
import { type Provisioned, provision } from '../provisioning/provision.ts';
import { withTemplate } from '../provisioning/provisioning-fault.ts';
import { assertStillEnabled, loadTemplate, prepareForCertificate } from '../provisioning/register-thing.ts';
import { rotate } from '../provisioning/rotation.ts';
import type { Trail } from '../provisioning/trail.ts';
import { parametersOfSubject } from './subject-parameters.ts';

export interface JustInTimeServices extends Pick<Store, 'db' | 'write'> {
  /** Milliseconds since the epoch, by the node's clock. */
  readonly now: () => number;
  /** A fresh lower-case UUID. */
  readonly newId: () => string;
  /** Tells every node, after the commit, that its cached copy is void. */
  readonly changed: (account: AccountRegion, kind: ChangeKind, id: string) => void;
}

/** Whether certificates of a CA are registered when they come for the first time. */
export const registers = ({ status, autoRegistrationStatus }: CaCertificate): boolean =>
  status === 'ACTIVE' && autoRegistrationStatus === 'ENABLE';

/** Assumed: of a named template the default version at this moment counts, and only while it is enabled. Faults: ProvisioningFault. */
const templateOf = async (
  { db }: JustInTimeServices,
  account: AccountRegion,
  { templateBody, templateName }: RegistrationConfig,
  trail: Trail,
): Promise<Template> => {
  if (templateName !== undefined) {
    return (await loadTemplate(db, account, { templateName, type: 'JITP', trail })).template;
  }
  trail.begin('template');
  return withTemplate(() => parseTemplate(templateBody, 'JITP'));
};

/**
 * Undefined when there is nothing to be done: the certificate is not PENDING_ACTIVATION any more, or its CA does not provision now.
 * Faults: ProvisioningFault, of which nothing has remained.
 */
export const provisionJustInTime = async (
  services: JustInTimeServices,
  account: AccountRegion,
  certificateId: string,
  trail: Trail,
): Promise<Provisioned | undefined> => {
  const { db, write, now, newId, changed } = services;
  const certificate = await findCertificate(db, account, certificateId);
  if (certificate?.status !== 'PENDING_ACTIVATION' || certificate.caCertificateId === undefined) return undefined;
  const { caCertificateId, createdAtMs } = certificate;
  trail.past('registered', createdAtMs, { subject: certificateId, how: caCertificateId });
  const ca = await findCaCertificate(db, account, caCertificateId);
  if (!ca?.registrationConfig || !registers(ca)) return undefined;
  const { registrationConfig } = ca;
  const template = await templateOf(services, account, registrationConfig, trail);
  trail.begin('filled');
  const plan = prepareForCertificate(template, certificateId, parametersOfSubject(parseCertificate(certificate.pem)));
  const provisioned = await write(async (unit) => {
    trail.unit();
    // whoever has decided about the certificate or its CA meanwhile is not overruled
    const [certificateNow, caNow] = [
      await findCertificate(unit, account, certificateId),
      await findCaCertificate(unit, account, caCertificateId),
    ];
    if (certificateNow?.status !== 'PENDING_ACTIVATION' || !caNow || !registers(caNow)) return undefined;
    if (!isDeepStrictEqual(caNow.registrationConfig, registrationConfig)) return undefined;
    const { templateName } = registrationConfig;
    if (templateName !== undefined) await assertStillEnabled(unit, account, templateName);
    const outcome = await provision(unit, account, plan, { nowMs: now(), newId, trail });
    if (templateName !== undefined) await rotate(unit, account, templateName, outcome);
    return outcome;
  });
  for (const { kind, id } of provisioned?.changes ?? []) changed(account, kind, id);
  return provisioned;
};
