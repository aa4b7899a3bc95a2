/** The longest names under which something is kept, over both engines, and longer ones: bounds of `Limits`, because the names are keys of the store. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { stores } from '../../test/stores.ts';
import { allMigrations } from '../features/migrations.ts';
import { openLimits } from '../limits.ts';
import { migrate } from '../store/migrate.ts';

const { keptClientIdBytesMax, keptFilterBytesMax, retainedTopicBytesMax } = openLimits;
/** No database can make it shorter. */
const name = (bytes: number): string => randomBytes(bytes).toString('base64url').slice(0, bytes);
/** The longest region and client id make the longest keys. */
const account = { accountId: '000000000000', region: 'us-gov-northwest-1' };
const kept = { clean: false, properties: { sessionExpiryInterval: 3600 } };

const publish = (client: RawClient, topic: string, more = {}): void =>
  client.send({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1, dup: false, retain: false, ...more });
const subscribe = async (client: RawClient, topic: string): Promise<unknown> => {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] });
  const suback = await client.next();
  return suback.cmd === 'suback' && suback.granted[0];
};

for (const [engine, open] of stores) {
  test(`${engine}: sessions, filters, groups and retained messages with the longest names are kept, longer ones are refused by a limit`, async (t) => {
    const store = await open(t);
    await migrate(store, allMigrations);
    const bed = createBed({ limits: openLimits, store });
    bed.principal('all', [['*', '*']], account);
    const clientId = name(keptClientIdBytesMax);
    const client = await bed.connect(5, clientId, kept);
    const filter = name(keptFilterBytesMax);
    const shared = `$share/${name(10)}/${name(keptFilterBytesMax - 18)}`;
    for (const each of [filter, shared]) assert.equal(await subscribe(client, each), 1);
    assert.equal(await subscribe(client, `${filter}x`), 0x8f);
    client.send({ cmd: 'disconnect' });
    await client.closed();

    const publisher = await bed.connect(5, name(30_000));
    for (const topic of [filter, shared.slice(18)]) {
      publish(publisher, topic, { properties: { messageExpiryInterval: 3600 } });
      const puback = await publisher.next();
      assert.ok(puback.cmd === 'puback' && !puback.reasonCode);
    }
    const topic = name(retainedTopicBytesMax);
    for (const [each, reasonCode] of [
      [topic, 0],
      [`${topic}x`, 0x90],
    ] as const) {
      publish(publisher, each, { retain: true });
      const puback = await publisher.next();
      assert.ok(puback.cmd === 'puback' && (puback.reasonCode ?? 0) === reasonCode);
    }

    const back = await bed.connect(5, clientId, kept);
    assert.equal((await back.take(2)).length, 2);
    const refused = bed.dial(5);
    refused.send({ cmd: 'connect', clientId: `${clientId}x`, protocolVersion: 5, keepalive: 60, ...kept });
    const connack = await refused.next();
    assert.ok(connack.cmd === 'connack' && connack.reasonCode === 0x85);
    const will = { topic: `${topic}x`, payload: Buffer.from('x'), qos: 1, retain: true } as const;
    refused.socket.destroy();
    const willing = bed.dial(5);
    willing.send({ cmd: 'connect', clientId: 'w', protocolVersion: 5, keepalive: 60, clean: true, will });
    const answer = await willing.next();
    assert.ok(answer.cmd === 'connack' && answer.reasonCode === 0x90);
    assert.deepEqual(
      bed.failures().map(({ detail }) => detail),
      ['keptFilterBytesMax', 'retainedTopicBytesMax', 'keptClientIdBytesMax', 'retainedTopicBytesMax'],
    );
    assert.deepEqual(bed.troubles, []);
    await bed.broker.close(0);
  });
}
