/** Asks a connection's authority, and says in the journal what was denied and why: every statement weighed, and facts for a cure. */
import type { EventType, JournalRecord } from '../journal/record.ts';
import type { AskedKeys, Authority, IotAction } from './authority.ts';

const types = {
  'iot:Connect': 'client',
  'iot:Publish': 'topic',
  'iot:RetainPublish': 'topic',
  'iot:Subscribe': 'topicfilter',
  'iot:Receive': 'topic',
  'iot:GetRetainedMessage': 'topic',
  'iot:DeleteConnection': 'client',
  'iot:GetConnection': 'client',
  'iot:ListSubscriptions': 'client',
  'iot:SendDirectMessage': 'client',
} as const;
/** Actions on something that has a name; the others have the resource `*`. */
type NamedAction = Exclude<IotAction, 'iot:ListRetainedMessages'>;

/** The decision about `name`: a client id, topic or topic filter, as the action has it. */
export const allows = (authority: Authority, action: NamedAction, name: string): boolean =>
  authority.allows(action, `${types[action]}/${name}`);

/** What policies often say instead of what they mean. Source: spec policy.md 3, provisioning.md 4.4. */
const mistakes: readonly (readonly [meant: RegExp, written: string])[] = [
  [/^topicfilter\//, 'topic/'],
  [/^topic\//, 'topicfilter/'],
  [/(?<=^topic(?:filter)?\/\$aws\/certificates\/)create-from-csr(?=\/)/, 'create'],
];

/** For a cure: the same action is allowed on this, which looks much like what was denied. */
const allowedInstead = (authority: Authority, action: IotAction, resource: string): { allowedInstead?: string } => {
  for (const [meant, written] of mistakes) {
    const other = resource.replace(meant, written);
    if (other !== resource && authority.allows(action, other)) return { allowedInstead: other };
  }
  return {};
};

type Denial = Partial<JournalRecord> & { reason: 'AUTHORIZATION_FAILURE' };

/** The journal's fields of a denied action on a resource as `Authority.allows` takes it. */
export const denialOf = (authority: Authority, action: IotAction, resource: string, keys?: AskedKeys): Denial => {
  const { decision, statements, decidedBy, unresolved } = authority.weigh(action, resource, keys);
  const { accountId, region } = authority.account;
  return {
    reason: 'AUTHORIZATION_FAILURE',
    action,
    resource: resource === '*' ? '*' : `arn:aws:iot:${region}:${accountId}:${resource}`,
    decision,
    statements,
    ...(decidedBy !== undefined && { decidedBy }),
    unresolved,
    facts: {
      ...authority.facts(),
      ...(decision === 'IMPLICIT_DENY' && keys === undefined && allowedInstead(authority, action, resource)),
    },
  };
};

/** The journal's fields of a denied action. */
export const denial = (authority: Authority, action: NamedAction, name: string): Denial =>
  denialOf(authority, action, `${types[action]}/${name}`);

/** Something with a journal: a connection. */
interface Recorder {
  record(eventType: EventType, fields: Partial<JournalRecord> & Pick<JournalRecord, 'status'>): void;
}

/** Records a denied action of a connection. */
export const recordDenial = (
  to: Recorder,
  eventType: EventType,
  denied: { readonly authority: Authority; readonly action: NamedAction; readonly name: string },
): void => to.record(eventType, { status: 'Failure', ...denial(denied.authority, denied.action, denied.name) });
