import assert from 'node:assert/strict';
import { platform } from 'node:os';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { type FleetNode, start } from './index.ts';
import { awsLimits } from './limits.ts';
import { plainNameOf } from './node.ts';

test('a default account that cannot come into being is refused in one sentence', async () => {
  const rows = [
    [{ region: 'nowhere' }, /^Account 000000000000 can not be served in nowhere: [^.]*valid region\.$/],
    [{ limits: { ...awsLimits, accountsMax: 0 } }, /^Account 000000000000 can not be served in us-east-1: There are 0/],
  ] as const;
  for (const [options, message] of rows) await assert.rejects(start(options), { name: 'StartProblem', message });
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
  skip: platform() !== 'linux',
}, async (t) => {
  const node = await start({ host: '127.0.0.2' });
  t.after(() => node.close(0));
  assert.equal(await isTrusted(node, '127.0.0.2'), true);
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
