/** The command as a user meets it: `fleetgate start` in a process of its own, its box, its refusals, its end. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../call.ts';
import { bash, fleetgateCommand } from '../harness.ts';
import { storeOption } from '../stores.ts';

interface Started {
  readonly child: ChildProcess;
  /** What stood on standard output when the box was complete. */
  readonly box: string;
  readonly apiUrl: string;
  readonly mqttPort: string;
}

const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess =>
  spawn(process.execPath, [fleetgateCommand, ...args], {
    env: { ...process.env, FLEETGATE_HTTPS_PORT: '0', FLEETGATE_METRICS_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

/** Free ones; a flag that comes later on the line wins. */
const freePorts = ['api', 'mqtt', 'https', 'metrics'].flatMap((name) => [`--${name}-port`, '0']);

/** Starts the server and waits for its box. */
const startServer = async (
  t: TestContext,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Started> => {
  const { store } = await storeOption(args[args.indexOf('--data') + 1] ?? '');
  const storeEnv = store === undefined ? {} : { FLEETGATE_STORE: store };
  const child = run(['start', ...freePorts, ...args], { ...storeEnv, ...env });
  t.after(() => child.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    let [box, errors] = ['', ''];
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      box += text;
      const apiUrl = /API +(http:\S+)/.exec(box)?.[1];
      const mqttPort = /MQTT over TLS +\S+:(\d+)/.exec(box)?.[1];
      if (box.includes('└') && apiUrl && mqttPort) resolve({ child, box, apiUrl, mqttPort });
    });
    child.on('exit', (code) => reject(new Error(`ended with ${code}: ${errors}`)));
  });
};

/** Runs a command line to its end. */
const runToEnd = async (args: readonly string[], env?: Readonly<Record<string, string>>) => {
  const child = run(args, env);
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = await once(child, 'close');
  return { code: code as number | null, stdout, stderr };
};

test('what the box prints carries a message when it is pasted as it stands', async (t) => {
  const folder = await makeFolder(t);
  const { box } = await startServer(t, ['--data', join(folder, 'data')]);
  const lines = box.split('\n').map((line) => line.trim());
  const evalLine = lines.find((line) => line.startsWith('eval '));
  const from = lines.indexOf('A first message:') + 1;
  const until = lines.findIndex((line, index) => index > from && line === '');
  const commands = lines.slice(from, until).join('\n');
  for (const needed of [
    'register-certificate-without-ca',
    'update-certificate',
    'attach-policy',
    'mosquitto_sub',
    'mosquitto_pub',
  ]) {
    assert.ok(commands.includes(needed), `the box shows ${needed}`);
  }
  const { code, stdout, stderr } = await bash(`set -e\n${evalLine}\n${commands}\nwait`, {
    cwd: folder,
    env: { FLEETGATE_API_URL: /API +(http:\S+)/.exec(box)?.[1] ?? '' },
  });
  assert.equal(code, 0, `${commands}\n${stdout}\n${stderr}`);
  assert.match(stdout, /^hello$/m);
});

test('SIGTERM ends the server cleanly, and what it held is there at the next start', async (t) => {
  const folder = await makeFolder(t);
  const args = ['--data', join(folder, 'data')];
  const first = await startServer(t, args);
  const things = (apiUrl: string, script: string) =>
    bash(`eval "$(${fleetgateCommand} env --api-url ${apiUrl})"\n${script}`, { cwd: folder });
  const created = await things(first.apiUrl, 'aws iot create-thing --thing-name lamp');
  assert.equal(created.code, 0, created.stderr);
  first.child.kill('SIGTERM');
  const [code] = await once(first.child, 'exit');
  assert.equal(code, 0);

  const second = await startServer(t, args);
  const listed = await things(second.apiUrl, "aws iot list-things --query 'things[].thingName' --output text");
  assert.equal(listed.stdout.trim(), 'lamp');
  assert.equal((await stat(join(folder, 'data'))).mode & 0o777, 0o700);
});

test('every setting can come from the environment, and the flag wins', async (t) => {
  const folder = await makeFolder(t);
  const { box } = await startServer(t, ['--data', join(folder, 'data'), '--region', 'eu-west-1'], {
    FLEETGATE_ACCOUNT: '123456789012',
    FLEETGATE_REGION: 'us-west-2',
  });
  assert.match(box, /Account +123456789012/);
  assert.match(box, /Region +eu-west-1/);
});

test('a port in use is named with the flag that chooses another', async (t) => {
  const folder = await makeFolder(t);
  const occupant = createServer().listen(0, '127.0.0.1');
  await once(occupant, 'listening');
  t.after(() => occupant.close());
  const address = occupant.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  for (const flag of ['--api-port', '--mqtt-port', '--https-port']) {
    const ended = await runToEnd(['start', ...freePorts, '--data', join(folder, flag), flag, String(port)]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, new RegExp(`port ${port} of 127\\.0\\.0\\.1 is in use.*${flag}`));
  }
});

test('a store in the data folder that another server uses is refused in one sentence', async (t) => {
  const folder = await makeFolder(t);
  const args = ['--data', join(folder, 'data'), '--store', ''];
  await startServer(t, args);
  const ended = await runToEnd(['start', ...freePorts, ...args]);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /^fleetgate: .* is in use by another Fleetgate: .*--data/m);
});

test('a data folder that is a file is refused in one sentence', async (t) => {
  const folder = await makeFolder(t);
  await writeFile(join(folder, 'data'), '');
  const ended = await runToEnd(['start', ...freePorts, '--data', join(folder, 'data')]);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /^fleetgate: .*--data/m);
});

test('an unknown flag or command, and a value that makes no sense, are refused with exit code 2', async () => {
  const rows: readonly (readonly [readonly string[], RegExp])[] = [
    [['start', '--mqtt-prot', '1'], /Unknown flag "--mqtt-prot"\. Did you mean --mqtt-port\?/],
    [['explian'], /Did you mean explain\?/],
    [['start', '--api-port', '70000'], /--api-port must be a port number/],
    [['start', '--account', '12'], /--account must be 12 digits/],
  ];
  for (const [args, sentence] of rows) {
    const ended = await runToEnd(args);
    assert.equal(ended.code, 2, args.join(' '));
    assert.match(ended.stderr, sentence);
    assert.equal(ended.stdout, '');
  }
});

test('--help names every flag with its variable', async () => {
  const { code, stdout } = await runToEnd(['--help']);
  assert.equal(code, 0);
  for (const flag of ['host', 'api-port', 'mqtt-port', 'https-port', 'data', 'domain', 'names', 'account', 'region']) {
    assert.ok(stdout.includes(`--${flag}`), flag);
    assert.ok(stdout.includes(`FLEETGATE_${flag.toUpperCase().replaceAll('-', '_')}`), flag);
  }
});

test('a server for other machines makes a root key, shows it once, and takes development keys from nobody else', async (t) => {
  const folder = await makeFolder(t);
  await mkdir(join(folder, 'data'));
  await chmod(join(folder, 'data'), 0o700);
  const args = ['--data', join(folder, 'data'), '--host', '0.0.0.0'];
  const first = await startServer(t, args);
  const accessKeyId = /Root key +(\S+)/.exec(first.box)?.[1] ?? '';
  const secretAccessKey = /Root secret +(\S+)/.exec(first.box)?.[1] ?? '';
  assert.match(accessKeyId, /^AKIA[A-Z0-9]{16}$/);
  const who = await bash(`aws --endpoint-url ${first.apiUrl} sts get-caller-identity --query Arn --output text`, {
    cwd: folder,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_DEFAULT_REGION: 'us-east-1' },
  });
  assert.equal(who.stdout.trim(), 'arn:aws:iam::000000000000:root', who.stderr);
  first.child.kill('SIGTERM');
  await once(first.child, 'exit');
  const second = await startServer(t, args);
  assert.doesNotMatch(second.box, /Root secret/);
});

test('the command starts from an older Node by handing over to the pinned one', async () => {
  const { code, stdout } = await bash(`node ${fleetgateCommand} --version`, {
    env: {
      PATH: (process.env['PATH'] ?? '')
        .split(':')
        .filter((folder) => !folder.endsWith('node_modules/.bin'))
        .join(':'),
    },
  });
  assert.equal(code, 0);
  assert.match(stdout, /^fleetgate \d+\.\d+\.\d+$/m);
});
