/**
 * Stories of refusals: a device is refused, `fleetgate explain` says why, its commands are carried out exactly as printed, and the device tries again.
 * Nothing here knows any cure.
 */
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  type IoTClient,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../src/aws/arn.ts';
import { explain as explainCommand } from '../src/cli/explain.ts';
import type { StartOptions } from '../src/index.ts';
import type { ExplainedRecord } from '../src/journal/endpoint.ts';
import { type Booted, bootNode, type Identity, makeIdentity, type ShellOptions } from './harness.ts';
import { keepingIo } from './io.ts';
import { readJournal } from './journal.ts';
import type { Ended, MosquittoOptions } from './mosquitto.ts';

/** An Allow of a policy: action and what follows the account in the ARN, e.g. `['iot:Connect', 'client/*']`. */
export type Allow = readonly [action: string, resource: string];
export const everything: readonly Allow[] = [['iot:*', '*']];

export interface Fleet extends Booted {
  readonly client: IoTClient;
  /** Makes a policy of the default account. */
  policy(policyName: string, allows: readonly Allow[]): Promise<void>;
  /** Makes a certificate and registers it without CA; ACTIVE and without policies unless told otherwise. */
  device(
    name: string,
    options?: { status?: 'ACTIVE' | 'INACTIVE'; policyName?: string; days?: number },
  ): Promise<Identity>;
  certificateArn(identity: Identity): string;
  /** What mosquitto is given to connect as a device: client id `sensor-1`. */
  as(identity: Pick<Identity, 'certFile' | 'keyFile'>, more?: Partial<MosquittoOptions>): MosquittoOptions;
}

/** A node with the policy `everything`, and ways to make devices. */
export const bootFleet = async (t: TestContext, options?: StartOptions): Promise<Fleet> => {
  const booted = await bootNode(t, options);
  const { node, folder } = booted;
  const client = booted.iot();
  const certificateArn = ({ certificateId }: Identity): string => iotArn(node.account, 'cert', certificateId);
  const policy = async (policyName: string, allows: readonly Allow[]): Promise<void> => {
    const { accountId, region } = node.account;
    const statements = allows.map(([Action, resource]) => ({
      Effect: 'Allow',
      Action,
      Resource: resource === '*' ? '*' : `arn:aws:iot:${region}:${accountId}:${resource}`,
    }));
    const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    await client.send(new CreatePolicyCommand({ policyName, policyDocument }));
  };
  await policy('everything', everything);
  return {
    ...booted,
    client,
    policy,
    certificateArn,
    async device(name, { status = 'ACTIVE', policyName, days = 365 } = {}) {
      const identity = await makeIdentity(folder, name, { days });
      const { certificatePem } = identity;
      await client.send(new RegisterCertificateWithoutCACommand({ certificatePem, status }));
      if (policyName !== undefined) {
        await client.send(new AttachPolicyCommand({ policyName, target: certificateArn(identity) }));
      }
      return identity;
    },
    as: ({ certFile, keyFile }, more) => ({
      ...{ host: node.mqttHost, port: node.mqttPort, caFile: node.rootFile, certFile, keyFile, clientId: 'sensor-1' },
      ...more,
    }),
  };
};

/** What `fleetgate explain` says of one refusal. */
export interface Told {
  readonly sentence: string;
  readonly cure: string;
  readonly commands: readonly string[];
  /** All that was printed. */
  readonly printed: string;
}

/** The printed form: time, sentence, cure, and if the cure ends in a colon an indented block of commands. */
const readPrinted = (printed: string): Told => {
  const [head = '', block = ''] = printed.split('\n\n');
  const [, sentence = '', cure = ''] = head.split('\n');
  const lines = cure.endsWith(':') ? block.split('\n') : [];
  for (const line of lines) assert.match(line, /^ {2}\S/);
  return { sentence, cure, commands: lines.map((line) => line.slice(2)), printed };
};

/** The newest failure, or what it came of. */
const firstCauseIn = (records: readonly ExplainedRecord[]): ExplainedRecord | undefined => {
  let found = records.find(({ record }) => record.status === 'Failure');
  while (found?.cause !== undefined) {
    const { cause } = found;
    found = records.find(({ record }) => record.id === cause);
  }
  return found;
};

/** Asks `fleetgate explain`; what it prints for a person is what the journal answers a program. */
export const explain = async ({ shell, node }: Booted, subject = 'last', options?: ShellOptions): Promise<Told> => {
  const [printed, { records }] = await Promise.all([
    shell(`fleetgate explain -- ${subject}`, options),
    readJournal(node, node.account, { last: 'true' }),
  ]);
  assert.deepEqual([printed.code, printed.stderr], [0, '']);
  const told = readPrinted(printed.stdout);
  const { sentence, cure, commands } = firstCauseIn(records) ?? { sentence: '', cure: '', commands: [] };
  assert.deepEqual(told, { sentence, cure, commands, printed: printed.stdout });
  return told;
};

/** A client may be gone before the server has noticed what was wrong; within this time it has, or never will. */
const noticedMsMax = 10_000;

/** The newest refusal, once it has this cause. */
export const explainedAs = async (fleet: Fleet, cause: RegExp): Promise<Told> => {
  const endMs = performance.now() + noticedMsMax;
  const isThere = async (): Promise<boolean> => {
    const { records } = await readJournal(fleet.node, fleet.node.account, { last: 'true' });
    return cause.test(firstCauseIn(records)?.sentence ?? '');
  };
  while (!(await isThere()) && performance.now() < endMs);
  const told = await explain(fleet);
  assert.match(told.sentence, cause);
  assert.match(told.sentence, /^[A-Z].*\.$/, 'one sentence');
  return told;
};

/**
 * The same of one client or certificate, among others that are refused meanwhile. The command runs in this process: one of its own for each of many mistakes would
 * say no more.
 */
export const explainedAbout = async ({ node }: Pick<Booted, 'node'>, subject: string, cause: RegExp): Promise<Told> => {
  const endMs = performance.now() + noticedMsMax;
  for (;;) {
    const { io, written } = keepingIo({ err: (text) => assert.fail(text) });
    await explainCommand.run(['--api-url', node.apiUrl, '--', subject], io);
    const { out: printed } = written;
    const told = readPrinted(printed);
    if (!cause.test(told.sentence) && performance.now() < endMs) continue;
    assert.match(told.sentence, cause, printed);
    assert.match(told.sentence, /^[A-Z].*\.$/, 'one sentence');
    return told;
  }
};

/** What carrying out a cure left behind. */
export interface Cured {
  /** Empty before. */
  readonly folder: string;
  /** What the commands printed last. */
  readonly answer: string;
  /** All that they printed. */
  readonly output: string;
}

/** Carries the commands out in an empty folder, in a shell that has evaluated `fleetgate env`; the first that fails is the end. */
export const carryOut = async (
  { shell, folder: parent }: Booted,
  { commands }: Pick<Told, 'commands'>,
): Promise<Cured> => {
  assert.notEqual(commands.length, 0, 'there is a cure to carry out');
  const folder = await mkdtemp(join(parent, 'cure-'));
  const { code, stdout, stderr } = await shell(`set -e\n${commands.join('\n')}`, { cwd: folder });
  assert.equal(code, 0, `${commands.join('\n')}\n${stderr}`);
  return { folder, answer: stdout.trim().split('\n').at(-1) ?? '', output: stdout };
};

/** What MQTT 3.1.1 shows of a refusal at CONNECT: the connection is closed without CONNACK (spec gateway.md 1.5, 5.1). */
export const noConnack = /^(?!.*received CONNACK).*(?:The connection was lost|Unable to connect)/s;
/** What it shows of a PUBLISH that is not allowed: no PUBACK, and the connection is closed (spec gateway.md 5.5). */
export const noPuback =
  /^(?!.*received PUBACK)(?=.*The connection was lost).*received CONNACK \(0\)\n.*sending PUBLISH /s;
export const published = /received PUBACK \(Mid: 1, RC:0\)/;

export interface Walk {
  /** Tries, with what the cure before has left behind. */
  readonly attempt: (cured: Cured | undefined) => Promise<Ended>;
  /** What the device sees and what the sentence says, for each cause that hides behind the one before it. */
  readonly refusals: readonly (readonly [seen: RegExp, cause: RegExp])[];
  /** What the device sees at last. */
  readonly success: RegExp;
  /** The TLS version that the refusals must name, e.g. `1.2`. */
  readonly tls?: '1.2' | '1.3';
}

/** Tries, is refused, asks why, carries out the cure; until no cause is left, and then the attempt must succeed. */
export const walk = async (fleet: Fleet, { attempt, refusals, success, tls }: Walk): Promise<void> => {
  let cured: Cured | undefined;
  for (const [seen, cause] of refusals) {
    const { printed } = await attempt(cured);
    assert.match(printed, seen);
    assert.doesNotMatch(printed, success);
    const told = await explainedAs(fleet, cause);
    if (tls) assert.match(told.printed, new RegExp(`^ {2}TLS +TLSv${tls}`, 'm'));
    cured = await carryOut(fleet, told);
  }
  const { code, printed } = await attempt(cured);
  assert.match(printed, success);
  assert.equal(code, 0, printed);
};
