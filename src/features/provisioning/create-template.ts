/** Creating templates and versions of them. Source: API reference; spec provisioning.md 7.7, 8. */
import { Fault } from '../../aws/fault.ts';
import { assertRoleArn } from '../../aws/role-arn.ts';
import type { Handler } from '../../feature.ts';
import { TemplateFault } from '../../templates/fault.ts';
import { parseTemplate } from '../../templates/template.ts';
import { readTags, saveTags } from '../tags/tag.ts';
import { readHook } from './pre-provisioning-hook.ts';
import {
  countTemplates,
  getTemplate,
  insertTemplate,
  type ProvisioningTemplateType,
  provisioningTemplatesMax,
  saveTemplate,
  templateItem,
} from './provisioning-template.ts';
import { checkRotationSetting } from './rotation.ts';
import { insertTemplateVersion, listTemplateVersionRows, templateVersionsMax } from './template-version.ts';

/** Refuses a body that cannot be a template of this type. Faults: InvalidRequestException, with the place. */
const assertBody = (body: string, type: ProvisioningTemplateType): void => {
  try {
    parseTemplate(body, type);
  } catch (cause) {
    if (!(cause instanceof TemplateFault)) throw cause;
    throw new Fault('InvalidRequestException', cause.message, {}, { cause });
  }
};

/** Faults: InvalidRequestException: just-in-time provisioning asks no hook. */
export const assertHookable = (type: ProvisioningTemplateType): void => {
  if (type === 'JITP') {
    throw new Fault('InvalidRequestException', 'A template of type JITP cannot have a preProvisioningHook');
  }
};

/**
 * Creates a template whose version 1 is its default. It provisions nothing unless `enabled`. Message of the taken name: Observed, in a published report.
 * Faults: InvalidRequestException (body, role, hook, tags), ResourceAlreadyExistsException, LimitExceededException.
 */
export const createProvisioningTemplate: Handler<'CreateProvisioningTemplate'> = async (input, call) => {
  const { account } = call;
  const { templateName = '', templateBody: body = '', provisioningRoleArn = '' } = input;
  const type: ProvisioningTemplateType = input.type === 'JITP' ? 'JITP' : 'FLEET_PROVISIONING';
  const tags = readTags(input.tags, checkRotationSetting);
  assertRoleArn(provisioningRoleArn, account, 'provisioningRoleArn');
  if (input.preProvisioningHook) assertHookable(type);
  const preProvisioningHook = input.preProvisioningHook && readHook(input.preProvisioningHook, account);
  assertBody(body, type);
  const createdAtMs = call.now();
  const item = templateItem(account, templateName);
  await call.write(async (db) => {
    const isNew = await insertTemplate(db, account, {
      templateName,
      type,
      description: input.description,
      enabled: input.enabled ?? false,
      provisioningRoleArn,
      preProvisioningHook,
      defaultVersion: 1,
      lastVersion: 1,
      createdAtMs,
      modifiedAtMs: createdAtMs,
    });
    if (!isNew) {
      throw new Fault('ResourceAlreadyExistsException', `Template with name ${templateName} already exists`, {
        resourceId: templateName,
        resourceArn: item.templateArn,
      });
    }
    if ((await countTemplates(db, account)) > provisioningTemplatesMax) {
      throw new Fault(
        'LimitExceededException',
        `An account can have at most ${provisioningTemplatesMax} provisioning templates in a region`,
      );
    }
    await insertTemplateVersion(db, account, templateName, { version: 1, body, createdAtMs });
    await saveTags(db, account, item.templateArn, tags);
  });
  return { ...item, defaultVersionId: 1 };
};

/**
 * Adds a version; its id is one more than any this template ever had.
 * Faults, in this order: ResourceNotFoundException, InvalidRequestException, VersionsLimitExceededException.
 */
export const createProvisioningTemplateVersion: Handler<'CreateProvisioningTemplateVersion'> = async (input, call) => {
  const { account } = call;
  const { templateName = '', templateBody: body = '', setAsDefault = false } = input;
  const createdAtMs = call.now();
  const versionId = await call.write(async (db) => {
    const template = await getTemplate(db, account, templateName);
    assertBody(body, template.type);
    const versions = await listTemplateVersionRows(db, account, templateName);
    if (versions.length >= templateVersionsMax) {
      throw new Fault(
        'VersionsLimitExceededException',
        `The provisioning template ${templateName} already has the maximum number of versions (${templateVersionsMax})`,
      );
    }
    const version = template.lastVersion + 1;
    await insertTemplateVersion(db, account, templateName, { version, body, createdAtMs });
    await saveTemplate(db, account, {
      ...template,
      defaultVersion: setAsDefault ? version : template.defaultVersion,
      lastVersion: version,
      modifiedAtMs: createdAtMs,
    });
    return version;
  });
  return { ...templateItem(account, templateName), versionId, isDefaultVersion: setAsDefault };
};
