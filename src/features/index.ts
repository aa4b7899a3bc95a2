/** The slices of the server, in dependency order: an earlier one never imports a later one. */
import type { Feature } from '../feature.ts';
import { accounts } from './accounts/feature.ts';
import { acm } from './acm/feature.ts';
import { bulk } from './bulk/feature.ts';
import { findCaCertificate } from './cas/ca-certificate.ts';
import { cas } from './cas/feature.ts';
import { certificates } from './certificates/feature.ts';
import { hasConfiguration } from './domains/domain-configuration.ts';
import { domains } from './domains/feature.ts';
import { fleetProvisioning } from './fleet/feature.ts';
import { iam } from './iam/feature.ts';
import { messages } from './messages/feature.ts';
import { policies } from './policies/feature.ts';
import { findPolicy } from './policies/policy.ts';
import { provisioning } from './provisioning/feature.ts';
import { findTemplateType } from './provisioning/provisioning-template.ts';
import { checkRotationSetting } from './provisioning/rotation.ts';
import { roles } from './roles/feature.ts';
import { findRoleAlias } from './roles/role-alias.ts';
import { settings } from './settings/feature.ts';
import { tags } from './tags/feature.ts';
import { things } from './things/feature.ts';

/** What slices need beyond a `Call`. */
export type FeatureServices = Parameters<typeof certificates>[0] &
  Parameters<typeof provisioning>[0] &
  Parameters<typeof fleetProvisioning>[0] &
  Parameters<typeof bulk>[0] &
  Parameters<typeof iam>[0] &
  Parameters<typeof acm>[0] &
  Parameters<typeof domains>[0];

export const allFeatures = (services: FeatureServices): readonly Feature[] => [
  messages(),
  accounts(),
  iam(services),
  tags(
    {
      policy: async (db, account, name) => (await findPolicy(db, account, name)) !== undefined,
      provisioningtemplate: async (db, account, name) => (await findTemplateType(db, account, name)) !== undefined,
      cacert: async (db, account, id) => (await findCaCertificate(db, account, id)) !== undefined,
      domainconfiguration: hasConfiguration,
      rolealias: async (db, account, name) => (await findRoleAlias(db, account, name)) !== undefined,
    },
    { provisioningtemplate: checkRotationSetting },
  ),
  acm(services),
  domains(services),
  certificates(services),
  cas({ findTemplateType }),
  things(),
  policies(),
  roles(),
  settings(),
  provisioning(services),
  fleetProvisioning(services),
  bulk(services),
];
