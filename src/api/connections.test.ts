/** Design 5: overload refuses the new before it harms the old, and whoever only holds a place makes room. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { bootApi, exchange, sendRaw } from './test-api.ts';

const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** An open connection that has sent `first`; if that is a request, it has been answered. */
const open = async (t: TestContext, port: number, first = ''): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (first !== '') {
    socket.write(first);
    await once(socket, 'data');
  }
  return socket;
};

for (const [name, first] of [
  ['never asked anything', ''],
  ['was answered', get],
  [
    'withholds its body',
    'POST /?Action=AssumeRoleWithSAML HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
  ],
] as const) {
  test(`at connectionsMax the connection that ${name} and has been silent for longest makes room`, async (t) => {
    const api = await bootApi(t, { limits: { connectionsMax: 3 } });
    const held = [await open(t, api.port, first), await open(t, api.port, first), await open(t, api.port, first)];
    const ended = once(held[0] ?? assert.fail(), 'close');
    const { status } = await sendRaw(api.port, 'GET', '/', { host: 'localhost' });
    assert.equal(status, 200);
    await ended;
    assert.deepEqual(
      held.map(({ closed }) => closed),
      [true, false, false],
    );
  });
}

test('a flood of silent connections leaves those alone that were answered', async (t) => {
  const api = await bootApi(t, { limits: { connectionsMax: 4 } });
  const kept = await open(t, api.port, get);
  const flood: Socket[] = [];
  for (let count = 0; count < 20; count++) flood.push(await open(t, api.port));
  kept.write(get);
  const [answer] = await once(kept, 'data');
  assert.match(String(answer), /^HTTP\/1.1 200 /);
});

test('a connection with a request under way keeps its place, and where all have one the new connection is refused', async (t) => {
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const inside: (() => void)[] = [];
  const api = await bootApi(t, {
    limits: { connectionsMax: 2 },
    extras: [
      {
        method: 'GET',
        path: '/slow',
        signed: false,
        handle: async () => {
          for (const enter of inside.splice(0, 1)) enter();
          await held;
          return { status: 200, contentType: 'text/plain', body: 'done' };
        },
      },
    ],
  });
  const answers: Promise<{ body: string }>[] = [];
  for (let count = 0; count < 2; count++) {
    const entered = new Promise<void>((resolve) => inside.push(resolve));
    answers.push(sendRaw(api.port, 'GET', '/slow', { host: 'localhost' }));
    await entered;
  }
  assert.equal(await exchange(api.port, get).catch(() => ''), '');
  release();
  for (const answer of answers) assert.equal((await answer).body, 'done');
});
