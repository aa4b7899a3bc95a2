/**
 * Pages of certificates, by creation. Without a filter only those with a key of RSA_2048 are there. Source: API reference, ListCertificates, Filters; spec identity 10.
 * Assumed: newest first unless asked otherwise; of several words in one filter, any one is enough; 100 certificates in a page.
 * Faults: ValidationException.
 */
import { Fault } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call, Handler } from '../../feature.ts';
import { afterCursor, cursorOf } from '../creation-order.ts';
import { type AcmCertificateStatus, type AcmCertificateType, acmArn, wordsOf } from './acm-certificate.ts';
import { renewalEligibility, shownNames, shownStatus } from './describe-certificate.ts';
import type { KeyAlgorithm } from './key-algorithm.ts';
import type { ExtendedKeyUsageName, KeyUsageName } from './usage-names.ts';

type Input = Operations['acm']['ListCertificates']['input'];
type Summary = NonNullable<Operations['acm']['ListCertificates']['output']['CertificateSummaryList']>[number];

/** Certificates of a page when the caller names no number. */
const pageDefault = 100;
/** Names of a certificate that a list shows. Source: API reference, CertificateSummary. */
const namesShownMax = 100;

const origins: readonly (readonly [origin: string, type: AcmCertificateType])[] = [
  ['AWS_MANAGED', 'AMAZON_ISSUED'],
  ['CUSTOMER_PROVIDED', 'IMPORTED'],
];

/** Types that the caller wants to see; all of ours without a filter. */
const typesIn = ({ CertificateKeyPairOrigins: given }: Input): readonly AcmCertificateType[] =>
  origins.filter(([origin]) => !given?.length || given.some((each) => each === origin)).map(([, type]) => type);

/** Filters that leave nothing: nothing is exported, and no other service manages certificates. */
const excludesAll = ({ Includes = {} }: Input): boolean =>
  Includes.exportOption === 'ENABLED' || Includes.managedBy !== undefined;

/** What a list shows: not the certificates themselves, let alone their keys. */
const columns = [
  'certificate_uuid',
  'certificate_type',
  'status',
  'domain_name',
  'names',
  'key_algorithm',
  'key_usages',
  'extended_key_usages',
  'not_before_ms',
  'not_after_ms',
  'created_at_ms',
  'issued_at_ms',
] as const;

const query = (input: Input, call: Call, page: { limit: number; ascending: boolean }) => {
  const { accountId, region } = call.account;
  const { keyTypes, keyUsage = [], extendedKeyUsage = [] } = input.Includes ?? {};
  const statuses = input.CertificateStatuses ?? [];
  const after = afterCursor({ ...page, after: call.openMarker(input.NextToken) });
  const direction = page.ascending ? 'asc' : 'desc';
  let rows = call.db
    .selectFrom('acm_certificates')
    .select([...columns])
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('key_algorithm', 'in', keyTypes?.length ? [...keyTypes] : ['RSA_2048'])
    .where('certificate_type', 'in', typesIn(input));
  if (keyUsage.length > 0) {
    rows = rows.where(({ eb, or }) => or(keyUsage.map((word) => eb('key_usages', 'like', `%,${word},%`))));
  }
  if (extendedKeyUsage.length > 0) {
    rows = rows.where(({ eb, or }) =>
      or(extendedKeyUsage.map((word) => eb('extended_key_usages', 'like', `%,${word},%`))),
    );
  }
  if (statuses.length > 0) {
    rows = rows.where(({ eb, or, and }) =>
      or(
        statuses.map((status) => {
          if (status === 'ISSUED') return and([eb('status', '=', 'ISSUED'), eb('not_after_ms', '>=', call.now())]);
          if (status === 'EXPIRED') return and([eb('status', '=', 'ISSUED'), eb('not_after_ms', '<', call.now())]);
          return eb('status', '=', status);
        }),
      ),
    );
  }
  if (after) {
    rows = rows.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'certificate_uuid'), after.operator, tuple(after.createdAtMs, after.key)),
    );
  }
  return rows.orderBy('created_at_ms', direction).orderBy('certificate_uuid', direction).limit(page.limit).execute();
};

type Row = Awaited<ReturnType<typeof query>>[number];

const dated = (name: keyof Summary, valueMs: number | null): Partial<Summary> =>
  valueMs === null ? {} : { [name]: new Date(Number(valueMs)) };

const summaryOf = async (row: Row, call: Call): Promise<Summary> => {
  const arn = acmArn(call.account, row.certificate_uuid);
  // The columns are written by this slice only, from values of these types.
  const status = row.status as AcmCertificateStatus;
  const type = row.certificate_type as AcmCertificateType;
  const notAfterMs = row.not_after_ms === null ? undefined : Number(row.not_after_ms);
  const names = shownNames({ domainName: row.domain_name, names: JSON.parse(row.names) as string[] });
  return {
    CertificateArn: arn,
    ...(row.domain_name !== '' && { DomainName: row.domain_name }),
    SubjectAlternativeNameSummaries: names.slice(0, namesShownMax),
    HasAdditionalSubjectAlternativeNames: names.length > namesShownMax,
    Status: shownStatus({ status, notAfterMs }, call.now()),
    Type: type,
    KeyAlgorithm: row.key_algorithm as KeyAlgorithm,
    KeyUsages: wordsOf(row.key_usages) as KeyUsageName[],
    ExtendedKeyUsages: wordsOf(row.extended_key_usages) as ExtendedKeyUsageName[],
    ExportOption: 'DISABLED',
    InUse: (await call.holdersOf(call.db, arn)).length > 0,
    Exported: false,
    RenewalEligibility: renewalEligibility({ type, status }),
    ...dated('NotBefore', row.not_before_ms),
    ...dated('NotAfter', row.not_after_ms),
    ...dated('CreatedAt', row.created_at_ms),
    ...dated(type === 'IMPORTED' ? 'ImportedAt' : 'IssuedAt', row.issued_at_ms),
    CertificateKeyPairOrigin: type === 'IMPORTED' ? 'CUSTOMER_PROVIDED' : 'AWS_MANAGED',
  };
};

export const listCertificates: Handler<'ListCertificates', 'acm'> = async (input, call) => {
  const { MaxItems: limit = pageDefault, SortBy, SortOrder } = input;
  if ((SortBy === undefined) !== (SortOrder === undefined)) {
    throw new Fault('ValidationException', 'SortBy and SortOrder belong together: give both or neither.');
  }
  const ascending = SortOrder === 'ASCENDING';
  const rows =
    excludesAll(input) || typesIn(input).length === 0 ? [] : await query(input, call, { limit: limit + 1, ascending });
  const CertificateSummaryList: Summary[] = [];
  for (const row of rows.slice(0, limit)) CertificateSummaryList.push(await summaryOf(row, call));
  const last = rows[limit - 1];
  return {
    CertificateSummaryList,
    ...(rows.length > limit &&
      last && { NextToken: call.sealMarker(cursorOf(Number(last.created_at_ms), last.certificate_uuid)) }),
  };
};
