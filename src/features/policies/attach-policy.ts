/** Attaching policies to certificates, by the present operations and by the older ones about principals. Source: spec identity 4.1. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { assertNotInTransfer, findCertificate } from '../certificates/certificate.ts';
import { cognitoUnavailable, readPrincipal, shownPrincipal, unknownCertificate } from '../things/principal.ts';
import { getPolicyRow } from './policy.ts';
import { attachWithinLimit, deletePolicyAttachment } from './policy-attachment.ts';

const invalidTarget = (target: string): Fault =>
  new Fault('InvalidRequestException', `Invalid Target: ${shownPrincipal(target)}`);

/**
 * The certificateId of a target that policies can be attached to.
 * Faults: ResourceNotFoundException (a certificate that is not registered here, a thing group), InvalidRequestException (Cognito, unreadable).
 */
export const getTargetCertificate = async (db: Db, account: AccountRegion, target: string): Promise<string> => {
  const named = readPrincipal(target, account);
  if (named.kind === 'unreadable') throw invalidTarget(target);
  if (named.kind === 'cognito') throw cognitoUnavailable();
  if (named.kind === 'thinggroup') {
    throw new Fault(
      'ResourceNotFoundException',
      `Thing group ${shownPrincipal(named.name)} does not exist; thing groups are not available in this version of Fleetgate`,
    );
  }
  const found = named.kind === 'certificate' && (await findCertificate(db, account, named.certificateId));
  if (named.kind === 'foreign' || !found) throw unknownCertificate(target);
  return named.certificateId;
};

/**
 * Attaches; attached already: success. Faults, in this order: ResourceNotFoundException (policy, then target),
 * InvalidRequestException, LimitExceededException.
 */
const attach = async (call: Call, policyName: string, target: string): Promise<void> => {
  const changed = await call.write(async (db) => {
    await getPolicyRow(db, call.account, policyName);
    const certificateId = await getTargetCertificate(db, call.account, target);
    await assertNotInTransfer(db, call.account, certificateId);
    const attachment = { policyName, target, createdAtMs: call.now() };
    return (await attachWithinLimit(db, call.account, attachment)) ? certificateId : undefined;
  });
  if (changed !== undefined) call.changed('principal', changed);
};

export const attachPolicy: Handler<'AttachPolicy'> = async (input, call) => {
  await attach(call, input.policyName ?? '', input.target ?? '');
  return {};
};

export const attachPrincipalPolicy: Handler<'AttachPrincipalPolicy'> = async (input, call) => {
  await attach(call, input.policyName ?? '', input.principal ?? '');
  return {};
};

/**
 * Detaches; a policy that does not exist or is not attached is a success, as Terraform relies on (spec identity 4.1).
 * Faults: InvalidRequestException `Invalid Target` for anything but a certificate registered here.
 */
export const detachPolicy: Handler<'DetachPolicy'> = async (input, call) => {
  const { policyName = '', target = '' } = input;
  const named = readPrincipal(target, call.account);
  if (named.kind !== 'certificate') throw invalidTarget(target);
  const { certificateId } = named;
  const changed = await call.write(async (db) => {
    if (!(await findCertificate(db, call.account, certificateId))) throw invalidTarget(target);
    return deletePolicyAttachment(db, call.account, { policyName, target });
  });
  if (changed) call.changed('principal', certificateId);
  return {};
};

/**
 * The older form, which does tell what is missing. Assumed: a policy that exists but is not attached is not found either.
 * Faults: ResourceNotFoundException (policy, certificate, attachment), InvalidRequestException.
 */
export const detachPrincipalPolicy: Handler<'DetachPrincipalPolicy'> = async (input, call) => {
  const { policyName = '', principal = '' } = input;
  const changed = await call.write(async (db) => {
    await getPolicyRow(db, call.account, policyName);
    const certificateId = await getTargetCertificate(db, call.account, principal);
    if (!(await deletePolicyAttachment(db, call.account, { policyName, target: principal }))) {
      throw new Fault(
        'ResourceNotFoundException',
        `Policy ${policyName} is not attached to ${shownPrincipal(principal)}`,
      );
    }
    return certificateId;
  });
  call.changed('principal', changed);
  return {};
};
