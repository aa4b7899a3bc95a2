import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { platform } from 'node:os';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { makeFolder } from '../test/folder.ts';
import { putPki } from '../test/own-pki.ts';
import { signRequest } from './aws/sigv4.ts';
import { type FleetNode, start } from './index.ts';
import { awsLimits } from './limits.ts';
import { plainNameOf } from './node.ts';

/** Why a test cannot be run elsewhere. */
const unlessLinux = platform() === 'linux' ? false : 'only Linux listens on all of 127.0.0.0/8 at once';

test('a default account that cannot come into being is refused in one sentence', async () => {
  const rows = [
    [{ region: 'nowhere' }, /^Account 000000000000 can not be served in nowhere: [^.]*valid region\.$/],
    [{ limits: { ...awsLimits, accountsMax: 0 } }, /^Account 000000000000 can not be served in us-east-1: There are 0/],
  ] as const;
  for (const [options, message] of rows) await assert.rejects(start(options), { name: 'StartProblem', message });
});

test('a folder of functions that is none is refused in one sentence', async () => {
  const functions = '/no such folder';
  await assert.rejects(start({ functions }), { name: 'StartProblem', message: /^--functions must name a folder/ });
});

const listenOn = async (host: string, port = 0) => {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  // a server that listens on TCP has an address of that form
  return { port: (server.address() as AddressInfo).port, close: () => once(server.close(), 'close') };
};

test('a start that fails at any of its doors closes what it had opened: the next one takes the same ports and the same folder', {
  skip: unlessLinux,
}, async (t) => {
  const dataFolder = await makeFolder(t);
  await putPki(dataFolder);
  // nobody else listens on this address, so that its ports stay free between two starts
  const host = '127.0.0.3';
  const free = await Promise.all(Array.from({ length: 3 }, () => listenOn(host)));
  for (const { close } of free) await close();
  const [mqttPort = 0, httpsPort = 0, apiPort = 0] = free.map(({ port }) => port);
  const options = { host, dataFolder, mqttPort, httpsPorts: [httpsPort], apiPort };
  const taken = await listenOn('127.0.0.1');
  t.after(taken.close);
  const doors: [port: number, flag: string][] = [
    [mqttPort, '--mqtt-port'],
    [httpsPort, '--https-port'],
    [apiPort, '--api-port'],
  ];
  for (const [port, flag] of doors) {
    const other = await listenOn(host, port);
    const message = new RegExp(`^The port ${port} of .* is in use: .*${flag} `);
    await assert.rejects(start(options, { keyPoolMax: 0 }), { name: 'StartProblem', message });
    await other.close();
  }
  await assert.rejects(start({ ...options, metricsPort: taken.port }, { keyPoolMax: 0 }), /--metrics-port/);
  const node = await start(options, { keyPoolMax: 0 });
  assert.equal((await fetch(`${node.apiUrl}/_fleetgate/health`)).status, 200);
  await node.close(0);
});

/** Whether a client that trusts our root takes the server's certificate for the address it connects to. */
const isTrusted = (node: FleetNode, host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port: node.mqttPort, ca: node.rootPem }, () => {
      resolve(socket.authorized);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
  });

test('what --host names is one of the names of the node: its certificate carries it', {
  skip: unlessLinux,
}, async (t) => {
  const node = await start({ host: '127.0.0.2' });
  t.after(() => node.close(0));
  assert.equal(await isTrusted(node, '127.0.0.2'), true);
});

test('the lines for /etc/hosts lead to the address at which the node was asked', {
  skip: unlessLinux,
}, async (t) => {
  const node = await start({ host: '127.0.0.2' });
  t.after(() => node.close(0));
  const url = `${node.apiUrl}/_fleetgate/hosts`;
  const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1', service: 'iot' };
  const { host: _, ...headers } = signRequest({ ...key, method: 'GET', url, nowMs: Date.now() });
  const lines = (await (await fetch(url, { headers })).text()).trimEnd().split('\n');
  assert.equal(lines.length, 4);
  for (const line of lines) assert.match(line, /^127\.0\.0\.2 \S+$/);
});

test("the roots are fetched by the names of Amazon's, one certificate a file as trust stores take them, over HTTP and HTTPS", async (t) => {
  const node = await start();
  t.after(() => node.close(0));
  const [rsa, ec, both] = await Promise.all(
    ['/repository/AmazonRootCA1.pem', '/repository/AmazonRootCA3.pem', '/root-ca.pem'].map(async (path) =>
      (await fetch(node.apiUrl + path)).text(),
    ),
  );
  assert.deepEqual([`${rsa}${ec}`, both], [both, node.rootPem]);
  assert.deepEqual(
    [rsa, ec].map((pem = '') => new X509Certificate(pem).publicKey.asymmetricKeyType),
    ['rsa', 'ec'],
  );
  const url = `https://localhost:${node.httpsPort}/repository/AmazonRootCA1.pem`;
  const [answer]: IncomingMessage[] = await once(get(url, { ca: rsa ?? '', agent: false }), 'response');
  assert.equal(answer && (await text(answer)), rsa);
});

const hosts: [host: string, name: string, rule: string][] = [
  ['127.0.0.1', 'localhost', 'this machine'],
  ['::1', 'localhost', 'this machine'],
  ['localhost', 'localhost', 'this machine'],
  ['0.0.0.0', 'localhost', 'all addresses are loopback too'],
  ['::', 'localhost', 'all addresses are loopback too'],
  ['gate.example', 'gate.example', 'the name that was given'],
  ['192.0.2.7', 'myhost', 'localhost does not lead there; an address is no server name (RFC 6066 3)'],
];
for (const [host, name, rule] of hosts) {
  test(`a device on a node with --host ${host} is told ${name}: ${rule}`, () => {
    assert.equal(plainNameOf(host, 'myhost'), name);
  });
}
