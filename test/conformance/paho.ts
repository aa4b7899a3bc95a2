/**
 * `npm run conformance -- FOLDER [TEST...]`: the public client suite of Eclipse Paho, unmodified, against a node with `--limits open`. FOLDER is a checkout of
 * github.com/eclipse/paho.mqtt.testing, which is not part of this repository; the suite wants Python 3 and port 1883 of this machine. See docs/limits.md.
 *
 * The suite speaks plain MQTT without credentials, so its connections go through a tunnel with one device certificate, whose policy allows all but to
 * subscribe to `test/nosubscribe`, as the suite asks of a server. What it takes for granted of its own reference broker, and MQTT leaves to a server, is set
 * in `expected`.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  IoTClient,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import { type Limits, start } from '../../src/index.ts';
import { openDialect, openLimits } from '../../src/limits.ts';
import { makeIdentity } from '../harness.ts';
import { openTunnel } from '../tunnel.ts';

/** The suite has no option for its port that both of its programs take. */
const port = 1883;

const expected: Limits = {
  ...openLimits,
  keepAliveSecondsMax: 60, // test_server_keep_alive asks for 120 and wants to be told 60
  dialect: { ...openDialect, namesDenials: false }, // test_subscribe_failure wants 0x80 of the two codes that MQTT 5 has for it
};

const policy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: 'iot:*', Resource: '*' },
    { Effect: 'Deny', Action: 'iot:Subscribe', Resource: 'arn:aws:iot:*:*:topicfilter/test/nosubscribe' },
  ],
});

/** The programs of the suite; `also`: tests that its own runner passes over, because their names do not begin with `test`. */
const programs = [
  { name: 'MQTT 3.1.1', file: 'client_test.py', also: ['will_message_test'] },
  { name: 'MQTT 5', file: 'client_test5.py', also: [] },
];

/** The tests that a program would run, in its order. */
const testsOf = async (folder: string, file: string): Promise<string[]> => {
  const text = await readFile(join(folder, file), 'utf8');
  return [...text.matchAll(/^ {4}def (test\w+)\(/gm)].flatMap(([, name]) => (name === undefined ? [] : [name]));
};

/** Runs one test in a process of its own; its output when it failed. */
const failureOf = (folder: string, file: string, name: string): Promise<string | undefined> =>
  new Promise((done, failed) => {
    const child = spawn('python3', [file, `Test.${name}`], {
      cwd: folder,
      env: { ...process.env, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.on('error', failed);
    child.on('close', (code) => done(code === 0 && /^Ran 1 test /m.test(output) ? undefined : output));
  });

const run = async (suite: string, chosen: readonly string[]): Promise<number> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-conformance-'));
  const node = await start({ limits: expected, dataFolder: join(folder, 'data') });
  try {
    const iot = new IoTClient({
      endpoint: node.apiUrl,
      region: node.account.region,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    const { certificatePem, keyFile } = await makeIdentity(folder, 'suite');
    await iot.send(new CreatePolicyCommand({ policyName: 'suite', policyDocument: policy }));
    const { certificateArn } = await iot.send(
      new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }),
    );
    await iot.send(new AttachPolicyCommand({ policyName: 'suite', target: certificateArn }));
    iot.destroy();
    const privateKeyPem = await readFile(keyFile, 'utf8');
    const tunnel = await openTunnel({
      port,
      mqttPort: node.mqttPort,
      rootPem: node.rootPem,
      certificatePem,
      privateKeyPem,
    });
    let passed = 0;
    let ran = 0;
    for (const { name: version, file, also } of programs) {
      const tests = [...(await testsOf(suite, file)), ...also];
      for (const test of tests.filter((each) => chosen.length === 0 || chosen.includes(each))) {
        ran++;
        const failure = await failureOf(suite, file, test);
        if (failure === undefined) passed++;
        console.log(`${failure === undefined ? 'ok    ' : 'FAILED'} ${version} ${test}`);
        if (failure !== undefined) console.log(failure.replaceAll(/^/gm, '       '));
      }
    }
    tunnel.close();
    console.log(`${passed} of ${ran} passed`);
    return ran > 0 && passed === ran ? 0 : 1;
  } finally {
    await node.close(100);
    await rm(folder, { recursive: true, force: true });
  }
};

const [folder, ...chosen] = process.argv.slice(2);
const suite = folder === undefined ? undefined : join(resolve(folder), 'interoperability');
if (suite === undefined || !existsSync(join(suite, 'client_test5.py'))) {
  console.error('Usage: npm run conformance -- FOLDER [TEST...]   FOLDER: a checkout of eclipse/paho.mqtt.testing');
  process.exit(2);
}
process.exitCode = await run(suite, chosen);
