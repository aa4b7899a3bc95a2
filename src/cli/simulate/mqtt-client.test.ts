/** The client against servers that do what they should not. Against a real one it is in test/stories/device-simulate.test.ts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createSecureContext, createServer, type TLSSocket } from 'node:tls';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { selfSigned, throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import { MqttClient, Seen } from './mqtt-client.ts';

const folder = throwAwayFolder();
const server = selfSigned(folder, 'localhost', 'ec', 'DNS:localhost');
const stranger = selfSigned(folder, 'stranger', 'ec');

type Hear = (packet: Packet, send: (answer: Packet | Buffer) => void, socket: TLSSocket, cut: () => void) => void;

/** A server that answers each packet as it is told; resolves with how a device reaches it. */
const serve = async (t: TestContext, hear: Hear, ca = server.certificatePem) => {
  const wires: Socket[] = [];
  const listener = createServer(
    { key: server.keyPem, cert: server.certificatePem, requestCert: true, rejectUnauthorized: false },
    (socket) => {
      const parser = mqttPacket.parser({ protocolVersion: 5 });
      const send = (answer: Packet | Buffer): void => {
        socket.write(Buffer.isBuffer(answer) ? answer : mqttPacket.generate(answer, { protocolVersion: 5 }));
      };
      parser.on('packet', (packet) => hear(packet, send, socket, () => wires.at(-1)?.resetAndDestroy()));
      socket.on('data', (chunk: Buffer) => parser.parse(chunk)).on('error', () => {});
      t.after(() => socket.destroy());
    },
  ).listen(0, '127.0.0.1');
  listener.on('connection', (wire) => wires.push(wire)).on('tlsClientError', () => {});
  await once(listener, 'listening');
  t.after(() => listener.close());
  // A TCP server's address is an AddressInfo.
  const { port } = listener.address() as AddressInfo;
  const secureContext = createSecureContext({ ca, cert: stranger.certificatePem, key: stranger.keyPem });
  const place = { host: 'localhost', address: '127.0.0.1', port };
  return { listener, options: { place, secureContext, clientId: 'd', answerMsMax: 300 } };
};

const connack: Packet = { cmd: 'connack', sessionPresent: false, reasonCode: 0 };
const sees = (kind: Seen['kind'], message: RegExp) => (error: unknown) => {
  assert(error instanceof Seen, String(error));
  assert.match(error.message, message);
  assert.equal(error.kind, kind);
  return true;
};

const openings: [what: string, hear: Hear, kind: Seen['kind'], message: RegExp][] = [
  ['says nothing', () => {}, 'silent', /^no answer to CONNECT \(waited 0\.3 s\)$/],
  [
    'refuses',
    (_packet, send) => send({ ...connack, reasonCode: 0x87, properties: { reasonString: 'iot:Connect' } }),
    'said',
    /^CONNECT was refused: not authorized \(0x87\): iot:Connect$/,
  ],
  ['hangs up', (_packet, _send, socket) => socket.end(), 'closed', /^the server closed the connection without a word$/],
  [
    'cuts the line',
    (_packet, _send, _socket, cut) => cut(),
    'closed',
    /^the server cut the connection \(ECONNRESET\)$/,
  ],
  [
    'speaks HTTP',
    (_packet, send) => send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(9))),
    'closed',
    /no MQTT/,
  ],
];
for (const [what, hear, kind, message] of openings) {
  test(`a server that ${what} is told of as the device sees it`, async (t) => {
    const { options } = await serve(t, hear);
    await assert.rejects(MqttClient.open(options), sees(kind, message));
  });
}

test('a server that nobody vouches for, or that is not there, is never spoken to', async (t) => {
  const { options, listener } = await serve(t, () => assert.fail('it heard something'), stranger.certificatePem);
  await assert.rejects(
    MqttClient.open(options),
    sees('unreachable', /^the certificate of localhost:\d+ \(127\.0\.0\.1\) is not to be trusted \(\w+\)$/),
  );
  listener.close();
  await once(listener, 'close');
  await assert.rejects(MqttClient.open(options), sees('unreachable', /^no TLS connection to .* \(ECONNREFUSED\)$/));
});

test('what is refused later is named: a filter, a message, a connection that is taken away', async (t) => {
  const { options } = await serve(t, (packet, send) => {
    if (packet.cmd === 'connect') send(connack);
    if (packet.cmd === 'subscribe') send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [1, 0x87] });
    if (packet.cmd === 'publish' && packet.topic === 'a') {
      send({ cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: 0x99 });
    } else if (packet.cmd === 'publish') send({ cmd: 'disconnect', reasonCode: 0x8e });
  });
  const client = await MqttClient.open(options);
  await assert.rejects(client.subscribe(['x', 'y']), sees('said', /^SUBSCRIBE to y was refused: not authorized/));
  await assert.rejects(client.publish('a', Buffer.of()), sees('said', /^PUBLISH to a was refused: payload format inv/));
  const taken = sees('closed', /^the server ended the connection: session taken over \(0x8e\)$/);
  await assert.rejects(client.request('b', Buffer.of(), ['b/accepted']), taken);
  await assert.rejects(client.publish('c', Buffer.of()), taken);
  await client.end();
});

test('an answer counts before or after the acknowledgement, is acknowledged itself, and may never come', async (t) => {
  const acknowledged: (number | undefined)[] = [];
  const { options } = await serve(t, (packet, send) => {
    if (packet.cmd === 'connect') send(connack);
    if (packet.cmd === 'puback') acknowledged.push(packet.messageId);
    if (packet.cmd !== 'publish') return;
    const puback: Packet = { cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: 0 };
    const reply = (topic: string, messageId: number): Packet => ({
      ...{ cmd: 'publish', qos: 1, dup: false, retain: false, payload: 'yes' },
      ...{ topic, messageId },
    });
    if (packet.topic === 'first') [reply('stray', 6), reply('first/accepted', 7), puback].forEach(send);
    else if (packet.topic === 'then') [puback, reply('then/rejected', 8)].forEach(send);
    else send(puback);
  });
  const client = await MqttClient.open(options);
  const ask = (topic: string) => client.request(topic, Buffer.of(), [`${topic}/accepted`, `${topic}/rejected`]);
  const { topic, payload } = await ask('first');
  assert.deepEqual([topic, payload.toString()], ['first/accepted', 'yes']);
  assert.equal((await ask('then')).topic, 'then/rejected');
  await assert.rejects(ask('never'), sees('silent', /^no answer on never\/\.\.\.; a policy without iot:Receive looks/));
  assert.deepEqual(acknowledged, [6, 7, 8]);
  await client.end();
});
