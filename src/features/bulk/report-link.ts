/**
 * Links to parts of reports, as S3's presigned URLs: whoever has one may fetch the part without credentials, until it expires. A link names what it shows and
 * until when, and a MAC covers all of it, so that none can be guessed or changed; nothing in it is a path.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Db } from '../../store/store.ts';
import { type ReportPart, type ReportType, readReportPart, reportTypes } from './bulk-report.ts';

/** How long a link can be used. */
export const linkLifetimeMs = 60 * 60 * 1000;

export const reportPath = '/_fleetgate/bulk-report';

export interface ReportLinks {
  /** A link under the address `base`, e.g. `http://localhost:4566`. */
  link(base: string, part: ReportPart): string;
  /** The part that a link's query names; undefined unless we made the link, and for one that has expired. */
  read(query: ReadonlyMap<string, string>): ReportPart | undefined;
}

/** `key` is shared by all nodes of a store; links are signed with one that is drawn from it for them alone. */
export const reportLinks = (key: Uint8Array, now: () => number): ReportLinks => {
  const linkKey = createHmac('sha256', key).update('links to reports of bulk registration').digest();
  const macOf = ({ account, taskId, type, part }: ReportPart, expires: number): Buffer =>
    createHmac('sha256', linkKey)
      .update(JSON.stringify([account.accountId, account.region, taskId, type, part, expires]))
      .digest();
  return {
    link(base, report) {
      const { account, taskId, type, part } = report;
      const expires = now() + linkLifetimeMs;
      const query = new URLSearchParams({
        account: account.accountId,
        region: account.region,
        task: taskId,
        type,
        part: String(part),
        expires: String(expires),
        signature: macOf(report, expires).toString('base64url'),
      });
      return `${base}${reportPath}?${query}`;
    },
    read(query) {
      const numberOf = (name: string): number => {
        const text = query.get(name) ?? '';
        return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : 0;
      };
      const type: ReportType | undefined = reportTypes.find((each) => each === query.get('type'));
      const [part, expires] = [numberOf('part'), numberOf('expires')];
      if (!type || part === 0 || expires === 0) return undefined;
      const account = { accountId: query.get('account') ?? '', region: query.get('region') ?? '' };
      const report = { account, taskId: query.get('task') ?? '', type, part };
      const given = Buffer.from(query.get('signature') ?? '', 'base64url');
      const mac = macOf(report, expires);
      if (given.length !== mac.length || !timingSafeEqual(given, mac)) return undefined;
      return expires > now() ? report : undefined;
    },
  };
};

/** What a GET of a link is answered. */
export interface ReportAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const refusal = (status: number, body: string): ReportAnswer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

export const answerReport = async (
  db: Db,
  links: Pick<ReportLinks, 'read'>,
  query: ReadonlyMap<string, string>,
): Promise<ReportAnswer> => {
  const report = links.read(query);
  if (!report) return refusal(403, 'This link is not valid, or has expired. List the reports of the task again.\n');
  const body = await readReportPart(db, report);
  if (body === '') return refusal(404, 'This report is not kept any more.\n');
  return { status: 200, contentType: 'application/x-ndjson; charset=utf-8', body };
};
