/**
 * RegisterThing of fleet provisioning: a device that connected with a claim becomes one with an identity of its own. The order of work is that of spec
 * provisioning.md 4.5. The ownership token is its caller's affair, who is asked for it at its two places in that order.
 */
import { strict as assert } from 'node:assert';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { certificateIdParameter } from '../../templates/certificate-parameters.ts';
import { evaluateTemplate } from '../../templates/evaluate.ts';
import { parseTemplate, type Template } from '../../templates/template.ts';
import { askHook, functionNameOf, type InvokeFunction } from './pre-provisioning-hook.ts';
import { checkPolicies, type PreparedProvisioning } from './prepare-provisioning.ts';
import { type Provisioned, provision } from './provision.ts';
import type { ProvisioningCall } from './provisioning-call.ts';
import { ProvisioningFault, withTemplate } from './provisioning-fault.ts';
import { findTemplate, type ProvisioningTemplate, templateItem } from './provisioning-template.ts';
import { rotate } from './rotation.ts';
import { findDefaultVersion } from './template-version.ts';
import type { Trail } from './trail.ts';

export interface RegisterThingServices extends ProvisioningCall {
  readonly invokeFunction: InvokeFunction;
}

/** The certificate that an ownership token stands for. */
export interface TokenCertificate {
  readonly certificateId: string;
  readonly certificatePem: string;
}

export interface RegisterThingRequest {
  readonly templateName: string;
  /** Of the request; own properties only. */
  readonly parameters: Readonly<Record<string, string>>;
  /** For the hook: the certificate of the session that asks, and its client id. */
  readonly claimCertificateId: string;
  readonly clientId: string;
  /** Takes down the steps. */
  readonly trail?: Trail;
  /** Asked once the template is known to be usable. Faults: ProvisioningFault (InvalidCertificateOwnershipToken). */
  readonly findTokenCertificate: (template: FleetTemplate) => Promise<TokenCertificate>;
  /**
   * Called inside the unit, before anything is written, and may be called more than once: the token is spent, if it still can be.
   * Faults: ProvisioningFault (InvalidCertificateOwnershipToken), at which nothing of the provisioning remains.
   */
  readonly spendToken: (db: Db, certificate: TokenCertificate) => Promise<void>;
  /** Called inside the unit when all else is done, to keep what was answered. */
  readonly keepAnswer?: (db: Db, provisioned: Provisioned) => Promise<void>;
}

/** A template that may provision, with the body that counts. */
export interface FleetTemplate {
  readonly record: ProvisioningTemplate;
  readonly template: Template;
}

const disabled = (templateName: string): ProvisioningFault =>
  new ProvisioningFault('InvalidRequest', `Provisioning template ${templateName} is not enabled`);

/**
 * Inside a unit: that a template has not been disabled or deleted since it was loaded, such as while a hook was asked. Once UpdateProvisioningTemplate has answered,
 * nothing more is provisioned by it. Faults: ProvisioningFault (InvalidRequest).
 */
export const assertStillEnabled = async (db: Db, account: AccountRegion, templateName: string): Promise<void> => {
  if (!(await findTemplate(db, account, templateName))?.enabled) throw disabled(templateName);
};

/**
 * The default version of a template that is enabled and of the type asked for.
 * Faults: ProvisioningFault (ResourceNotFound, InvalidRequest).
 */
export const loadTemplate = async (
  db: Db,
  account: AccountRegion,
  { templateName, type, trail }: Pick<ProvisioningTemplate, 'templateName' | 'type'> & { readonly trail?: Trail },
): Promise<FleetTemplate> => {
  trail?.begin('template', { subject: templateName });
  const found = await findDefaultVersion(db, account, templateName);
  if (!found) {
    throw new ProvisioningFault('ResourceNotFound', `Provisioning template ${templateName} does not exist`);
  }
  const { template: record, body } = found;
  trail?.say({ how: String(record.defaultVersion) });
  if (record.type !== type) {
    throw new ProvisioningFault(
      'InvalidRequest',
      `Provisioning template ${templateName} is of type ${record.type}, not ${type}`,
    );
  }
  if (!record.enabled) throw disabled(templateName);
  return { record, template: withTemplate(() => parseTemplate(body, type)) };
};

/** Bytes of a deviceConfiguration as JSON: with the thing's name it goes into one MQTT message of 128 KiB. */
export const deviceConfigurationBytesMax = 126_976;

/**
 * What a template of fleet or just-in-time provisioning makes of these parameters for this certificate, which the account holds.
 * Faults: ProvisioningFault.
 */
export const prepareForCertificate = (
  template: Template,
  certificateId: string,
  parameters: Readonly<Record<string, string>>,
): PreparedProvisioning => {
  // last, so that nobody else says which certificate is activated
  const given = { ...parameters, [certificateIdParameter]: certificateId };
  const { certificate, ...plan } = withTemplate(() => evaluateTemplate(template, given));
  assert(certificate && 'certificateId' in certificate.form, 'no other template is kept');
  assert.equal(certificate.form.certificateId, certificateId);
  checkPolicies(plan);
  if (Buffer.byteLength(JSON.stringify(plan.deviceConfiguration)) > deviceConfigurationBytesMax) {
    throw new ProvisioningFault(
      'InvalidParameters',
      `DeviceConfiguration: is longer than ${deviceConfigurationBytesMax} bytes with these parameters`,
    );
  }
  const { form: _form, ...rest } = certificate;
  return { ...plan, certificate: { ...rest, source: { kind: 'held', certificateId } } };
};

/** Faults: ProvisioningFault, of which nothing has remained. */
export const registerThing = async (
  services: RegisterThingServices,
  request: RegisterThingRequest,
): Promise<Provisioned> => {
  const { account, db, write, now, newId, changed, invokeFunction } = services;
  const { templateName, parameters, trail } = request;
  const loaded = await loadTemplate(db, account, { templateName, type: 'FLEET_PROVISIONING', ...(trail && { trail }) });
  const certificate = await request.findTokenCertificate(loaded);
  const { certificateId, certificatePem } = certificate;
  const hook = loaded.record.preProvisioningHook;
  if (hook) trail?.begin('hook', { subject: functionNameOf(hook) });
  const overrides = hook
    ? await askHook(invokeFunction, hook, account, {
        claimCertificateId: request.claimCertificateId,
        certificateId,
        certificatePem,
        templateArn: templateItem(account, templateName).templateArn,
        clientId: request.clientId,
        parameters,
      })
    : {};
  if (hook) trail?.say({ how: Object.keys(overrides).join(' ') });
  trail?.begin('filled');
  const plan = prepareForCertificate(loaded.template, certificateId, { ...parameters, ...overrides });
  const provisioned = await write(async (unit) => {
    trail?.unit();
    await assertStillEnabled(unit, account, templateName);
    await request.spendToken(unit, certificate);
    const outcome = await provision(unit, account, plan, { nowMs: now(), newId, ...(trail && { trail }) });
    await rotate(unit, account, templateName, outcome);
    await request.keepAnswer?.(unit, outcome);
    return outcome;
  });
  for (const { kind, id } of provisioned.changes) changed(kind, id);
  return provisioned;
};
