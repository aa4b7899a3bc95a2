/** On the port of HTTPS and WebSocket: by anybody, since no certificate is needed to get through its TLS, and by a registered device. */
import {
  type Attack,
  connectPacket,
  dialTls,
  flood,
  gone,
  keepBusy,
  publish,
  type Scene,
  subscribe,
  times,
  until,
} from './scene.ts';
import { type FrameShape, frame, opcode, openWebSocket, upgradeRequest } from './websocket.ts';

const slowByteMs = 1_000;
/** Handshakes are dear for attackers too: half as many, however many connections an attack may have. */
const handshakesMax = 500;

const post = ({ httpsPort }: Scene): Buffer =>
  Buffer.from(`POST /topics/a?qos=1 HTTP/1.1\r\nHost: localhost:${httpsPort}\r\nContent-Length: 1000\r\n\r\nxxx`);

/** TLS at once, then one byte each second of something that is never whole. */
const slowly =
  (bytesOf: (scene: Scene) => Buffer, isRegistered: boolean): Attack =>
  async (scene, tally) => {
    const endMs = performance.now() + scene.ms;
    const bytes = bytesOf(scene);
    const one = async (): Promise<void> => {
      const socket = dialTls(scene.httpsPort, isRegistered ? scene.registered : undefined, () => {});
      tally('opened');
      for (let at = 0; !socket.closed && performance.now() < endMs; at++) {
        socket.write(bytes.subarray(at % bytes.length, (at % bytes.length) + 1));
        await until(performance.now() + slowByteMs);
      }
      tally(socket.closed ? 'ended by the server' : 'still open');
      socket.destroy();
    };
    await Promise.all(Array.from({ length: Math.min(scene.connections >> 1, handshakesMax) }, one));
  };

/** TLS and the first bytes, then silence; each that the server closes is replaced. */
const holding =
  (first: (scene: Scene) => Buffer, isRegistered = false): Attack =>
  async (scene, tally) => {
    const endMs = performance.now() + scene.ms;
    await keepBusy(Math.min(scene.connections >> 1, handshakesMax), scene.ms, async () => {
      const socket = dialTls(scene.httpsPort, isRegistered ? scene.registered : undefined, tally);
      const bytes = first(scene);
      if (bytes.length > 0) socket.write(bytes);
      await Promise.race([gone(socket), until(endMs)]);
      socket.destroy();
      await until(performance.now() + 5);
    });
  };

/** Whoever opens connections and leaves: before, in the middle of and after an upgrade. */
const comeAndGo: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 64), scene.ms, async (index) => {
    const socket = dialTls(scene.httpsPort, index % 2 === 0 ? scene.registered : scene.stranger, tally);
    const whole = upgradeRequest(scene);
    socket.write(index % 3 === 0 ? whole : whole.subarray(0, 40));
    await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), gone(socket)]);
    if (index % 4 === 0) socket.end();
    else socket.destroy();
    await Promise.race([gone(socket), until(performance.now() + 1_000)]);
    socket.destroy();
  });

/** A frame that is announced and never comes, or comes byte by byte. */
const stalledFrames: Attack = async (scene, tally) => {
  const endMs = performance.now() + scene.ms;
  await keepBusy(Math.min(scene.connections >> 1, handshakesMax), scene.ms, async (index) => {
    const socket = await openWebSocket(scene, tally);
    if (socket === undefined) return;
    const whole = frame(Buffer.concat([connectPacket(4, `stalled-${index}`), publish('stalled', 100_000)]));
    for (let at = 0; !socket.closed && performance.now() < endMs; at += 10) {
      socket.write(whole.subarray(at, at + 10));
      await until(Math.min(endMs, performance.now() + 100));
    }
    socket.destroy();
  });
};

/** A frame for each byte and a TLS record for each frame: honest, and to be served. */
const byteByByte: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 20), scene.ms, async (index) => {
    const socket = await openWebSocket(scene, () => {});
    let heard = Buffer.alloc(0);
    const bytes = Buffer.concat([
      connectPacket(4, `ws-byte-${index}`),
      subscribe(['ws-byte/#']),
      publish('ws-byte/x', 20, { qos: 1 }),
    ]);
    const served = new Promise<void>((resolve) => {
      socket?.on('data', (chunk: Buffer) => {
        heard = Buffer.concat([heard, chunk]);
        if (heard.includes(Buffer.of(0x40, 2, 0, 7))) resolve(); // the PUBACK
      });
    });
    for (const byte of bytes) socket?.write(frame(Buffer.of(byte)));
    await Promise.race([served, until(performance.now() + 10_000)]);
    tally(heard.includes(Buffer.of(0x40, 2, 0, 7)) ? 'served' : 'wrong: not served');
    socket?.destroy();
  });

const nothing = Buffer.alloc(0);
const shaped = (bytes: number, shape: Partial<FrameShape>): Buffer => frame(Buffer.alloc(bytes, 0x78), shape);
/** What breaks a rule or a bound of WebSocket: each ends its connection. */
const brokenFrames: readonly (readonly [name: string, bytes: () => Buffer])[] = [
  ['larger than a packet', () => shaped(200_000, {})],
  [
    'announces 8 EB',
    () => Buffer.concat([Buffer.from([0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255]), nothing]),
  ],
  [
    'a million fragments',
    () => Buffer.concat([shaped(1, { fin: false }), times(100_000, shaped(1, { code: 0, fin: false }))]),
  ],
  [
    'empty fragments',
    () => Buffer.concat([shaped(0, { fin: false }), times(200_000, shaped(0, { code: 0, fin: false }))]),
  ],
  ['not masked', () => shaped(10, { mask: false })],
  ['compressed', () => shaped(10, { reserved: 4 })],
  ['text', () => shaped(10, { code: opcode.text })],
  ['large ping', () => shaped(126, { code: opcode.ping })],
  ['ping in fragments', () => shaped(1, { code: opcode.ping, fin: false })],
  ['continuation of nothing', () => shaped(1, { code: opcode.continuation })],
  ['unknown opcode', () => shaped(1, { code: 11 })],
  ['MQTT of no kind', () => shaped(50_000, {})],
];
const frameBombs: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, brokenFrames.length), scene.ms, async (index) => {
    const [name, bytes] = brokenFrames[index % brokenFrames.length] ?? ['', () => nothing];
    const socket = await openWebSocket(scene, () => {});
    if (socket === undefined) return;
    socket.write(bytes());
    await Promise.race([gone(socket), until(performance.now() + 10_000)]);
    tally(socket.closed ? 'ended by the server' : `wrong: still open (${name})`);
    socket.destroy();
  });

/** Much work in few bytes, without end: whole packets in many frames, many packets in one frame, pings. */
const floods: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['pings', times(8_000, shaped(0, { code: opcode.ping }))],
  ['large pings', times(1_000, shaped(125, { code: opcode.ping }))],
  ['empty frames', times(16_000, shaped(0, {}))],
  [
    'a frame for each byte',
    Buffer.concat([...times(200, publish('ws/nobody', 1))].map((byte) => frame(Buffer.of(byte)))),
  ],
  ['many packets in a frame', frame(times(2_000, publish('ws/nobody', 1)))],
  ['PINGREQ', frame(times(16_000, Buffer.of(0xc0, 0)))],
];
const frameFloods: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, floods.length), scene.ms, async (index) => {
    const [, bytes] = floods[index % floods.length] ?? ['', nothing];
    const socket = await openWebSocket(scene, () => {});
    if (socket === undefined) return;
    socket.write(frame(connectPacket(4, `ws-flood-${index}`)));
    // half of them do not read what they cause
    if (index % 2 === 0) socket.pause();
    tally('MB', Math.round((await flood(socket, bytes, performance.now() + scene.ms)) / 1_048_576));
    socket.destroy();
  });

/** Subscribers over WebSocket that never read. */
const deafWebSockets: Attack = async (scene, tally) => {
  const endMs = performance.now() + scene.ms;
  const deaf = await Promise.all(
    Array.from({ length: Math.min(scene.connections, 40) }, async (_, index) => {
      const socket = await openWebSocket(scene, tally);
      socket?.write(frame(Buffer.concat([connectPacket(4, `ws-deaf-${index}`), subscribe(['ws-deaf/#'])])));
      socket?.pause();
      return socket;
    }),
  );
  const feed = [0, 1].map(async (qos) => {
    const socket = await openWebSocket(scene, () => {});
    socket?.write(frame(connectPacket(4, `ws-feeder-${qos}`)));
    const bytes = frame(publish('ws-deaf/x', 8_000, { qos: qos === 0 ? 0 : 1 }));
    if (socket) tally('MB fed', Math.round((await flood(socket, bytes, endMs)) / 1_048_576));
    socket?.destroy();
  });
  await Promise.all(feed);
  for (const socket of deaf) socket?.destroy();
};

export const httpsAttacks: Readonly<Record<string, Attack>> = {
  'slow request (HTTPS)': slowly(post, false),
  'slow upgrade (WebSocket)': slowly(upgradeRequest, true),
  'silent after TLS (HTTPS)': holding(() => nothing),
  'half requests (HTTPS)': holding(post),
  'half upgrades (WebSocket)': holding((scene) => upgradeRequest(scene).subarray(0, 60), true),
  'come and go (HTTPS)': comeAndGo,
  'stalled frames (WebSocket)': stalledFrames,
  'a frame for each byte (WebSocket)': byteByByte,
  'frame bombs (WebSocket)': frameBombs,
  'frame floods (WebSocket)': frameFloods,
  'deaf subscribers (WebSocket)': deafWebSockets,
};
