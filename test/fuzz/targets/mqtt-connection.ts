/**
 * A whole connection of the broker, from CONNECT to its end, both versions. Each input is a client's stream, sent twice: whole, and in pieces. The answers are
 * the same bytes and whole packets of an allowed kind, no more than the stream can cause; the connection ends; its rights are released; no refusal is an
 * internal error; and another client of the same account goes on receiving what is published. What a stream leaves behind (a session, retained messages) is
 * cleared away before the next, and is the only thing that may be told apart: what waits for the store comes later, or never when the connection ends first.
 */
import { duplexPair } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { allMigrations } from '../../../src/features/migrations.ts';
import { awsLimits, type Limits, openLimits } from '../../../src/limits.ts';
import type { Authority, Peer } from '../../../src/mqtt/authority.ts';
import { memoryStore } from '../../memory-store.ts';
import { accountA, type Bed, createBed } from '../../mqtt-bed.ts';
import { cut } from '../corpus.ts';
import { mqttStreams, mqttWords } from '../mqtt-streams.ts';
import { hold, type Target } from '../target.ts';

/** First byte of an input. */
const byPiece = 1;
const restricted = 2;
const neverEnds = 4;
const inOpen = 8;

const answersMax = 64;
const answerBytesMin = 4_096;
const turnsMax = 10_000;
/** Nothing in memory takes longer to be answered. */
const quietTurns = 6;
/** Packets that servers send: CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT; in `open` PUBREC, PUBREL and PUBCOMP as well. */
const serverPackets = new Set([2, 3, 4, 9, 11, 13, 14]);
const openServerPackets = new Set([...serverPackets, 5, 6, 7]);

/** Sessions end one second after their connection: before the next input. */
const awsLimitsHere: Limits = { ...awsLimits, sessionExpirySecondsMax: 1 };
/** `--limits open`, but a silent connection ends in as short a time as in `aws`. */
const openLimitsHere: Limits = {
  ...openLimits,
  sessionExpirySecondsMax: 1,
  keepAliveSecondsMax: awsLimits.keepAliveSecondsMax,
  dialect: { ...openLimits.dialect, keepAliveMayBeOff: false },
};

/** Whether bytes are whole packets of these kinds. */
const arePackets = (bytes: Buffer, kinds: ReadonlySet<number>): boolean => {
  let at = 0;
  while (at < bytes.length) {
    if (!kinds.has((bytes[at++] ?? 0) >> 4)) return false;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 21) return false;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += length;
  }
  return at === bytes.length;
};

/** The first packet of a stream of whole packets. */
const firstPacket = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length === 0 ? 0 : 2 + (bytes[1] ?? 0));

const generatedId = /\$GEN\/[0-9a-f-]{36}/g;

const allowsSome: Authority['allows'] = (action, resource) =>
  action === 'iot:Receive' ? resource === 'topic/a/b' : /^(client\/|topic\/a\/|topicfilter\/a\/)/.test(resource);

export default async (): Promise<Target> => {
  let [given, back] = [0, 0];
  const authority = (principalId: string): Authority => {
    const allows: Authority['allows'] = principalId === 'some' ? allowsSome : () => true;
    return {
      account: accountA,
      principalId,
      revision: 1,
      stale: () => undefined,
      allows,
      weigh: (action, resource) => ({
        decision: allows(action, resource) ? 'ALLOWED' : 'IMPLICIT_DENY',
        statements: [],
        unresolved: [],
      }),
      facts: () => ({}),
      onLost: () => {},
      release: () => {
        back++;
      },
    };
  };
  /** A broker, and a client that everything reaches. */
  const found = async (limits: Limits, kinds: ReadonlySet<number>) => {
    const store = memoryStore(allMigrations);
    const bed = createBed({
      limits,
      store,
      admit: async ({ certificate }) => {
        given++;
        return { authority: authority(certificate?.certificateId ?? '') };
      },
    });
    const watcher = await bed.connect(5, 'watcher', { keepalive: 1200 });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
    await watcher.next();
    return { bed, store, watcher, kinds };
  };
  type Place = Awaited<ReturnType<typeof found>>;
  const aws = await found(awsLimitsHere, serverPackets);
  const open = await found(openLimitsHere, openServerPackets);

  /** Sends the pieces and gives what came back until the server closed. */
  const converse = async (
    { bed, watcher }: Place,
    pieces: readonly Buffer[],
    { certificateId, ends }: { certificateId: string; ends: boolean },
  ): Promise<Buffer> => {
    const [client, far] = duplexPair();
    const peer: Peer = {
      account: accountA,
      serverName: 'localhost',
      certificate: { certificateId, der: new Uint8Array() },
      tls: {},
      remoteAddress: '127.0.0.1',
      remotePort: 50_000,
    };
    const answers: Buffer[] = [];
    client.on('error', () => {});
    client.on('data', (chunk: Buffer) => answers.push(chunk));
    client.on('end', () => client.end());
    bed.broker.accept(far, peer);
    let isClosed = false;
    client.once('close', () => {
      isClosed = true;
    });
    for (const piece of pieces) client.write(piece);
    let [quiet, count] = [0, 0];
    for (let turn = 0; !isClosed; turn++) {
      hold(turn < turnsMax, 'a connection ends when its client does, or is silent');
      await setImmediate();
      quiet = answers.length === count ? quiet + 1 : 0;
      count = answers.length;
      if (quiet < quietTurns) continue;
      if (ends) client.end();
      else bed.advance(60_000);
      await watcher.settled(); // it is not silent
    }
    return Buffer.concat(answers);
  };

  const settled = async ({ bed, watcher }: Place): Promise<void> => {
    await watcher.settled();
    hold(bed.broker.connections().length === 1, 'an ended connection is forgotten');
    const internal = bed.records.find(({ reason }) => reason === 'INTERNAL_SERVER_ERROR');
    hold(internal === undefined, `no internal error: ${internal?.detail}`);
    bed.records.length = 0;
    await forget(bed);
  };

  /** Nothing is remembered from one stream to the next. */
  const forget = async (bed: Bed): Promise<void> => {
    bed.advance(1_000);
    await bed.broker.sweep(bed.clock.nowMs);
    hold(bed.broker.sizes().sessions === 1, 'a session ends when its time is over');
    hold(bed.broker.sizes().outboundBytes === 0, 'nothing is held for receivers that are gone');
    if (bed.broker.sizes().retained === 0) return;
    const control = bed.broker.control(accountA);
    for (const { topic } of await control.listRetained({ after: '', limit: turnsMax })) {
      await control.publish({ topic, payload: new Uint8Array(), qos: 0, retain: true, properties: {} });
    }
    hold(bed.broker.sizes().retained === 0, 'a retained message is gone when an empty one replaces it');
  };

  return {
    corpus: mqttStreams.flatMap((bytes, index) => [
      Buffer.concat([Buffer.of(index % 4), bytes]),
      Buffer.concat([Buffer.of(neverEnds | (index % 4)), bytes]),
      Buffer.concat([Buffer.of(inOpen | (index % 8)), bytes]),
    ]),
    dictionary: mqttWords,
    bytesMax: 4_096,
    async run(input) {
      const [flags = 0] = input;
      const bytes = input.subarray(1);
      const place = flags & inOpen ? open : aws;
      const certificateId = flags & restricted ? 'some' : 'all';
      const ends = (flags & neverEnds) === 0;
      const before = place.store.statements;
      const whole = await converse(place, [bytes], { certificateId, ends });
      const isKept = place.store.statements > before;
      await settled(place);
      hold(arePackets(whole, place.kinds), 'answers are whole packets that servers send');
      hold(whole.length <= answersMax * bytes.length + answerBytesMin, 'a client gets back no more than it can cause');
      const pieces = flags & byPiece ? cut(bytes, 1, 0) : cut(bytes, 60, bytes.length);
      const pieced = await converse(place, pieces, { certificateId, ends });
      const [one, other] = [whole, pieced]
        .map((answer) => (isKept ? firstPacket(answer) : answer))
        .map((answer) => answer.toString('latin1').replaceAll(generatedId, 'id'));
      // time passes while a silent client is waited for, and what is sent again comes at another moment
      if (ends) hold(one === other, 'the way the stream is cut decides nothing');
      await settled(place);
      return whole.length === 0 ? 'closed without an answer' : `first answer ${(whole[0] ?? 0) >> 4}, of ${whole[3]}`;
    },
    async check() {
      for (const { bed, watcher } of [aws, open]) {
        bed.advance(1_000);
        const topic = 'health/check';
        watcher.send({ cmd: 'publish', topic, payload: 'x', qos: 0, dup: false, retain: false });
        const heard = await watcher.settled();
        hold(
          heard.some((packet) => packet.cmd === 'publish' && packet.topic === topic),
          'a healthy client is served',
        );
      }
      hold(given === back + 2, 'the rights of ended connections are given back, once');
    },
    async close() {
      for (const { bed, watcher } of [aws, open]) {
        watcher.socket.destroy();
        await bed.broker.close(100);
      }
    },
  };
};
