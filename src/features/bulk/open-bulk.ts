/** What a node needs for bulk registration. */
import { randomUUID } from 'node:crypto';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Bus } from '../../bus/bus.ts';
import { noteChange } from '../../bus/changes.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import type { Store } from '../../store/store.ts';
import type { BulkInput } from './bulk-input.ts';
import type { ReportServices } from './operations.ts';
import { answerReport, type ReportAnswer, reportLinks } from './report-link.ts';
import { type BulkRunner, createBulkRunner } from './runner.ts';

export interface BulkOptions extends Pick<ReportServices, 'apiUrl'> {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly bus: Bus;
  readonly issue: IssueDeviceCertificate;
  readonly now: () => number;
  readonly input: BulkInput;
  /** 32 random bytes that all nodes of a store share. */
  readonly key: Uint8Array;
  /** Something failed that no report can tell; for the log. */
  readonly trouble: (error: unknown) => void;
}

export interface Bulk extends ReportServices {
  readonly runner: BulkRunner;
  /** What a link to a report is answered. */
  answerReport(query: ReadonlyMap<string, string>): Promise<ReportAnswer>;
  close(): Promise<void>;
}

export const openBulk = ({ store, bus, issue, now, input, key, trouble, apiUrl }: BulkOptions): Bulk => {
  const links = reportLinks(key, now);
  const callFor = (account: AccountRegion) => ({
    account,
    db: store.db,
    write: store.write,
    now,
    newId: randomUUID,
    changed: (kind: Parameters<typeof noteChange>[1]['kind'], id: string) => noteChange(bus, { account, kind, id }),
  });
  const runner = createBulkRunner({ store, issue, input, callFor, now, trouble });
  return {
    runner,
    links,
    apiUrl,
    answerReport: (query) => answerReport(store.db, links, query),
    async close() {
      const closed = runner.close();
      // a read under way is not waited for
      input.close();
      await closed;
    },
  };
};
