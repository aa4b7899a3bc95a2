/**
 * Retires the predecessors of a certificate when its device has connected with it: they become INACTIVE, and everything attached to them stays, so that one
 * UpdateCertificate brings one back. It is done beside the connection, after its CONNACK. What is lost on the way is asked for again at the next connection, as the
 * certificate keeps its predecessors until they are retired.
 */
import { type AccountRegion, accountKey, iotArn } from '../../aws/arn.ts';
import type { ChangeKind } from '../../bus/changes.ts';
import type { RecordAttempt } from '../../journal/record.ts';
import type { Db, Store } from '../../store/store.ts';
import { findCertificate, saveStatus } from '../certificates/certificate.ts';
import { findPredecessors, savePredecessors, saveRetiredBy } from '../certificates/succession.ts';
import { listThingsOfPrincipal } from '../things/thing-principal.ts';
import { createJobQueue } from './job-queue.ts';

export interface RetirementOptions extends Pick<Store, 'write'> {
  /** Milliseconds since the epoch, by the node's clock. */
  readonly now: () => number;
  /** Tells every node, after the commit, that its cached copy is void. */
  readonly changed: (account: AccountRegion, kind: ChangeKind, id: string) => void;
  readonly record: RecordAttempt;
  /** Told of what kept a retirement from being done. */
  readonly trouble: (error: unknown) => void;
}

export interface Retirement {
  /** A device has connected with a certificate that has predecessors. */
  connected(account: AccountRegion, certificateId: string, clientId: string): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

interface Outcome {
  readonly thingName: string;
  readonly retired: readonly string[];
  /** These serve other things too, and go on. */
  readonly shared: readonly string[];
}

/** Things of one certificate that are looked at: two tell that it is shared. */
const thingsMax = 10;

const thingsOf = async (db: Db, account: AccountRegion, certificateId: string): Promise<readonly string[]> => {
  const page = { after: '', limit: thingsMax };
  const attached = await listThingsOfPrincipal(db, account, iotArn(account, 'cert', certificateId), page);
  return attached.map(({ thingName }) => thingName);
};

/** Inside a unit. Undefined when there is nothing to be done any more. */
const retire = async (
  db: Db,
  account: AccountRegion,
  successorId: string,
  nowMs: number,
): Promise<Outcome | undefined> => {
  const predecessors = await findPredecessors(db, account, successorId);
  if (!predecessors) return undefined;
  const { thingName, certificateIds } = predecessors;
  const retired: string[] = [];
  const shared: string[] = [];
  // whoever took the successor from the thing meanwhile does not want it to take a place there
  const succeeds = (await thingsOf(db, account, successorId)).includes(thingName);
  for (const certificateId of succeeds ? certificateIds : []) {
    if ((await findCertificate(db, account, certificateId))?.status !== 'ACTIVE') continue;
    const [only, other] = await thingsOf(db, account, certificateId);
    if (other !== undefined) shared.push(certificateId);
    if (only !== thingName || other !== undefined) continue;
    await saveStatus(db, account, { certificateId, status: 'INACTIVE', nowMs });
    await saveRetiredBy(db, account, certificateId, successorId);
    retired.push(certificateId);
  }
  await savePredecessors(db, account, successorId, undefined);
  return { thingName, retired, shared };
};

export const createRetirement = ({ write, now, changed, record, trouble }: RetirementOptions): Retirement => {
  const jobs = createJobQueue();
  const run = async (account: AccountRegion, successorId: string, clientId: string): Promise<void> => {
    const outcome = await write((db) => retire(db, account, successorId, now()));
    if (!outcome) return;
    const { thingName, retired, shared } = outcome;
    for (const certificateId of [...retired, successorId]) changed(account, 'certificate', certificateId);
    const tell = (certificateId: string, facts: Readonly<Record<string, string>>): void =>
      record({
        ...{ account, eventType: 'ProvisionDevice', status: 'Success', certificateId, clientId },
        facts: { thingName, successorId, ...facts },
      });
    for (const certificateId of retired) tell(certificateId, { predecessor: 'retired' });
    for (const certificateId of shared) tell(certificateId, { predecessor: 'shared' });
  };
  return {
    connected(account, certificateId, clientId) {
      jobs.add({
        account: accountKey(account),
        key: `${accountKey(account)}/${certificateId}`,
        run: () => run(account, certificateId, clientId).catch(trouble),
      });
    },
    idle: jobs.idle,
    close: jobs.close,
  };
};
