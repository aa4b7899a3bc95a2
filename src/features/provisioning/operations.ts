/** The short operations on provisioning templates and their versions. Source: API reference; spec provisioning.md 8. */
import { Fault } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import { isTemplateOfCa } from '../cas/ca-list.ts';
import {
  deleteTemplateRow,
  getTemplate,
  listTemplateRows,
  type ProvisioningTemplate,
  pageDefault,
  templateItem,
} from './provisioning-template.ts';
import {
  deleteTemplateVersionRows,
  getDefaultVersion,
  getTemplateVersion,
  listTemplateVersionRows,
} from './template-version.ts';

/** What listings and descriptions say alike. */
const summaryOf = (call: Call, template: ProvisioningTemplate) => ({
  ...templateItem(call.account, template.templateName),
  ...(template.description !== undefined && { description: template.description }),
  creationDate: new Date(template.createdAtMs),
  lastModifiedDate: new Date(template.modifiedAtMs),
  enabled: template.enabled,
  type: template.type,
});

/** Faults: ResourceNotFoundException. */
export const describeProvisioningTemplate: Handler<'DescribeProvisioningTemplate'> = async (input, call) => {
  const { template, body } = await getDefaultVersion(call.db, call.account, input.templateName ?? '');
  const hook = template.preProvisioningHook;
  return {
    ...summaryOf(call, template),
    defaultVersionId: template.defaultVersion,
    templateBody: body,
    provisioningRoleArn: template.provisioningRoleArn,
    ...(hook && { preProvisioningHook: { ...hook } }),
  };
};

/** Faults: ResourceNotFoundException (template or version). */
export const describeProvisioningTemplateVersion: Handler<'DescribeProvisioningTemplateVersion'> = async (
  input,
  call,
) => {
  const { templateName = '', versionId = 0 } = input;
  const template = await getTemplate(call.db, call.account, templateName);
  const { version, body, createdAtMs } = await getTemplateVersion(call.db, call.account, templateName, versionId);
  return {
    versionId: version,
    creationDate: new Date(createdAtMs),
    templateBody: body,
    isDefaultVersion: version === template.defaultVersion,
  };
};

/** Assumed: in name order. Faults: InvalidRequestException for a token that is not ours. */
export const listProvisioningTemplates: Handler<'ListProvisioningTemplates'> = async (input, call) => {
  const { maxResults: limit = pageDefault } = input;
  const after = call.openMarker(input.nextToken);
  const rows = await listTemplateRows(call.db, call.account, { after, limit: limit + 1 });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    templates: page.map((template) => summaryOf(call, template)),
    ...(rows.length > limit && last && { nextToken: call.sealMarker(last.templateName) }),
  };
};

const versionCursorPattern = /^[0-9]{1,15}$/;

/** Assumed: newest first. Faults: ResourceNotFoundException, InvalidRequestException for a token that is not ours. */
export const listProvisioningTemplateVersions: Handler<'ListProvisioningTemplateVersions'> = async (input, call) => {
  const { templateName = '', maxResults: limit = pageDefault } = input;
  const after = call.openMarker(input.nextToken);
  if (after !== '' && !versionCursorPattern.test(after)) {
    throw new Fault('InvalidRequestException', 'The token does not belong to this operation');
  }
  const template = await getTemplate(call.db, call.account, templateName);
  const all = await listTemplateVersionRows(call.db, call.account, templateName);
  const rest = after === '' ? all : all.filter(({ version }) => version < Number(after));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    versions: page.map(({ version, createdAtMs }) => ({
      versionId: version,
      creationDate: new Date(createdAtMs),
      isDefaultVersion: version === template.defaultVersion,
    })),
    ...(rest.length > limit && last && { nextToken: call.sealMarker(String(last.version)) }),
  };
};

/**
 * Deletes a template with all its versions and tags. Source: spec provisioning.md 8: Terraform never deletes versions first.
 * Faults, in this order: ResourceNotFoundException, DeleteConflictException (a CA provisions by it).
 */
export const deleteProvisioningTemplate: Handler<'DeleteProvisioningTemplate'> = async (input, call) => {
  const { account } = call;
  const { templateName = '' } = input;
  const { templateArn } = templateItem(account, templateName);
  await call.write(async (db) => {
    await getTemplate(db, account, templateName);
    if (await isTemplateOfCa(db, account, templateName)) {
      throw new Fault(
        'DeleteConflictException',
        `The provisioning template ${templateName} is named by the registrationConfig of a CA certificate`,
      );
    }
    await deleteTemplateVersionRows(db, account, templateName);
    await deleteTemplateRow(db, account, templateName);
    await call.release(db, templateArn);
  });
  return {};
};

/** Faults: ResourceNotFoundException (template or version), DeleteConflictException (the default version). */
export const deleteProvisioningTemplateVersion: Handler<'DeleteProvisioningTemplateVersion'> = async (input, call) => {
  const { account } = call;
  const { templateName = '', versionId = 0 } = input;
  await call.write(async (db) => {
    const template = await getTemplate(db, account, templateName);
    const { version } = await getTemplateVersion(db, account, templateName, versionId);
    if (version === template.defaultVersion) {
      throw new Fault('DeleteConflictException', 'Cannot delete the default version of a provisioning template');
    }
    await deleteTemplateVersionRows(db, account, templateName, version);
  });
  return {};
};
