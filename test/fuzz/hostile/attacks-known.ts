/** What a device can do whose certificate is registered and whose policy allows everything: the worst guest. */
import { signRequest } from '../../../src/aws/sigv4.ts';
import {
  type Attack,
  connectPacket,
  device,
  dial,
  dialTls,
  flood,
  gone,
  keepBusy,
  publish,
  type Scene,
  subscribe,
  times,
  unsubscribe,
  until,
} from './scene.ts';

/** Many packets in little room, over and over. */
const bombs: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['PINGREQ', times(16_000, Buffer.of(0xc0, 0))],
  ['PUBLISH nobody hears', times(2_000, publish('bomb/nobody', 1))],
  ['PUBLISH QoS 1', times(2_000, publish('bomb/nobody', 1, { qos: 1 }))],
  ['PUBLISH of ever new topics', Buffer.concat(Array.from({ length: 4_000 }, (_, n) => publish(`bomb/new/${n}`, 1)))],
  [
    'SUBSCRIBE and UNSUBSCRIBE',
    times(
      500,
      Buffer.concat([
        subscribe(['bomb/+/a/+/#', 'bomb/a/#', '$share/g/bomb/#']),
        unsubscribe(['bomb/+/a/+/#', '$share/g/bomb/#']),
      ]),
    ),
  ],
  ['UNSUBSCRIBE of 40000 filters', unsubscribe(Array.from({ length: 40_000 }, () => 'a'))],
  ['large PUBLISH', publish('bomb/nobody', 130_000)],
];

const packetBombs: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, bombs.length), scene.ms, async (index) => {
    const [, bytes] = bombs[index % bombs.length] ?? ['', Buffer.alloc(0)];
    const socket = device(scene, () => {}, { clientId: `bomb-${index}` });
    tally('MB', Math.round((await flood(socket, bytes, performance.now() + scene.ms)) / 1_048_576));
    socket.destroy();
  });

/** Subscribers that never read, and a publisher that feeds them, QoS 0 and 1. */
const deafSubscribers =
  (countMax: number): Attack =>
  async (scene, tally) => {
    const endMs = performance.now() + scene.ms;
    const deaf = Array.from({ length: Math.min(scene.connections, countMax) }, (_, index) => {
      const socket = device(scene, tally, { clientId: `deaf-${index}` });
      socket.once('secureConnect', () => {
        socket.write(subscribe(['deaf/#']));
        setTimeout(() => socket.pause(), 200);
      });
      return socket;
    });
    await until(performance.now() + 300);
    const feed = [0, 1].map(async (qos) => {
      const socket = device(scene, () => {}, { clientId: `feeder-${qos}` });
      tally(
        'MB fed',
        Math.round((await flood(socket, publish('deaf/x', 8_000, { qos: qos === 0 ? 0 : 1 }), endMs)) / 1_048_576),
      );
      socket.destroy();
    });
    await Promise.all(feed);
    for (const socket of deaf) socket.destroy();
  };

/** As many subscriptions as are allowed, on many connections, and publishes that have to find their way among them. */
const manySubscriptions: Attack = async (scene, tally) => {
  const endMs = performance.now() + scene.ms;
  await keepBusy(Math.min(scene.connections, 200), scene.ms, async (index) => {
    const socket = device(scene, () => {}, { clientId: `many-${index}` });
    for (let batch = 0; batch < 6; batch++) {
      const filters = Array.from({ length: 8 }, (_, n) => `many/+/${index % 10}/${batch * 8 + n}/+/+/#`);
      socket.write(subscribe(filters, batch + 1));
      tally('subscriptions', filters.length);
    }
    await flood(socket, publish(`many/a/${index % 10}/1/b/c/d`, 8), Math.min(endMs, performance.now() + 100));
    await Promise.race([until(Math.min(endMs, performance.now() + 1_000)), gone(socket)]);
    socket.destroy();
  });
};

/** One byte in each TLS record: slow and dear, but honest; it has to be served. */
const byteByByte: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 20), scene.ms, async (index) => {
    const socket = dialTls(scene.mqttPort, scene.registered, () => {});
    const heard: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => heard.push(chunk));
    const bytes = Buffer.concat([
      connectPacket(4, `byte-${index}`),
      subscribe(['byte/#']),
      publish('byte/x', 20, { qos: 1 }),
    ]);
    for (const byte of bytes) socket.write(Buffer.of(byte));
    await Promise.race([until(performance.now() + 10_000), gone(socket), answered(socket, heard)]);
    tally(Buffer.concat(heard)[0] === 0x20 ? 'served' : 'wrong: not served');
    socket.destroy();
  });
const answered = (socket: NodeJS.EventEmitter, heard: readonly Buffer[]): Promise<void> =>
  new Promise((resolve) => {
    // CONNACK, SUBACK and PUBACK are 13 bytes
    const look = (): void => {
      if (heard.reduce((sum, chunk) => sum + chunk.length, 0) >= 13) resolve();
    };
    socket.on('data', look);
  });

/** What breaks a limit: each ends its connection, and nothing else. */
const overLimit = (clientId: string): readonly Buffer[] => [
  connectPacket(4, 'x'.repeat(65_000)),
  Buffer.concat([connectPacket(4, clientId), Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f)]),
  Buffer.concat([connectPacket(4, clientId), publish('x'.repeat(65_000), 1)]),
  Buffer.concat([connectPacket(4, clientId), publish('x', 200_000)]),
  Buffer.concat([connectPacket(4, clientId), subscribe(Array.from({ length: 5_000 }, (_, n) => `over/${n}`))]),
];
const overLimits: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 12), scene.ms, async (index) => {
    const all = overLimit(`over-${index}`);
    const socket = dialTls(scene.mqttPort, scene.registered, () => {});
    socket.write(all[index % all.length] ?? Buffer.alloc(0));
    await Promise.race([gone(socket), until(performance.now() + 10_000)]);
    tally(socket.closed ? 'ended by the server' : 'wrong: still open');
    socket.destroy();
  });

const signed = (scene: Scene, method: string, path: string, body: string, accountId: string): Buffer => {
  const url = `http://127.0.0.1:${scene.apiPort}${path}`;
  const key = { accessKeyId: accountId, secretAccessKey: 'test', region: 'us-east-1', service: 'iot' };
  const headers = signRequest({ method, url, body, ...key, nowMs: Date.now() });
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' });
  return Buffer.from(
    [`${method} ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`), '', body].join('\r\n'),
  );
};
const largeBodies: readonly (readonly [method: string, path: string, body: string])[] = [
  [
    'POST',
    '/certificate/register-no-ca',
    JSON.stringify({ certificatePem: `-----BEGIN CERTIFICATE-----\n${'A'.repeat(1_000_000)}` }),
  ],
  ['POST', '/policies/large', JSON.stringify({ policyDocument: `{"Version":"2012-10-17",${' '.repeat(1_000_000)}` })],
  ['POST', '/policies/deep', JSON.stringify({ policyDocument: `{"Statement":${'['.repeat(400_000)}` })],
  ['POST', '/things/deep', '['.repeat(1_000_000)],
  [
    'POST',
    '/things/deep',
    `{"attributePayload":{"attributes":{${Array.from({ length: 60_000 }, (_, n) => `"k${n}":"v"`).join()}}}}`,
  ],
  [
    'POST',
    '/test-authorization',
    JSON.stringify({ authInfos: Array.from({ length: 20_000 }, () => ({ actionType: 'X', resources: [null] })) }),
  ],
];
const largeSigned: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, largeBodies.length), scene.ms, async (index) => {
    const [method, path, body] = largeBodies[index % largeBodies.length] ?? ['GET', '/', ''];
    const socket = dial(scene.apiPort, () => {});
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer ||= chunk.toString('latin1', 0, 12);
    });
    socket.write(signed(scene, method, path, body, 'test'));
    await Promise.race([gone(socket), until(performance.now() + 10_000)]);
    tally(/^HTTP\/1.1 (4\d\d|503)$/.test(answer) ? 'refused' : `wrong: ${answer} for ${path}`);
    socket.destroy();
  });

/** Signed requests whose body never comes: each is worth waiting for, and takes a place among those that are awaited. */
const slowBodies: Attack = async (scene, tally) => {
  const endMs = performance.now() + scene.ms;
  const whole = signed(scene, 'POST', '/things/slow', 'x'.repeat(1_000), 'test');
  await keepBusy(scene.connections, scene.ms, async () => {
    const socket = dial(scene.apiPort, tally);
    socket.write(whole.subarray(0, whole.length - 999));
    await Promise.race([gone(socket), until(endMs)]);
    socket.destroy();
    await until(performance.now() + 5);
  });
};

/** A new account with every request. */
const manyAccounts: Attack = (scene, tally) => {
  let accounts = 0;
  return keepBusy(Math.min(scene.connections, 32), scene.ms, async () => {
    const socket = dial(scene.apiPort, () => {});
    socket.write(signed(scene, 'GET', '/things', '', String(++accounts).padStart(12, '0')));
    await Promise.race([gone(socket), until(performance.now() + 5_000)]);
    tally('requests');
    socket.destroy();
  });
};

export const knownAttacks: Readonly<Record<string, Attack>> = {
  'packet bombs': packetBombs,
  'deaf subscribers': deafSubscribers(40),
  'very many deaf subscribers': deafSubscribers(2_000),
  'thousands of subscriptions': manySubscriptions,
  'one byte at a time': byteByByte,
  'over every limit (MQTT)': overLimits,
  'large signed requests': largeSigned,
  'slow signed bodies (API)': slowBodies,
  'ever new accounts': manyAccounts,
};
