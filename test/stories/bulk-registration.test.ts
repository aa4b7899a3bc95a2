/**
 * Bulk registration over the real API: an S3-compatible endpoint that holds every signature against the SDK's own signer, folders of buckets, links to reports, a
 * server that is killed in the middle, and the commands of docs/bulk.md. Source: provisioning.md 10, checks 44 and 45; issue "Provisioning", Build 6.
 */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CreatePolicyCommand,
  DescribeThingRegistrationTaskCommand,
  IoTClient,
  ListThingRegistrationTaskReportsCommand,
  ListThingRegistrationTasksCommand,
  paginateListThings,
  type ReportType,
  StartThingRegistrationTaskCommand,
  StopThingRegistrationTaskCommand,
} from '@aws-sdk/client-iot';
import { SignatureV4 } from '@smithy/signature-v4';
import { endOfTask, linesOf, putObject, thingTemplate } from '../bulk.ts';
import { connectDevice } from '../device.ts';
import { makeFolder } from '../folder.ts';
import { bash, bootNode, certificateIdOf, put } from '../harness.ts';
import { fails } from '../sdk-fault.ts';
import { spawnServer } from '../server-process.ts';
import { waitMsMax } from '../within.ts';

const account = '000000000000';
const stranger = '111111111111';
const roleOf = (accountId: string): string => `arn:aws:iam::${accountId}:role/bulk`;

interface Started {
  readonly bucket?: string;
  readonly key: string;
  readonly templateBody?: string;
  readonly accountId?: string;
}
const start = async (
  iot: IoTClient,
  { bucket = 'fleet', key, templateBody = thingTemplate, accountId = account }: Started,
) => {
  const names = { inputFileBucket: bucket, inputFileKey: key, roleArn: roleOf(accountId) };
  const { taskId = '' } = await iot.send(new StartThingRegistrationTaskCommand({ templateBody, ...names }));
  return taskId;
};

const linksOf = async (iot: IoTClient, taskId: string, reportType: ReportType): Promise<readonly string[]> => {
  const links: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await iot.send(new ListThingRegistrationTaskReportsCommand({ taskId, reportType, nextToken }));
    assert.equal(page.reportType, reportType);
    links.push(...(page.resourceLinks ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return links;
};

interface ReportedLine {
  readonly lineNumber: number;
  readonly errorCode?: string;
  readonly response?: { readonly ResourceArns: Record<string, string>; readonly CertificatePem?: string };
}
/** The report as whoever has its links reads it, without credentials. */
const reportOf = async (iot: IoTClient, taskId: string, reportType: ReportType): Promise<readonly ReportedLine[]> => {
  const lines: ReportedLine[] = [];
  for (const link of await linksOf(iot, taskId, reportType)) {
    const answer = await fetch(link);
    assert.equal(answer.status, 200);
    const text = await answer.text();
    assert.match(text, /\n$/);
    lines.push(
      ...text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    );
  }
  return lines;
};
const thingNames = async (client: IoTClient): Promise<string[]> => {
  const names: string[] = [];
  for await (const { things = [] } of paginateListThings({ client, pageSize: 250 }, {})) {
    names.push(...things.map(({ thingName = '' }) => thingName));
  }
  return names.sort();
};

/** What the SDK's signer wants for SHA-256. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    const keyOf = (given: string | ArrayBuffer | ArrayBufferView) =>
      ArrayBuffer.isView(given)
        ? Buffer.from(given.buffer, given.byteOffset, given.byteLength)
        : Buffer.from(given as string);
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', keyOf(secret));
  }
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {
    assert.fail('not used');
  }
}

const s3Key = { accessKeyId: 'bulk-reader', secretAccessKey: 'a secret of the endpoint/+=' };
const signer = new SignatureV4({
  credentials: s3Key,
  region: 'us-east-1',
  service: 's3',
  sha256: Sha256,
  uriEscapePath: false,
});

/** Whether the SDK signs this request in the same way. */
const isSigned = async ({ url = '', headers }: IncomingMessage): Promise<boolean> => {
  const { authorization, host = '', range = '', 'x-amz-date': amzDate } = headers;
  if (authorization === undefined) return false;
  const date = new Date(String(amzDate).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'));
  assert.ok(Math.abs(date.getTime() - Date.now()) < 60_000);
  const signed = await signer.sign(
    {
      method: 'GET',
      protocol: 'http:',
      hostname: host,
      path: url,
      headers: { host, range, 'x-amz-content-sha256': createHash('sha256').digest('hex') },
    },
    { signingDate: date },
  );
  assert.equal(authorization, signed.headers['authorization']);
  return true;
};

interface S3Options {
  readonly objects: Readonly<Record<string, Buffer>>;
  /** Waited for before bytes beyond the first megabyte are given. */
  readonly beyond?: Promise<void>;
}
/** An S3-compatible endpoint with objects by `bucket/key`; those of `open` buckets are shown to everybody, those of `moved` are elsewhere. */
const s3Endpoint = async (t: TestContext, { objects, beyond }: S3Options) => {
  const asked: string[] = [];
  const faults: unknown[] = [];
  const answer = async (request: IncomingMessage) => {
    const { method, url = '', headers } = request;
    const signed = await isSigned(request);
    asked.push(`${method} ${url}${signed ? ' signed' : ''}`);
    const name = decodeURIComponent(url.slice(1));
    if (name.startsWith('moved/')) return { status: 307, headers: { location: `http://${headers.host}/open/lamps` } };
    if (!signed && !name.startsWith('open/')) return { status: 403, headers: {} };
    const object = objects[name];
    if (!object) return { status: 404, headers: {} };
    const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (Number(first) > 0) await beyond;
    const body = object.subarray(Number(first), Number(last) + 1);
    const range = `bytes ${first}-${Number(first) + body.length - 1}/${object.length}`;
    return { status: 206, headers: { etag: '"one"', 'content-range': range, 'content-length': body.length }, body };
  };
  const server = createServer((request, response) => {
    answer(request)
      .then(({ status, headers, body }) => response.writeHead(status, headers).end(body))
      .catch((error: unknown) => {
        faults.push(error);
        response.writeHead(500).end();
      });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // A TCP server's address is an AddressInfo.
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, faults };
};

const deviceTemplate = JSON.stringify({
  Parameters: { Name: { Type: 'String' }, CSR: { Type: 'String' } },
  Resources: {
    thing: { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'Name' } } },
    certificate: { Type: 'AWS::IoT::Certificate', Properties: { CertificateSigningRequest: { Ref: 'CSR' } } },
    policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'lamps' } },
  },
});

test('a file of an S3-compatible endpoint with one good and one bad line: Completed, both counted, both reported, and the device connects (provisioning.md check 44)', async (t) => {
  const folder = await makeFolder(t);
  const request = 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout lamp.key -subj /CN=lamp';
  const { stdout: CSR } = await bash(request, { cwd: folder });
  const lamps = Buffer.from(`${JSON.stringify({ Name: 'lamp', CSR })}\n{"Name":"broken`);
  const open = Buffer.from('{"Name":"shown-to-everybody"}');
  const s3 = await s3Endpoint(t, { objects: { "fleet/may/lamps!_.*'()-1": lamps, 'open/lamps': open } });
  const { node, iot: clientOf } = await bootNode(t, { s3Endpoint: s3.url, s3Key });
  const iot = clientOf();
  const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
  await iot.send(new CreatePolicyCommand({ policyName: 'lamps', policyDocument }));

  const taskId = await start(iot, { key: "may/lamps!_.*'()-1", templateBody: deviceTemplate });
  const task = await endOfTask(iot, taskId);
  assert.deepEqual([task.status, task.message], ['Completed', undefined]);
  assert.deepEqual([task.successCount, task.failureCount, task.percentageProgress], [1, 1, 100]);
  assert.deepEqual(s3.asked, ['GET /fleet/may/lamps%21_.%2A%27%28%29-1 signed']);
  assert.equal((await linksOf(iot, taskId, 'RESULTS')).length, 1);
  assert.equal((await linksOf(iot, taskId, 'ERRORS')).length, 1);
  const [result] = await reportOf(iot, taskId, 'RESULTS');
  const certificatePem = result?.response?.CertificatePem ?? '';
  const certificateId = certificateIdOf(certificatePem);
  assert.deepEqual(result?.response?.ResourceArns, {
    thing: `arn:aws:iot:us-east-1:${account}:thing/lamp`,
    certificate: `arn:aws:iot:us-east-1:${account}:cert/${certificateId}`,
    policy: `arn:aws:iot:us-east-1:${account}:policy/lamps`,
  });
  const errors = await reportOf(iot, taskId, 'ERRORS');
  assert.deepEqual(
    errors.map(({ lineNumber, errorCode }) => [lineNumber, errorCode]),
    [[2, 'InvalidParameters']],
  );
  const certFile = await put(folder, 'lamp.crt', certificatePem);
  const device = { certFile, keyFile: join(folder, 'lamp.key'), certificatePem, certificateId };
  const { client } = await connectDevice(node, device, { clientId: 'lamp' });
  await client.endAsync();

  // what the key may read is the default account's alone; what is shown to everybody is everybody's
  const other = clientOf(stranger);
  const messageOf = async (bucket: string, key: string, who = other, accountId = stranger) => {
    const { status, message } = await endOfTask(who, await start(who, { bucket, key, accountId }));
    return [status, message];
  };
  const refused = 'The S3 endpoint does not let this server read lamps of the bucket fleet.';
  assert.deepEqual(await messageOf('fleet', 'lamps'), ['Failed', refused]);
  assert.equal(s3.asked.at(-1), 'GET /fleet/lamps');
  assert.deepEqual(await messageOf('open', 'lamps'), ['Completed', undefined]);
  assert.deepEqual(await thingNames(other), ['shown-to-everybody']);
  const redirected = 'The S3 endpoint answered 307. Redirects are not followed.';
  assert.deepEqual(await messageOf('moved', 'lamps', iot, account), ['Failed', redirected]);
  assert.equal(s3.asked.at(-1), 'GET /moved/lamps signed');
  assert.deepEqual(await messageOf('fleet', 'none', iot, account), [
    'Failed',
    'There is no object none in the bucket fleet.',
  ]);
  assert.deepEqual(s3.faults, []);
});

/** A line of 200 000 bytes. */
const longLine = (Name: string): object => ({
  Name,
  ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`more-${index}`, 'x'.repeat(4000)])),
});

test('a second task is refused while one runs; its progress shows, and it is stopped between two lines (provisioning.md check 45)', async (t) => {
  const { promise: beyond, resolve: goOn } = Promise.withResolvers<void>();
  const lamps = Buffer.from(linesOf(Array.from({ length: 8 }, (_, index) => longLine(`lamp-${index}`))));
  const s3 = await s3Endpoint(t, { objects: { 'fleet/lamps': lamps }, beyond });
  const { iot: clientOf } = await bootNode(t, { s3Endpoint: s3.url, s3Key });
  const iot = clientOf();
  const taskId = await start(iot, { key: 'lamps' });
  const describe = () => iot.send(new DescribeThingRegistrationTaskCommand({ taskId }));
  const until = performance.now() + waitMsMax;
  while ((await describe()).successCount !== 5) {
    assert.ok(performance.now() < until);
    await delay(10);
  }
  const { status, percentageProgress, failureCount } = await describe();
  assert.deepEqual([status, percentageProgress, failureCount], ['InProgress', 62, 0]);
  assert.equal((await reportOf(iot, taskId, 'RESULTS')).length, 5, 'the report grows');

  await assert.rejects(start(iot, { key: 'lamps' }), fails('InvalidRequestException', 400));
  const { taskIds } = await iot.send(new ListThingRegistrationTasksCommand({ status: 'InProgress' }));
  assert.deepEqual(taskIds, [taskId]);
  const other = clientOf(stranger);
  await endOfTask(other, await start(other, { key: 'lamps', accountId: stranger }));

  await iot.send(new StopThingRegistrationTaskCommand({ taskId }));
  assert.equal((await describe()).status, 'Cancelling');
  await assert.rejects(start(iot, { key: 'lamps' }), fails('InvalidRequestException', 400));
  goOn();
  const stopped = await endOfTask(iot, taskId);
  assert.deepEqual([stopped.status, stopped.successCount, stopped.percentageProgress], ['Cancelled', 5, 62]);
  assert.equal((await thingNames(iot)).length, 5, 'what is done stays done');
  await assert.rejects(
    iot.send(new StopThingRegistrationTaskCommand({ taskId })),
    fails('InvalidRequestException', 400),
  );
  const again = await endOfTask(iot, await start(iot, { key: 'lamps' }));
  assert.deepEqual([again.status, again.successCount], ['Completed', 8]);
  assert.deepEqual(s3.faults, []);
});

test("an account's buckets, tasks and reports are nobody else's; a link is for an hour, and for what it was made for", async (t) => {
  const buckets = await makeFolder(t);
  await putObject(buckets, account, 'fleet/lamps', '{"Name":"lamp"}\n{}\n');
  const { node, iot: clientOf } = await bootNode(t, { buckets });
  const [iot, other] = [clientOf(), clientOf(stranger)];
  const taskId = await start(iot, { key: 'lamps' });
  await endOfTask(iot, taskId);
  for (const [bucket, key] of [
    ['fleet', 'lamps'],
    ['none', 'lamps'],
    ['...', 'lamps'],
  ] as const) {
    const { status, message } = await endOfTask(other, await start(other, { bucket, key, accountId: stranger }));
    assert.deepEqual([status, message], ['Failed', `There is no object ${key} in the bucket ${bucket}.`]);
  }
  for (const key of [`../../${account}/fleet/lamps`, '/etc/passwd', 'a/../../b', '..', './lamps', 'a//b']) {
    await assert.rejects(start(other, { key, accountId: stranger }), fails('InvalidRequestException', 400), key);
  }
  await assert.rejects(start(other, { key: 'lamps' }), fails('InvalidRequestException', 400), "another account's role");

  const [link = ''] = await linksOf(iot, taskId, 'RESULTS');
  const statusOf = async (url: URL | string, method = 'GET') => (await fetch(url, { method })).status;
  assert.equal(await statusOf(link), 200);
  assert.equal(await statusOf(link, 'HEAD'), 200);
  assert.equal(new URL(link).origin, node.apiUrl, 'where the API was asked');
  const changes = {
    ...{ account: stranger, region: 'eu-west-1', task: 'another', type: 'ERRORS', part: '2' },
    ...{ expires: '9999999999999', signature: 'A'.repeat(43) },
  };
  for (const [name, value] of Object.entries(changes)) {
    const forged = new URL(link);
    forged.searchParams.set(name, value);
    assert.equal(await statusOf(forged), 403, name);
  }
  assert.equal(await statusOf(`${node.apiUrl}${new URL(link).pathname}`), 403);
  await node.clock.advance(60 * 60 * 1000);
  assert.equal(await statusOf(link), 403, 'expired');
  assert.equal(await statusOf((await linksOf(iot, taskId, 'RESULTS'))[0] ?? ''), 200);
});

test('kill -9 in the middle, twice: every line is done, counted and reported once', {
  timeout: 60_000,
}, async (t) => {
  const buckets = await makeFolder(t);
  const dataFolder = join(await makeFolder(t), 'data');
  const count = 450;
  const isBad = (lineNumber: number): boolean => lineNumber % 7 === 0;
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const lines = numbers.map((number) => (isBad(number) ? 'no JSON' : JSON.stringify({ Name: `lamp-${number}` })));
  await putObject(buckets, account, 'fleet/lamps', lines.join('\n'));
  let taskId = '';
  const doneAtDeath: number[] = [];
  for (const dies of [80, 250, undefined]) {
    const server = await spawnServer(t, dataFolder, { flags: ['--buckets', buckets] });
    const endpoint = await server.ready;
    assert(endpoint, 'the server is ready');
    const iot = new IoTClient({
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    t.after(() => iot.destroy());
    if (taskId === '') taskId = await start(iot, { key: 'lamps' });
    if (dies !== undefined) {
      for (;;) {
        const task = await iot.send(new DescribeThingRegistrationTaskCommand({ taskId }));
        assert.equal(task.status, 'InProgress', String(task.message));
        const done = (task.successCount ?? 0) + (task.failureCount ?? 0);
        if (done < dies) continue;
        doneAtDeath.push(done);
        break;
      }
      server.child.kill('SIGKILL');
      await server.exited;
      continue;
    }
    const task = await endOfTask(iot, taskId, 30_000);
    const bad = numbers.filter(isBad);
    const good = numbers.filter((number) => !isBad(number));
    assert.deepEqual([task.status, task.successCount, task.failureCount], ['Completed', good.length, bad.length]);
    const numbersOf = async (type: ReportType) =>
      (await reportOf(iot, taskId, type)).map(({ lineNumber }) => lineNumber);
    assert.deepEqual(await numbersOf('RESULTS'), good);
    assert.deepEqual(await numbersOf('ERRORS'), bad);
    const names = good.map((number) => `lamp-${number}`);
    assert.deepEqual(await thingNames(iot), names.sort());
  }
  t.diagnostic(`killed when ${doneAtDeath.join(', ')} of ${count} lines were done`);
});

test('the commands of docs/bulk.md do what it says', async (t) => {
  const folder = await makeFolder(t);
  const buckets = join(folder, 'buckets');
  await mkdir(buckets);
  const text = await readFile(new URL('../../docs/bulk.md', import.meta.url), 'utf8');
  const [, serve = '', script = '', reports = ''] = text
    .split(/^```\n/m)
    .filter((_, index) => index % 2 === 1 || index === 0);
  assert.equal(serve, 'mkdir -p buckets && npm start -- --buckets buckets\n', 'a folder that is missing is refused');
  const [env, ...commands] = script.split('\n');
  assert.equal(env, 'eval "$(bin/fleetgate.js env)"');
  const { iot, shell } = await bootNode(t, { buckets });
  const { code, stdout, stderr } = await shell(commands.join('\n'), { cwd: folder });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /"status": "Completed"/);
  assert.match(stdout, /"successCount": 2,\s+"failureCount": 1,\s+"percentageProgress": 100/);
  const [printed = '', failed = ''] = reports.split('\n');
  const lines = stdout.split('\n');
  assert.ok(lines.includes(printed), stdout);
  const [errorLine = '', ...more] = lines.filter((line) => line.includes('errorCode'));
  assert.equal(errorLine.replace(/"errorMessage":".*"/, '"errorMessage":"..."'), failed);
  assert.deepEqual(more, []);
  assert.deepEqual(await thingNames(iot()), ['lamp-1', 'lamp-2']);
});
