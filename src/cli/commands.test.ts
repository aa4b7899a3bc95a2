import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { keepingIo } from '../../test/io.ts';
import { configFlags, environmentName } from '../config.ts';
import { runCommand } from './commands.ts';
import type { Io } from './io.ts';

const run = async (argv: readonly string[], members: Partial<Io> = {}) => {
  const { io, written } = keepingIo({
    program: ['/usr/bin/node', '/opt/fleet gate/main.ts'],
    version: '0.1.0',
    ...members,
  });
  const started: (readonly string[])[] = [];
  const start = async (rest: readonly string[]) => {
    started.push(rest);
    return 0;
  };
  const code = await runCommand(argv, io, { start, backup: start, restore: start });
  return { ...written, code, started };
};

/** A server that answers everything with one answer and keeps what it was asked. */
const answering = async (t: TestContext, body: unknown, status = 200) => {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  // A TCP server's address is an AddressInfo.
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked };
};

test('--help is one page with every command, every flag, its variable and its default', async () => {
  for (const argv of [['--help'], ['-h'], ['help'], ['start', '--help'], ['explain', '--help']]) {
    const { out, code, started } = await run(argv);
    assert.equal(code, 0);
    assert.deepEqual(started, []);
    for (const name of ['start', 'env', 'hosts', 'explain', 'health'])
      assert.match(out, new RegExp(`^  ${name} `, 'm'));
    for (const { name } of configFlags) {
      assert.match(out, new RegExp(`^  --${name} .*${environmentName(name)}  +\\S`, 'm'));
    }
    for (const part of ['[4566]', '[./fleetgate-data]', 'FLEETGATE_ROOT_SECRET_ACCESS_KEY']) {
      assert.ok(out.includes(part), part);
    }
    assert.match(out, /--https-port PORT,\.\.\./);
    assert.ok(out.split('\n').length <= 72);
    assert.ok(out.split('\n').every((line) => line.length <= 110));
  }
});

test('--version names the version', async () => {
  assert.equal((await run(['--version'])).out, 'fleetgate 0.1.0\n');
});

test('start is handed its flags', async () => {
  assert.deepEqual((await run(['start', '--mqtt-port', '0'])).started, [['--mqtt-port', '0']]);
});

const mistakes: readonly [argv: string[], code: number, sentence: RegExp][] = [
  [['explian'], 2, /^fleetgate: there is no command "explian"\. Did you mean explain\?/],
  [['constructor'], 2, /there is no command "constructor"/],
  [['explain', '--jsno'], 2, /^fleetgate: Unknown flag "--jsno"\. Did you mean --json\?/],
  [['explain', 'a', 'b'], 2, /one thing to explain/],
  [['explain', '--limit', '0'], 2, /--limit must be/],
  [['explain', '--account', '1'], 2, /12 digits/],
  [['env', '--region', 'x;y'], 2, /region must be/],
  [['health', '--api-url', 'ftp://x'], 2, /must be a URL/],
  [
    ['health', '--api-url', 'http://127.0.0.1:1'],
    1,
    /^fleetgate: No server answers at http:\/\/127\.0\.0\.1:1\. Start one/,
  ],
];
for (const [argv, expected, sentence] of mistakes) {
  test(`fleetgate ${argv.join(' ')} ends with ${expected} and one sentence`, async () => {
    const { err, out, code } = await run(argv);
    assert.match(err, sentence);
    assert.deepEqual([out, code], ['', expected]);
  });
}

test('no command at all shows the help and fails', async () => {
  const { err, code } = await run([]);
  assert.match(err, /^fleetgate: AWS IoT Core/);
  assert.equal(code, 2);
});

/** Evaluates `fleetgate env` in a shell where `aws` is a program that tells its arguments, then runs `line`. */
const inShell = (text: string, line: string, shell = 'sh'): string => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetgate-'));
  try {
    const program = join(folder, 'aws');
    writeFileSync(program, '#!/bin/sh\nprintf "[%s]" "pager=$AWS_PAGER" "$@"\n');
    chmodSync(program, 0o755);
    const env = { PATH: `${folder}:${process.env['PATH']}`, AWS_SESSION_TOKEN: 'stale' };
    return execFileSync(shell, ['-c', `eval "$FACTS"\n${line}`], {
      env: { ...env, FACTS: text },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
};

test('env sets what AWS tools read, for the default account', async () => {
  const { out } = await run(['env']);
  assert.equal(
    inShell(
      out,
      'echo $AWS_ENDPOINT_URL $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_DEFAULT_REGION $AWS_REGION ${AWS_SESSION_TOKEN-unset}',
    ),
    'http://127.0.0.1:4566 test test us-east-1 us-east-1 unset\n',
  );
});

test('env reads --api-url, FLEETGATE_API_URL, AWS_ENDPOINT_URL in this order, and the account', async () => {
  const env = { FLEETGATE_API_URL: 'http://b:2', AWS_ENDPOINT_URL: 'http://c:3' };
  const urlOf = (text: string) => /AWS_ENDPOINT_URL=(\S+)/.exec(text)?.[1];
  assert.equal(urlOf((await run(['env', '--api-url', 'http://a:1/'], { env })).out), 'http://a:1');
  assert.equal(urlOf((await run(['env'], { env })).out), 'http://b:2');
  assert.equal(urlOf((await run(['env'], { env: { AWS_ENDPOINT_URL: 'http://c:3' } })).out), 'http://c:3');
  assert.match(
    (await run(['env', '--account', '123456789012', '--region', 'eu-west-1'])).out,
    /KEY_ID=123456789012 .*\n.*=eu-west-1/,
  );
  assert.match((await run(['env'], { env: { FLEETGATE_ACCOUNT: '1;touch x' } })).err, /must be 12 digits/);
});

for (const shell of ['sh', 'bash']) {
  test(`after env the function aws of ${shell} passes the endpoint, and one of the user's own comes later (design.md 3)`, async () => {
    const { out } = await run(['env']);
    assert.equal(
      inShell(out, "aws iot list-things 'a b'", shell),
      '[pager=][--endpoint-url][http://127.0.0.1:4566][iot][list-things][a b]',
    );
    assert.equal(
      inShell(out, 'AWS_PAGER=less aws --endpoint-url http://x:1 sts get-caller-identity', shell),
      '[pager=less][--endpoint-url][http://127.0.0.1:4566][--endpoint-url][http://x:1][sts][get-caller-identity]',
    );
  });
}

test('after env the function fleetgate calls this program, blanks in its path or not', async () => {
  const { out } = await run(['env'], { program: ['/bin/echo', "it's here"] });
  assert.equal(inShell(out, 'fleetgate explain "a b"'), "it's here explain a b\n");
});

const certificateId = 'ab12cd34'.repeat(8);
const leafPem = '-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n';
const explained = {
  sentence: 'Client "dev1" was refused.',
  cure: 'Allow it:',
  commands: ['aws iot attach-policy --policy-name x'],
  record: {
    id: 'id-1',
    atMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    lastAtMs: Date.UTC(2026, 0, 2, 3, 5, 5),
    repeats: 2,
    account: { accountId: '000000000000', region: 'us-east-1' },
    eventType: 'Connect',
    status: 'Failure',
    reason: 'AUTHORIZATION_FAILURE',
    sourceIp: '::1',
    sourcePort: 5000,
    tls: {
      serverName: 'localhost',
      version: 'TLSv1.3',
      leafPem,
      chain: [{ subject: 'CN=dev', notBeforeMs: 0, notAfterMs: 1e15 }],
    },
    certificateId,
    clientId: 'dev1',
    action: 'iot:Connect',
    resource: 'arn:aws:iot:us-east-1:000000000000:client/dev1',
    decision: 'EXPLICIT_DENY',
    decidedBy: 1,
    statements: [
      {
        policyName: 'P',
        policyVersionId: '1',
        index: 0,
        effect: 'Allow',
        outcome: 'condition',
        condition: 'IpAddress aws:SourceIp',
      },
      { policyName: 'P', policyVersionId: '1', index: 1, sid: 'No', effect: 'Deny', outcome: 'matched' },
    ],
    facts: { thingName: 'thing-1', decidingDocument: '{}' },
  },
};

test('explain shows time, cause, cure, commands, facts and the statements weighed', async (t) => {
  const admitted = { ...explained, sentence: 'Let in.', record: { ...explained.record, status: 'Success' } };
  const { url, asked } = await answering(t, { records: [admitted, explained, { ...explained, sentence: 'Former.' }] });
  const { out, code } = await run(['explain', 'dev1', '--api-url', url]);
  assert.equal(code, 0);
  assert.equal(asked[0]?.url, '/_fleetgate/journal?subject=dev1&limit=10');
  assert.equal(
    out,
    `2026-01-02 03:04:05.000 UTC, and 2 more times until 2026-01-02 03:05:05.000 UTC
Client "dev1" was refused.
Allow it:

  aws iot attach-policy --policy-name x

  Event           Connect Failure AUTHORIZATION_FAILURE
  Account         000000000000 us-east-1
  Client          [::1]:5000
  Host (SNI)      localhost
  TLS             TLSv1.3
  Certificate     ${certificateId}
  Subject         CN=dev
  Valid           1970-01-01 00:00:00.000 UTC to +033658-09-27 01:46:40.000 UTC
  Client id       dev1
  Action          iot:Connect
  Resource        arn:aws:iot:us-east-1:000000000000:client/dev1
  Decision        EXPLICIT_DENY
  Attached thing  thing-1
  Record          id-1
  Statements weighed
    - Allow P v1 Statement[0]  its condition is not met (IpAddress aws:SourceIp)
    x Deny  P v1 No  applies  <- decided

Since then:
2026-01-02 03:05:05.000 UTC  Let in.

Before:
2026-01-02 03:05:05.000 UTC  Former.
`,
  );
});

test('commands that cure what happened in another account or region begin by going there', async (t) => {
  const { url } = await answering(t, { records: [explained] });
  const commandsOf = async (argv: readonly string[], environment: Readonly<Record<string, string>> = {}) => {
    const { out } = await run(['explain', 'dev1', '--api-url', url, ...argv], { env: environment });
    return out
      .split('\n')
      .filter((line) => /^ {2}(export|unset|aws)/.test(line))
      .map((line) => line.trim());
  };
  const [cure = ''] = explained.commands;
  const there = 'export AWS_DEFAULT_REGION=eu-west-1 AWS_REGION=eu-west-1';
  assert.deepEqual(await commandsOf(['--region', 'eu-west-1']), [there, cure]);
  assert.deepEqual(await commandsOf(['--region', 'eu-west-1'], { AWS_REGION: 'eu-west-1' }), [cure]);
  assert.deepEqual(await commandsOf(['--region', 'us-east-1', '--account', '000000000000']), [cure]);
  const temporary = { AWS_ACCESS_KEY_ID: 'ASIAX', AWS_SECRET_ACCESS_KEY: 'x', AWS_SESSION_TOKEN: 'x' };
  assert.deepEqual(await commandsOf(['--account', '111111111111'], temporary), [
    'export AWS_ACCESS_KEY_ID=111111111111 AWS_SECRET_ACCESS_KEY=test',
    'unset AWS_SESSION_TOKEN',
    cure,
  ]);
});

/** A record as the journal answers it, at so many seconds. */
const told = (id: string, seconds: number, members: object, more: object = {}) => ({
  ...{ sentence: `This is ${id}.`, cure: 'Nothing is to be done.', commands: [], ...more },
  record: { id, lastAtMs: seconds * 1000, atMs: seconds * 1000, status: 'Failure', ...members },
});
const linesOf = async (t: TestContext, records: readonly object[]): Promise<readonly string[]> => {
  const { url } = await answering(t, { records });
  const { out } = await run(['explain', 'dev1', '--api-url', url]);
  return out.split('\n').filter((line) => line !== '');
};

test('the steps of a provisioning stand by time, what failed and what was taken back marked, the date where it is another', async (t) => {
  const trail = [
    { mark: 'done', atMs: Date.UTC(2026, 0, 1, 23, 59, 59), text: 'connected' },
    { mark: 'undone', atMs: Date.UTC(2026, 0, 2, 3, 4, 4, 50), text: 'thing "a\u001b[2J" created (taken back)' },
    { mark: 'failed', atMs: Date.UTC(2026, 0, 2, 3, 4, 5), text: 'policy "x": there is none' },
    { mark: 'none', text: 'nothing remains' },
  ];
  const lines = await linesOf(t, [told('a', 0, {}, { trail, cure: 'Do:', commands: ['true'] })]);
  assert.deepEqual(lines.slice(3, 9), [
    '  true',
    '  How far it came',
    '    + 2026-01-01 23:59:59.000  connected',
    '    ~ 03:04:04.050             thing "a\\u{1b}[2J" created (taken back)',
    '    x 03:04:05.000             policy "x": there is none',
    '                               nothing remains',
  ]);
});

test('what the newest failure came of is shown in full, and the failure below it', async (t) => {
  const records = [
    told('symptom', 3, {}, { cause: 'cause' }),
    told('other', 2, {}),
    told('cause', 1, {}, { cause: 'gone' }),
  ];
  const lines = await linesOf(t, records);
  assert.deepEqual(lines.slice(0, 2), ['1970-01-01 00:00:01.000 UTC', 'This is cause.']);
  assert.deepEqual(lines.slice(-4), [
    'What came of it:',
    '1970-01-01 00:00:03.000 UTC  This is symptom.',
    'Since then:',
    '1970-01-01 00:00:02.000 UTC  This is other.',
  ]);
  // an answer whose causes go in a circle ends all the same
  const circle = [told('a', 2, {}, { cause: 'b' }), told('b', 1, {}, { cause: 'a' })];
  assert.equal((await linesOf(t, circle))[1], 'This is b.');
});

test('a device that was provisioned since it was refused: how that went is shown', async (t) => {
  const success = told('success', 3, { status: 'Success', eventType: 'ProvisionDevice' });
  const lines = await linesOf(t, [told('now', 4, { status: 'Success' }), success, told('failure', 1, {})]);
  assert.equal(lines[1], 'This is success.');
});

test('explain without a subject, and explain last, ask for the newest failure', async (t) => {
  const { url, asked } = await answering(t, { records: [] });
  for (const argv of [['explain'], ['explain', 'last']]) {
    const { out, code } = await run([...argv, '--api-url', url]);
    assert.match(out, /^Nothing was refused /);
    assert.equal(code, 0);
  }
  assert.deepEqual(
    asked.map((request) => request.url),
    ['/_fleetgate/journal?last=true', '/_fleetgate/journal?last=true'],
  );
  for (const json of [[], ['--json']]) {
    assert.equal((await run(['explain', 'x', ...json, '--api-url', url])).code, 1);
    assert.equal((await run(['explain', 'last', ...json, '--api-url', url])).code, 0);
  }
});

test('whatever is explained arrives at the server as it was typed', async (t) => {
  const { url, asked } = await answering(t, { records: [explained] });
  for (const subject of ['a b+c', '$(touch x)&last=true', '\u001b]0;x\u0007', 'ünï/🔑', '--json']) {
    await run(['explain', '--api-url', url, '--', subject]);
    const { search } = new URL(asked.at(-1)?.url ?? '', url);
    assert.equal(decodeURIComponent(/^\?subject=([^&+]*)&limit=10$/.exec(search)?.[1] ?? ''), subject);
  }
});

test('questions are signed with the key of the environment, or the development key of --account', async (t) => {
  const { url, asked } = await answering(t, { records: [] });
  const env = {
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: 'FGROOT1',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_REGION: 'eu-west-1',
  };
  await run(['explain'], { env });
  await run(['explain', '--account', '123456789012', '--region', 'us-west-2'], { env });
  await run(['explain', '--api-url', url]);
  const scopes = asked.map(({ headers }) => /Credential=([^/]+)\/\d{8}\/([^,]+),/.exec(headers.authorization ?? ''));
  assert.deepEqual(
    scopes.map((match) => match?.slice(1)),
    [
      ['FGROOT1', 'eu-west-1/iot/aws4_request'],
      ['123456789012', 'us-west-2/iot/aws4_request'],
      ['test', 'us-east-1/iot/aws4_request'],
    ],
  );
});

test('--json prints the answer, --certificate the certificate alone', async (t) => {
  const { url } = await answering(t, { records: [explained] });
  assert.deepEqual(JSON.parse((await run(['explain', 'x', '--json', '--api-url', url])).out), { records: [explained] });
  assert.equal((await run(['explain', 'x', '--certificate', '--api-url', url])).out, leafPem);
});

test('--certificate of records without one is a sentence', async (t) => {
  const { url } = await answering(t, { records: [{ ...explained, record: { tls: { leafPem: '\u001b[2J' } } }] });
  const { out, err, code } = await run(['explain', 'x', '--certificate', '--api-url', url]);
  assert.deepEqual([out, code], ['', 1]);
  assert.match(err, /None of these records holds a certificate/);
});

test('a hostile answer does no harm to a terminal, and a command that had to be changed is not printed', async (t) => {
  const evil = '\u001b[2J\u202e\u0007';
  const record = {
    ...explained.record,
    clientId: evil,
    facts: { [evil]: evil },
    statements: [{ policyName: evil, outcome: evil, effect: 'Deny' }],
  };
  const { url } = await answering(t, {
    records: [{ sentence: evil, cure: evil, commands: ['ls', `rm ${evil}`], record }],
  });
  for (const argv of [
    ['explain', 'x'],
    ['explain', 'x', '--json'],
  ]) {
    const { out } = await run([...argv, '--api-url', url]);
    assert.equal(out.replaceAll('\n', '').search(/[\u0000-\u001f\u007f-\u009f\u202e]/), -1);
  }
  assert.doesNotMatch((await run(['explain', 'x', '--api-url', url])).out, /^ {2}ls$/m);
});

test('colours only on a terminal, and not where NO_COLOR is set', async (t) => {
  const { url } = await answering(t, { records: [explained] });
  const coloured = async (members: Partial<Io>) =>
    (await run(['explain', 'x', '--api-url', url], members)).out.includes('\u001b[');
  assert.deepEqual(
    [
      await coloured({ terminal: true }),
      await coloured({}),
      await coloured({ terminal: true, env: { NO_COLOR: '1' } }),
    ],
    [true, false, false],
  );
});

test('what is no answer of a journal is told so', async (t) => {
  for (const body of ['<html>', '[]', '{"records":1}']) {
    const { url } = await answering(t, body);
    const { err, code } = await run(['explain', '--api-url', url]);
    assert.match(err, /no Fleetgate server/);
    assert.equal(code, 1);
  }
});

test("a refusal of the server is told in the server's words", async (t) => {
  const { url } = await answering(t, { message: 'The security token\u001b is invalid.' }, 403);
  const { err, code } = await run(['hosts', '--api-url', url]);
  assert.match(err, /answered 403: The security token\\u\{1b\} is invalid\. Use a key that the server knows/);
  assert.equal(code, 1);
});

test('hosts prints the lines of the server', async (t) => {
  const { url, asked } = await answering(t, '127.0.0.1 a-ats.iot.us-east-1.localhost\n');
  assert.equal((await run(['hosts', '--api-url', url])).out, '127.0.0.1 a-ats.iot.us-east-1.localhost\n');
  assert.equal(asked[0]?.url, '/_fleetgate/hosts');
});

test('health prints the answer, and its exit code says the same', async (t) => {
  const ready = await answering(t, { alive: true, ready: true });
  const notReady = await answering(t, { alive: true, ready: false }, 503);
  const { out, code } = await run(['health', '--api-url', ready.url]);
  assert.deepEqual([out, code], ['{"alive":true,"ready":true}\n', 0]);
  assert.equal(ready.asked[0]?.headers.authorization, undefined);
  assert.equal((await run(['health', '--api-url', notReady.url])).code, 1);
});
