/** GET /_fleetgate/journal: what `fleetgate explain` asks. From query parameters to a JSON answer; who may ask is decided before. */
import type { AccountRegion } from '../aws/arn.ts';
import { Fault } from '../aws/fault.ts';
import type { Explanation, KnownDomain } from './cure-lines.ts';
import { explain, policyNamesOf } from './explain.ts';
import { causesOf, isIssue } from './first-cause.ts';
import { type Journal, readLimitMax } from './journal.ts';
import type { Ring } from './ring.ts';
import type { StoredRecord } from './stored-record.ts';
import { type TrailLine, trailOf } from './trail.ts';

/** One record with its explanation. */
export interface ExplainedRecord extends Explanation {
  readonly record: StoredRecord;
  /** Of a provisioning: its steps in words. */
  readonly trail: readonly TrailLine[];
  /** The `id` of the earlier record that this one came of; it is among the answered records. Told of the newest failure, and of its causes. */
  readonly cause?: string;
}

export interface JournalAnswer {
  /** Newest first. Beyond what was asked for, the causes of the newest failure are among them. */
  readonly records: readonly ExplainedRecord[];
  /** Whether the node's own records (no account proven) were looked at too. */
  readonly operator: boolean;
}

export interface JournalRequest {
  /**
   * `subject`: a client id, a certificateId or its first 8 digits or more. `certificateId`, `clientId`: exactly that.
   * `failures=true`: leave out successes. `last=true`: only the newest failure, with what it came of. `limit`: 1 to 100, default 20.
   */
  readonly query: URLSearchParams;
  /** By the signature of the request. */
  readonly account: AccountRegion;
  /** The asker is the operator on this very machine (development credentials over loopback): shows the node's own records too. */
  readonly development: boolean;
  readonly apiUrl: string;
  /** The enabled names of its own that the account serves. */
  readonly domains?: () => Promise<readonly KnownDomain[]>;
}

const limitDefault = 20;
/** How far back the journal looks for the policies of a certificate that has none. */
const earlierRecordsMax = 20;
/** How far back the newest failure is looked for that is not about reading the journal itself. */
const lastReadMax = 10;
const parameters = new Set(['subject', 'certificateId', 'clientId', 'failures', 'last', 'limit']);

const invalid = (sentence: string): Fault => new Fault('InvalidRequestException', sentence);

const readFlag = (query: URLSearchParams, name: string): boolean => {
  const value = query.get(name);
  if (value === null || value === 'false') return false;
  if (value !== 'true') throw invalid(`${name} must be true or false`);
  return true;
};

const readLimit = (query: URLSearchParams): number => {
  const text = query.get('limit') ?? String(limitDefault);
  const limit = Number(text);
  if (!/^\d{1,3}$/.test(text) || limit < 1 || limit > readLimitMax) {
    throw invalid(`limit must be a number from 1 to ${readLimitMax}`);
  }
  return limit;
};

/** Whether the registry has nothing attached to the certificate any more, or never had. */
const lacksPolicies = ({ reason, statements }: StoredRecord): boolean =>
  reason === 'DEVICE_CERTIFICATE_NOT_REGISTERED' || (reason === 'AUTHORIZATION_FAILURE' && statements?.length === 0);

/** Policies that earlier records of the same account saw with this certificate. Never looks into another account. */
const rememberedPolicies = async (journal: Journal, record: StoredRecord, account: AccountRegion) => {
  if (!lacksPolicies(record) || record.certificateId === undefined) return [];
  const rings = [record.account ?? account];
  const earlier = await journal.read({ rings, certificateId: record.certificateId, limit: earlierRecordsMax });
  return earlier.map(policyNamesOf).find((names) => names.length > 0) ?? [];
};

/** When a certificate that is not registered was made for a claim, unless it has been provisioned. Never looks into another account. */
const rememberedIssue = async (
  journal: Journal,
  { reason, certificateId, account: own }: StoredRecord,
  account: AccountRegion,
): Promise<number | undefined> => {
  if (reason !== 'DEVICE_CERTIFICATE_NOT_REGISTERED' || certificateId === undefined) return undefined;
  const earlier = await journal.read({ rings: [own ?? account], subject: certificateId, limit: earlierRecordsMax });
  const isProvisioned = earlier.some(
    ({ eventType, status }) => eventType === 'ProvisionDevice' && status === 'Success',
  );
  return isProvisioned ? undefined : earlier.find(isIssue)?.lastAtMs;
};

/** The newest; but whoever was refused the journal before, and may read it now, asks about what came before that. */
const newestOf = (failures: readonly StoredRecord[]): readonly StoredRecord[] =>
  [failures.find(({ action }) => action !== 'fleetgate:ReadJournal') ?? failures[0]].filter((it) => it !== undefined);

/** Each record once, newest first. */
const withCauses = (found: readonly StoredRecord[], causes: readonly StoredRecord[]): readonly StoredRecord[] => {
  const missing = causes.filter(({ id }) => found.every((record) => record.id !== id));
  return [...found, ...missing].sort((a, b) => b.sequence - a.sequence);
};

/** Faults: InvalidRequestException for a parameter that is unknown or out of range. */
export const answerJournal = async (journal: Journal, request: JournalRequest): Promise<JournalAnswer> => {
  const { query, account, development, apiUrl } = request;
  for (const name of query.keys()) if (!parameters.has(name)) throw invalid(`unknown parameter ${name.slice(0, 64)}`);
  const last = readFlag(query, 'last');
  const [subject, certificateId, clientId] = [query.get('subject'), query.get('certificateId'), query.get('clientId')];
  const rings: Ring[] = development ? [account, 'operator'] : [account];
  const read = await journal.read({
    rings,
    ...(subject !== null && { subject }),
    ...(certificateId !== null && { certificateId }),
    ...(clientId !== null && { clientId }),
    failuresOnly: last || readFlag(query, 'failures'),
    limit: last ? lastReadMax : readLimit(query),
  });
  const found = last ? newestOf(read) : read;
  const newest = found.find(({ status }) => status === 'Failure');
  const causes = newest === undefined ? [] : await causesOf(journal, newest, account);
  const causeOf = new Map([newest, ...causes].map((record, at) => [record?.id, causes[at]?.id]));
  const isAboutNames = found.some(({ reason }) => reason === 'SNI_MISUSED');
  const domains = isAboutNames ? await request.domains?.() : undefined;
  const records: ExplainedRecord[] = [];
  for (const record of withCauses(found, causes)) {
    const policyNames = await rememberedPolicies(journal, record, account);
    const issuedAtMs = await rememberedIssue(journal, record, account);
    const cause = causeOf.get(record.id);
    records.push({
      record,
      ...explain(record, {
        ...{ account, apiUrl, policyNames },
        ...(issuedAtMs !== undefined && { issuedAtMs }),
        ...(domains && { domains }),
      }),
      trail: trailOf(record),
      ...(cause !== undefined && { cause }),
    });
  }
  return { records, operator: development };
};
