/**
 * RegisterThing over MQTT: the ownership token around what `register-thing.ts` does. A token serves once; the request that spent it may be repeated within its
 * hour, byte for byte in meaning, and is answered the same without any of it being done again. Source: spec provisioning.md 4.3, 4.5.
 */
import { hash } from 'node:crypto';
import type { Db } from '../../store/store.ts';
import { findCertificate } from '../certificates/certificate.ts';
import type { InvokeFunction } from '../provisioning/pre-provisioning-hook.ts';
import type { Provisioned } from '../provisioning/provision.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import { registerThing, type TokenCertificate } from '../provisioning/register-thing.ts';
import type { Attempt, FleetWork } from './fleet-topics.ts';
import {
  findOwnershipToken,
  keepTokenAnswer,
  type OwnershipToken,
  ownershipTokenLifetimeMs,
  presentToken,
  saysItIsExpired,
  spendOwnershipToken,
  tokenFault,
} from './ownership-token.ts';
import { parametersOf, type ReplyMembers, textMember } from './payload.ts';

export interface ProvisionServices {
  readonly invokeFunction: InvokeFunction;
}

const answerOf = ({ deviceConfiguration, thingName }: Provisioned): ReplyMembers => ({
  deviceConfiguration,
  ...(thingName !== undefined && { thingName }),
});

/** Same token, claim, template and parameters, in whatever format and order. The token in it keeps parameters from being guessed by their hash. */
const hashOf = (
  token: string,
  { request }: Attempt,
  templateName: string,
  parameters: Readonly<Record<string, string>>,
): string => {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify([token, request.authority.principalId, templateName, sorted]), 'hex');
};

/** What was answered to the same request; undefined when this is another. */
const repeated = (token: OwnershipToken | undefined, requestHash: string, nowMs: number): ReplyMembers | undefined =>
  token?.spent?.requestHash === requestHash && token.expiresAtMs > nowMs
    ? // written by this file only, from a value of this type
      (JSON.parse(token.spent.answer) as ReplyMembers)
    : undefined;

/** Faults: ProvisioningFault (InvalidCertificateOwnershipToken). */
const certificateOf = async (token: OwnershipToken, { request, call, trail }: Attempt): Promise<TokenCertificate> => {
  if (token.principalId !== request.authority.principalId) throw tokenFault('of another claim');
  if (token.spent !== undefined) throw tokenFault('used');
  if (token.expiresAtMs <= call.now()) throw tokenFault('expired');
  const certificate = await findCertificate(call.db, call.account, token.certificateId);
  if (certificate === undefined) throw tokenFault('of a certificate that was deleted');
  trail.say({ subject: certificate.certificateId });
  return { certificateId: certificate.certificateId, certificatePem: certificate.pem };
};

/**
 * A claim certificate that was deactivated while the hook was asked: once UpdateCertificate has answered, its devices are provisioned no more. Claims of trusted users
 * and IAM identities have no status. Faults: ProvisioningFault (InvalidCertificateOwnershipToken).
 */
const assertClaimStands = async (db: Db, { request, call }: Attempt): Promise<void> => {
  const claim = await findCertificate(db, call.account, request.authority.principalId);
  if (claim && claim.status !== 'ACTIVE') throw tokenFault('of a claim that was deactivated');
};

export const provisionOverMqtt =
  ({ invokeFunction }: ProvisionServices): FleetWork =>
  async (attempt) => {
    const { members, request, call, facts, trail } = attempt;
    const { account, db, now } = call;
    const templateName = request.labels['templateName'] ?? '';
    facts['provisioningTemplateName'] = templateName;
    const given = textMember(members, 'certificateOwnershipToken');
    const parameters = parametersOf(members);
    facts['parameterNames'] = Object.keys(parameters).join(' ');
    if (!given) trail.begin('token');
    const token = presentToken(given);

    const requestHash = hashOf(token, attempt, templateName, parameters);
    const known = await findOwnershipToken(db, account, token);
    if (known !== undefined) {
      const { certificateId, expiresAtMs } = known;
      facts['deviceCertificateId'] = certificateId;
      trail.past('issued', expiresAtMs - ownershipTokenLifetimeMs, { subject: certificateId });
    }
    const earlier = repeated(known, requestHash, now());
    if (earlier !== undefined) {
      facts['repeated'] = 'true';
      trail.repeated();
      return earlier;
    }
    const { write, newId, changed } = call;
    try {
      const provisioned = await registerThing(
        { account, db, now, write, newId, changed, invokeFunction },
        {
          templateName,
          parameters,
          claimCertificateId: request.certificateId ?? request.authority.principalId,
          clientId: request.clientId,
          trail,
          async findTokenCertificate({ record }) {
            facts['templateVersion'] = String(record.defaultVersion);
            trail.begin('token');
            const found = await findOwnershipToken(db, account, token);
            if (found === undefined) throw tokenFault(saysItIsExpired(token, now()) ? 'expired' : 'unknown');
            return certificateOf(found, attempt);
          },
          async spendToken(unit) {
            trail.begin('spent');
            await assertClaimStands(unit, attempt);
            // it may have been spent, or have expired, while the hook was asked
            if (!(await spendOwnershipToken(unit, account, token, { requestHash, nowMs: now() })))
              throw tokenFault(saysItIsExpired(token, now()) ? 'expired' : 'used');
          },
          keepAnswer: (unit, outcome) => keepTokenAnswer(unit, account, token, JSON.stringify(answerOf(outcome))),
        },
      );
      if (provisioned.thingName !== undefined) facts['thingName'] = provisioned.thingName;
      return answerOf(provisioned);
    } catch (cause) {
      if (!(cause instanceof ProvisioningFault) || cause.errorCode !== 'InvalidCertificateOwnershipToken') throw cause;
      // the same request was under way on another connection, and has been first
      const first = repeated(await findOwnershipToken(db, account, token), requestHash, now());
      if (first === undefined) throw cause;
      facts['repeated'] = 'true';
      trail.repeated();
      return first;
    }
  };
