/**
 * The credentials provider: a device with a certificate gets temporary credentials of the role behind a role alias. Asked in this order, and refused at the first
 * no, as AWS was seen to: is this its endpoint, is the named thing the certificate's, do the certificate's policies allow it, is there the alias, is there the role
 * and does it trust the provider, does it allow sessions of that length. That the certificate is ACTIVE was seen before. Every answer is in the journal.
 * Source: developer guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider".
 * Observed: order, messages and statuses, in github.com/awslabs/aws-iot-core-credential-provider-session-helper, docs/dev_notes.md.
 */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { GiveCredentials } from '../../feature.ts';
import type { JournalRecord, Reason, RecordAttempt } from '../../journal/record.ts';
import type { Peer } from '../../mqtt/authority.ts';
import type { Db } from '../../store/store.ts';
import type { Endpoints } from '../domains/endpoint.ts';
import { entityArn } from '../iam/entity.ts';
import type { Iam } from '../iam/open-iam.ts';
import { findRole, findRoleByArn, type Role } from '../iam/role.ts';
import { findConnectionThings } from '../things/thing-principal.ts';
import { assumeAction, createCertificateRights } from './certificate-rights.ts';
import { findRoleAlias, listRoleAliasNames, type RoleAlias, roleAliasesMax } from './role-alias.ts';
import { trustsDevices } from './role-trust.ts';

export interface CredentialsProviderOptions {
  readonly db: Db;
  /** Milliseconds since the epoch, by the node's clock. */
  readonly now: () => number;
  readonly endpoints: Pick<Endpoints, 'hostNames' | 'isPlainName'>;
  readonly mintSession: Iam['mintSession'];
  readonly record: RecordAttempt;
}

const thingNamePattern = /^[a-zA-Z0-9:_-]{1,128}$/;
const roleAliasPattern = /^[\w=,@-]{1,128}$/;

/** A refusal that has not been told yet: to the device in AWS's words, to the journal with what a cure needs. */
interface Refusal {
  readonly reason: Reason;
  readonly fault: readonly [name: FaultName, message: string];
  readonly more?: Partial<JournalRecord>;
}

const unassumable = [
  'InvalidRequestException',
  'Unable to assume the role, or the role to assume does not exist',
] as const;

/** What is known of a request, more with every step. */
interface Asking {
  readonly account: AccountRegion;
  readonly certificateId: string;
  readonly peer: Peer;
  readonly roleAlias: string;
  readonly refuse: (refusal: Refusal) => never;
}

/** ISO 8601 in whole seconds, as AWS writes it. */
const isoSeconds = (date: Date): string => date.toISOString().replace(/\.\d{3}Z$/, 'Z');

/** Faults: AccessDeniedException, ResourceNotFoundException, InvalidRequestException, ServiceUnavailableException. */
export const createCredentialsProvider = (options: CredentialsProviderOptions): GiveCredentials => {
  const { db, now, endpoints, record } = options;
  const weighPolicies = createCertificateRights({ db, now });

  /** Undefined for an address, which only the certificate tells the account of. */
  const isOwnEndpoint = ({ serverName }: Peer, account: AccountRegion): boolean => {
    const name = serverName?.replace(/\.$/, '');
    return (
      name === undefined ||
      endpoints.isPlainName(name) ||
      name === endpoints.hostNames(account)['iot:CredentialProvider']
    );
  };

  /** The thing that the request names. */
  const findThing = async ({ account, certificateId, refuse }: Asking, thingName: string | undefined) => {
    const [things] = await findConnectionThings(db, account, [{ certificateId, clientId: thingName ?? '' }]);
    if (thingName === undefined) return { thing: undefined, attachedThingName: things?.attachedThingName };
    const thing = things?.thing?.thingName === thingName ? things.thing : undefined;
    if (thing && thingNamePattern.test(thingName)) return { thing, attachedThingName: thingName };
    return refuse({
      reason: 'THING_NOT_ATTACHED',
      fault: ['AccessDeniedException', 'Invalid thing name passed'],
      more: {
        facts: {
          namedThing: thingName,
          ...(things?.attachedThingName !== undefined && { thingName: things.attachedThingName }),
          ...(things?.thing?.exclusive && { exclusiveThingName: things.thing.thingName }),
        },
      },
    });
  };

  /** Answers what was found out about the device. */
  const checkPolicies = async (asking: Asking, named: string | undefined) => {
    const { account, certificateId, peer, roleAlias, refuse } = asking;
    const { thing, attachedThingName } = await findThing(asking, named);
    const { certificate, remoteAddress: sourceIp, serverName: domainName } = peer;
    const device = { account, certificateId, der: certificate?.der, sourceIp, domainName, thing };
    const { policyNames, decidingDocument, ...weighing } = await weighPolicies(device, roleAlias);
    if (weighing.decision !== 'ALLOWED') {
      refuse({
        reason: 'AUTHORIZATION_FAILURE',
        fault: ['AccessDeniedException', 'Access Denied'],
        more: {
          ...weighing,
          facts: {
            policyNames: policyNames.join(' '),
            ...(thing && { namedThing: thing.thingName }),
            ...(attachedThingName !== undefined && { thingName: attachedThingName }),
            ...(decidingDocument !== undefined && { decidingDocument }),
          },
        },
      });
    }
    return {
      certificateId,
      ...(thing && { thingName: thing.thingName }),
      ...(thing?.thingTypeName !== undefined && { thingTypeName: thing.thingTypeName }),
    };
  };

  const getAlias = async ({ account, roleAlias, refuse }: Asking): Promise<RoleAlias> => {
    const alias = roleAliasPattern.test(roleAlias) ? await findRoleAlias(db, account, roleAlias) : undefined;
    if (alias) return alias;
    const names = await listRoleAliasNames(db, account, { after: '', limit: roleAliasesMax, ascending: true });
    const similarAlias = names.find((name) => name.toLowerCase() === roleAlias.toLowerCase());
    return refuse({
      reason: 'ROLE_ALIAS_NOT_FOUND',
      fault: ['ResourceNotFoundException', 'Role alias does not exist'],
      ...(similarAlias !== undefined && { more: { facts: { similarAlias } } }),
    });
  };

  /** The role behind the alias, which lets the provider assume it for that long. */
  const getRole = async ({ account, certificateId, roleAlias, refuse }: Asking, alias: RoleAlias): Promise<Role> => {
    const { roleArn, credentialDurationSeconds } = alias;
    const found = await findRoleByArn(db, roleArn);
    if (!found) {
      const namesake = await findRole(db, account.accountId, roleArn.slice(roleArn.lastIndexOf('/') + 1));
      const facts = { roleArn, ...(namesake && { sameNameRoleArn: entityArn(account.accountId, namesake) }) };
      return refuse({ reason: 'ROLE_NOT_FOUND', fault: unassumable, more: { facts } });
    }
    const { role } = found;
    const roleFacts = { roleArn, trustedRole: role.name };
    const trust = trustsDevices(role.trustPolicy, {
      'aws:SourceAccount': account.accountId,
      'aws:SourceArn': iotArn(account, 'rolealias', roleAlias),
      'sts:RoleSessionName': certificateId,
    });
    if (!trust.allowed) {
      const { reason: decision, by } = trust;
      const facts = { ...roleFacts, decidingDocument: role.trustPolicy };
      return refuse({
        reason: 'ROLE_NOT_TRUSTING',
        fault: unassumable,
        more: { decision, facts: { ...facts, ...(by && { decidingStatement: String(by.statement) }) } },
      });
    }
    if (credentialDurationSeconds > role.maxSessionSeconds) {
      const durations = [credentialDurationSeconds, role.maxSessionSeconds].map(String);
      const [asked = '', allowed = ''] = durations;
      return refuse({
        reason: 'CREDENTIAL_DURATION_EXCEEDED',
        fault: [
          'InvalidRequestException',
          'The requested CredentialDurationSeconds exceeds the MaxSessionDuration set for the role',
        ],
        more: { facts: { ...roleFacts, credentialDurationSeconds: asked, maxSessionSeconds: allowed } },
      });
    }
    return role;
  };

  return async ({ peer, authority, roleAlias, thingName }) => {
    const { account, principalId: certificateId } = authority;
    const common: Omit<JournalRecord, 'status'> = {
      ...{ account, certificateId, sourceIp: peer.remoteAddress, sourcePort: peer.remotePort },
      ...{ action: assumeAction, resource: iotArn(account, 'rolealias', roleAlias) },
      eventType: 'AssumeRoleWithCertificate',
      protocol: 'HTTP',
    };
    const facts = { ...authority.facts(), roleAlias };
    const refuse = ({ reason, fault: [name, message], more }: Refusal): never => {
      const allFacts = { ...facts, ...more?.facts };
      record({ ...common, status: 'Failure', reason, tls: peer.tls, ...more, facts: allFacts });
      throw new Fault(name, message);
    };
    const asking: Asking = { account, certificateId, peer, roleAlias, refuse };

    if (!isOwnEndpoint(peer, account)) {
      const endpoint = endpoints.hostNames(account)['iot:CredentialProvider'];
      const more = { facts: { endpoint } };
      refuse({ reason: 'CREDENTIALS_ENDPOINT_MISMATCH', fault: ['ResourceNotFoundException', 'Not Found'], more });
    }
    const device = await checkPolicies(asking, thingName);
    const alias = await getAlias(asking);
    const role = await getRole(asking, alias);
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = options.mintSession({
      accountId: account.accountId,
      principal: { kind: 'role', roleName: role.name, roleId: role.id, sessionName: certificateId, device },
      durationSeconds: alias.credentialDurationSeconds,
    });
    record({ ...common, status: 'Success', facts: { ...facts, roleArn: alias.roleArn } });
    return { accessKeyId, secretAccessKey, sessionToken, expiration: isoSeconds(expiration) };
  };
};
