import type { Feature } from '../../feature.ts';
import { createProvisioningTemplate, createProvisioningTemplateVersion } from './create-template.ts';
import { migrations } from './migrations.ts';
import {
  deleteProvisioningTemplate,
  deleteProvisioningTemplateVersion,
  describeProvisioningTemplate,
  describeProvisioningTemplateVersion,
  listProvisioningTemplates,
  listProvisioningTemplateVersions,
} from './operations.ts';
import type { InvokeFunction } from './pre-provisioning-hook.ts';
import { registerThingOverHttp, type SingleThingServices } from './register-single-thing.ts';
import { updateProvisioningTemplate } from './update-template.ts';

export interface ProvisioningServices extends SingleThingServices {
  /** Asks the pre-provisioning hooks of fleet provisioning. */
  readonly invokeFunction: InvokeFunction;
}

/** Provisioning templates, and what is made by them. */
export const provisioning = (services: ProvisioningServices): Feature => ({
  name: 'provisioning',
  migrations,
  operations: {
    iot: {
      CreateProvisioningTemplate: createProvisioningTemplate,
      CreateProvisioningTemplateVersion: createProvisioningTemplateVersion,
      DescribeProvisioningTemplate: describeProvisioningTemplate,
      DescribeProvisioningTemplateVersion: describeProvisioningTemplateVersion,
      ListProvisioningTemplates: listProvisioningTemplates,
      ListProvisioningTemplateVersions: listProvisioningTemplateVersions,
      UpdateProvisioningTemplate: updateProvisioningTemplate,
      DeleteProvisioningTemplate: deleteProvisioningTemplate,
      DeleteProvisioningTemplateVersion: deleteProvisioningTemplateVersion,
      RegisterThing: registerThingOverHttp(services),
    },
  },
});
