/**
 * RegisterThing over HTTP: one device by a template that comes with the request, without a hook. Bulk registration does the same for each line.
 * Source: API reference, RegisterThing; spec provisioning.md 9.
 */
import type { Handler } from '../../feature.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import type { Db } from '../../store/store.ts';
import { evaluateTemplate } from '../../templates/evaluate.ts';
import { parseTemplate, type Template } from '../../templates/template.ts';
import { prepareProvisioning } from './prepare-provisioning.ts';
import { type Provisioned, provision } from './provision.ts';
import type { ProvisioningCall } from './provisioning-call.ts';
import { ProvisioningFault, toFault, withTemplate } from './provisioning-fault.ts';

export interface SingleThingServices {
  readonly issue: IssueDeviceCertificate;
}

export interface SingleThingWork extends SingleThingServices {
  /** Called inside the unit when all else is done, and maybe more than once. What it throws undoes the provisioning. */
  readonly keepAnswer?: (db: Db, provisioned: Provisioned) => Promise<void>;
}

/** Faults: ProvisioningFault, of which nothing has remained. */
export const registerSingleThing = async (
  { issue, keepAnswer }: SingleThingWork,
  call: ProvisioningCall,
  template: Template,
  parameters: Readonly<Record<string, string>>,
): Promise<Provisioned> => {
  const { account, now, newId } = call;
  const evaluated = withTemplate(() => evaluateTemplate(template, parameters));
  const plan = await prepareProvisioning(evaluated, issue, call);
  const provisioned = await call.write(async (db) => {
    const outcome = await provision(db, account, plan, { nowMs: now(), newId });
    await keepAnswer?.(db, outcome);
    return outcome;
  });
  for (const { kind, id } of provisioned.changes) call.changed(kind, id);
  return provisioned;
};

/** Faults: InvalidRequestException (template, parameters), ResourceRegistrationFailureException (a step failed). */
export const registerThingOverHttp =
  (services: SingleThingServices): Handler<'RegisterThing'> =>
  async ({ templateBody = '', parameters = {} }, call) => {
    try {
      const template = withTemplate(() => parseTemplate(templateBody, 'REGISTER_THING'));
      const { certificatePem, resourceArns } = await registerSingleThing(services, call, template, parameters);
      return { ...(certificatePem !== undefined && { certificatePem }), resourceArns };
    } catch (cause) {
      throw cause instanceof ProvisioningFault ? toFault(cause) : cause;
    }
  };
