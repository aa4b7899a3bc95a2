/** Retained messages over the wire, from PUBLISH with RETAIN to the subscriber that comes later. Source: spec gateway.md 5.5, 5.6, 5.8, 5.9; checks 14.26 to 14.28. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ISubscribePacket, Packet } from 'mqtt-packet';
import {
  type Allowed,
  accountA,
  type Bed,
  type BedOptions,
  createBed,
  openBedStore,
  type RawClient,
  type Version,
} from '../../test/mqtt-bed.ts';
import { openDialect } from '../limits.ts';
import { type Store, StoreUnavailable } from '../store/store.ts';

const open = async (t: TestContext, options: BedOptions = {}): Promise<Bed & { readonly store: Store }> => {
  const store = await openBedStore(t);
  const bed = createBed({ store, ...options });
  t.after(() => bed.broker.close(0));
  return { ...bed, store };
};

interface Publishing {
  readonly qos?: 0 | 1;
  readonly retain?: boolean;
  readonly properties?: Record<string, unknown>;
  readonly messageId?: number;
}
const publish = (client: RawClient, topic: string, payload: string | Buffer, more: Publishing = {}): void =>
  client.send({ cmd: 'publish', topic, payload, qos: 1, messageId: 7, dup: false, retain: true, ...more });

/** What a packet is, in a line. */
const line = (packet: Packet): string => {
  if (packet.cmd === 'publish') {
    return `${packet.topic} ${packet.payload.toString().slice(0, 20)} q${packet.qos}${packet.retain ? ' RETAIN' : ''}`;
  }
  if (packet.cmd === 'suback') return 'suback';
  return 'reasonCode' in packet && packet.reasonCode !== undefined && packet.reasonCode > 0
    ? `${packet.cmd} ${packet.reasonCode.toString(16)}`
    : packet.cmd;
};
const keep = async (client: RawClient, topic: string, payload: string, more: Publishing = {}): Promise<void> => {
  publish(client, topic, payload, more);
  if (more.qos !== 0) assert.equal(line(await client.next()), 'puback');
};
const subscribe = (client: RawClient, filter: string, more: Partial<ISubscribePacket['subscriptions'][0]> = {}): void =>
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1, ...more }] });
/** What follows the SUBACK: everything that is there when a message published afterwards to an own topic comes back. */
const found = async (bed: Bed, client: RawClient, filter: string, more = {}): Promise<string[]> => {
  subscribe(client, filter, more);
  assert.equal(line(await client.next()), 'suback');
  return afterwards(bed, client);
};
/** Feeds are done when one that began later has come: filters of one connection are served in their order. */
let markers = 0;
const afterwards = async (bed: Bed, client: RawClient): Promise<string[]> => {
  const topic = `marker/${++markers}`;
  await bed.broker.publish(accountA, { topic, payload: Buffer.from('-'), qos: 0, retain: true });
  subscribe(client, topic, { qos: 0 });
  const lines: string[] = [];
  for (;;) {
    const packet = await client.next();
    if (packet.cmd === 'publish' && packet.topic === topic) return lines;
    if (packet.cmd !== 'suback') lines.push(line(packet));
  }
};

for (const version of [4, 5] as const satisfies readonly Version[]) {
  test(`v${version} 14.26: a subscriber to a/+ gets nothing of what is retained on a/b, one to a/b gets it with RETAIN`, async (t) => {
    const bed = await open(t);
    await keep(await bed.connect(version, 'pub'), 'a/b', 'kept');
    const client = await bed.connect(version, 'sub');
    assert.deepEqual(await found(bed, client, 'a/+'), []);
    assert.deepEqual(await found(bed, client, '$share/g/a/b'), [], 'nor does a shared subscription');
    assert.deepEqual(await found(bed, client, 'a/b'), ['a/b kept q1 RETAIN']);
    assert.deepEqual(await found(bed, client, 'a/b'), ['a/b kept q1 RETAIN'], 'subscribing again sends it again');
  });

  test(`v${version} 14.27: an empty payload deletes, and live subscribers get it`, async (t) => {
    const bed = await open(t);
    const control = bed.broker.control(accountA);
    const pub = await bed.connect(version, 'pub');
    await keep(pub, 'a/b', 'kept');
    const client = await bed.connect(version, 'sub');
    assert.deepEqual(await found(bed, client, 'a/b'), ['a/b kept q1 RETAIN']);
    await keep(pub, 'a/b', '');
    assert.equal(line(await client.next()), 'a/b  q1');
    assert.equal(await control.findRetained('a/b'), undefined);
    assert.deepEqual(await found(bed, await bed.connect(version, 'later'), 'a/b'), []);
  });

  test(`v${version} 14.28: RETAIN on a reserved topic ends the connection`, async (t) => {
    const bed = await open(t);
    const client = await bed.connect(version, 'pub');
    publish(client, '$aws/things/t/shadow/update', '{}');
    assert.deepEqual((await client.closed()).map(line), version === 5 ? ['disconnect 90'] : []);
  });

  test(`v${version} 5.9: live forwards have RETAIN 0, and what was not published with RETAIN replaces nothing`, async (t) => {
    const bed = await open(t);
    const pub = await bed.connect(version, 'pub');
    const client = await bed.connect(version, 'sub');
    assert.deepEqual(await found(bed, client, 't'), []);
    await keep(pub, 't', 'kept');
    await keep(pub, 't', 'live', { retain: false });
    assert.deepEqual((await client.take(2)).map(line), ['t kept q1', 't live q1']);
    assert.deepEqual(await found(bed, await bed.connect(version, 'later'), 't'), ['t kept q1 RETAIN']);
  });

  test(`v${version}: QoS 0 with RETAIN is kept too, and whoever subscribes at once sees it`, async (t) => {
    const bed = await open(t);
    const client = await bed.connect(version, 'sub');
    const pub = await bed.connect(version, 'pub');
    publish(pub, 't', 'kept', { qos: 0 });
    pub.send({ cmd: 'pingreq' });
    assert.equal((await pub.next()).cmd, 'pingresp', 'it is stored before the next packet is read');
    assert.deepEqual(await found(bed, client, 't'), ['t kept q0 RETAIN']);
  });

  test(`v${version} 5.6: the QoS is the lower one of message and subscription`, async (t) => {
    const bed = await open(t);
    await keep(await bed.connect(version, 'pub'), 't', 'kept');
    assert.deepEqual(await found(bed, await bed.connect(version, 'sub'), 't', { qos: 0 }), ['t kept q0 RETAIN']);
  });

  test(`v${version}: acknowledgements and messages of one publisher keep their order`, async (t) => {
    const bed = await open(t);
    const client = await bed.connect(version, 'sub');
    await found(bed, client, 't');
    const pub = await bed.connect(version, 'pub');
    for (const messageId of [1, 2, 3, 4])
      publish(pub, 't', String(messageId), { messageId, retain: messageId % 2 === 1 });
    const acknowledged = (await pub.take(4)).map((packet) => packet.cmd === 'puback' && packet.messageId);
    assert.deepEqual(acknowledged, [1, 2, 3, 4]);
    assert.deepEqual((await client.take(4)).map(line), ['t 1 q1', 't 2 q1', 't 3 q1', 't 4 q1']);
  });

  const rules: [rule: string, allowed: readonly Allowed[], action: string][] = [
    [
      'iot:RetainPublish is needed',
      [
        ['iot:Connect', '*'],
        ['iot:Publish', '*'],
      ],
      'iot:RetainPublish',
    ],
    [
      'iot:Publish is needed first',
      [
        ['iot:Connect', '*'],
        ['iot:RetainPublish', '*'],
      ],
      'iot:Publish',
    ],
  ];
  for (const [rule, allowed, action] of rules) {
    test(`v${version} 5.5: ${rule}: ${version === 5 ? 'PUBACK 0x87' : 'close'}`, async (t) => {
      const bed = await open(t);
      bed.principal('less', allowed);
      const client = await bed.connect(version, 'pub', {}, 'less');
      publish(client, 't', 'x');
      if (version === 5) assert.equal(line(await client.next()), 'puback 87');
      else assert.deepEqual(await client.closed(), []);
      assert.equal(bed.failures().at(-1)?.action, action);
      assert.equal(bed.broker.metrics['PublishRetained.AuthError'], action === 'iot:RetainPublish' ? 1 : 0);
      assert.deepEqual(await bed.broker.control(accountA).listRetained({ after: '', limit: 9 }), []);
    });
  }

  test(`v${version} 5.5: one topic more than retainedPerAccountMax is discarded: ${version === 5 ? 'PUBACK 0x97' : 'no PUBACK'}`, async (t) => {
    const bed = await open(t, { limits: { retainedPerAccountMax: 1 } });
    const client = await bed.connect(version, 'pub');
    const live = await bed.connect(version, 'sub');
    subscribe(live, '#');
    await live.next();
    await keep(client, 'first', 'x');
    publish(client, 'second', 'x', { messageId: 8 });
    publish(client, 'second', 'x', { qos: 0 });
    assert.deepEqual((await client.settled()).map(line), version === 5 ? ['puback 97'] : [], 'the connection stays');
    assert.deepEqual((await live.settled()).map(line), ['first x q1'], 'nor is it delivered');
    assert.deepEqual(
      bed.failures().map(({ reason, detail }) => [reason, detail]),
      [
        ['LIMIT_EXCEEDED', 'retainedPerAccountMax'],
        ['LIMIT_EXCEEDED', 'retainedPerAccountMax'],
      ],
    );
    assert.equal(bed.broker.metrics['PublishRetained.Throttle'], 2);
    await keep(client, 'second', '');
    await keep(client, 'first', '');
    await keep(client, 'second', 'x');
    assert.equal(bed.broker.metrics['PublishRetained.Success'], 4);
  });

  test(`v${version}: a store that cannot be written: ${version === 5 ? 'PUBACK 0x80' : 'close'}, nothing is delivered, and QoS 0 is lost`, async (t) => {
    const store = await openBedStore(t);
    let broken = true;
    const flaky: Pick<Store, 'db' | 'write' | 'append'> = {
      append: store.append,
      db: store.db,
      write: (unit) => (broken ? Promise.reject(new StoreUnavailable('disk full')) : store.write(unit)),
    };
    const bed = await open(t, { store: flaky });
    const live = await bed.connect(version, 'sub');
    subscribe(live, 't');
    await live.next();
    const client = await bed.connect(version, 'pub');
    publish(client, 't', 'x', { qos: 0 });
    assert.deepEqual((await client.settled()).map(line), []);
    publish(client, 't', 'x');
    if (version === 5) assert.equal(line(await client.next()), 'puback 80');
    else assert.deepEqual(await client.closed(), []);
    assert.deepEqual((await live.settled()).map(line), []);
    const [lost, refused] = bed.failures();
    assert.deepEqual([lost?.reason, refused?.reason], ['INTERNAL_SERVER_ERROR', 'INTERNAL_SERVER_ERROR']);
    assert.equal(bed.broker.metrics['PublishRetained.ServerError'], 2);
    assert.equal(bed.troubles.length, 2);
    broken = false;
    await keep(version === 5 ? client : await bed.connect(version, 'pub'), 't', 'y');
    assert.equal(line(await live.next()), 't y q1');
  });

  test(`v${version} 5.8: a will with RETAIN is kept and delivered`, async (t) => {
    const bed = await open(t);
    const live = await bed.connect(version, 'sub');
    subscribe(live, 'gone');
    await live.next();
    const will = { topic: 'gone', payload: Buffer.from('bye'), qos: 1 as const, retain: true };
    const client = await bed.connect(version, 'dev', { will });
    client.socket.destroy();
    assert.equal(line(await live.next()), 'gone bye q1');
    assert.deepEqual(await found(bed, live, 'gone'), ['gone bye q1 RETAIN']);
  });

  test(`v${version}: iot:Receive is asked for what is retained`, async (t) => {
    const bed = await open(t);
    await keep(await bed.connect(version, 'pub'), 'deaf', 'kept');
    bed.principal('less', [
      ['iot:Connect', '*'],
      ['iot:Subscribe', '*'],
      ['iot:Receive', 'topic/marker/*'],
    ]);
    assert.deepEqual(await found(bed, await bed.connect(version, 'sub', {}, 'less'), 'deaf'), []);
    assert.equal(bed.failures().at(-1)?.action, 'iot:Receive');
  });
}

test('what is retained survives the broker: a later one over the same store sends it', async (t) => {
  const bed = await open(t);
  await keep(await bed.connect(5, 'pub'), 'a/b', 'kept');
  publish(await bed.connect(5, 'hasty'), 'a/c', 'last words', { qos: 0 });
  const will = { topic: 'gone', payload: Buffer.from('bye'), qos: 0 as const, retain: true };
  await bed.connect(5, 'dev', { will });
  await bed.broker.close(1000);
  const next = await open(t, { store: bed.store });
  const client = await next.connect(4, 'sub');
  assert.deepEqual(await found(next, client, 'a/b'), ['a/b kept q1 RETAIN']);
  assert.deepEqual(await found(next, client, 'gone'), ['gone bye q0 RETAIN']);
});

test('v5: properties travel with it, and its expiry is what is left (5.7)', async (t) => {
  const bed = await open(t);
  const properties = {
    contentType: 'text/plain',
    correlationData: Buffer.from('c'),
    responseTopic: 'answers',
    payloadFormatIndicator: true,
    userProperties: { a: ['1', '2'], b: '3' },
  };
  const pub = await bed.connect(5, 'pub');
  await keep(pub, 't', 'kept', { properties: { ...properties, messageExpiryInterval: 60 } });
  bed.advance(20_000);
  const client = await bed.connect(5, 'sub');
  subscribe(client, 't');
  const [, packet] = await client.take(2);
  assert(packet?.cmd === 'publish');
  const { messageExpiryInterval, ...others } = packet.properties ?? {};
  assert.equal(messageExpiryInterval, 40);
  assert.deepEqual({ ...others, userProperties: { ...others.userProperties } }, properties);
  assert.deepEqual((await bed.broker.control(accountA).findRetained('t'))?.userProperties, [
    ['a', '1'],
    ['a', '2'],
    ['b', '3'],
  ]);
  assert.deepEqual(await found(bed, await bed.connect(4, 'old'), 't'), ['t kept q1 RETAIN'], 'v3 gets it without');
  bed.advance(40_000);
  assert.deepEqual(await found(bed, await bed.connect(4, 'late'), 't'), []);
});

test('v5 Retain Handling: 0 sends always, 1 to a new subscription only, 2 never (MQTT 5.0 3.8.3.1)', async (t) => {
  const bed = await open(t);
  await keep(await bed.connect(5, 'pub'), 't', 'kept');
  const client = await bed.connect(5, 'sub');
  assert.deepEqual(await found(bed, client, 't', { rh: 2 }), []);
  assert.deepEqual(await found(bed, client, 't', { rh: 1 }), []);
  assert.deepEqual(await found(bed, client, 't', { rh: 0 }), ['t kept q1 RETAIN']);
  const other = await bed.connect(5, 'other');
  assert.deepEqual(await found(bed, other, 't', { rh: 1 }), ['t kept q1 RETAIN']);
});

test('in --limits open filters with wildcards get what is retained, at the pace of the reader', async (t) => {
  const bed = await open(t, { limits: { dialect: openDialect, outboundBytesMax: 4096 } });
  const pub = await bed.connect(5, 'pub');
  const topics = Array.from({ length: 40 }, (_, index) => `many/${String(index).padStart(2, '0')}`);
  for (const [index, topic] of topics.entries()) await keep(pub, topic, 'x'.repeat(1000), { messageId: index + 1 });
  const all = topics.map((topic) => `${topic} ${'x'.repeat(20)} q0 RETAIN`);
  assert.deepEqual(await found(bed, await bed.connect(5, 'sub'), 'many/#', { qos: 0 }), all);
  const slow = await bed.connect(4, 'slow');
  subscribe(slow, 'many/+');
  await slow.next();
  for (const topic of topics) {
    const packet = await slow.next();
    assert(packet.cmd === 'publish');
    assert.equal(packet.topic, topic);
    slow.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
  }
  assert.equal(bed.broker.metrics['PublishOut.Throttle'], 0);
  const gone = await bed.connect(5, 'gone');
  subscribe(gone, '#');
  await gone.take(2);
  gone.socket.destroy();
  assert.deepEqual(await found(bed, await bed.connect(5, 'next'), 'many/00', { qos: 0 }), all.slice(0, 1));
  assert.deepEqual(bed.troubles, []);
});

test('a subscription that is taken back gets no more of what was to be sent for it', async (t) => {
  const bed = await open(t, { limits: { dialect: openDialect, outboundBytesMax: 2048 } });
  const pub = await bed.connect(5, 'pub');
  for (let index = 0; index < 20; index++) await keep(pub, `many/${index}`, 'x'.repeat(900), { messageId: index + 1 });
  const client = await bed.connect(5, 'sub');
  subscribe(client, 'many/#');
  const sent = [(await client.take(2))[1]];
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['many/#'] });
  for (let packet = await client.next(); packet.cmd !== 'unsuback'; packet = await client.next()) sent.push(packet);
  for (const packet of sent) client.send({ cmd: 'puback', messageId: packet?.messageId ?? 0 });
  assert.deepEqual(await afterwards(bed, client), []);
  assert.ok(sent.length < 20, String(sent.length));
});

test('a retained message for a session that is kept waits in its queue until it is acknowledged', async (t) => {
  const bed = await open(t);
  await keep(await bed.connect(4, 'pub'), 't', 'kept');
  const first = await bed.connect(4, 'sub', { clean: false });
  subscribe(first, 't');
  assert.deepEqual((await first.take(2)).map(line), ['suback', 't kept q1 RETAIN']);
  first.socket.destroy();
  const second = await bed.connect(4, 'sub', { clean: false });
  const again = await second.next();
  assert.equal(line(again), 't kept q1 RETAIN');
  second.send({ cmd: 'puback', messageId: 'messageId' in again ? (again.messageId ?? 0) : 0 });
  await second.settled();
  second.socket.destroy();
  const third = await bed.connect(4, 'sub', { clean: false });
  assert.deepEqual((await third.settled()).map(line), []);
});

test('in --limits open the queue of a kept session takes what is retained at the pace of its reader', async (t) => {
  const bed = await open(t, { limits: { dialect: openDialect, queuedMessagesPerSessionMax: 8 } });
  const pub = await bed.connect(5, 'pub');
  const topics = Array.from({ length: 30 }, (_, index) => `many/${String(index).padStart(2, '0')}`);
  for (const [index, topic] of topics.entries()) await keep(pub, topic, 'x', { messageId: index + 1 });
  const client = await bed.connect(4, 'sub', { clean: false });
  subscribe(client, 'many/+');
  await client.next();
  for (const topic of topics) {
    const packet = await client.next();
    assert(packet.cmd === 'publish');
    assert.equal(packet.topic, topic);
    client.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
  }
  assert.equal(bed.broker.metrics['Queued.Throttle'], 0);
});

test('calls keep and look at retained messages; beyond the bound they are told', async (t) => {
  const bed = await open(t, { limits: { retainedPerAccountMax: 2 } });
  const control = bed.broker.control(accountA);
  const message = { payload: Buffer.from('kept'), qos: 1 as const, retain: true };
  await control.publish({ topic: 'a', ...message, properties: { userProperties: [['k', 'v']] } });
  await control.publish({ topic: 'b', ...message, properties: { messageExpirySeconds: 10 } });
  assert.equal(await control.publish({ topic: 'c', ...message, properties: {} }), 'full');
  const { topic, payload, qos, updatedAtMs, userProperties } = (await control.findRetained('a'))!;
  assert.deepEqual([topic, payload.toString(), qos, updatedAtMs], ['a', 'kept', 1, bed.clock.nowMs]);
  assert.deepEqual(userProperties, [['k', 'v']]);
  assert.deepEqual(await control.listRetained({ after: 'a', limit: 9 }), [
    { topic: 'b', payloadBytes: 4, qos: 1, updatedAtMs: bed.clock.nowMs },
  ]);
  bed.advance(10_000);
  assert.equal(await control.findRetained('b'), undefined);
  assert.deepEqual(
    [bed.broker.httpMetrics['PublishRetained.Success'], bed.broker.metrics['PublishRetained.Success']],
    [2, 0],
  );
});
