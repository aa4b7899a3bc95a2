import { Fault } from '../../aws/fault.ts';
import { assertRoleArn } from '../../aws/role-arn.ts';
import type { Handler } from '../../feature.ts';
import { assertHookable } from './create-template.ts';
import { readHook } from './pre-provisioning-hook.ts';
import { getTemplate, saveTemplate } from './provisioning-template.ts';
import { findTemplateVersion } from './template-version.ts';

/**
 * Changes what is given; body and type cannot be changed. Source: API reference, UpdateProvisioningTemplate; spec provisioning.md 8.
 * Faults: InvalidRequestException (role, hook, unknown version), ResourceNotFoundException.
 */
export const updateProvisioningTemplate: Handler<'UpdateProvisioningTemplate'> = async (input, call) => {
  const { account } = call;
  const { templateName = '', defaultVersionId, provisioningRoleArn, removePreProvisioningHook = false } = input;
  if (provisioningRoleArn !== undefined) assertRoleArn(provisioningRoleArn, account, 'provisioningRoleArn');
  if (input.preProvisioningHook && removePreProvisioningHook) {
    throw new Fault(
      'InvalidRequestException',
      'preProvisioningHook and removePreProvisioningHook cannot be given together',
    );
  }
  const hook = input.preProvisioningHook && readHook(input.preProvisioningHook, account);
  await call.write(async (db) => {
    const template = await getTemplate(db, account, templateName);
    if (hook) assertHookable(template.type);
    if (defaultVersionId !== undefined && !(await findTemplateVersion(db, account, templateName, defaultVersionId))) {
      throw new Fault(
        'InvalidRequestException',
        `Provisioning template ${templateName} does not have a version ${defaultVersionId}`,
      );
    }
    await saveTemplate(db, account, {
      ...template,
      description: input.description ?? template.description,
      enabled: input.enabled ?? template.enabled,
      provisioningRoleArn: provisioningRoleArn ?? template.provisioningRoleArn,
      preProvisioningHook: removePreProvisioningHook ? undefined : (hook ?? template.preProvisioningHook),
      defaultVersion: defaultVersionId ?? template.defaultVersion,
      modifiedAtMs: call.now(),
    });
  });
  return {};
};
