/** What anybody can do who reaches a port: slowly, in masses, half, or too large. No key is needed for any of it. */
import { corpusOf, cut } from '../corpus.ts';
import { type Attack, connectPacket, dial, dialTls, gone, keepBusy, type Scene, until } from './scene.ts';

const hello = corpusOf('client-hello')[0] ?? Buffer.alloc(0);
const slowByteMs = 1_000;

/** One byte each second, until the server has had enough; or the time is over, which no listener should let come. */
const slowly =
  (portOf: (scene: Scene) => number, bytes: Buffer): Attack =>
  async (scene, tally) => {
    const endMs = performance.now() + scene.ms;
    const one = async (): Promise<void> => {
      const socket = dial(portOf(scene), () => {});
      tally('opened');
      for (let at = 0; !socket.closed && performance.now() < endMs; at++) {
        socket.write(bytes.subarray(at % bytes.length, (at % bytes.length) + 1));
        await until(performance.now() + slowByteMs);
      }
      tally(socket.closed ? 'ended by the server' : 'still open');
      socket.destroy();
    };
    await Promise.all(Array.from({ length: scene.connections }, one));
  };

/** Opens connections, leaves them, and replaces each that the server closes. */
const holding =
  (portOf: (scene: Scene) => number, first: Buffer): Attack =>
  async (scene, tally) => {
    const endMs = performance.now() + scene.ms;
    await keepBusy(scene.connections, scene.ms, async () => {
      const socket = dial(portOf(scene), tally);
      if (first.length > 0) socket.write(first);
      await Promise.race([gone(socket), until(endMs)]);
      socket.destroy();
      await until(performance.now() + 5);
    });
  };

const api = ({ apiPort }: Scene): number => apiPort;
const mqtt = ({ mqttPort }: Scene): number => mqttPort;
const https = ({ httpsPort }: Scene): number => httpsPort;

/** Ends one side, resets, or closes in the middle, in turns. */
const half: Attack = (scene, tally) =>
  keepBusy(scene.connections, scene.ms, async (index) => {
    const onApi = index % 2 === 0;
    const socket = dial(onApi ? scene.apiPort : scene.mqttPort, tally);
    socket.write(
      onApi ? 'POST /things/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc' : hello.subarray(0, 99),
    );
    await until(performance.now() + 2);
    if (index % 3 === 0) socket.end();
    else if (index % 3 === 1) socket.resetAndDestroy();
    else socket.destroy();
    await gone(socket);
  });

const handshakes: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 64), scene.ms, async (index) => {
    const socket = dialTls(scene.mqttPort, scene.stranger, tally);
    socket.write(connectPacket(index % 2 === 0 ? 4 : 5, `stranger-${index}`));
    await Promise.race([gone(socket), until(performance.now() + 5_000)]);
    socket.destroy();
  });

const megabytes = (count: number, byte = 0x61): Buffer => Buffer.alloc(count * 1_048_576, byte);
const tooLarge: readonly (readonly [port: 'api' | 'mqtt', bytes: () => Buffer])[] = [
  ['api', () => Buffer.concat([Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\nX: '), megabytes(4)])],
  ['api', () => Buffer.concat([Buffer.from('GET /'), megabytes(4)])],
  ['api', () => Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n'), Buffer.from('a:b\r\n'.repeat(400_000))])],
  [
    'api',
    () =>
      Buffer.concat([
        Buffer.from('POST /things/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n'),
        megabytes(32),
      ]),
  ],
  [
    'api',
    () =>
      Buffer.concat([
        Buffer.from('POST /things/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2000000\r\n'),
        megabytes(32),
      ]),
  ],
  ['api', () => Buffer.from(`GET /${'../'.repeat(9_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`)],
  ['api', () => Buffer.from(`GET /?${'a&'.repeat(14_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`)],
  ['api', () => Buffer.from('GET /_fleetgate/health HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(5_000))],
  ['mqtt', () => Buffer.concat([Buffer.from([22, 3, 1, 64, 0, 1, 255, 255, 255]), megabytes(16, 0)])],
  [
    'mqtt',
    () =>
      Buffer.concat(
        cut(Buffer.concat([Buffer.from([1, 0, 255, 0]), Buffer.alloc(65_000)]), 1, 0).map((byte) =>
          Buffer.concat([Buffer.from([22, 3, 1, 0, 1]), byte]),
        ),
      ),
  ],
  ['mqtt', () => megabytes(16, 0x16)],
  ['mqtt', () => Buffer.concat([hello, megabytes(16, 0x17)])],
];

const oversized: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 2 * tooLarge.length), scene.ms, async (index) => {
    const [port, bytes] = tooLarge[index % tooLarge.length] ?? ['api', () => Buffer.alloc(0)];
    const socket = dial(port === 'api' ? scene.apiPort : scene.mqttPort, tally);
    socket.write(bytes());
    await Promise.race([gone(socket), until(performance.now() + 5_000)]);
    socket.destroy();
  });

export const unknownAttacks: Readonly<Record<string, Attack>> = {
  'slow request (API)': slowly(
    api,
    Buffer.from('POST /things/a HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\nContent-Length: 9\r\n\r\nabc'),
  ),
  'slow hello (MQTT)': slowly(mqtt, hello),
  'slow hello (HTTPS)': slowly(https, hello),
  'silent connections (API)': holding(api, Buffer.alloc(0)),
  'kept-alive connections (API)': holding(
    api,
    Buffer.from('GET /_fleetgate/health HTTP/1.1\r\nHost: localhost\r\n\r\n'),
  ),
  'silent connections (MQTT)': holding(mqtt, Buffer.alloc(0)),
  'half a hello (MQTT)': holding(mqtt, hello.subarray(0, 100)),
  'half a handshake (MQTT)': holding(mqtt, hello),
  'half a handshake (HTTPS)': holding(https, hello),
  'half-open, reset and cut': half,
  'strangers’ handshakes': handshakes,
  oversized,
};
