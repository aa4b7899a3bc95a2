/** What a stream says of its own end, and how long a signed WebSocket lives. Source: spec gateway.md 2, 5.8, 5.13. */
import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { accountA, createBed, RawClient } from '../../test/mqtt-bed.ts';
import type { Peer } from './authority.ts';
import { type Carrier, signedWebsocketMsMax } from './carrier.ts';
import { type Ending, endings } from './ending.ts';

const signer = {
  account: accountA,
  accessKeyId: 'test',
  arn: 'arn:aws:iam::000000000000:root',
  userId: '000000000000',
};
const peerOf = (more: Partial<Peer>): Peer => ({
  account: accountA,
  serverName: 'localhost',
  certificate: { certificateId: 'all', der: new Uint8Array() },
  tls: {},
  remoteAddress: '127.0.0.1',
  remotePort: 50_000,
  transport: 'websocket',
  ...more,
});

/** A client with a will on a stream whose `farewell` the test sets, and somebody who waits for the will. */
const scene = async ({ version = 4, ...more }: Partial<Peer> & { readonly version?: 4 | 5 } = {}) => {
  const bed = createBed();
  const watcher = await bed.connect(4, 'watcher', { keepalive: 1200 });
  watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'will', qos: 0 }] });
  await watcher.next();
  const [near, far] = duplexPair();
  const carrier: Carrier & { farewell?: Ending } = far;
  bed.broker.accept(carrier, peerOf(more));
  const client = new RawClient(near, version);
  client.send({
    cmd: 'connect',
    clientId: 'web',
    protocolVersion: version,
    clean: true,
    keepalive: 1200,
    will: { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false },
  });
  await client.next();
  return { bed, watcher, client, carrier };
};
const lastRecord = ({ records }: ReturnType<typeof createBed>) =>
  records.findLast(({ clientId }) => clientId === 'web');

test('a goodbye of the stream is a disconnect by the client: no will, no failure', async () => {
  const { bed, watcher, client, carrier } = await scene();
  carrier.farewell = endings.clientDisconnected;
  client.socket.end();
  await client.closed();
  assert.deepEqual(await watcher.settled(), []);
  assert.deepEqual([lastRecord(bed)?.status, lastRecord(bed)?.detail], ['Success', 'CLIENT_INITIATED_DISCONNECT']);
});

test('an end without a word is a lost connection: the will is published', async () => {
  const { bed, watcher, client } = await scene();
  client.socket.end();
  const will = await watcher.next();
  assert.equal(will.cmd, 'publish');
  assert.equal(lastRecord(bed)?.detail, 'CONNECTION_LOST');
});

test('an end for a fault of the client says which, once, and the will is published', async () => {
  const { bed, watcher, client, carrier } = await scene();
  carrier.farewell = { disconnectReason: 'CLIENT_ERROR', failure: 'CLIENT_ERROR', detail: 'a text frame' };
  client.socket.end();
  assert.equal((await watcher.next()).cmd, 'publish');
  assert.deepEqual(
    bed.failures().map(({ reason, detail }) => [reason, detail]),
    [['CLIENT_ERROR', 'a text frame']],
  );
});

for (const version of [4, 5] as const) {
  test(`v${version}: a WebSocket that was opened with a signature ends after 24 hours (5.13)`, async () => {
    const { bed, watcher, client } = await scene({ version, signer });
    const hourMs = 3_600_000;
    for (let ms = 0; ms < signedWebsocketMsMax - hourMs / 4; ms += hourMs / 4) {
      bed.advance(hourMs / 4);
      await Promise.all([client.settled(), watcher.settled()]);
    }
    assert.ok(!client.isClosed);
    bed.advance(hourMs / 4 + 1000);
    const said = await client.closed();
    assert.deepEqual(
      said.map((packet) => packet.cmd === 'disconnect' && packet.reasonCode),
      version === 5 ? [0x98] : [],
    );
    assert.equal((await watcher.next()).cmd, 'publish', 'the will is published');
    assert.equal(lastRecord(bed)?.reason, 'WEBSOCKET_TTL_EXPIRATION');
  });
}

test('a WebSocket with a certificate has no such end', async () => {
  const { bed, client, watcher } = await scene();
  for (let hours = 0; hours < 25 * 4; hours++) {
    bed.advance(900_000);
    await Promise.all([client.settled(), watcher.settled()]);
  }
  assert.ok(!client.isClosed);
});
