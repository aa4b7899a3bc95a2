/**
 * The world's mistakes: a full disk, a read-only folder, a damaged file, a second server, a newer schema. Each gives one clear sentence at start and
 * ServiceUnavailableException through the API, /_fleetgate/health says that the server is not ready, connected devices go on talking, and service
 * resumes without a restart when the cause is gone (issue, item 7; design 5).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DescribeThingCommand,
  IoTClient,
  IoTServiceException,
  ListThingsCommand,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { type FleetNode, start } from '../../src/index.ts';
import { makeFolder } from '../call.ts';
import { connectDevice } from '../device.ts';
import { type Identity, makeIdentity } from '../harness.ts';
import { spawnServer } from '../server-process.ts';

const everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';

/** For assert.rejects: the service is unavailable, and the caller is not told where it keeps its files. */
const unavailable = (error: unknown): boolean => {
  assert(error instanceof IoTServiceException, String(error));
  assert.deepEqual([error.name, error.$metadata.httpStatusCode], ['ServiceUnavailableException', 503]);
  assert.doesNotMatch(error.message, /fleetgate\.db/);
  return true;
};

/** A disk of its own, if this user may mount one; what is called at the end first closes what has files open on it. */
const mountDisk = async (
  t: TestContext,
  kilobytes: number,
  close: () => Promise<unknown> = async () => {},
): Promise<string | undefined> => {
  if (process.getuid?.() !== 0) return undefined;
  let isMounted = false;
  const folder = await makeFolder(t, async () => {
    await close();
    if (isMounted) execFileSync('umount', [disk]);
  });
  const disk = join(folder, 'disk');
  await mkdir(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', disk], { stdio: 'ignore' });
    isMounted = true;
  } catch {
    return undefined;
  }
  return disk;
};
const mayNotMount = 'only a user who may mount a disk can fill one';

/** Writes until nothing more goes in; answers the file to remove. */
const fillDisk = async (disk: string): Promise<string> => {
  const ballast = join(disk, 'ballast');
  const handle = await open(ballast, 'w');
  try {
    for (;;) await handle.write(Buffer.alloc(4096));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    await handle.close();
  }
  return ballast;
};

const clientOf = ({ apiUrl }: Pick<FleetNode, 'apiUrl'>, accountId = 'test'): IoTClient =>
  new IoTClient({
    endpoint: apiUrl,
    region: 'us-east-1',
    credentials: { accessKeyId: accountId, secretAccessKey: 'test' },
    maxAttempts: 1,
  });

const health = async ({ apiUrl }: FleetNode) => {
  const response = await fetch(`${apiUrl}/_fleetgate/health`);
  const { alive, ready } = (await response.json()) as Record<string, unknown>;
  return { status: response.status, alive, ready };
};
const notReady = { status: 503, alive: true, ready: false };

/** Asks until the server says that it is ready; fails after ten seconds. */
const untilReady = async (node: FleetNode): Promise<void> => {
  const endMs = performance.now() + 10_000;
  while (!(await health(node)).ready) {
    assert.ok(performance.now() < endMs, 'the server became ready again');
    await delay(20);
  }
};

const welcome = async (iot: IoTClient, { account }: FleetNode, { certificateId, certificatePem }: Identity) => {
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
  const target = iotArn(account, 'cert', certificateId);
  await iot.send(new AttachPolicyCommand({ policyName: 'everything', target }));
};

/** A server that must not come up: its exit code and the one line it says. */
const refusedStart = async (t: TestContext, dataFolder: string): Promise<string> => {
  const server = await spawnServer(t, dataFolder);
  assert.equal(await server.ready, undefined, 'it does not start');
  const { code, stderr } = await server.exited;
  assert.equal(code, 1);
  assert.match(stderr, /^[^\n]+\n$/, 'one line');
  return stderr;
};
const startsAndStops = async (t: TestContext, dataFolder: string): Promise<void> => {
  const server = await spawnServer(t, dataFolder);
  const url = await server.ready;
  if (url !== undefined) server.child.kill('SIGTERM');
  const { code, stderr } = await server.exited;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
};

test('a disk that becomes full: writes are refused, reads and devices go on, and all is well again when there is room', {
  timeout: 30_000,
}, async (t) => {
  let node: FleetNode | undefined;
  const disk = await mountDisk(t, 2048, async () => node?.close(100));
  if (!disk) return t.skip(mayNotMount);
  node = await start({ dataFolder: join(disk, 'data') }, { keyPoolMax: 0 });
  const [iot, stranger] = [clientOf(node), clientOf(node, '333333333333')];
  const identity = await makeIdentity(await makeFolder(t), 'device');
  await welcome(iot, node, identity);
  const other = await makeIdentity(await makeFolder(t), 'other');
  await iot.send(new CreateThingCommand({ thingName: 'before' }));
  const ballast = await fillDisk(disk);

  const refused = [
    iot.send(new CreateThingCommand({ thingName: 'refused' })),
    iot.send(new CreatePolicyCommand({ policyName: 'refused', policyDocument: everything })),
    iot.send(new RegisterCertificateWithoutCACommand({ certificatePem: other.certificatePem })),
    iot.send(new CreateKeysAndCertificateCommand({})),
    stranger.send(new ListThingsCommand({})), // whose account would have to come into being
  ];
  await Promise.all(refused.map((attempt) => assert.rejects(attempt, unavailable)));
  assert.deepEqual(await health(node), notReady);
  assert.equal((await iot.send(new DescribeThingCommand({ thingName: 'before' }))).thingName, 'before');

  // the first device of all, for which the server has no certificate in its folder yet
  const device = await connectDevice(node, identity, { clientId: 'device', version: 5 });
  await device.client.subscribeAsync('still/+', { qos: 1 });
  await device.client.publishAsync('still/there', 'yes', { qos: 1 });
  await device.until('still/there yes');

  await rm(ballast);
  await untilReady(node);
  await iot.send(new CreateThingCommand({ thingName: 'after' }));
  const { things = [] } = await iot.send(new ListThingsCommand({}));
  assert.deepEqual(
    things.map(({ thingName }) => thingName),
    ['after', 'before'],
    'what was refused has not happened',
  );
  assert.deepEqual((await stranger.send(new ListThingsCommand({}))).things, []);
  assert.ok(device.client.connected);
});

test('a file that is damaged while the server runs: reads and writes are refused, devices go on, and the repaired file is taken up again', {
  timeout: 30_000,
}, async (t) => {
  let node: FleetNode | undefined;
  const folder = await makeFolder(t, async () => node?.close(100));
  const dataFolder = join(folder, 'data');
  const identity = await makeIdentity(folder, 'device');
  node = await start({ dataFolder }, { keyPoolMax: 0 });
  await welcome(clientOf(node), node, identity);
  await clientOf(node).send(new CreateThingCommand({ thingName: 'before' }));
  await node.close(); // the write-ahead log is folded into the file

  node = await start({ dataFolder }, { keyPoolMax: 0 });
  const iot = clientOf(node);
  const device = await connectDevice(node, identity, { clientId: 'device', version: 5 });
  await device.client.subscribeAsync('still/+');
  const file = join(dataFolder, 'fleetgate.db');
  const sound = await readFile(file);
  const handle = await open(file, 'r+');
  t.after(() => handle.close());
  await handle.write(Buffer.alloc(sound.length - 4096, 0x5a), 0, sound.length - 4096, 4096);

  const asks = [
    () => iot.send(new ListThingsCommand({})),
    () => iot.send(new CreateThingCommand({ thingName: 'refused' })),
    () => iot.send(new DescribeThingCommand({ thingName: 'before' })),
  ];
  for (const ask of asks) await assert.rejects(ask(), unavailable);
  assert.deepEqual(await health(node), notReady);
  await device.client.publishAsync('still/there', 'yes', { qos: 1 });
  await device.until('still/there yes');
  await assert.rejects(connectDevice(node, identity, { clientId: 'late' }), 'rights that cannot be read are no rights');

  await handle.write(sound, 0, sound.length, 0);
  await untilReady(node);
  await iot.send(new CreateThingCommand({ thingName: 'after' }));
  const { things = [] } = await iot.send(new ListThingsCommand({}));
  assert.deepEqual(
    things.map(({ thingName }) => thingName),
    ['after', 'before'],
  );
  const late = await connectDevice(node, identity, { clientId: 'late' });
  assert.ok(late.client.connected && device.client.connected);
});

test('a full disk at start is one sentence and exit code 1, whatever was still written; with room the same folder starts', {
  timeout: 60_000,
}, async (t) => {
  const disk = await mountDisk(t, 1024);
  if (!disk) return t.skip(mayNotMount);
  const ballast = join(disk, 'ballast');
  // the bytes left decide how far it comes: its lock, its store, the journal's store, the authorities
  for (const kilobytesLeft of [20, 60, 120]) {
    await writeFile(ballast, Buffer.alloc((1024 - kilobytesLeft) * 1024));
    assert.match(await refusedStart(t, join(disk, 'data')), /full|no space/, `${kilobytesLeft} kB left`);
    await rm(ballast);
    await rm(join(disk, 'data'), { recursive: true });
  }
  await writeFile(ballast, Buffer.alloc((1024 - 120) * 1024));
  await refusedStart(t, join(disk, 'data'));
  await rm(ballast);
  await startsAndStops(t, join(disk, 'data'));
});

test('a read-only folder at start is one sentence and exit code 1, empty or with a store in it; writable again, it starts', {
  timeout: 30_000,
}, async (t) => {
  const disk = await mountDisk(t, 4096);
  if (!disk) return t.skip(mayNotMount);
  const remount = (mode: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${mode}`, disk]);
  const dataFolder = join(disk, 'data');
  remount('ro');
  assert.match(await refusedStart(t, dataFolder), /data.*(permissions|writable)/);
  remount('rw');
  await startsAndStops(t, dataFolder);
  remount('ro');
  assert.match(await refusedStart(t, dataFolder), /data.*(permissions|writable)/);
  remount('rw');
  await startsAndStops(t, dataFolder);
});

for (const name of ['fleetgate.db', 'journal.db']) {
  test(`a damaged ${name} at start is one sentence that names the file and the cure; restored, it starts`, async (t) => {
    const dataFolder = join(await makeFolder(t), 'data');
    await startsAndStops(t, dataFolder);
    const file = join(dataFolder, name);
    const sound = await readFile(file);
    await writeFile(file, Buffer.concat([sound.subarray(0, 4096), Buffer.alloc(sound.length - 4096, 0x5a)]));
    const said = await refusedStart(t, dataFolder);
    assert.ok(said.includes(file), said);
    assert.match(said, /is damaged.*backup/);
    await writeFile(file, sound);
    await startsAndStops(t, dataFolder);
  });
}

test('a second server on the same folder is refused in one sentence, and the first does not notice', async (t) => {
  let node: FleetNode | undefined;
  const folder = await makeFolder(t, async () => node?.close(100));
  const dataFolder = join(folder, 'data');
  node = await start({ dataFolder }, { keyPoolMax: 0 });
  assert.match(await refusedStart(t, dataFolder), /data\/fleetgate\.db is in use by another Fleetgate: .*--data/);
  await clientOf(node).send(new CreateThingCommand({ thingName: 'still-there' }));
  assert.deepEqual(await health(node), { status: 200, alive: true, ready: true });
});

test('a folder that a newer Fleetgate has written is refused in one sentence, and left as it is', async (t) => {
  const dataFolder = join(await makeFolder(t), 'data');
  await startsAndStops(t, dataFolder);
  const file = join(dataFolder, 'fleetgate.db');
  const database = new DatabaseSync(file);
  database.exec("insert into schema_migrations values ('things-0099', 'unknown', 0)");
  const migrations = () => database.prepare('select * from schema_migrations order by name').all();
  const before = migrations();
  assert.match(
    await refusedStart(t, dataFolder),
    /written by a newer Fleetgate \(it has things-0099\): start that version/,
  );
  assert.deepEqual(migrations(), before);
  database.exec("delete from schema_migrations where name = 'things-0099'");
  database.close();
  await startsAndStops(t, dataFolder);
});
