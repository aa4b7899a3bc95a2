/** What a device can do with sessions that outlive its connections, with retained messages and shared groups: all of it ends in the store. */
import type { TLSSocket } from 'node:tls';
import {
  type Attack,
  connectPacket,
  device,
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

/** Sessions that an attack makes: enough for one message to be a thousand rows, where the attack may have so many connections. */
const sessionsMax = 1_000;

const subackFirst = 0x90;

/** A persistent session that is subscribed, its connection open. */
const openSession = async (scene: Scene, clientId: string, filter: string): Promise<TLSSocket> => {
  const socket = device(scene, () => {}, { clientId, clean: false });
  socket.write(subscribe([filter]));
  const subscribed = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes(subackFirst)) resolve();
    });
  });
  await Promise.race([subscribed, gone(socket), until(performance.now() + 10_000)]);
  return socket;
};

/** Makes sessions a few at a time; `keep` says what becomes of each connection. */
const makeSessions = async (
  scene: Scene,
  { name, filter, count }: { name: string; filter: string; count: number },
  keep: (socket: TLSSocket) => void,
): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) keep(await openSession(scene, `${name}-${next++}`, filter));
  };
  await Promise.all(Array.from({ length: 16 }, lane));
};

/** Publishes QoS 1 messages until the time is over, from several connections that read their acknowledgements. */
const feed = async (scene: Scene, tally: (word: string, by?: number) => void, bytes: Buffer, endMs: number) => {
  const one = async (_: unknown, index: number): Promise<void> => {
    const socket = device(scene, () => {}, { clientId: `feeder-of-sessions-${index}` });
    tally('kB fed', Math.round((await flood(socket, bytes, endMs)) / 1_024));
    socket.destroy();
  };
  await Promise.all(Array.from({ length: 4 }, one));
};

/** A few sessions that nobody reads for: what is published waits for them. `stop` is done to each connection. */
const withoutReaders =
  (name: string, stop: (socket: TLSSocket) => void): Attack =>
  async (scene, tally) => {
    const sockets: TLSSocket[] = [];
    const count = Math.min(scene.connections, 40);
    await makeSessions(scene, { name, filter: `${name}/#`, count }, (socket) => {
      stop(socket);
      sockets.push(socket);
    });
    await feed(scene, tally, times(4, publish(`${name}/x`, 8_000, { qos: 1 })), performance.now() + scene.ms);
    for (const socket of sockets) socket.destroy();
  };

/** One small packet, as many rows as there are sessions. */
const bombOfRows: Attack = async (scene, tally) => {
  const count = Math.min(scene.connections, sessionsMax);
  await makeSessions(scene, { name: 'rows', filter: 'rows/#', count }, (socket) => socket.destroy());
  tally('sessions', count);
  await feed(scene, tally, times(200, publish('rows/x', 10, { qos: 1 })), performance.now() + scene.ms);
};

/** All those sessions come back at once, and what waits for them is to be sent. */
const herd: Attack = async (scene, tally) => {
  const count = Math.min(scene.connections, sessionsMax);
  const endMs = performance.now() + scene.ms;
  await makeSessions(scene, { name: 'herd', filter: 'herd/#', count: Math.min(count, 100) }, (socket) =>
    socket.destroy(),
  );
  await feed(scene, tally, times(4, publish('herd/x', 8_000, { qos: 1 })), performance.now() + scene.ms);
  await keepBusy(Math.min(count, 100), Math.max(scene.ms, endMs - performance.now()), async (index) => {
    const socket = device(scene, tally, { clientId: `herd-${index}`, clean: false });
    await Promise.race([gone(socket), until(performance.now() + 200)]);
    socket.destroy();
  });
};

const churn = times(
  100,
  Buffer.concat([
    subscribe(['churn/+/a/+/#', 'churn/a/#', '$share/churn/churn/#']),
    unsubscribe(['churn/+/a/+/#', 'churn/a/#', '$share/churn/churn/#']),
  ]),
);
/** Each SUBSCRIBE of a session that is kept is a write. */
const subscriptionChurn: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 8), scene.ms, async (index) => {
    const socket = device(scene, () => {}, { clientId: `churn-${index}`, clean: false });
    tally('kB', Math.round((await flood(socket, churn, performance.now() + scene.ms)) / 1_024));
    socket.destroy();
  });

/** Many connections fight for one session; and the other version, and a clean start, end it in between. */
const takeovers: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 64), scene.ms, async (index) => {
    const socket = dialTls(scene.mqttPort, scene.registered, () => {});
    const version = index % 8 === 0 ? 5 : 4;
    socket.write(connectPacket(version, 'one-for-all', index % 5 === 0));
    const accepted = new Promise((resolve) => socket.once('data', resolve));
    await Promise.race([accepted, gone(socket), until(performance.now() + 5_000)]);
    tally('connected');
    if (index % 2 === 0) await Promise.race([gone(socket), until(performance.now() + 20)]);
    socket.destroy();
  });

/** Retained messages: ever new topics, large ones over and over, and readers who subscribe to them again and again. */
const retainedFlood: Attack = (scene, tally) =>
  keepBusy(Math.min(scene.connections, 8), scene.ms, async (index) => {
    const kinds = [
      Buffer.concat(Array.from({ length: 500 }, (_, n) => publish(`kept/${index}/${n}`, 10, { qos: 1, retain: true }))),
      times(4, publish(`kept/large/${index}`, 100_000, { qos: 1, retain: true })),
      times(200, Buffer.concat([subscribe([`kept/large/${index - 1}`]), unsubscribe([`kept/large/${index - 1}`])])),
      times(100, Buffer.concat([publish('kept/on', 1, { retain: true }), publish('kept/on', 0, { retain: true })])),
    ];
    const socket = device(scene, () => {}, { clientId: `kept-${index}`, clean: index % 2 === 0 });
    const bytes = kinds[index % kinds.length] ?? Buffer.alloc(0);
    tally('kB', Math.round((await flood(socket, bytes, performance.now() + scene.ms)) / 1_024));
    socket.destroy();
  });

/** Members of shared groups whose sessions are kept come and go, while messages for the groups wait and are handed out. */
const sharedGroups: Attack = async (scene, tally) => {
  const endMs = performance.now() + scene.ms;
  const members = keepBusy(Math.min(scene.connections, 20), scene.ms, async (index) => {
    const socket = await openSession(scene, `member-${index}`, `$share/group-${index % 4}/shared/#`);
    tally('joined');
    await Promise.race([gone(socket), until(Math.min(endMs, performance.now() + 50))]);
    socket.destroy();
    await until(performance.now() + 20);
  });
  await Promise.all([members, feed(scene, tally, times(20, publish('shared/x', 500, { qos: 1 })), endMs)]);
};

export const sessionAttacks: Readonly<Record<string, Attack>> = {
  'deaf sessions': withoutReaders('deaf-session', (socket) => socket.pause()),
  'sessions that acknowledge nothing': withoutReaders('mute-session', () => {}),
  'sessions without connection': withoutReaders('away-session', (socket) => socket.destroy()),
  'one message, very many sessions': bombOfRows,
  'all sessions come back at once': herd,
  'subscriptions of sessions come and go': subscriptionChurn,
  'takeovers of one client id': takeovers,
  'retained messages': retainedFlood,
  'shared groups of sessions': sharedGroups,
};
