/**
 * TestAuthorization: what would the policies of a certificate, with some added and others left out, say to these requests? The same sets, the same facts and
 * the same evaluator as at the gateway, without a connection. The certificate's status does not matter here.
 * Source: API reference, TestAuthorization; spec policy 8, where AWS's pages leave the combining of several resources open.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { parseArn } from '../../aws/arn.ts';
import type { AuthDecision, Weighing } from '../../aws/decision.ts';
import { Fault } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call, Handler } from '../../feature.ts';
import { firstPemBlock } from '../../pki/pem.ts';
import type { PolicyContext } from '../../policy/context.ts';
import { missingContextValues, weigh } from '../../policy/weigh.ts';
import { getCertificate } from '../certificates/certificate.ts';
import { cognitoUnavailable } from '../things/principal.ts';
import { findConnectionThings } from '../things/thing-principal.ts';
import { getTargetCertificate } from './attach-policy.ts';
import { connectionContext, withThing } from './connection-context.ts';
import { getPolicyRow, policyItem } from './policy.ts';
import { type OperativePolicy, readOperativePolicies } from './policy-attachment.ts';
import { readSettled } from './read-settled.ts';
import type { Rights, RightsCache } from './rights.ts';

/** Names in policyNamesToAdd, and in policyNamesToSkip; resources of all authInfos together. Assumed: AWS names no such limits. */
export const policyNamesMax = 10;
export const resourcesMax = 100;

type Operation = Operations['iot']['TestAuthorization'];
type Input = Operation['input'];
type AuthInfo = NonNullable<Input['authInfos']>[number];
type AuthResult = NonNullable<Operation['output']['authResults']>[number];

interface Asked {
  readonly authInfo: AuthInfo;
  readonly action: string;
  readonly resources: readonly string[];
}

const actions: { readonly [Type in NonNullable<AuthInfo['actionType']>]: string } = {
  PUBLISH: 'iot:Publish',
  SUBSCRIBE: 'iot:Subscribe',
  RECEIVE: 'iot:Receive',
  CONNECT: 'iot:Connect',
};

const invalid = (message: string): Fault => new Fault('InvalidRequestException', message);

const readAsked = (authInfo: AuthInfo): Asked => {
  const { actionType, resources = [] } = authInfo;
  if (actionType === undefined) throw invalid('Every authInfo needs an actionType');
  if (resources.length === 0) throw invalid('Every authInfo needs at least one resource');
  const unreadable = resources.find((resource) => !parseArn(resource));
  if (unreadable !== undefined) throw invalid(`Invalid resource, not an ARN: ${unreadable.slice(0, 256)}`);
  return { authInfo, action: actions[actionType], resources };
};

/** Faults: InvalidRequestException, LimitExceededException. */
const readInfos = ({ authInfos = [], policyNamesToAdd = [], policyNamesToSkip = [] }: Input): readonly Asked[] => {
  if (Math.max(policyNamesToAdd.length, policyNamesToSkip.length) > policyNamesMax) {
    throw new Fault('LimitExceededException', `At most ${policyNamesMax} policies can be added or skipped at once`);
  }
  const infos = authInfos.map(readAsked);
  if (infos.reduce((sum, { resources }) => sum + resources.length, 0) > resourcesMax) {
    throw new Fault('LimitExceededException', `At most ${resourcesMax} resources can be tested at once`);
  }
  return infos;
};

/** The policies that count, in name order: those attached and added, without those skipped. Faults: ResourceNotFoundException. */
const readPolicies = async (input: Input, certificateId: string, call: Call): Promise<readonly OperativePolicy[]> => {
  const { db, account } = call;
  const attached = (await readOperativePolicies(db, account, [certificateId])).get(certificateId) ?? [];
  const counting = new Map(attached.map((policy) => [policy.policyName, policy]));
  for (const policyName of input.policyNamesToAdd ?? []) {
    const { generationId, defaultVersion } = await getPolicyRow(db, account, policyName);
    counting.set(policyName, { policyName, generationId, version: defaultVersion });
  }
  for (const policyName of input.policyNamesToSkip ?? []) {
    await getPolicyRow(db, account, policyName);
    counting.delete(policyName);
  }
  return [...counting.values()].sort((a, b) => (a.policyName < b.policyName ? -1 : 1));
};

/** An MQTT connection of `clientId`, of which the address, the server name and the manner of connecting are unknown; without a client id, nobody's. */
const readContext = async (
  certificateId: string,
  clientId: string | undefined,
  { db, account, now }: Call,
): Promise<PolicyContext> => {
  const { pem } = await getCertificate(db, account, certificateId);
  const context = connectionContext({ certificateId, der: firstPemBlock(pem, 'CERTIFICATE'), clientId, now });
  if (clientId === undefined) return context;
  const [things] = await findConnectionThings(db, account, [{ certificateId, clientId }]);
  return things ? withThing(context, things) : context;
};

/** Of several resources: an explicit denial of one denies all, and all must be allowed. */
const combined = (weighings: readonly Weighing[]): AuthDecision => {
  const decisions = weighings.map(({ decision }) => decision);
  if (decisions.includes('EXPLICIT_DENY')) return 'EXPLICIT_DENY';
  return decisions.includes('IMPLICIT_DENY') ? 'IMPLICIT_DENY' : 'ALLOWED';
};

const resultOf = (
  authInfo: AuthInfo,
  { rights, weighings, missing }: { rights: Rights; weighings: readonly Weighing[]; missing: string[] },
  { account }: Call,
): AuthResult => {
  const matched = weighings.flatMap(({ statements }) => statements.filter(({ outcome }) => outcome === 'matched'));
  const namesOf = (effect: 'Allow' | 'Deny') =>
    new Set(matched.filter((statement) => statement.effect === effect).map(({ policyName }) => policyName));
  const allowing = namesOf('Allow');
  const denying = namesOf('Deny');
  const listed = (wanted: (policyName: string) => boolean) => ({
    policies: rights.policyNames.filter(wanted).map((policyName) => policyItem(account, policyName)),
  });
  return {
    authInfo,
    allowed: listed((name) => allowing.has(name)),
    denied: {
      implicitDeny: listed((name) => !allowing.has(name) && !denying.has(name)),
      explicitDeny: listed((name) => denying.has(name)),
    },
    authDecision: combined(weighings),
    missingContextValues: missing,
  };
};

/**
 * One result for each authInfo, in their order. Faults: InvalidRequestException (no principal, Cognito, an unreadable resource), LimitExceededException,
 * ResourceNotFoundException (certificate, thing group, a named policy).
 */
export const testAuthorization =
  (rightsCache: RightsCache): Handler<'TestAuthorization'> =>
  async (input, call) => {
    const { principal, clientId } = input;
    const infos = readInfos(input);
    if (principal === undefined) {
      throw input.cognitoIdentityPoolId === undefined
        ? invalid('Name a principal or a cognitoIdentityPoolId')
        : cognitoUnavailable();
    }
    const certificateId = await getTargetCertificate(call.db, call.account, principal);
    const rights = await readSettled(async () =>
      rightsCache.rightsOf(call.db, call.account, await readPolicies(input, certificateId, call)),
    );
    const context = await readContext(certificateId, clientId, call);

    const authResults: AuthResult[] = [];
    for (const { authInfo, action, resources } of infos) {
      const weighings: Weighing[] = [];
      for (const resource of resources) {
        weighings.push(weigh(rights.set, { action, resource, context }));
        // long documents against long resources take their time: others have a turn in between
        await turn();
      }
      const missing = missingContextValues(rights.set, { action, resource: resources[0] ?? '', context });
      authResults.push(resultOf(authInfo, { rights, weighings, missing }, call));
    }
    return { authResults };
  };
