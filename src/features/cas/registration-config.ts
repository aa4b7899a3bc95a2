/** What a CA says about devices that come for the first time. Source: spec identity 3.2, provisioning 3; API reference, RegistrationConfig. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import { quoted } from '../../aws/quoted.ts';
import { assertRoleArn } from '../../aws/role-arn.ts';
import type { Db } from '../../store/store.ts';
import { TemplateFault } from '../../templates/fault.ts';
import { parseTemplate } from '../../templates/template.ts';
import type { RegistrationConfig } from './ca-certificate.ts';

/** The type of a provisioning template of an account; undefined when there is none of this name. */
export type FindTemplateType = (
  db: Db,
  account: AccountRegion,
  templateName: string,
) => Promise<'JITP' | 'FLEET_PROVISIONING' | undefined>;

interface GivenConfig {
  readonly templateBody?: string | undefined;
  readonly templateName?: string | undefined;
  readonly roleArn?: string | undefined;
}

const invalid = (message: string, options?: ErrorOptions): Fault =>
  new Fault('InvalidRequestException', message, {}, options);

const assertJitpBody = (templateBody: string): void => {
  try {
    parseTemplate(templateBody, 'JITP');
  } catch (cause) {
    if (!(cause instanceof TemplateFault)) throw cause;
    throw invalid(cause.message, { cause });
  }
};

/**
 * A configuration as a caller gave it, fit to be kept but for the template that it names (`assertJitpTemplate`).
 * Faults: InvalidRequestException (both templates or none, a body without a role, a role that is none of this account's, a body that is no JITP template).
 */
export const readRegistrationConfig = (given: GivenConfig, account: AccountRegion): RegistrationConfig => {
  const { templateBody, templateName, roleArn } = given;
  if (templateBody !== undefined && templateName !== undefined) {
    throw invalid('registrationConfig must have templateBody or templateName, not both');
  }
  if (roleArn !== undefined) assertRoleArn(roleArn, account, 'roleArn');
  if (templateName !== undefined) return { templateName, ...(roleArn !== undefined && { roleArn }) };
  if (templateBody === undefined) throw invalid('registrationConfig must have templateBody or templateName');
  if (roleArn === undefined) throw invalid('registrationConfig with templateBody must have roleArn');
  assertJitpBody(templateBody);
  return { templateBody, roleArn };
};

/** Refuses a template that is not there, or not for this. Faults: ResourceNotFoundException, InvalidRequestException. */
export const assertJitpTemplate = async (
  db: Db,
  account: AccountRegion,
  config: RegistrationConfig | undefined,
  findTemplateType: FindTemplateType,
): Promise<void> => {
  const templateName = config?.templateName;
  if (templateName === undefined) return;
  const type = await findTemplateType(db, account, templateName);
  if (type === undefined) {
    throw new Fault('ResourceNotFoundException', `The provisioning template ${quoted(templateName)} does not exist`);
  }
  if (type !== 'JITP') {
    throw invalid(`The provisioning template ${quoted(templateName)} is of type ${type}, not JITP`);
  }
};
