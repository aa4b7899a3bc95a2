/** Spec gateway.md 5.7 delivery out and 5.8 the will, rule by rule, in raw bytes. The rules about rates are in rates.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { field, packet, publish, type RawMqtt, shown, subscribe, u16, u32, varint } from '../raw-mqtt.ts';
import { bothVersions, connectPacket, name, openScene, type Scene } from './bed.ts';

const hourMs = 3_600_000;
const acknowledgement = (messageId: number) => ({ cmd: 'puback', messageId }) as const;

const deliveryOut = async (t: TestContext, scene: Scene): Promise<void> => {
  /** Says it, and waits until the node has handled it. */
  const say = async (version: 4 | 5, ...packets: Parameters<RawMqtt['send']>): Promise<void> => {
    const { client } = await scene.enter(version);
    client.send(...packets);
    await client.settled();
    client.socket.destroy();
  };
  /** Lets time pass without letting the clients fall silent. */
  const pass = async (ms: number, ...clients: readonly RawMqtt[]): Promise<void> => {
    for (let left = ms; left > 0; left -= 1_000_000) {
      await scene.advance(Math.min(left, 1_000_000));
      for (const client of clients) {
        client.send({ cmd: 'pingreq' });
        while ((await client.next()).cmd !== 'pingresp');
      }
    }
  };

  await bothVersions(
    t,
    (version) => `5.7 iot:Receive denied on the concrete topic: silently dropped, ${name(version)}`,
    async (version) => {
      const { client } = await scene.enter(version, {}, scene.limited);
      client.send(subscribe(1, ['deaf/#', 'own/#']));
      assert.deepEqual(await client.heard(1), ['SUBACK 1 0x01 0x01']);
      const before = await scene.count('PublishOut.AuthError');
      await say(version, [publish(1, 'deaf/x', 'unheard'), publish(2, 'own/x', 'heard')]);
      assert.deepEqual(await client.heard(1), ['PUBLISH own/x heard q1']);
      assert.equal((await scene.count('PublishOut.AuthError')) - before, 1);
      client.socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) => `5.7 At most 100 unacked QoS 1, ${name(version)}`,
    async (version) => {
      const { client } = await scene.listen(version, 'own/many');
      const texts = Array.from({ length: 105 }, (_, index) => String(index + 1));
      await say(
        version,
        texts.map((text, index) => publish(index + 1, 'own/many', text)),
      );
      const first = await client.take(100);
      assert.deepEqual(
        first.map(({ cmd, ...rest }) => cmd === 'publish' && 'payload' in rest && String(rest.payload)),
        texts.slice(0, 100),
      );
      assert.deepEqual(await client.heard(), []);
      client.send(first.slice(0, 2).map(({ messageId = 0 }) => acknowledgement(messageId)));
      assert.deepEqual(await client.heard(2), ['PUBLISH own/many 101 q1', 'PUBLISH own/many 102 q1']);
      client.socket.destroy();
    },
  );

  await t.test('5.7 At most as many unacked QoS 1 as the Receive Maximum says, v5', async () => {
    const { client } = await scene.listen(5, 'own/few', { properties: { receiveMaximum: 2 } });
    await say(5, [publish(1, 'own/few', '1'), publish(2, 'own/few', '2'), publish(3, 'own/few', '3')]);
    const [one, two] = await client.take(2);
    assert.deepEqual(
      [one, two].map((each) => each && shown(each)),
      ['PUBLISH own/few 1 q1', 'PUBLISH own/few 2 q1'],
    );
    assert.deepEqual(await client.heard(), []);
    client.send(acknowledgement(two?.messageId ?? 0));
    assert.deepEqual(await client.heard(1), ['PUBLISH own/few 3 q1']);
    client.socket.destroy();
  });

  await t.test('5.7 Unacked QoS 1 is sent again after 20 s, same packet id, DUP clear, v3', async () => {
    const { client } = await scene.listen(4, 'own/again');
    await say(4, publish(1, 'own/again', 'x'));
    const first = await client.next();
    await scene.advance(19_000);
    assert.deepEqual(await client.heard(), []);
    await scene.advance(2_000);
    const second = await client.next();
    assert.deepEqual(second, first);
    assert.equal(second.cmd === 'publish' && second.dup, false);
    client.send(acknowledgement(first.messageId ?? 0));
    await client.settled();
    await scene.advance(21_000);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });

  await t.test('5.7 Unacked QoS 1 is not sent again while connected, v5', async () => {
    const { client } = await scene.listen(5, 'own/again');
    await say(5, publish(1, 'own/again', 'x'));
    assert.deepEqual(await client.heard(1), ['PUBLISH own/again x q1']);
    await scene.advance(61_000);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });

  await t.test('5.7 Unacked QoS 1 is given up after 1 h, v3: not sent again', async () => {
    const { client } = await scene.listen(4, 'own/late');
    await say(4, publish(1, 'own/late', 'x'));
    await client.next();
    await pass(hourMs + 1_000, client);
    client.received.splice(0);
    await pass(60_000, client);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });

  await t.test('5.7 Unacked QoS 1 is given up after 1 h, v5: its place is free', async () => {
    const { client } = await scene.listen(5, 'own/late', { properties: { receiveMaximum: 1 } });
    await say(5, [publish(1, 'own/late', 'first'), publish(2, 'own/late', 'second')]);
    assert.deepEqual(await client.heard(1), ['PUBLISH own/late first q1']);
    await scene.advance(1_700_000);
    assert.deepEqual(await client.heard(), []);
    await scene.advance(1_700_000);
    assert.deepEqual(await client.heard(), []);
    await scene.advance(201_000);
    assert.deepEqual(await client.heard(1), ['PUBLISH own/late second q1']);
    client.socket.destroy();
  });

  await t.test('5.7 Client Maximum Packet Size: bigger messages are not sent, v5', async () => {
    const { client } = await scene.listen(5, 'own/size', { properties: { maximumPacketSize: 100 } });
    await say(5, [
      publish(1, 'own/size', 'x'.repeat(100)),
      publish(2, 'own/size', 'small'),
      publish(0, 'own/size', 'x'.repeat(100), { qos: 0 }),
      publish(0, 'own/size', 'too', { qos: 0 }),
    ]);
    assert.deepEqual(await client.heard(2), ['PUBLISH own/size small q1', 'PUBLISH own/size too q0']);
    client.socket.destroy();
  });

  await t.test('5.7 No outbound topic aliases, v5', async () => {
    const { client } = await scene.listen(5, 'own/alias', { properties: { topicAliasMaximum: 10 } });
    await say(5, [publish(1, 'own/alias', '1'), publish(2, 'own/alias', '2')]);
    for (const received of await client.take(2)) {
      assert.ok(received.cmd === 'publish' && received.topic === 'own/alias');
      assert.equal(received.properties?.topicAlias, undefined);
    }
    client.socket.destroy();
  });

  const pair = (key: string, value: string): Buffer => Buffer.concat([Buffer.of(0x26), field(key), field(value)]);
  /** Payload format, user properties in an order that no map keeps, content type, response topic, correlation data. */
  const passing = Buffer.concat([
    ...[Buffer.of(0x01, 1), pair('b', '1'), pair('a', '2'), pair('b', '3'), Buffer.of(0x03), field('text/plain')],
    ...[Buffer.of(0x08), field('own/answers'), Buffer.of(0x09), field(Buffer.of(0, 1, 255)), pair('', '')],
  ]);
  const withProperties = (qos: 0 | 1) =>
    packet(
      0x30 | (qos << 1),
      field('own/properties'),
      ...(qos ? [u16(1)] : []),
      varint(passing.length),
      passing,
      Buffer.from('x'),
    );
  for (const qos of [0, 1] as const) {
    await t.test(`5.7 Properties pass unchanged and in order to v5, QoS ${qos}`, async () => {
      const { client } = await scene.listen(5, 'own/properties');
      await say(5, withProperties(qos));
      assert.deepEqual(await client.heard(1), [`PUBLISH own/properties x q${qos}`]);
      assert.ok(client.bytes.includes(Buffer.concat([varint(passing.length), passing, Buffer.from('x')])));
      client.socket.destroy();
    });
    await t.test(`5.7 Cross-version: v5-only properties are dropped for v3 receivers, QoS ${qos}`, async () => {
      const { client } = await scene.listen(4, 'own/properties');
      await say(5, withProperties(qos));
      assert.deepEqual(await client.heard(1), [`PUBLISH own/properties x q${qos}`]);
      client.socket.destroy();
    });
  }

  /** What is said in a PUBLISH with an interval, and what a v5 receiver reads `afterMs` later; a window of one keeps it until then. */
  const intervals: readonly (readonly [said: number, afterMs: number, least: number, most: number])[] = [
    [0, 0, 0, 1],
    [1, 0, 0, 1],
    [30, 20_000, 9, 10],
    [604_800, 0, 604_799, 604_800],
    [604_801, 0, 604_799, 604_800],
    [4_294_967_295, 0, 604_799, 604_800],
  ];
  for (const [said, afterMs, least, most] of intervals) {
    await t.test(`5.7 Message Expiry ${said}, read after ${afterMs / 1000} s, v5: ${least} to ${most}`, async () => {
      const { client } = await scene.listen(5, 'own/expiry', { properties: { receiveMaximum: 1 } });
      const properties = Buffer.concat([Buffer.of(0x02), u32(said)]);
      const expiring = packet(0x32, field('own/expiry'), u16(2), varint(5), properties, Buffer.from('x'));
      await say(5, [publish(1, 'own/expiry', 'first'), expiring]);
      const first = await client.next();
      await scene.advance(afterMs);
      client.send(acknowledgement(first.messageId ?? 0));
      const second = await client.next();
      const left = Number(second.properties?.['messageExpiryInterval']);
      assert.ok(left >= least && left <= most, String(left));
      client.socket.destroy();
    });
  }
  await t.test('5.7 Message Expiry less than 1 s ahead, v5: 0 is sent', async () => {
    const { client } = await scene.listen(5, 'own/expiry');
    await say(5, publish(0, 'own/expiry', 'x', { qos: 0, properties: { messageExpiryInterval: 1 } }));
    assert.ok(Number((await client.next()).properties?.['messageExpiryInterval']) <= 1);
    client.socket.destroy();
  });

  await bothVersions(
    t,
    (version) => `5.7 Message Expiry: an expired message is not sent to a ${name(version)} receiver`,
    async (version) => {
      const fields = version === 5 ? { properties: { receiveMaximum: 1 } } : {};
      const { client } = await scene.listen(version, 'own/expired', fields);
      const fill = version === 5 ? 1 : 100;
      await say(5, [
        ...Array.from({ length: fill }, (_, index) => publish(index + 1, 'own/expired', 'first')),
        publish(1000, 'own/expired', 'expired', { properties: { messageExpiryInterval: 5 } }),
        publish(1001, 'own/expired', 'last'),
      ]);
      const first = await client.take(fill);
      await scene.advance(6_000);
      client.send(first.map(({ messageId = 0 }) => acknowledgement(messageId)));
      assert.deepEqual(await client.heard(1), ['PUBLISH own/expired last q1']);
      client.socket.destroy();
    },
  );
};

const will = (more: object = {}) => ({
  topic: 'own/will',
  payload: Buffer.from('gone'),
  qos: 0 as const,
  retain: false,
  ...more,
});

const wills = async (t: TestContext, scene: Scene): Promise<void> => {
  const sent: readonly (readonly [
    rule: string,
    versions: readonly (4 | 5)[],
    end: (client: RawMqtt, clientId: string) => unknown,
  ])[] = [
    ['connection lost', [4, 5], (client) => client.socket.destroy()],
    ['a packet that is malformed', [4, 5], (client) => client.send(Buffer.of(0xf0, 0))],
    ['keep-alive', [4, 5], () => scene.advance(47_000)],
    ['takeover', [4, 5], (client, clientId) => scene.enter(client.version, { clientId })],
    ['client DISCONNECT 0x04', [5], (client) => client.send({ cmd: 'disconnect', reasonCode: 4 })],
  ];
  for (const [rule, versions, end] of sent) {
    for (const version of versions) {
      await t.test(`5.8 Published on ${rule}, ${name(version)}`, async () => {
        const { client, clientId } = await scene.enter(version, { will: will({ qos: 1 }), keepalive: 30 });
        const observer = await scene.listen(5, 'own/will', { clientId: scene.newId() });
        await end(client, clientId);
        assert.deepEqual(await observer.client.heard(1), ['PUBLISH own/will gone q1']);
        observer.client.socket.destroy();
      });
    }
  }

  await bothVersions(
    t,
    (version) => `5.8 Not published on a client DISCONNECT, ${name(version)}`,
    async (version) => {
      const { client } = await scene.enter(version, { will: will() });
      const observer = await scene.listen(5, 'own/will');
      client.send({ cmd: 'disconnect' });
      await client.closed();
      assert.deepEqual(await observer.client.heard(), []);
      observer.client.socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) => `5.8 AUTH_ERROR of a connected device: published, ${name(version)}`,
    async (version) => {
      const { client } = await scene.enter(version, { will: will({ topic: 'own/will' }) }, scene.limited);
      const observer = await scene.listen(5, 'own/will');
      client.send(publish(0, 'foreign/x', 'x', { qos: 0 }));
      await client.closed();
      assert.deepEqual(await observer.client.heard(1), ['PUBLISH own/will gone q0']);
      observer.client.socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) => `5.8 AUTH_ERROR of a device that was not connected before: not published, ${name(version)}`,
    async (version) => {
      const observer = await scene.listen(5, 'own/will');
      const client = await scene.dial(version, { identity: scene.limited });
      client.send(connectPacket(version, { clientId: 'foreign', will: will() }));
      await client.closed();
      assert.deepEqual(await observer.client.heard(), []);
      observer.client.socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) => `5.8 Published with the will's retain, ${name(version)}`,
    async (version) => {
      const { client } = await scene.enter(version, { will: will({ topic: 'own/retained', qos: 1, retain: true }) });
      const observer = await scene.listen(5, 'own/retained');
      await client.drop();
      assert.deepEqual(await observer.client.heard(1), ['PUBLISH own/retained gone q1']);
      const later = await scene.enter(version);
      later.client.send(subscribe(1, 'own/retained'));
      assert.deepEqual(await later.client.heard(2), ['SUBACK 1 0x01', 'PUBLISH own/retained gone q1 RETAIN']);
      later.client.send(publish(1, 'own/retained', '', { qos: 0, retain: true }));
      await later.client.settled();
      for (const { socket } of [observer.client, later.client]) socket.destroy();
    },
  );

  await t.test('5.8 Will Delay Interval is treated as 0, v5', async () => {
    const observer = await scene.listen(5, 'own/will');
    const { client } = await scene.enter(5, {
      will: will({ properties: { willDelayInterval: 60 } }),
      properties: { sessionExpiryInterval: 3600 },
    });
    await client.drop();
    assert.deepEqual(await observer.client.heard(1), ['PUBLISH own/will gone q0']);
    observer.client.socket.destroy();
  });

  await t.test('5.8 Message Expiry of a will starts at its publication, v5', async () => {
    const { client } = await scene.enter(5, { will: will({ properties: { messageExpiryInterval: 30 } }) });
    await scene.advance(60_000);
    const observer = await scene.listen(5, 'own/will');
    await client.drop();
    const received = await observer.client.next();
    assert.ok([29, 30].includes(Number(received.properties?.['messageExpiryInterval'])));
    observer.client.socket.destroy();
  });
};

test('gateway.md 5.7 and 5.8', async (t) => {
  const scene = await openScene(t);
  await t.test('gateway.md 5.7 Delivery out', (each) => deliveryOut(each, scene));
  await t.test('gateway.md 5.8 Will', (each) => wills(each, scene));
});
