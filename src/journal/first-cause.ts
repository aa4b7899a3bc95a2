/**
 * Some refusals are only what came of an earlier one: a client that was not allowed to subscribe asks all the same, and its reply reaches nobody; a device whose
 * provisioning was refused connects with the certificate that nobody has activated. Whoever asks about the later one is told of the earlier one, which has to be cured.
 */
import type { Journal } from './journal.ts';
import type { Reason } from './record.ts';
import type { Ring } from './ring.ts';
import type { StoredRecord } from './stored-record.ts';

/** How far a chain of causes is followed. */
export const causesMax = 4;
/** How many earlier records of a client or certificate are looked at for each. */
export const earlierRecordsMax = 50;

type Test = (earlier: StoredRecord) => boolean;

const isFailure: Test = ({ status }) => status === 'Failure';

/** No other connection has the same port at that time. */
const ofConnection =
  ({ sourceIp, sourcePort, clientId, certificateId }: StoredRecord): Test =>
  (earlier) =>
    sourcePort !== undefined &&
    earlier.sourcePort === sourcePort &&
    earlier.sourceIp === sourceIp &&
    earlier.clientId === clientId &&
    earlier.certificateId === certificateId;

const nameIn = (resource: string | undefined, type: 'topic' | 'topicfilter'): string =>
  new RegExp(`^arn:[^:]*:iot:[^:]*:[^:]*:${type}/([\\s\\S]*)$`).exec(resource ?? '')?.[1] ?? '';

const matches = (filter: string, topic: string): boolean => {
  const levels = topic.split('/');
  const wanted = filter.split('/');
  return (
    wanted.every((level, at) => level === '#' || level === levels[at] || (level === '+' && at < levels.length)) &&
    (wanted.length === levels.length || wanted.at(-1) === '#')
  );
};

const subscriptionDenied =
  (topic: string): Test =>
  ({ action, resource }) =>
    action === 'iot:Subscribe' && matches(nameIn(resource, 'topicfilter'), topic);

/** Asking on such a topic was denied, or the reply reached nobody. */
const unanswered =
  (prefix: string): Test =>
  ({ reason, action, resource, facts }) =>
    (reason === 'REPLY_NOT_SUBSCRIBED' && facts?.['topic']?.startsWith(prefix) === true) ||
    ((action === 'iot:Receive' || action === 'iot:Publish') && nameIn(resource, 'topic').startsWith(prefix));

const certificateTopics = '$aws/certificates/';
const provisionTopics = '$aws/provisioning-templates/';

/** By the reason of what may have come of another: the test of what it came of; undefined: it came of nothing. */
const causes: { readonly [Name in Reason]?: (record: StoredRecord) => Test | undefined } = {
  REPLY_NOT_SUBSCRIBED({ facts }) {
    const topic = facts?.['topic'] ?? '';
    const denied = subscriptionDenied(topic);
    const [asked] = topic.split(/\/rejected$/);
    // a reply that says no: to what was asked, and for that there is a cause
    return (earlier) => denied(earlier) || (asked !== topic && earlier.facts?.['topic'] === asked);
  },
  AUTHORIZATION_FAILURE({ action, resource }) {
    if (action !== 'iot:Receive') return undefined;
    const [asked, end] = nameIn(resource, 'topic').split(/\/rejected$/);
    return (earlier) => end === '' && earlier.facts?.['topic'] === asked;
  },
  OWNERSHIP_TOKEN_INVALID({ detail }) {
    // it never got one: see why
    if (detail === 'missing') {
      const lost = unanswered(certificateTopics);
      return (earlier) => lost(earlier) || earlier.eventType === 'GetDeviceCredentials';
    }
    // it does not know that it was answered, and asks in another way
    return detail === 'used' ? unanswered(provisionTopics) : undefined;
  },
  // it gave up waiting, and came again before this server had noticed
  DUPLICATE_CLIENT_ID: ({ certificateId, sourceIp, facts }) =>
    facts?.['successor']?.startsWith(`${sourceIp} port `) && facts['successor'].endsWith(`(principal ${certificateId})`)
      ? isFailure
      : undefined,
};

/** Whether it is about a certificate that a provisioning was to activate, whatever connection asked for it. What else keeps a CA's template from work is said. */
const ofCertificate = ({ reason, facts }: StoredRecord): boolean =>
  reason === 'DEVICE_CERTIFICATE_NOT_REGISTERED' ||
  (reason === 'DEVICE_CERTIFICATE_PENDING' &&
    facts?.['certificateStatus'] !== 'PENDING_TRANSFER' &&
    (facts?.['provisioning'] ?? 'STARTED') === 'STARTED');

/** A certificate was made for a claim. */
export const isIssue: Test = ({ eventType, status }) => eventType === 'GetDeviceCredentials' && status === 'Success';

/**
 * The newest provisioning of a certificate before this record, if it failed: one that succeeded since leaves nothing to blame. Without any, what went wrong on the
 * connection that the certificate was made for, or with a token that this client showed later: its thing was not asked for as it should be.
 */
const failedProvisioning = (
  { certificateId }: StoredRecord,
  earlier: readonly StoredRecord[],
): StoredRecord | undefined => {
  const about = earlier.filter(
    ({ certificateId: own, facts }) => own === certificateId || facts?.['deviceCertificateId'] === certificateId,
  );
  const newest = about.find(({ eventType }) => eventType === 'ProvisionDevice');
  if (newest) return isFailure(newest) ? newest : undefined;
  const issue = about.find(isIssue);
  if (!issue) return undefined;
  const sameConnection = ofConnection(issue);
  // its token may be forgotten, and then nobody knows whose it was
  const sameAsker: Test = ({ eventType, certificateId: own, clientId, facts }) =>
    eventType === 'ProvisionDevice' &&
    own === issue.certificateId &&
    clientId === issue.clientId &&
    facts?.['deviceCertificateId'] === undefined;
  return earlier.find(
    (each) => isFailure(each) && each.sequence > issue.sequence && (sameConnection(each) || sameAsker(each)),
  );
};

/** What this came of, among earlier records, newest first. Pure. */
export const causeAmong = (record: StoredRecord, earlier: readonly StoredRecord[]): StoredRecord | undefined => {
  if (record.status !== 'Failure' || record.reason === undefined) return undefined;
  const before = earlier.filter(({ sequence }) => sequence < record.sequence);
  if (ofCertificate(record)) return failedProvisioning(record, before);
  const test = causes[record.reason]?.(record);
  if (test === undefined) return undefined;
  const sameConnection = ofConnection(record);
  return before.find((each) => isFailure(each) && sameConnection(each) && test(each));
};

const earlierOf = async (journal: Journal, record: StoredRecord, ring: Ring): Promise<readonly StoredRecord[]> => {
  const { certificateId, clientId } = record;
  const query = { rings: [ring], limit: earlierRecordsMax };
  if (ofCertificate(record)) {
    if (certificateId === undefined) return [];
    const about = await journal.read({ ...query, subject: certificateId });
    const asker = about.find(isIssue)?.clientId;
    const others = asker === undefined ? [] : await journal.read({ ...query, clientId: asker });
    return [...new Map([...about, ...others].map((each) => [each.id, each])).values()].sort(
      (a, b) => b.sequence - a.sequence,
    );
  }
  return clientId === undefined ? [] : journal.read({ ...query, clientId });
};

/**
 * The records that this one came of, nearest first; empty when it is a first cause itself, as most are. `ring`: whose journal is looked at where the record
 * proved no account. Never looks into another account.
 */
export const causesOf = async (
  journal: Journal,
  record: StoredRecord,
  ring: Ring,
): Promise<readonly StoredRecord[]> => {
  const found: StoredRecord[] = [];
  let last = record;
  while (found.length < causesMax) {
    if (!ofCertificate(last) && (last.reason === undefined || !(last.reason in causes))) break;
    const cause = causeAmong(last, await earlierOf(journal, last, last.account ?? ring));
    if (cause === undefined) break;
    found.push(cause);
    last = cause;
  }
  return found;
};
