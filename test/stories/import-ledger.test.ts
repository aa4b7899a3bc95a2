/**
 * A maker's ledger becomes certificates of an account: `fleetgate certificates import`, against a real node.
 * Source: seed "SE050, Multi-Account Registration", which wishes for a registration in bulk from the maker's ledger.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import {
  CreatePolicyCommand,
  DescribeCertificateCommand,
  DescribeThingCommand,
  DetachPolicyCommand,
  type IoTClient,
  ListAttachedPoliciesCommand,
  ListThingPrincipalsCommand,
  paginateListAttachedPolicies,
  paginateListCertificates,
  paginateListTargetsForPolicy,
  paginateListThings,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { bootNode, fleetgateCommand } from '../harness.ts';
import { createMaker, type Made } from '../maker.ts';
import { bareEnvironment } from '../server-process.ts';

const allowAll = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
const createPolicy = (iot: IoTClient, policyName: string) =>
  iot.send(new CreatePolicyCommand({ policyName, policyDocument: allowAll }));

const certificateIds = async (client: IoTClient): Promise<string[]> => {
  const ids: string[] = [];
  for await (const { certificates = [] } of paginateListCertificates({ client, pageSize: 250 }, {})) {
    ids.push(...certificates.map(({ certificateId = '' }) => certificateId));
  }
  return ids;
};
const idsOf = (made: readonly Made[]): string[] => made.map(({ certificateId }) => certificateId).sort();

/** What stands beside the ledger, the server's own data left out. */
const filesOf = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name !== 'data').sort();

/** Runs the command; with `killAt`, ends it without warning when it has printed that much. */
const runImport = async (apiUrl: string, args: readonly string[], killAt?: RegExp) => {
  const child = spawn(process.execPath, [fleetgateCommand, 'certificates', 'import', ...args, '--api-url', apiUrl], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: bareEnvironment,
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    stdout += `${line}\n`;
    if (killAt?.test(line)) child.kill('SIGKILL');
  });
  const [code, signal]: unknown[] = await once(child, 'close');
  return { code, signal, stdout, stderr };
};

const linesCount = 10_000;
/** Where a run says that it resumes, as a part of all lines. */
const resumedAt = (stdout: string): number =>
  Number(/^Going on after ([\d,]+) lines/m.exec(stdout)?.[1]?.replaceAll(',', '')) / linesCount;

test(`${linesCount} lines, killed twice in the middle: resumed, none is missing and none is there twice`, async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const client = iot();
  await createPolicy(client, 'Sensors');
  const make = createMaker();
  const made = Array.from({ length: linesCount }, (_, number) => make(number));
  const ledger = join(folder, 'ledger.csv');
  const rows = made.map(({ name, pem }, number) => (number % 10 === 0 ? `${name},"${pem}",Sensors` : `,"${pem}",`));
  await writeFile(ledger, `thing,certificate,policy\n${rows.join('\n')}\n`);

  const args = [ledger, '--status', 'ACTIVE'];
  const first = await runImport(node.apiUrl, args, /^20 %/);
  assert.equal(first.signal, 'SIGKILL', first.stdout);
  const second = await runImport(node.apiUrl, args, /^50 %/);
  assert.equal(second.signal, 'SIGKILL', second.stdout);
  const after = resumedAt(second.stdout);
  assert.ok(after >= 0.1 && after < 0.3, second.stdout);
  const last = await runImport(node.apiUrl, args);
  assert.equal(last.code, 0, last.stdout);
  const again = resumedAt(last.stdout);
  assert.ok(again >= 0.4 && again < 0.6, last.stdout);
  const [, all] =
    /^Over all runs: ([\d,]+) lines: [\d,]+ registered, \d+ registered before, 0 refused\.$/m.exec(last.stdout) ?? [];
  assert.equal(all, linesCount.toLocaleString('en'));
  assert.deepEqual(await filesOf(folder), ['ledger.csv'], 'neither state nor report stays');

  assert.deepEqual((await certificateIds(client)).sort(), idsOf(made));
  const things: string[] = [];
  for await (const page of paginateListThings({ client, pageSize: 250 }, {})) {
    things.push(...(page.things ?? []).map(({ thingName = '' }) => thingName));
  }
  const tenth = made.filter((_, number) => number % 10 === 0);
  assert.deepEqual(things.sort(), tenth.map(({ name }) => name).sort());
  const targets: string[] = [];
  for await (const page of paginateListTargetsForPolicy({ client, pageSize: 250 }, { policyName: 'Sensors' })) {
    targets.push(...(page.targets ?? []).map((target) => target.replace(/^.*\//, '')));
  }
  assert.deepEqual(targets.sort(), idsOf(tenth));
  const one = await client.send(new ListThingPrincipalsCommand({ thingName: tenth.at(-1)?.name }));
  assert.deepEqual(
    one.principals?.map((principal) => principal.replace(/^.*\//, '')),
    [tenth.at(-1)?.certificateId],
  );
  console.log(`certificates import, third run: ${/^.* lines\/s\)\.$/m.exec(last.stdout)?.[0]}`);
});

test('a folder: every certificate file in it, things by common name, and no key beside them is touched', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const client = iot();
  await createPolicy(client, 'P');
  const make = createMaker();
  const made = [make(1), make(2), make(3)] as const;
  const certs = join(folder, 'certs');
  await mkdir(join(certs, 'deeper'), { recursive: true });
  await writeFile(join(certs, 'a.pem'), made[0].pem);
  await writeFile(join(certs, 'b.crt'), made[1].pem);
  await writeFile(join(certs, 'c.DER'), made[2].der);
  await writeFile(join(certs, 'a.key'), 'a secret');
  await writeFile(join(certs, 'd.pem'), '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
  const { code, stdout } = await runImport(node.apiUrl, [certs, '--thing-from', 'cn', '--policy', 'P']);
  assert.equal(code, 3, stdout);
  assert.match(stdout, /^Passed over: 2 that do not end/m);
  assert.match(stdout, /4 lines: 3 registered, 0 registered before, 1 refused\./);
  assert.match(stdout, /1 x The PEM text holds no certificate \(first in line 4\)/);
  assert.deepEqual((await certificateIds(client)).sort(), idsOf(made));
  for (const { name, certificateId } of made) {
    await client.send(new DescribeThingCommand({ thingName: name }));
    const { certificateDescription } = await client.send(new DescribeCertificateCommand({ certificateId }));
    assert.equal(certificateDescription?.status, 'INACTIVE', "the API's own default");
    assert.equal(certificateDescription?.certificateMode, 'SNI_ONLY');
  }
  const report = await readFile(`${certs}.refused.jsonl`, 'utf8');
  assert.equal(JSON.parse(report).certificate, 'certs/d.pem');
  assert.doesNotMatch(report, /PRIVATE/);
});

test('what a line lacks or gets wrong refuses that line alone, with its cause; the report, mended, is the next manifest', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const client = iot();
  await createPolicy(client, 'P');
  const make = createMaker();
  const made = Array.from({ length: 6 }, (_, number) => make(number));
  const [a, b, c, d, e, f] = made.map(({ der }) => der.toString('base64'));
  await writeFile(join(folder, 'f.der'), made[5]?.der ?? '');
  const ledger = join(folder, 'ledger.jsonl');
  const lines = [
    { certificate: a, thing: 'a:thing_1', policy: 'P', status: 'ACTIVE' },
    { certificate: b, policy: 'Later' },
    { certificate: c, thing: 'no such name' },
    { certificate: d, status: 'active' },
    { certificate: e, policy: '..' },
    { certificate: '../../etc/hostname' },
    'rubbish',
    { certificate: Buffer.concat([made[0]?.der ?? Buffer.of(), Buffer.of(0)]).toString('base64') },
    { certificate: './f.der', thing: 'f' },
    { certificate: f },
  ];
  await writeFile(ledger, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  const first = await runImport(node.apiUrl, [ledger]);
  assert.equal(first.code, 3, first.stdout);
  assert.match(first.stdout, /10 lines: 2 registered, 1 registered before, 7 refused\./);
  const report = (await readFile(`${ledger}.refused.jsonl`, 'utf8')).trimEnd().split('\n');
  assert.deepEqual(
    report.map((line) => JSON.parse(line).refused).map(({ line, operation, fault }) => [line, operation, fault]),
    [
      [2, 'AttachPolicy', 'ResourceNotFoundException'],
      [3, undefined, undefined],
      [4, undefined, undefined],
      [5, undefined, undefined],
      [6, undefined, undefined],
      [7, undefined, undefined],
      [8, undefined, undefined],
    ],
  );
  assert.equal(
    JSON.parse(report[0] ?? '').refused.certificateId,
    made[1]?.certificateId,
    'registered as far as it went',
  );
  assert.deepEqual(
    (await certificateIds(client)).sort(),
    idsOf([0, 1, 5].map((number) => made[number] ?? assert.fail())),
  );

  await createPolicy(client, 'Later');
  const mended = (await readFile(`${ledger}.refused.jsonl`, 'utf8'))
    .replace('"thing":"no such name"', '"thing":"c"')
    .replace('"active"', '"ACTIVE"');
  await writeFile(join(folder, 'mended.jsonl'), mended);
  const second = await runImport(node.apiUrl, [join(folder, 'mended.jsonl')]);
  assert.equal(second.code, 3, second.stdout);
  assert.match(second.stdout, /7 lines: 2 registered, 1 registered before, 4 refused\./);
  const arn = `arn:aws:iot:us-east-1:000000000000:cert/${made[1]?.certificateId}`;
  const { policies } = await client.send(new ListAttachedPoliciesCommand({ target: arn }));
  assert.deepEqual(
    policies?.map(({ policyName }) => policyName),
    ['Later'],
  );
});

test('again: nothing is registered twice, what was detached is attached, and a status that differs is told, not changed', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const client = iot();
  await createPolicy(client, 'P');
  const made = [createMaker()(1), createMaker()(1), createMaker()(2)];
  const ledger = join(folder, 'ledger.csv');
  await writeFile(ledger, `certificate\n${made.map(({ der }) => der.toString('base64')).join('\n')}\n`);
  const args = [ledger, '--status', 'ACTIVE', '--policy', 'P'];
  assert.equal((await runImport(node.apiUrl, args)).code, 0);
  const certificateId = made[0]?.certificateId ?? '';
  const target = `arn:aws:iot:us-east-1:000000000000:cert/${certificateId}`;
  await client.send(new DetachPolicyCommand({ policyName: 'P', target }));
  await client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  const again = await runImport(node.apiUrl, args);
  assert.equal(again.code, 3, again.stdout);
  assert.match(again.stdout, /3 lines: 0 registered, 2 registered before, 1 refused\./);
  assert.match(again.stdout, /registered before, with the status INACTIVE, and keeps it \(first in line 2\)/);
  assert.equal((await certificateIds(client)).length, 3);
  const names: (string | undefined)[] = [];
  for await (const { policies = [] } of paginateListAttachedPolicies({ client }, { target })) {
    names.push(...policies.map(({ policyName }) => policyName));
  }
  assert.deepEqual(names, ['P']);
  const { certificateDescription } = await client.send(new DescribeCertificateCommand({ certificateId }));
  assert.equal(certificateDescription?.status, 'INACTIVE');

  // once more without a wish for a status: all is as it should be, and the old report goes
  assert.equal((await runImport(node.apiUrl, [ledger, '--policy', 'P'])).code, 0);
  assert.deepEqual(await filesOf(folder), ['ledger.csv']);
});

test('where no server answers, one sentence is all that happens', async (t) => {
  const { node, folder } = await bootNode(t);
  const ledger = join(folder, 'ledger.csv');
  await writeFile(ledger, `certificate\n${createMaker()(1).der.toString('base64')}\n`);
  await node.close();
  const { code, stdout, stderr } = await runImport(node.apiUrl, [ledger]);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^fleetgate: No server answers at .*\n$/);
  assert.deepEqual(await filesOf(folder), ['ledger.csv']);
});
