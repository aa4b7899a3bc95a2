/**
 * Carries out what a template asks for: all of it in one unit of writing, or nothing. Source: spec provisioning.md 4.5, 7.2 to 7.5; design 5 ("all or nothing",
 * where AWS leaves parts behind).
 */
import { createHash } from 'node:crypto';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { Change } from '../../bus/changes.ts';
import type { Db } from '../../store/store.ts';
import type { ProvisionedPolicy } from '../../templates/evaluate.ts';
import { getPolicyRow, insertPolicy, policyItem } from '../policies/policy.ts';
import { attachWithinLimit } from '../policies/policy-attachment.ts';
import { insertPolicyVersion } from '../policies/policy-version.ts';
import { insertAttachment } from '../things/thing-principal.ts';
import type { PreparedProvisioning } from './prepare-provisioning.ts';
import { provisionCertificate } from './provision-certificate.ts';
import { provisionThing } from './provision-thing.ts';
import { stepFailed } from './provisioning-fault.ts';
import type { Trail } from './trail.ts';

/** A part of the account that whoever keeps copies must read again, after the commit. */
export type ProvisioningChange = Pick<Change, 'kind' | 'id'>;

export interface Provisioned {
  /** Absent without a thing in the template. */
  readonly thingName?: string;
  /** These two are absent only without a certificate in the template, which RegisterThing over HTTP alone allows. */
  readonly certificateId?: string;
  readonly certificatePem?: string;
  /** By logical name; own properties only. */
  readonly resourceArns: Readonly<Record<string, string>>;
  readonly deviceConfiguration: Readonly<Record<string, string>>;
  readonly changes: readonly ProvisioningChange[];
}

export interface ProvisionOptions {
  readonly nowMs: number;
  /** A fresh lower-case UUID. */
  readonly newId: () => string;
  /** Takes down the steps. */
  readonly trail?: Trail;
}

interface Scene extends ProvisionOptions {
  readonly db: Db;
  readonly account: AccountRegion;
}

/**
 * The whole provisioning, inside the unit that `db` belongs to; only resources of `account` are found or made. After the commit its `changes` are to be told.
 * Faults: ProvisioningFault, at which the unit must fail.
 */
export const provision = async (
  db: Db,
  account: AccountRegion,
  plan: PreparedProvisioning,
  options: ProvisionOptions,
): Promise<Provisioned> => {
  try {
    return await carryOut({ db, account, ...options }, plan);
  } catch (cause) {
    throw stepFailed(cause);
  }
};

const carryOut = async (scene: Scene, plan: PreparedProvisioning): Promise<Provisioned> => {
  const { db, account, nowMs, newId, trail } = scene;
  const { thing, certificate, policies, deviceConfiguration } = plan;
  const changes: ProvisioningChange[] = [];
  const arns = new Map<string, string>();

  if (thing) {
    const { logicalName, thingName } = thing;
    trail?.begin('thing', { subject: thingName });
    const outcome = await provisionThing(db, account, thing, { thingId: newId(), nowMs });
    trail?.say({ how: outcome });
    if (outcome === 'changed') changes.push({ kind: 'thing', id: thingName });
    arns.set(logicalName, iotArn(account, 'thing', thingName));
  }
  const policyNames: string[] = [];
  for (const policy of policies) {
    const policyName = await provisionPolicy(scene, policy);
    policyNames.push(policyName);
    arns.set(policy.logicalName, policyItem(account, policyName).policyArn);
  }
  if (!certificate) {
    const resourceArns = Object.fromEntries(arns);
    return { ...(thing && { thingName: thing.thingName }), resourceArns, deviceConfiguration, changes };
  }

  const { source } = certificate;
  trail?.begin('certificate', source.kind === 'held' ? { subject: source.certificateId } : {});
  const given = await provisionCertificate(db, account, certificate, { generationId: newId(), nowMs });
  const { certificateId, pem: certificatePem, status } = given;
  trail?.say({ subject: certificateId, how: status });
  const principal = iotArn(account, 'cert', certificateId);
  arns.set(certificate.logicalName, principal);
  if (given.changed) changes.push({ kind: 'certificate', id: certificateId });
  if (await attachAll(scene, principal, policyNames, thing?.thingName)) {
    changes.push({ kind: 'principal', id: certificateId });
  }
  return {
    ...(thing && { thingName: thing.thingName }),
    certificateId,
    certificatePem,
    resourceArns: Object.fromEntries(arns),
    deviceConfiguration,
    changes,
  };
};

/** The name of a policy that a document makes: devices with the same document share it. Source: spec provisioning.md 7.4. */
export const documentPolicyName = (document: string): string =>
  createHash('sha1').update(document).digest('hex').toUpperCase();

/** The name of the policy, which exists afterwards; one of the name that a document makes is taken as it is. */
const provisionPolicy = async (
  { db, account, nowMs: createdAtMs, newId, trail }: Scene,
  policy: ProvisionedPolicy,
): Promise<string> => {
  if ('policyName' in policy) {
    trail?.begin('policy', { subject: policy.policyName, how: 'found' });
    return (await getPolicyRow(db, account, policy.policyName)).policyName;
  }
  const { policyDocument: document } = policy;
  const policyName = documentPolicyName(document);
  trail?.begin('policy', { subject: policyName });
  if (await insertPolicy(db, account, { policyName, generationId: newId(), createdAtMs })) {
    await insertPolicyVersion(db, account, policyName, { version: 1, document, createdAtMs });
    trail?.say({ how: 'created' });
  } else trail?.say({ how: 'found' });
  return policyName;
};

/** Whether anything was attached that had not been. */
const attachAll = async (
  { db, account, nowMs, trail }: Scene,
  principal: string,
  policyNames: readonly string[],
  thingName: string | undefined,
): Promise<boolean> => {
  let isNew = false;
  for (const policyName of policyNames) {
    trail?.begin('attached', { subject: policyName, how: 'policy' });
    if (await attachWithinLimit(db, account, { policyName, target: principal, createdAtMs: nowMs })) isNew = true;
  }
  if (thingName === undefined) return isNew;
  trail?.begin('attached', { subject: thingName, how: 'thing' });
  const attachment = { thingName, principal, thingPrincipalType: 'NON_EXCLUSIVE_THING' } as const;
  return (await insertAttachment(db, account, attachment, nowMs)) || isNew;
};
