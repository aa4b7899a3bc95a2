import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { parseExposition } from '../../test/exposition.ts';
import { scrapersMax, startMetrics } from './listener.ts';

const causes: string[] = [];
const start = async (t: TestContext) => {
  const listener = await startMetrics({
    port: 0,
    families: () => [{ name: 'x', help: 'X', type: 'gauge', samples: [{ value: 1 }] }],
    health: { causes: () => causes },
  });
  t.after(listener.close);
  return async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const { port } = listener;
    const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false });
    asked.end();
    const [response] = await once(asked, 'response');
    return {
      status: response.statusCode as number,
      type: response.headers['content-type'],
      body: await text(response),
    };
  };
};

test('/metrics is the exposition format, for GET and HEAD', async (t) => {
  const ask = await start(t);
  const { status, type, body } = await ask('/metrics');
  assert.deepEqual([status, type], [200, 'text/plain; version=0.0.4; charset=utf-8']);
  assert.equal(parseExposition(body).get('x')?.samples[0]?.value, 1);
  assert.deepEqual(await ask('/metrics', {}, 'HEAD'), { status, type, body: '' });
});

test('live is 200 while the process serves; ready is 503 with its causes (issue: tells ready from alive)', async (t) => {
  const ask = await start(t);
  assert.deepEqual(JSON.parse((await ask('/_fleetgate/health/ready')).body), { ready: true, causes: [] });
  causes.push('The store cannot be written.');
  t.after(() => causes.splice(0));
  const ready = await ask('/_fleetgate/health/ready');
  assert.deepEqual([ready.status, JSON.parse(ready.body)], [503, { ready: false, causes }]);
  assert.equal((await ask('/_fleetgate/health/live')).status, 200);
});

const refused: [name: string, status: number, path: string, headers?: Record<string, string>, method?: string][] = [
  ['a Host that is not loopback (DNS rebinding)', 403, '/metrics', { host: 'attacker.example' }],
  ['a malformed Host', 403, '/metrics', { host: 'a b' }],
  ['a Host that begins like loopback', 403, '/metrics', { host: '127.0.0.1.attacker.example' }],
  ['a web page', 403, '/metrics', { origin: 'http://localhost' }],
  ['another method', 405, '/metrics', {}, 'POST'],
  ['another path', 404, '/'],
  ['a name of every object', 404, '/constructor'],
];
for (const [name, status, path, headers, method] of refused) {
  test(`refused: ${name}`, async (t) => assert.equal((await (await start(t))(path, headers, method)).status, status));
}

for (const host of ['localhost', 'localhost:9464', '127.0.0.1:1', '[::1]:9464']) {
  test(`the Host ${host} is this machine`, async (t) => {
    assert.equal((await (await start(t))('/metrics', { host })).status, 200);
  });
}

test(`connection ${scrapersMax + 1} is closed, the others are served`, async (t) => {
  const listener = await startMetrics({ port: 0, families: () => [], health: { causes: () => [] } });
  t.after(listener.close);
  const sockets = Array.from({ length: scrapersMax }, () => connect(listener.port, '127.0.0.1'));
  t.after(() => sockets.map((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  // each is known to the server once it has been answered
  for (const socket of sockets) socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await Promise.all(sockets.map((socket) => once(socket, 'data')));
  const late = connect(listener.port, '127.0.0.1');
  late.on('error', () => undefined);
  await once(late, 'close');
});

test('a port that is taken rejects with what listen says', async (t) => {
  const first = await startMetrics({ port: 0, families: () => [], health: { causes: () => [] } });
  t.after(first.close);
  await assert.rejects(startMetrics({ port: first.port, families: () => [], health: { causes: () => [] } }), {
    code: 'EADDRINUSE',
  });
});
