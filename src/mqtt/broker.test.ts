/** The broker against real MQTT.js clients over TCP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import mqtt from 'mqtt';
import { createBed } from '../../test/mqtt-bed.ts';

const serve = async (t: TestContext) => {
  const bed = createBed();
  const server = createServer((socket) =>
    bed.broker.accept(socket, {
      account: undefined,
      serverName: undefined,
      certificate: { certificateId: 'all', der: new Uint8Array() },
      tls: {},
      remoteAddress: '127.0.0.1',
      remotePort: 1,
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    await bed.broker.close(0);
    server.close();
  });
  const { port } = server.address() as AddressInfo; // a TCP server has a port
  const connect = (clientId: string, protocolVersion: 4 | 5) =>
    mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, protocolVersion, reconnectPeriod: 0 });
  return { ...bed, connect, port };
};

for (const version of [4, 5] as const) {
  test(`v${version}: a real client subscribes, publishes at QoS 0 and 1, receives and leaves`, async (t) => {
    const { connect, broker } = await serve(t);
    const receiver = await connect('receiver', version);
    const sender = await connect('sender', version);
    const granted = await receiver.subscribeAsync('plant/+/temperature', { qos: 1 });
    assert.deepEqual(
      granted.map(({ qos }) => qos),
      [1],
    );

    const arrived: string[] = [];
    const all = new Promise<void>((resolve) => {
      receiver.on('message', (topic, payload, { qos }) => {
        arrived.push(`${topic} ${payload} ${qos}`);
        if (arrived.length === 2) resolve();
      });
    });
    await sender.publishAsync('plant/1/temperature', '20');
    await sender.publishAsync('plant/2/temperature', '21', { qos: 1 });
    await all;
    assert.deepEqual(arrived, ['plant/1/temperature 20 0', 'plant/2/temperature 21 1']);
    assert.equal(broker.connections().length, 2);
    await Promise.all([receiver.endAsync(), sender.endAsync()]);
  });
}

test('a v5 client and a v3 client reach each other; properties reach only v5', async (t) => {
  const { connect } = await serve(t);
  const three = await connect('three', 4);
  const five = await connect('five', 5);
  await three.subscribeAsync('t');
  await five.subscribeAsync('t');
  const seen = (client: mqtt.MqttClient) =>
    new Promise<mqtt.IPublishPacket>((resolve) => {
      client.once('message', (_topic, _payload, packet) => resolve(packet));
    });
  const [atThree, atFive] = [seen(three), seen(five)];
  await five.publishAsync('t', 'x', { properties: { contentType: 'text/plain', userProperties: { a: ['1', '2'] } } });
  assert.equal((await atThree).properties, undefined);
  const { properties } = await atFive;
  assert.equal(properties?.contentType, 'text/plain');
  assert.deepEqual({ ...properties?.userProperties }, { a: ['1', '2'] });
  await Promise.all([three.endAsync(), five.endAsync()]);
});

test('a client that keeps sending behind its fault still reads why it is closed', async (t) => {
  const { port } = await serve(t);
  const socket = createConnection(port, '127.0.0.1');
  const connect = Buffer.from([0x10, 16, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 60, 0, 0, 3, 0x61, 0x62, 0x63]);
  socket.write(connect);
  await once(socket, 'data');
  const answer = once(socket, 'data') as Promise<[Buffer]>;
  socket.write(Buffer.concat([Buffer.of(0xf0, 0), Buffer.alloc(4_000_000)]));
  const [bytes] = await answer;
  assert.deepEqual([bytes[0], bytes[2]], [0xe0, 0x82]);
  await Promise.all([once(socket, 'end'), new Promise<void>((resolve) => socket.end(resolve))]);
});
