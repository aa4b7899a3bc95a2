/** What tests of bulk registration stand on. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { AccountRegion } from '../src/aws/arn.ts';
import { Fault, type FaultName } from '../src/aws/fault.ts';
import type { Call } from '../src/feature.ts';
import type { BulkInput } from '../src/features/bulk/bulk-input.ts';
import type { ReportType } from '../src/features/bulk/bulk-report.ts';
import { insertTask } from '../src/features/bulk/bulk-task.ts';
import { migrations } from '../src/features/bulk/migrations.ts';
import { openBulk } from '../src/features/bulk/open-bulk.ts';
import { openInput } from '../src/features/bulk/open-input.ts';
import { describeTask, listReports } from '../src/features/bulk/operations.ts';
import type { TaskWork } from '../src/features/bulk/run-task.ts';
import { startTask } from '../src/features/bulk/start-task.ts';
import { migrations as cas } from '../src/features/cas/migrations.ts';
import { migrations as certificates } from '../src/features/certificates/migrations.ts';
import { policies } from '../src/features/policies/feature.ts';
import { tags } from '../src/features/tags/feature.ts';
import { things } from '../src/features/things/feature.ts';
import { listThings } from '../src/features/things/list-things.ts';
import { keyIdentifierOf, keySigner } from '../src/pki/build.ts';
import { deviceIssuance, deviceIssuerNameDer } from '../src/pki/issue.ts';
import type { Store } from '../src/store/store.ts';
import { makeCall, makeFolder, testAccount } from './call.ts';

const ca = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const issue = deviceIssuance({
  nameDer: deviceIssuerNameDer,
  keyIdentifier: keyIdentifierOf(ca.publicKey.export({ type: 'spki', format: 'der' })),
  keyKind: 'ec',
  sign: keySigner(ca.privateKey),
});
const key = randomBytes(32);

/** One thing for each line; one that is there already makes the line fail if its serial is another. */
export const templateBody = JSON.stringify({
  Parameters: { Name: { Type: 'String' }, Serial: { Type: 'String', Default: '0' } },
  Resources: {
    thing: {
      Type: 'AWS::IoT::Thing',
      Properties: { ThingName: { Ref: 'Name' }, AttributePayload: { serial: { Ref: 'Serial' } } },
      OverrideSettings: { AttributePayload: 'FAIL' },
    },
  },
});
export const roleOf = ({ accountId }: AccountRegion): string => `arn:aws:iam::${accountId}:role/bulk`;

/** A real store with the slices that bulk registration builds on, nodes over it, and folders of buckets. */
export const openBulkBed = async (t: TestContext, { input }: { readonly input?: BulkInput } = {}) => {
  const folder = await makeFolder(t);
  const features = [
    tags({}),
    { name: 'certificates', migrations: certificates },
    { name: 'cas', migrations: cas },
    things(),
    policies(),
    { name: 'bulk', migrations },
  ];
  const made = await makeCall(t, { features });
  const troubles: unknown[] = [];
  /** A node's part in it, of which there may be several over one store. */
  const node = (store: Pick<Store, 'db' | 'write'> = made.store) => {
    const bulk = openBulk({
      ...{ store, bus: made.bus, issue, key, now: made.call.now, apiUrl: () => 'http://127.0.0.1:4566' },
      input: input ?? openInput({ folder }),
      trouble: (error) => troubles.push(error),
    });
    t.after(bulk.close);
    return bulk;
  };
  const bulk = node();
  /** Puts the file `fleet/lamps` of an account. */
  const put = async (text: string | Uint8Array, account = testAccount): Promise<string> => {
    await mkdir(join(folder, account.accountId, 'fleet'), { recursive: true });
    const path = join(folder, account.accountId, 'fleet', 'lamps');
    await writeFile(path, text);
    return path;
  };
  const start = async (call: Call = made.call, inputFileKey = 'lamps'): Promise<string> => {
    const names = { inputFileBucket: 'fleet', inputFileKey, roleArn: roleOf(call.account) };
    const { taskId } = await startTask(bulk.runner)({ templateBody, ...names }, call);
    return taskId ?? assert.fail();
  };
  /** The lines of a report, as whoever asks for its links reads it. */
  const report = async (taskId: string, reportType: ReportType, call: Call = made.call): Promise<ReportedLine[]> => {
    const { resourceLinks = [] } = await listReports(bulk)({ taskId, reportType, maxResults: 250 }, call);
    const texts: string[] = [];
    for (const link of resourceLinks) {
      const { status, body } = await bulk.answerReport(new Map(new URL(link).searchParams));
      assert.equal(status, 200);
      texts.push(body);
    }
    return texts
      .join('')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  };
  /** Adds a task of which nothing is done, that no runner has been told of. */
  const addTask = async (account = testAccount) => {
    const taskId = made.call.newId();
    const task = { taskId, templateBody, inputFileBucket: 'fleet', inputFileKey: 'lamps', roleArn: roleOf(account) };
    assert.ok(await made.store.write((db) => insertTask(db, account, task, made.call.now())));
    return taskId;
  };
  const work: TaskWork = {
    issue,
    input: input ?? openInput({ folder }),
    callFor: (account) => made.callAs(account),
    trouble: (error) => troubles.push(error),
    pauses: () => false,
  };
  const describe = (taskId: string, call: Call = made.call) => describeTask({ taskId }, call);
  return { ...made, bulk, node, folder, put, start, report, troubles, addTask, work, describe };
};

export interface ReportedLine {
  readonly lineNumber: number;
  readonly offset: number;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly response?: unknown;
}

export const thingNames = async (call: Call): Promise<readonly (string | undefined)[]> => {
  const names: (string | undefined)[] = [];
  let nextToken: string | undefined;
  do {
    const page = await listThings({ maxResults: 250, nextToken }, call);
    names.push(...(page.things ?? []).map(({ thingName }) => thingName));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return names;
};

/** Lines of a file. */
export const lamps = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${JSON.stringify({ Name: `lamp-${index + 1}` })}\n`).join('');
export const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

export const faults = (name: FaultName, message?: RegExp) => (error: unknown) => {
  assert(error instanceof Fault, String(error));
  assert.equal(error.name, name, error.message);
  if (message) assert.match(error.message, message);
  return true;
};
