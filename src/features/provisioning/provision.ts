/**
 * Carries out what a template asks for: all of it in one unit of writing, or nothing. Whatever takes a processor, such as reading and signing certificates, is
 * prepared before the unit. Source: spec provisioning.md 4.5, 7.2 to 7.5; design 5 ("all or nothing", where AWS leaves parts behind).
 */
import { createHash } from 'node:crypto';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Change } from '../../bus/changes.ts';
import { CsrProblem, parseCsr } from '../../pki/csr.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import type { Db } from '../../store/store.ts';
import type { ProvisionedCertificate, ProvisionedPolicy, Provisioning } from '../../templates/evaluate.ts';
import {
  type Certificate,
  certificateArn,
  findCertificate,
  insertCertificate,
  type NewCertificate,
  saveStatus,
} from '../certificates/certificate.ts';
import { findPolicy, insertPolicy } from '../policies/policy.ts';
import { attachWithinLimit } from '../policies/policy-attachment.ts';
import { assertPolicyDocument, insertPolicyVersion } from '../policies/policy-version.ts';
import { insertAttachment } from '../things/thing-principal.ts';
import { provisionThing } from './provision-thing.ts';
import { ProvisioningFault } from './provisioning-fault.ts';

/** A certificate that the unit will add, but for what only the unit knows. */
export type CertificateToAdd = Omit<NewCertificate, 'status' | 'generationId' | 'createdAtMs'>;

/** A provisioning whose certificate and documents have been read, checked and made. */
export interface PreparedProvisioning extends Provisioning {
  /** For every form but CertificateId. */
  readonly newCertificate?: CertificateToAdd;
}

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

const failed = (message: string, options?: ErrorOptions): ProvisioningFault =>
  new ProvisioningFault('ResourceRegistrationFailure', message, options);

/** What other slices refuse is a step of the provisioning that failed. */
const asStep = (cause: unknown): unknown => (cause instanceof Fault ? failed(cause.message, { cause }) : cause);

/** Faults: ProvisioningFault for a document that is no policy. */
export const checkPolicies = ({ policies }: Pick<Provisioning, 'policies'>): void => {
  for (const policy of policies) {
    if (!('policyDocument' in policy)) continue;
    try {
      assertPolicyDocument(policy.policyDocument);
    } catch (cause) {
      throw cause instanceof Fault ? failed(`${policy.logicalName}: ${cause.message}`, { cause }) : cause;
    }
  }
};

const issueFrom = async (csr: string, issue: IssueDeviceCertificate, nowMs: number): Promise<CertificateToAdd> => {
  let certified: ReturnType<typeof parseCsr>;
  try {
    certified = parseCsr(csr);
  } catch (cause) {
    if (!(cause instanceof CsrProblem)) throw cause;
    throw new ProvisioningFault('InvalidCertificateSigningRequest', cause.message, { cause });
  }
  const { publicKeyDer, subjectDer } = certified;
  const { certificateId, pem, notBeforeMs, notAfterMs } = await issue({ publicKeyDer, subjectDer, nowMs });
  return { certificateId, pem, notBeforeMs, notAfterMs, certificateMode: 'DEFAULT' };
};

/**
 * Everything that needs no unit of writing: the policy documents are checked, a signing request is answered.
 * Faults: ProvisioningFault.
 */
export const prepareProvisioning = async (
  plan: Provisioning,
  { issue, nowMs }: { readonly issue: IssueDeviceCertificate; readonly nowMs: number },
): Promise<PreparedProvisioning> => {
  checkPolicies(plan);
  const form = plan.certificate?.form;
  if (form === undefined || 'certificateId' in form) return plan;
  if ('csr' in form) return { ...plan, newCertificate: await issueFrom(form.csr, issue, nowMs) };
  throw failed('CertificatePem needs a registered CA; CAs are not available in this version of Fleetgate');
};

/** The name of a policy that a document makes: devices with the same document share it. Source: spec provisioning.md 7.4. */
export const documentPolicyName = (document: string): string =>
  createHash('sha1').update(document).digest('hex').toUpperCase();

interface Scene {
  readonly db: Db;
  readonly account: AccountRegion;
  readonly nowMs: number;
  readonly newId: () => string;
  readonly changes: ProvisioningChange[];
}

const certificateIdPattern = /^[0-9a-f]{64}$/;

/** The certificate that the template names, as it is now. */
const existingCertificate = async ({ db, account }: Scene, given: string): Promise<Certificate> => {
  const certificateId = given.toLowerCase();
  if (!certificateIdPattern.test(certificateId)) {
    throw new ProvisioningFault('InvalidParameters', 'CertificateId does not make the id of a certificate');
  }
  const found = await findCertificate(db, account, certificateId);
  if (!found) throw failed(`The certificate ${certificateId} does not exist`);
  return found;
};

/**
 * The status that an existing certificate is left with. PENDING_ACTIVATION always takes the template's: overrides are for what has been decided before.
 * Assumed: nothing is provisioned for a revoked certificate. Source: spec provisioning.md 7.5. Faults: ProvisioningFault.
 */
export const statusAfter = (
  { certificateId, status: before }: Pick<Certificate, 'certificateId' | 'status'>,
  { status, override }: Pick<ProvisionedCertificate, 'status' | 'override'>,
): Certificate['status'] => {
  if (before === 'REVOKED') throw failed(`The certificate ${certificateId} is revoked`);
  if (before === 'PENDING_TRANSFER') throw failed(`The certificate ${certificateId} is being transferred`);
  if (before === 'PENDING_ACTIVATION' || override === 'REPLACE') return status;
  if (override === 'DO_NOTHING' || (override === undefined && before === status)) return before;
  throw new ProvisioningFault(
    'ResourceConflicts',
    override === 'FAIL'
      ? `The certificate ${certificateId} is ${before} already, and the template's OverrideSettings say FAIL`
      : `The certificate ${certificateId} is ${before}, not ${status}, and the template has no OverrideSettings for Status`,
  );
};

const provisionCertificate = async (
  scene: Scene,
  certificate: ProvisionedCertificate,
  added: CertificateToAdd | undefined,
): Promise<{ certificateId: string; pem: string }> => {
  const { db, account, nowMs, changes } = scene;
  const { form, status } = certificate;
  if (added) {
    const record = { ...added, status, generationId: scene.newId(), createdAtMs: nowMs };
    if (!(await insertCertificate(db, account, record))) {
      throw failed(`The certificate ${added.certificateId} is registered already`);
    }
    changes.push({ kind: 'certificate', id: added.certificateId });
    return added;
  }
  if (!('certificateId' in form)) throw new Error('a certificate was not prepared');
  const existing = await existingCertificate(scene, form.certificateId);
  const { certificateId } = existing;
  const after = statusAfter(existing, certificate);
  if (after !== existing.status) {
    await saveStatus(db, account, { certificateId, status: after, nowMs });
    changes.push({ kind: 'certificate', id: certificateId });
  }
  return existing;
};

/** The name of the policy, which exists afterwards. */
const provisionPolicy = async (
  { db, account, nowMs: createdAtMs, newId }: Scene,
  policy: ProvisionedPolicy,
): Promise<string> => {
  if ('policyName' in policy) {
    const { policyName } = policy;
    if (!(await findPolicy(db, account, policyName))) throw failed(`Policy not found (name=${policyName})`);
    return policyName;
  }
  const { policyDocument: document } = policy;
  const policyName = documentPolicyName(document);
  if (await insertPolicy(db, account, { policyName, generationId: newId(), createdAtMs })) {
    await insertPolicyVersion(db, account, policyName, { version: 1, document, createdAtMs });
  }
  return policyName;
};

export interface ProvisionOptions {
  readonly nowMs: number;
  /** A fresh lower-case UUID. */
  readonly newId: () => string;
}

/**
 * The whole provisioning, inside the unit that `db` belongs to; only resources of `account` are found or made. After the commit its `changes` are to be told.
 * Faults: ProvisioningFault, at which the unit must fail.
 */
export const provision = async (
  db: Db,
  account: AccountRegion,
  plan: PreparedProvisioning,
  { nowMs, newId }: ProvisionOptions,
): Promise<Provisioned> => {
  try {
    return await provisionAll({ db, account, nowMs, newId, changes: [] }, plan);
  } catch (cause) {
    throw asStep(cause);
  }
};

const provisionAll = async (scene: Scene, plan: PreparedProvisioning): Promise<Provisioned> => {
  const { db, account, nowMs, changes } = scene;
  const { thing, certificate, policies, deviceConfiguration } = plan;
  const arns = new Map<string, string>();
  const given = certificate && (await provisionCertificate(scene, certificate, plan.newCertificate));
  const principal = given && certificateArn(account, given.certificateId);
  if (certificate && principal !== undefined) arns.set(certificate.logicalName, principal);

  if (thing) {
    const { logicalName, thingName } = thing;
    const isChanged = await provisionThing(db, account, thing, { thingId: scene.newId(), nowMs });
    if (isChanged) changes.push({ kind: 'thing', id: thingName });
    arns.set(logicalName, iotArn(account, 'thing', thingName));
  }
  const policyNames = new Map<string, string>();
  for (const policy of policies) policyNames.set(policy.logicalName, await provisionPolicy(scene, policy));
  for (const [logicalName, policyName] of policyNames) arns.set(logicalName, iotArn(account, 'policy', policyName));

  if (given && principal !== undefined) {
    let isNew = false;
    for (const policyName of policyNames.values()) {
      if (await attachWithinLimit(db, account, { policyName, target: principal, createdAtMs: nowMs })) isNew = true;
    }
    if (thing) {
      const attachment = { thingName: thing.thingName, principal, thingPrincipalType: 'NON_EXCLUSIVE_THING' } as const;
      if (await insertAttachment(db, account, attachment, nowMs)) isNew = true;
    }
    if (isNew) changes.push({ kind: 'principal', id: given.certificateId });
  }
  return {
    ...(thing && { thingName: thing.thingName }),
    ...(given && { certificateId: given.certificateId, certificatePem: given.pem }),
    // own properties, whatever their names
    resourceArns: Object.fromEntries(arns),
    deviceConfiguration,
    changes,
  };
};
