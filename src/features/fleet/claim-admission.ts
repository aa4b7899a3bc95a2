/**
 * Lets claims of trusted users in. Their rights are implied: connect by any client id, and the topics of fleet provisioning, RegisterThing for their own
 * template alone. They are written as a policy, so that a refusal is weighed and explained like any other. A session lasts five minutes. Source: spec
 * provisioning.md 5.
 */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { Reason } from '../../journal/record.ts';
import type { Admission, Authority, ConnectFacts, Peer } from '../../mqtt/authority.ts';
import type { PolicyRequest } from '../../policy/context.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { compilePolicies, type PolicySet } from '../../policy/policy-set.ts';
import { weigh } from '../../policy/weigh.ts';
import type { Db } from '../../store/store.ts';
import { claimLifetimeMs, findClaim, type ProvisioningClaim } from './provisioning-claim.ts';

export interface ClaimAdmissionOptions {
  readonly db: Db;
  /** Milliseconds by the node's clock. */
  readonly now: () => number;
  /** The default region: the only one in which a connection without SNI is looked for. */
  readonly region: string;
  /** Refuses every connection without SNI. */
  readonly requireSni: boolean;
  /** Sessions at once. */
  readonly sessionsMax: number;
}

export interface ClaimAdmission {
  /** Asked about a certificate that no account has registered; undefined: it is no claim either. Rejects when the store cannot be read. */
  admit(peer: Peer, connect: ConnectFacts): Promise<Admission | undefined>;
  /** Ends sessions that have lasted long enough. It also happens by itself every second. */
  recheck(): void;
  close(): void;
}

const recheckMs = 1000;

/** The guide's claim policy, narrowed to one template. */
const impliedPolicy = ({ accountId, region }: AccountRegion, templateName: string): string => {
  const prefix = `arn:aws:iot:${region}:${accountId}`;
  const on = (kind: 'topic' | 'topicfilter'): string[] =>
    [
      '$aws/certificates/create',
      '$aws/certificates/create-from-csr',
      `$aws/provisioning-templates/${templateName}/provision`,
    ].map((topic) => `${prefix}:${kind}/${topic}/*`);
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'iot:Connect', Resource: '*' },
      { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: on('topic') },
      { Effect: 'Allow', Action: 'iot:Subscribe', Resource: on('topicfilter') },
    ],
  });
};

const impliedRights = ({ account, templateName }: ProvisioningClaim): PolicySet =>
  compilePolicies([
    {
      policyName: `implied rights of a claim for ${templateName}`,
      policyArn: iotArn(account, 'provisioningtemplate', templateName),
      policyVersionId: '1',
      text: impliedPolicy(account, templateName),
    },
  ]);

interface Session {
  readonly startedAtMs: number;
  onLost: ((reason: Reason) => void) | undefined;
}

export const openClaimAdmission = (options: ClaimAdmissionOptions): ClaimAdmission => {
  const { db, now, region, requireSni, sessionsMax } = options;
  const sessions = new Set<Session>();
  const isOver = ({ startedAtMs }: Session): boolean => now() - startedAtMs >= claimLifetimeMs;
  const recheck = (): void => {
    for (const session of [...sessions]) {
      if (!isOver(session) || session.onLost === undefined) continue;
      sessions.delete(session);
      session.onLost('PROVISIONING_CLAIM_EXPIRED');
    }
  };
  const timer = setInterval(recheck, recheckMs);
  timer.unref();

  /** As for device certificates: the account that the SNI names; without SNI, in the default region, the one that made the claim. */
  const isMeant = (peer: Peer, { account }: ProvisioningClaim): boolean =>
    peer.account === undefined
      ? !requireSni && peer.serverName === undefined
      : peer.account.accountId === account.accountId;

  const authorityOf = (claim: ProvisioningClaim, session: Session, { clientId }: ConnectFacts): Authority => {
    const { account, certificateId, templateName } = claim;
    const rights = impliedRights(claim);
    const resourcePrefix = `arn:aws:iot:${account.region}:${account.accountId}:`;
    const ask = (action: string, resource: string): PolicyRequest => ({
      action,
      resource: resource === '*' ? resource : resourcePrefix + resource,
      context: { clientId },
    });
    return {
      account,
      principalId: certificateId,
      revision: 1,
      stale: () => undefined,
      allows: (action, resource) => sessions.has(session) && evaluate(rights, ask(action, resource)) === 'ALLOWED',
      weigh: (action, resource) => weigh(rights, ask(action, resource)),
      facts: () => ({ provisioningTemplateName: templateName }),
      onLost(close) {
        session.onLost = close;
        recheck();
      },
      release: () => sessions.delete(session),
    };
  };

  return {
    async admit(peer, connect) {
      if (!peer.certificate) return undefined;
      const claim = await findClaim(db, peer.account?.region ?? region, peer.certificate.certificateId);
      if (claim === undefined || !isMeant(peer, claim)) return undefined;
      const { account, templateName, expiresAtMs } = claim;
      if (expiresAtMs <= now()) {
        return {
          refusal: 'PROVISIONING_CLAIM_EXPIRED',
          account,
          facts: { provisioningTemplateName: templateName },
        };
      }
      if (sessions.size >= sessionsMax) return { refusal: 'CONNECTION_LIMIT', account };
      const session: Session = { startedAtMs: now(), onLost: undefined };
      sessions.add(session);
      return { authority: authorityOf(claim, session, connect) };
    },
    recheck,
    close: () => clearInterval(timer),
  };
};
