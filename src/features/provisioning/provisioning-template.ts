/** A provisioning template: its record and its queries. What counts is the body of the default version. Source: spec provisioning.md 8. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';

export interface ProvisioningTemplatesTable {
  account_id: string;
  region: string;
  template_name: string;
  template_type: string;
  description: string | null;
  enabled: number;
  provisioning_role_arn: string;
  hook_target_arn: string | null;
  hook_payload_version: string | null;
  default_version: number;
  last_version: number;
  created_at_ms: number;
  modified_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    provisioning_templates: ProvisioningTemplatesTable;
  }
}

/** A template keeps its type for life. */
export type ProvisioningTemplateType = 'FLEET_PROVISIONING' | 'JITP';

/** The function that decides whether a device may be provisioned. */
export interface PreProvisioningHook {
  readonly targetArn: string;
  readonly payloadVersion: string;
}

export interface ProvisioningTemplate {
  readonly templateName: string;
  readonly type: ProvisioningTemplateType;
  readonly description: string | undefined;
  readonly enabled: boolean;
  readonly provisioningRoleArn: string;
  readonly preProvisioningHook: PreProvisioningHook | undefined;
  readonly defaultVersion: number;
  /** The highest version ever given, whether it still exists or not. */
  readonly lastVersion: number;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
}

/** Templates of one account and region. Source: AWS general reference, IoT Core quotas. */
export const provisioningTemplatesMax = 256;

/** Items per page when the caller names no number. Source: spec identity 1.2 (undocumented; recommended). */
export const pageDefault = 25;

export const toTemplate = (row: ProvisioningTemplatesTable): ProvisioningTemplate => ({
  templateName: row.template_name,
  // written by this file only, from a value of this type
  type: row.template_type as ProvisioningTemplateType,
  description: row.description ?? undefined,
  enabled: Number(row.enabled) === 1,
  provisioningRoleArn: row.provisioning_role_arn,
  preProvisioningHook:
    row.hook_target_arn === null || row.hook_payload_version === null
      ? undefined
      : { targetArn: row.hook_target_arn, payloadVersion: row.hook_payload_version },
  defaultVersion: Number(row.default_version),
  lastVersion: Number(row.last_version),
  createdAtMs: Number(row.created_at_ms),
  modifiedAtMs: Number(row.modified_at_ms),
});

/** How operations name a template. */
export const templateItem = (account: AccountRegion, templateName: string) => ({
  templateArn: iotArn(account, 'provisioningtemplate', templateName),
  templateName,
});

export const findTemplate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
): Promise<ProvisioningTemplate | undefined> => {
  const row = await db
    .selectFrom('provisioning_templates')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '=', templateName)
    .executeTakeFirst();
  return row && toTemplate(row);
};

/** For whoever refers to a template, such as a CA's registrationConfig. */
export const findTemplateType = async (
  db: Db,
  account: AccountRegion,
  templateName: string,
): Promise<ProvisioningTemplateType | undefined> => (await findTemplate(db, account, templateName))?.type;

export const unknownTemplate = (templateName: string): Fault =>
  new Fault('ResourceNotFoundException', `Provisioning template ${templateName} does not exist`);

/** Faults: ResourceNotFoundException. */
export const getTemplate = async (
  db: Db,
  account: AccountRegion,
  templateName: string,
): Promise<ProvisioningTemplate> => {
  const template = await findTemplate(db, account, templateName);
  if (!template) throw unknownTemplate(templateName);
  return template;
};

const columnsOf = (template: ProvisioningTemplate) => ({
  description: template.description ?? null,
  enabled: template.enabled ? 1 : 0,
  provisioning_role_arn: template.provisioningRoleArn,
  hook_target_arn: template.preProvisioningHook?.targetArn ?? null,
  hook_payload_version: template.preProvisioningHook?.payloadVersion ?? null,
  default_version: template.defaultVersion,
  last_version: template.lastVersion,
  modified_at_ms: template.modifiedAtMs,
});

/** False when the name is taken. */
export const insertTemplate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  template: ProvisioningTemplate,
): Promise<boolean> => {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('provisioning_templates')
    .values({
      account_id: accountId,
      region,
      template_name: template.templateName,
      template_type: template.type,
      created_at_ms: template.createdAtMs,
      ...columnsOf(template),
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(numInsertedOrUpdatedRows) > 0;
};

/** Writes all that may change. */
export const saveTemplate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  template: ProvisioningTemplate,
): Promise<void> => {
  await db
    .updateTable('provisioning_templates')
    .set(columnsOf(template))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '=', template.templateName)
    .execute();
};

export const deleteTemplateRow = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
): Promise<void> => {
  await db
    .deleteFrom('provisioning_templates')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '=', templateName)
    .execute();
};

/** Templates of one account and region in name order, starting after `after` ('' starts at the first). */
export const listTemplateRows = async (
  db: Db,
  { accountId, region }: AccountRegion,
  page: { readonly after: string; readonly limit: number },
): Promise<readonly ProvisioningTemplate[]> => {
  const rows = await db
    .selectFrom('provisioning_templates')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '>', page.after)
    .orderBy('template_name')
    .limit(page.limit)
    .execute();
  return rows.map(toTemplate);
};

export const countTemplates = async (db: Db, { accountId, region }: AccountRegion): Promise<number> => {
  const { count } = await db
    .selectFrom('provisioning_templates')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirstOrThrow();
  return Number(count);
};
