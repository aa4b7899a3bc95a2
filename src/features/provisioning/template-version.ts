/** The versions of a provisioning template: numbered from 1, at most five at a time, never renumbered, their bodies kept as they were sent. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { type ProvisioningTemplate, toTemplate, unknownTemplate } from './provisioning-template.ts';

interface ProvisioningTemplateVersionsTable {
  account_id: string;
  region: string;
  template_name: string;
  version: number;
  body: string;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    provisioning_template_versions: ProvisioningTemplateVersionsTable;
  }
}

/** Versions of one template. Source: AWS general reference, IoT Core quotas. */
export const templateVersionsMax = 5;

export interface TemplateVersion {
  readonly version: number;
  /** As it was sent, to the byte. */
  readonly body: string;
  readonly createdAtMs: number;
}

export const findTemplateVersion = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
  version: number,
): Promise<TemplateVersion | undefined> => {
  const row = await db
    .selectFrom('provisioning_template_versions')
    .select(['version', 'body', 'created_at_ms'])
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '=', templateName)
    .where('version', '=', version)
    .executeTakeFirst();
  return row && { version: Number(row.version), body: row.body, createdAtMs: Number(row.created_at_ms) };
};

/** A template with the body that counts. */
export interface DefaultVersion {
  readonly template: ProvisioningTemplate;
  readonly body: string;
}

export const findDefaultVersion = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
): Promise<DefaultVersion | undefined> => {
  const row = await db
    .selectFrom('provisioning_templates')
    .innerJoin('provisioning_template_versions as versions', (join) =>
      join
        .onRef('versions.account_id', '=', 'provisioning_templates.account_id')
        .onRef('versions.region', '=', 'provisioning_templates.region')
        .onRef('versions.template_name', '=', 'provisioning_templates.template_name')
        .onRef('versions.version', '=', 'provisioning_templates.default_version'),
    )
    .selectAll('provisioning_templates')
    .select('versions.body')
    .where('provisioning_templates.account_id', '=', accountId)
    .where('provisioning_templates.region', '=', region)
    .where('provisioning_templates.template_name', '=', templateName)
    .executeTakeFirst();
  return row && { template: toTemplate(row), body: row.body };
};

/** Faults: ResourceNotFoundException. */
export const getDefaultVersion = async (
  db: Db,
  account: AccountRegion,
  templateName: string,
): Promise<DefaultVersion> => {
  const found = await findDefaultVersion(db, account, templateName);
  if (!found) throw unknownTemplate(templateName);
  return found;
};

/** Faults: ResourceNotFoundException. */
export const getTemplateVersion = async (
  db: Db,
  account: AccountRegion,
  templateName: string,
  version: number,
): Promise<TemplateVersion> => {
  const found = await findTemplateVersion(db, account, templateName, version);
  if (found) return found;
  throw new Fault(
    'ResourceNotFoundException',
    `Provisioning template ${templateName} does not have a version ${version}`,
  );
};

/** All versions of a template, newest first, without their bodies. */
export const listTemplateVersionRows = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
): Promise<readonly Omit<TemplateVersion, 'body'>[]> => {
  const rows = await db
    .selectFrom('provisioning_template_versions')
    .select(['version', 'created_at_ms'])
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '=', templateName)
    .orderBy('version', 'desc')
    .execute();
  return rows.map((row) => ({ version: Number(row.version), createdAtMs: Number(row.created_at_ms) }));
};

export const insertTemplateVersion = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
  { version, body, createdAtMs }: TemplateVersion,
): Promise<void> => {
  await db
    .insertInto('provisioning_template_versions')
    .values({
      account_id: accountId,
      region,
      template_name: templateName,
      version,
      body,
      created_at_ms: createdAtMs,
    })
    .execute();
};

/** Deletes one version, or all of a template that is being deleted itself. */
export const deleteTemplateVersionRows = async (
  db: Db,
  { accountId, region }: AccountRegion,
  templateName: string,
  version?: number,
): Promise<void> => {
  let query = db
    .deleteFrom('provisioning_template_versions')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('template_name', '=', templateName);
  if (version !== undefined) query = query.where('version', '=', version);
  await query.execute();
};
