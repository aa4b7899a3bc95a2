/** Local modules: what a function gets, and that whatever it does ends in a clear failure and harms nobody. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { makeFolder } from '../../test/folder.ts';
import { within } from '../../test/within.ts';
import type { FailureKind, FunctionFailure } from './failure.ts';
import { createInvoker, type Invoker, type InvokerOptions } from './invoker.ts';
import { type FunctionLog, logBytesMax } from './run-module.ts';

const account = { accountId: '111111111111', region: 'us-east-1' };
const arnOf = (name: string, accountId = account.accountId): string =>
  `arn:aws:lambda:us-east-1:${accountId}:function:${name}`;
const ask = (invoker: Invoker, name: string, event: unknown = {}, timeoutMs = 5000): Promise<unknown> =>
  invoker.invoke({ functionArn: arnOf(name), account, event, timeoutMs });

const fails = (kind: FailureKind, message: RegExp) => (error: FunctionFailure) => {
  assert.equal(error.name, 'FunctionFailure', String(error));
  assert.deepEqual([error.kind, message.test(error.message)], [kind, true], `${error.message}\n${error.detail}`);
  return true;
};

/** A folder whose account 111111111111 has these functions, and an invoker that runs them. */
const bed = async (t: TestContext, functions: Readonly<Record<string, string>>, options: InvokerOptions = {}) => {
  const logs: FunctionLog[] = [];
  const folder = await makeFolder(t, () => invoker.close());
  const invoker = createInvoker({ folder, log: (entry) => logs.push(entry), ...options });
  const own = join(folder, account.accountId);
  await mkdir(own);
  for (const [name, text] of Object.entries(functions)) await writeFile(join(own, `${name}.mjs`), text);
  return { folder, own, invoker, logs };
};

/** Processes that this one, or another one, has started and that still run. Linux tells. */
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

/** Waits until `what` is so. */
const until = async (what: string, isSo: () => boolean): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const looking = setInterval(() => isSo() && resolve(), 20);
  await within(promise, what).finally(() => clearInterval(looking));
};

const exists = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a default export, or one named handler, gets event and context, and answers with JSON', async (t) => {
  const { invoker } = await bed(t, {
    first: 'export default (event, context) => ({ event, context, left: context.getRemainingTimeInMillis() });',
    second: 'export const handler = async (event) => [event.serial];',
    nothing: 'export default () => {};',
  });
  // The answer is what the module above makes.
  const answer = (await invoker.invoke({
    functionArn: `${arnOf('first')}:live`,
    account,
    event: { serial: 'ä' },
  })) as { event: unknown; context: Record<string, unknown>; left: number };
  assert.deepEqual(answer.event, { serial: 'ä' });
  assert.match(String(answer.context['awsRequestId']), /^[0-9a-f-]{36}$/);
  assert.deepEqual(
    { ...answer.context, awsRequestId: '' },
    {
      functionName: 'first',
      functionVersion: 'live',
      invokedFunctionArn: `${arnOf('first')}:live`,
      awsRequestId: '',
      memoryLimitInMB: '64',
    },
  );
  assert.ok(answer.left > 0 && answer.left <= 5000);
  assert.deepEqual(await ask(invoker, 'second', { serial: 7 }), [7]);
  assert.equal(await ask(invoker, 'nothing'), null);
});

test('a changed file counts from the next invocation on, and nothing is remembered between two', async (t) => {
  const { own, invoker } = await bed(t, { f: 'globalThis.n ??= 0; export default () => ++globalThis.n;' });
  assert.deepEqual([await ask(invoker, 'f'), await ask(invoker, 'f')], [1, 1]);
  await writeFile(join(own, 'f.mjs'), "export default () => 'new';");
  assert.equal(await ask(invoker, 'f'), 'new');
  await rm(join(own, 'f.mjs'));
  await assert.rejects(ask(invoker, 'f'), fails('not-found', /Put it into the folder .* as 111111111111\/f\.mjs, or/));
});

test('without folder and endpoint the failure names both flags', async () => {
  const invoker = createInvoker({});
  await assert.rejects(
    ask(invoker, 'f'),
    fails(
      'not-found',
      /^There is no function f of account 111111111111\. Start .*--functions FOLDER .*--functions-endpoint URL\.$/,
    ),
  );
  await invoker.close();
});

test('an answer counts when it is whole, and the process ends then, whether it wants or not', async (t) => {
  const { invoker } = await bed(t, {
    f: 'export default () => { process.exit = process.reallyExit = () => {}; setInterval(() => {}, 9); return 1; };',
  });
  assert.equal(await ask(invoker, 'f', {}, 60_000), 1);
  await within(invoker.close(), 'the end of the process');
});

test('a folder that is none is told at once', async (t) => {
  const folder = await makeFolder(t);
  await writeFile(join(folder, 'file'), '');
  for (const name of ['nothing', 'file']) {
    assert.throws(
      () => createInvoker({ folder: join(folder, name) }),
      /^Error: --functions must name a folder, and ".*" is none\.$/,
    );
  }
});

test('a module goes before the endpoint, which is asked for what the folder lacks', async (t) => {
  const server = createServer((_, response) => response.end('"endpoint"')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  // A TCP server's address is an AddressInfo.
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { invoker } = await bed(t, { here: "export default () => 'module';" }, { endpoint });
  assert.deepEqual([await ask(invoker, 'here'), await ask(invoker, 'away')], ['module', 'endpoint']);
});

test('an account never runs the function of another one', async (t) => {
  const { folder, invoker } = await bed(t, {});
  await mkdir(join(folder, '222222222222'));
  await writeFile(join(folder, '222222222222', 'f.mjs'), 'export default () => 1;');
  const request = { account, event: {}, timeoutMs: 5000 };
  await assert.rejects(
    invoker.invoke({ ...request, functionArn: arnOf('f', '222222222222') }),
    fails('not-found', /another account/),
  );
  await assert.rejects(ask(invoker, 'f'), fails('not-found', /no function f of account 111111111111/));
});

test('a link may lead to another place of the folder, and never out of it', async (t) => {
  const { folder, own, invoker } = await bed(t, {});
  const outside = await makeFolder(t);
  for (const place of [outside, join(folder)])
    await writeFile(join(place, 'shared.mjs'), "export default () => 'shared';");
  await symlink(join(folder, 'shared.mjs'), join(own, 'inside.mjs'));
  await symlink(join(outside, 'shared.mjs'), join(own, 'file.mjs'));
  await symlink('nowhere.mjs', join(own, 'dangling.mjs'));
  await symlink('loop.mjs', join(own, 'loop.mjs'));
  await mkdir(join(own, 'folder.mjs'));
  assert.equal(await ask(invoker, 'inside'), 'shared');
  await assert.rejects(ask(invoker, 'file'), fails('error', /111111111111\/file\.mjs .* link that leaves the folder/));
  await assert.rejects(ask(invoker, 'dangling'), fails('not-found', /no function dangling/));
  await assert.rejects(ask(invoker, 'loop'), fails('error', /cannot be read/));
  await assert.rejects(ask(invoker, 'folder'), fails('error', /no plain file/));
  await writeFile(join(own, 'plain.mjs'), 'export default () => 1;');
  await rename(own, join(outside, 'account'));
  await symlink(join(outside, 'account'), own);
  await assert.rejects(ask(invoker, 'plain'), fails('error', /link that leaves the folder/));
});

test('a folder whose name has blanks, commas, quotes and percent signs works; an asterisk is refused, as Node would read it as any', async (t) => {
  const place = await makeFolder(t);
  for (const [name, isFine] of [
    ["a b,c'd%20e?#$(x)", true],
    ['a*', false],
  ] as const) {
    const own = join(place, name, account.accountId);
    await mkdir(own, { recursive: true });
    await writeFile(join(own, 'f.mjs'), 'export default () => 1;');
    const invoker = createInvoker({ folder: join(place, name) });
    if (isFine) assert.equal(await ask(invoker, 'f'), 1);
    else await assert.rejects(ask(invoker, 'f'), fails('error', /asterisk/));
    await invoker.close();
  }
});

/** What a function does, and how the invocation ends. */
const endings: readonly [what: string, body: string, kind: FailureKind, message: RegExp][] = [
  ['throws', "throw new RangeError('serial 42')", 'error', /^The function f\d+ ended with an error \(RangeError\)\.$/],
  ['throws no error', "throw 'serial 42'", 'error', /^The function f\d+ ended with an error\.$/],
  ['crashes', 'process.abort()', 'error', /ended by SIGABRT before/],
  ['kills itself', 'process.reallyExit(9)', 'error', /exit code 9 before/],
  ['exits', 'process.exit(0)', 'error', /exit code 0 before/],
  [
    'leaves a rejection behind',
    'Promise.reject(new Error("x")); await new Promise(() => setInterval(() => {}, 9))',
    'error',
    /exit code 1 before/,
  ],
  ['never answers and does nothing', 'await new Promise(() => {})', 'error', /promise unsettled/],
  ['answers a big integer', 'return 1n', 'bad-answer', /no form in JSON/],
  ['answers a circle', 'const a = []; a.push(a); return a', 'bad-answer', /no form in JSON/],
  ['answers from a toJSON that throws', 'return { toJSON() { throw 1 } }', 'bad-answer', /no form in JSON/],
  [
    'writes where its answer goes',
    "(await import('node:fs')).writeSync(3, 'hello '); return 1",
    'bad-answer',
    /no JSON/,
  ],
  ['writes null there', "(await import('node:fs')).writeSync(3, 'null'); process.exit()", 'bad-answer', /descriptor/],
  [
    'writes a list there',
    "(await import('node:fs')).writeSync(3, '[1]'); process.exit()",
    'error',
    /ended with an error/,
  ],
  ['closes it', "(await import('node:fs')).closeSync(3); return 1", 'error', /exit code|ended with an error/],
  ['answers too much', "return 'x'.repeat(3e6)", 'bad-answer', /more than 256 kB/],
  [
    'writes without end where its answer goes',
    "const fs = await import('node:fs'); for (;;) fs.writeSync(3, ' '.repeat(65536))",
    'bad-answer',
    /more than 256 kB/,
  ],
  [
    'prints without end',
    "for (;;) (await import('node:fs')).writeSync(1, 'x'.repeat(65536))",
    'error',
    /printed more than 1024 kB/,
  ],
  [
    'collects objects without end',
    'const a = []; for (;;) a.push({ a: [1, 2, 3] })',
    'error',
    /more than 64 MB of memory/,
  ],
  [
    'collects buffers without end',
    'const a = []; for (;;) a.push(Buffer.alloc(16e6, 1))',
    'error',
    /ended with an error \(RangeError\)/,
  ],
  [
    'collects WebAssembly memory without end',
    'const a = []; for (;;) a.push(new WebAssembly.Memory({ initial: 1000 }))',
    'error',
    /\(RangeError\)/,
  ],
];

const loops: readonly [what: string, body: string][] = [
  ['loops', 'for (;;);'],
  [
    'ignores signals',
    "for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, () => {}); await new Promise(() => setInterval(() => {}, 9))",
  ],
  [
    'does not let itself exit',
    'process.exit = process.reallyExit = () => {}; for (;;) await new Promise(setImmediate);',
  ],
  ['loops in a regular expression', "/^(a+)+$/.test('a'.repeat(60) + 'b')"],
];

test('whatever a function does, the invocation ends in a failure that says so, and leaves its place to the next', {
  concurrency: 4,
}, async (t) => {
  const functions = endings.map(([, body], at) => [`f${at}`, `export default async () => { ${body} };`]);
  const moduleBounds = { runningMax: 4, runningPerAccountMax: 4, waitingMax: 8, waitingPerAccountMax: 8 };
  const all = { ...Object.fromEntries(functions), fine: 'export default () => 1' };
  const { invoker } = await bed(t, all, { moduleBounds });
  const ended = endings.map(([what, , kind, message], at) =>
    t.test(`it ${what}`, () => assert.rejects(ask(invoker, `f${at}`), fails(kind, message))),
  );
  await Promise.all(ended);
  const fine = Array.from({ length: 8 }, () => ask(invoker, 'fine'));
  assert.deepEqual(await Promise.all(fine), [1, 1, 1, 1, 1, 1, 1, 1]);
});

describe('a module that cannot be run, or does not end, is a failure that says so', { concurrency: 4 }, () => {
  const modules: readonly [what: string, text: string, message: RegExp][] = [
    ['has a syntax error', 'export default (', /ended with an error \(SyntaxError\)/],
    ['exports nothing', '', /exports no function, neither as default nor as handler/],
    ['exports no function', 'export default 1; export const handler = {};', /exports no function/],
    ['throws while it is loaded', "throw new TypeError('x')", /\(TypeError\)/],
    ['imports what is not there', "import 'nothing'", /ended with an error/],
  ];
  for (const [what, text, message] of modules) {
    test(`its module ${what}`, async (t) => {
      const { invoker } = await bed(t, { f: text });
      await assert.rejects(ask(invoker, 'f'), fails('error', message));
    });
  }

  for (const [what, body] of loops) {
    test(`it ${what}: its process is killed at the time-out`, async (t) => {
      const { invoker, logs } = await bed(t, {
        f: `import { writeSync } from 'node:fs'; export default async () => { writeSync(1, String(process.pid)); ${body} };`,
      });
      const startedMs = performance.now();
      await assert.rejects(ask(invoker, 'f', {}, 2000), fails('timeout', /within 2 s/));
      await invoker.close();
      assert.ok(performance.now() - startedMs < 7000); // its limit on processor time ends it after 9 s
      const pid = Number(logs[0]?.text);
      assert.ok(pid > 1 && !exists(pid), `process ${pid}`);
    });
  }
});

/** An attempt, and the code or the message of the error that it meets. */
const denied: readonly [what: string, body: string, met: RegExp][] = [
  ['read a file', "fs.readFileSync('/etc/passwd')", /^ERR_ACCESS_DENIED$/],
  ['read a file beside its own', 'fs.readFileSync(event.beside)', /^ERR_ACCESS_DENIED$/],
  ['read through a link beside its own', 'fs.readFileSync(event.link)', /^ERR_ACCESS_DENIED$/],
  ['list its folder', 'fs.readdirSync(event.folder)', /^ERR_ACCESS_DENIED$/],
  ['import a file beside its own', "await import('./beside.mjs')", /^ERR_ACCESS_DENIED$/],
  ['require a file', "(await import('node:module')).createRequire('/')('/etc/hostname')", /^ERR_ACCESS_DENIED$/],
  ["read its parent's environment", 'fs.readFileSync(`/proc/${process.ppid}/environ`)', /^ERR_ACCESS_DENIED$/],
  ["read its parent's memory", 'fs.openSync(`/proc/${process.ppid}/mem`)', /^ERR_ACCESS_DENIED$/],
  ['write its own file', "fs.writeFileSync(event.own, '')", /^ERR_ACCESS_DENIED$/],
  ['write a file beside its own', "fs.writeFileSync(event.folder + '/x.mjs', '')", /^ERR_ACCESS_DENIED$/],
  ['make a link', "fs.symlinkSync('/etc/passwd', event.folder + '/x.mjs')", /^ERR_ACCESS_DENIED$/],
  ['load environment from a file', "process.loadEnvFile('/etc/environment')", /^ERR_ACCESS_DENIED$/],
  ['write a report', "process.report.writeReport(event.folder + '/x.json')", /^ERR_ACCESS_DENIED$/],
  ['write a heap snapshot', "(await import('node:v8')).writeHeapSnapshot(event.folder + '/x')", /^ERR_ACCESS_DENIED$/],
  ['start a process', "(await import('node:child_process')).spawnSync('/bin/true')", /^ERR_ACCESS_DENIED$/],
  ['fork', "(await import('node:child_process')).fork(event.own)", /^ERR_ACCESS_DENIED$/],
  ['fork a cluster', "(await import('node:cluster')).default.fork()", /^ERR_ACCESS_DENIED$/],
  ['become another program', "process.execve('/bin/true', ['true'])", /^ERR_ACCESS_DENIED$/],
  ['start a thread', "new (await import('node:worker_threads')).Worker('1', { eval: true })", /^ERR_ACCESS_DENIED$/],
  ['load native code', "process.dlopen({ exports: {} }, '/x.node')", /^ERR_DLOPEN_DISABLED$/],
  ['call native code', "await import('node:ffi')", /^ERR_UNKNOWN_BUILTIN_MODULE$/],
  ['open a database', "await import('node:sqlite')", /^ERR_UNKNOWN_BUILTIN_MODULE$/],
  [
    'open a database by another way',
    "new (process.getBuiltinModule('node:sqlite').DatabaseSync)(event.beside)",
    /undefined/,
  ],
  ['use web storage', "localStorage.setItem('a', 'b')", /not defined/],
  [
    'use WASI',
    "new (await import('node:wasi')).WASI({ version: 'preview1', preopens: { '/': '/' } })",
    /^ERR_ACCESS_DENIED$/,
  ],
  ['open an inspector', "(await import('node:inspector')).open(0)", /^ERR_ACCESS_DENIED$/],
  ['use a binding', "process.binding('fs')", /^ERR_ACCESS_DENIED$/],
  [
    'connect',
    "await once((await import('node:net')).connect(event.port, '127.0.0.1'), 'connect')",
    /^ERR_ACCESS_DENIED$/,
  ],
  [
    'connect to a socket file',
    "await once((await import('node:net')).connect('/tmp/x.sock'), 'connect')",
    /^ERR_ACCESS_DENIED$/,
  ],
  [
    'fetch',
    'await fetch(`http://127.0.0.1:${event.port}/`).catch((error) => { throw error.cause; })',
    /^ERR_ACCESS_DENIED$/,
  ],
  ['listen', "(await import('node:net')).createServer().listen(0)", /^ERR_ACCESS_DENIED$/],
  [
    'send a datagram',
    "const s = (await import('node:dgram')).createSocket('udp4'); s.send('x', event.port, '127.0.0.1'); await once(s, 'never')",
    /^ERR_ACCESS_DENIED$/,
  ],
  ['ask for a name', "await (await import('node:dns')).promises.lookup('localhost')", /^ERR_ACCESS_DENIED$/],
  ['ask a name server', "await (await import('node:dns')).promises.resolve4('localhost')", /^ERR_ACCESS_DENIED$/],
  ['kill its parent', "process.kill(process.ppid, 'SIGKILL')", /^kill is denied to functions$/],
  [
    'kill its parent by an import',
    "(await import('node:process')).kill(process.ppid, 9)",
    /^kill is denied to functions$/,
  ],
  ['kill its parent by the inner way', 'process._kill(process.ppid, 9)', /^_kill is denied to functions$/],
  [
    'take the denial back',
    "delete process.kill; Object.defineProperty(process, 'kill', { value: 1 })",
    /delete|redefine/,
  ],
  ["open its parent's inspector", 'process._debugProcess(process.ppid)', /^_debugProcess is denied to functions$/],
  [
    "lower its parent's priority",
    "(await import('node:os')).setPriority(process.ppid, 19)",
    /^setPriority is denied to functions$/,
  ],
  [
    'raise its own bounds',
    "(await import('node:v8')).setFlagsFromString('--max-old-space-size=4000')",
    /^setFlagsFromString is denied/,
  ],
];

describe('a function is denied everything but its own file, standard output and its answer', { concurrency: 4 }, () => {
  let connections = 0;
  const aim = createTcpServer((socket) => {
    connections++;
    socket.destroy();
  });
  before(() => once(aim.listen(0, '127.0.0.1'), 'listening'));
  after(() => {
    aim.close();
    assert.equal(connections, 0);
  });

  test('each attempt is denied', async (t) => {
    const attempts = denied.map(([, body]) => `async (event) => { ${body}; }`);
    // one process for all: what got through would be seen in its own answer, or end them all
    const { own, invoker } = await bed(t, {
      beside: 'export default 1;',
      f: `import fs from 'node:fs'; import { once } from 'node:events';
        export default async (event) => {
          const met = [];
          for (const attempt of [${attempts.join(',\n')}])
            met.push(await attempt(event).then(() => 'done', (error) => String(error.code ?? error.message)));
          return met;
        };`,
    });
    await symlink('/etc/passwd', join(own, 'link'));
    // A TCP server's address is an AddressInfo.
    const { port } = aim.address() as AddressInfo;
    const paths = { folder: own, own: join(own, 'f.mjs'), beside: join(own, 'beside.mjs'), link: join(own, 'link') };
    // the function above answers with a list
    const met = (await ask(invoker, 'f', { ...paths, port })) as readonly string[];
    assert.equal(met.length, denied.length);
    for (const [at, [what, , message]] of denied.entries()) {
      await t.test(`it may not ${what}`, () => assert.match(String(met[at]), message));
    }
  });

  test('it finds no environment, and nothing of ours in its arguments', async (t) => {
    process.env['FLEETGATE_TEST_SECRET'] = 'hush';
    t.after(() => delete process.env['FLEETGATE_TEST_SECRET']);
    const { invoker } = await bed(t, {
      f: 'export default () => ({ env: process.env, argv: process.argv.length, cwd: process.cwd() });',
    });
    assert.deepEqual(await ask(invoker, 'f'), { env: {}, argv: 2, cwd: '/' });
  });

  test('it finds no open file of ours', async (t) => {
    const { invoker } = await bed(t, {
      f: `import fs from 'node:fs'; export default () => {
        const files = [];
        for (let fd = 0; fd < 64; fd++) try { if (fs.fstatSync(fd).isFile()) files.push(fd); } catch {}
        return files; };`,
    });
    assert.deepEqual(await ask(invoker, 'f'), []);
  });
});

test('what a function prints reaches the log, bounded and readable, and its failure only as detail', async (t) => {
  const { invoker, logs } = await bed(t, {
    f: "export default () => { console.log('a\\u001b[2J'); console.error('b'); return 1; };",
    long: "export default () => { console.log('x'.repeat(100_000)); return 1; };",
    wrong: "export default () => { throw new Error('serial 42'); };",
  });
  assert.equal(await ask(invoker, 'f'), 1);
  await ask(invoker, 'long');
  await assert.rejects(ask(invoker, 'wrong'), (error: FunctionFailure) => {
    assert.doesNotMatch(error.message, /serial 42/);
    assert.match(error.detail, /^Error: serial 42\n.*wrong\.mjs/s);
    return true;
  });
  await invoker.close();
  assert.deepEqual(logs[0], { functionArn: arnOf('f'), text: 'a\\u001b[2J\nb\n' });
  assert.match(logs[1]?.text ?? '', /\n\(cut after 8 kB\)$/);
  assert.ok((logs[1]?.text.length ?? 0) < logBytesMax + 100);
});

test('no more processes run at once than the bounds say; those that wait count their time', async (t) => {
  const bounds = { runningMax: 1, runningPerAccountMax: 1, waitingMax: 1, waitingPerAccountMax: 1 };
  const { invoker } = await bed(t, { f: 'for (;;);' }, { moduleBounds: bounds });
  const earlier = childrenOf(process.pid).length;
  const first = assert.rejects(ask(invoker, 'f', {}, 1500), fails('timeout', /within 1\.5 s/));
  await until('the process', () => childrenOf(process.pid).length > earlier);
  const others = await Promise.allSettled([ask(invoker, 'f', {}, 300), ask(invoker, 'f', {}, 300)]);
  assert.equal(childrenOf(process.pid).length, earlier + 1);
  const said = others.map((other) => (other.status === 'rejected' ? String(other.reason.message) : ''));
  assert.match(said.sort().join(' '), /^No invocation before this one ended .* Too many .* wait already/);
  await first;
});

test('closing ends the processes that run and refuses those that wait', async (t) => {
  const bounds = { runningMax: 1, runningPerAccountMax: 1, waitingMax: 9, waitingPerAccountMax: 9 };
  const { invoker } = await bed(
    t,
    { f: 'export default () => new Promise(() => setInterval(() => {}, 9));' },
    { moduleBounds: bounds },
  );
  const earlier = childrenOf(process.pid);
  const asked = ['f', 'f'].map((name) => assert.rejects(ask(invoker, name), fails('busy', /stopping/)));
  const ours = (): number[] => childrenOf(process.pid).filter((pid) => !earlier.includes(pid));
  await until('the process', () => ours().length > 0);
  await invoker.close();
  await Promise.all(asked);
  assert.deepEqual(ours(), []);
});

test('a process whose parent was killed ends by itself', async (t) => {
  const { folder } = await bed(t, { f: 'export default () => new Promise(() => setInterval(() => {}, 9));' });
  const invocation = { functionArn: arnOf('f'), account, event: {}, timeoutMs: 1000 };
  const program = `
    import { createInvoker } from ${JSON.stringify(new URL('./invoker.ts', import.meta.url).href)};
    await createInvoker({ folder: ${JSON.stringify(folder)} }).invoke(${JSON.stringify(invocation)});`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' });
  const { pid = 0 } = parent;
  await until('the process', () => childrenOf(pid).length > 0);
  const [child = 0] = childrenOf(pid);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await until('its end', () => !exists(child));
});
