/**
 * The trail of a provisioning in words: a list that a person reads from top to bottom, each step with its time, the one that failed with the reason, and what became
 * of those before it. Source: issue "Provisioning", Build 7.
 */
import { shortId } from './cure-lines.ts';
import type { ProvisioningStep, StepName } from './record.ts';
import type { StoredRecord } from './stored-record.ts';

/** One line. `none`: what was not reached. */
export interface TrailLine {
  readonly mark: ProvisioningStep['outcome'] | 'none';
  /** Absent for what has not happened. */
  readonly atMs?: number;
  readonly text: string;
}

type Words = (step: ProvisioningStep, record: StoredRecord) => string;

const certificate = (id: string | undefined): string =>
  id === undefined ? 'certificate' : `certificate ${shortId(id)}`;
/** Steps that know of a certificate which is to be activated. */
const certified: ReadonlySet<StepName> = new Set(['issued', 'registered']);
const named = (kind: string, name: string | undefined): string => (name === undefined ? kind : `${kind} "${name}"`);
const list = (names: string | undefined): string => (names ?? '').split(' ').join(', ');

const parametersSent = ({ facts }: StoredRecord): string => {
  const names = facts?.['parameterNames'];
  return names === undefined ? '' : names === '' ? ', without parameters' : `, with ${list(names)}`;
};

/** What was to be done; it is also the subject of the reason if it failed. */
const attempted: Readonly<Record<StepName, Words>> = {
  connected: ({ subject, how }, { clientId }) =>
    `connected with ${how === 'own' ? 'its own' : 'the claim'} ${certificate(subject)}${clientId === undefined ? '' : ` as "${clientId}"`}`,
  registered: ({ subject, how }) =>
    `${certificate(subject)} registered under the CA${how === undefined ? '' : ` ${shortId(how)}`} that signed it`,
  announced: ({ subject }) => `whoever subscribes to "${subject ?? ''}" was told`,
  started: ({ subject }) => `${subject === undefined ? 'template of the CA' : named('template', subject)} set to work`,
  admitted: () => 'let in',
  issued: ({ subject }) => `${certificate(subject)} made for it`,
  asked: ({ how, subject }, record) => {
    if (how === 'keys') return 'asked for a certificate with a key';
    if (how === 'csr') return 'asked for a certificate for a key of its own';
    return `asked for its thing by the ${named('template', subject)}${parametersSent(record)}`;
  },
  template: ({ subject }, { facts }) =>
    subject === undefined
      ? `template of the CA${facts?.['caCertificateId'] === undefined ? '' : ` ${shortId(facts['caCertificateId'])}`}`
      : named('template', subject),
  token: () => 'ownership token',
  hook: ({ subject }) => named('hook', subject),
  filled: () => 'parameters put into the template',
  spent: () => 'ownership token spent',
  thing: ({ subject }) => named('thing', subject),
  policy: ({ subject }) => named('policy', subject),
  certificate: ({ subject }) => certificate(subject),
  attached: ({ subject, how }) => `${named(how ?? 'thing', subject)} attached to the certificate`,
  repeated: () => 'answered as before: the very same request had been carried out already',
};

const ofThings: Readonly<Record<string, string>> = {
  created: ' created',
  changed: ' was there, and was changed',
  kept: ' was there, and was left as it is',
};
const ofPolicies: Readonly<Record<string, string>> = { created: ' created', found: ' found' };

/** What stands behind the words above once it is done. */
const accomplished: { readonly [Name in StepName]?: Words } = {
  issued: ({ how }) => (how === 'csr' ? ', from its request' : how === 'keys' ? ', with a key pair' : ''),
  template: ({ how }) => (how === undefined ? ' read' : `, version ${how}`),
  token: ({ subject }) => ` accepted, which stands for the ${certificate(subject)}`,
  hook: ({ how }) => (how ? ` allowed it, with other values for ${list(how)}` : ' allowed it'),
  thing: ({ how }) => ofThings[how ?? ''] ?? '',
  policy: ({ how }) => ofPolicies[how ?? ''] ?? '',
  certificate: ({ how }) => (how === undefined ? '' : ` is ${how} now`),
};

/** Why a token was not taken, by the word of the record. */
const ofTokens: Readonly<Record<string, string>> = {
  missing: 'none was sent',
  unknown: 'this account has not given it, or its hour is long over',
  expired: 'it is older than an hour',
  used: 'it has served already, for another request',
  'of another claim': 'another claim was given it',
  'of a claim that was deactivated': 'its claim was deactivated meanwhile',
  'of a certificate that was deleted': 'its certificate was deleted',
};

const reasonOf = ({ step }: ProvisioningStep, { detail = '', facts }: StoredRecord): string => {
  if (step === 'admitted') return `: the certificate is ${facts?.['certificateStatus'] ?? 'not ACTIVE'}`;
  const why = step === 'token' || step === 'spent' ? (ofTokens[detail] ?? detail) : detail;
  return why === '' ? '' : `: ${why.replace(/\.$/, '')}`;
};

const line = (step: ProvisioningStep, record: StoredRecord): TrailLine => {
  const { step: name, outcome, atMs } = step;
  const what = attempted[name](step, record);
  if (outcome === 'failed') {
    return { mark: outcome, atMs, text: what + reasonOf(step, record) };
  }
  const undone = outcome === 'undone' ? ' (taken back)' : '';
  return { mark: outcome, atMs, text: `${what}${accomplished[name]?.(step, record) ?? ''}${undone}` };
};

/** Provisioning is all or nothing, whoever asked for it. */
const nothingElse = ({ eventType, status, steps = [] }: StoredRecord): readonly TrailLine[] =>
  eventType === 'ProvisionDevice' && status === 'Failure' && steps.some(({ step }) => certified.has(step))
    ? [{ mark: 'none', text: 'nothing of the template remains, and the certificate is as it was before' }]
    : [];

/** Empty for what is no provisioning. */
export const trailOf = (record: StoredRecord): readonly TrailLine[] =>
  record.steps === undefined || record.steps.length === 0
    ? []
    : [...record.steps.map((step) => line(step, record)), ...nothingElse(record)];
