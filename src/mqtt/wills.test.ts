/** When a will is published: at once, after its delay, at the end of its session, or not at all. Source: MQTT 5.0 3.1.3.2.2. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectWill } from './packets/connect.ts';
import { Wheel } from './wheel.ts';
import { Wills, waitingWillBytesMax } from './wills.ts';

interface Owing {
  readonly clientId: string;
  readonly expirySeconds: number;
}

const bed = ({ honoursDelay = true, expirySeconds = 100 } = {}) => {
  const clock = { nowMs: 1_000_000 };
  const wheel = new Wheel();
  const wills = new Wills({ wheel, now: () => clock.nowMs, honoursDelay });
  const published: string[] = [];
  const session = (clientId: string): Owing => ({ clientId, expirySeconds });
  const will = (willDelay: number | undefined, payloadBytes = 1): ConnectWill => ({
    topic: 't',
    qos: 0,
    retain: false,
    payload: Buffer.alloc(payloadBytes),
    properties: willDelay === undefined ? {} : { willDelay },
  });
  return {
    wills,
    session,
    published,
    owe: (of: Owing, delay: number | undefined, payloadBytes?: number) =>
      wills.owe(of, will(delay, payloadBytes), () => published.push(of.clientId)),
    advance(seconds: number) {
      clock.nowMs += seconds * 1000;
      wheel.tick(clock.nowMs);
    },
  };
};

const atOnce: [rule: string, options: Parameters<typeof bed>[0], delay: number | undefined][] = [
  ['has no delay', {}, undefined],
  ['has a delay of 0', {}, 0],
  ['belongs to a session that ends with its connection', { expirySeconds: 0 }, 9],
  ['meets a dialect without delays (gateway.md 5.8)', { honoursDelay: false }, 9],
];
for (const [rule, options, delay] of atOnce) {
  test(`a will that ${rule} is published at once`, () => {
    const { owe, session, published } = bed(options);
    owe(session('c'), delay);
    assert.deepEqual(published, ['c']);
  });
}

test('a will waits for its delay, or for the end of its session if that comes first, and is published once', () => {
  const { owe, session, published, advance, wills } = bed({ expirySeconds: 10 });
  const [short, long] = [session('short'), session('long')];
  owe(short, 5);
  owe(long, 1000);
  advance(4);
  assert.deepEqual(published, []);
  advance(1);
  assert.deepEqual(published, ['short']);
  advance(5);
  assert.deepEqual(published, ['short', 'long']);
  for (const each of [short, long]) wills.sessionEnded(each);
  advance(1000);
  assert.equal(published.length, 2);
});

test('a session that ends early publishes its will then [MQTT-3.1.2-8]; one that is resumed never [MQTT-3.1.3-9]', () => {
  const { owe, session, published, advance, wills } = bed();
  const [ending, back] = [session('ending'), session('back')];
  owe(ending, 5);
  owe(back, 5);
  wills.sessionEnded(ending);
  wills.resumed(back);
  assert.deepEqual(published, ['ending']);
  advance(1000);
  assert.deepEqual(published, ['ending']);
});

test('waiting wills are bounded in bytes: one more is published without delay, and room comes back', () => {
  const { owe, session, published, wills } = bed();
  const large = waitingWillBytesMax / 2;
  const [first, second, third] = [session('1'), session('2'), session('3')];
  owe(first, 5, large);
  owe(second, 5, large);
  assert.deepEqual(published, ['2']);
  wills.resumed(first);
  owe(third, 5, large);
  assert.deepEqual(published, ['2']);
  wills.publishAll();
  assert.deepEqual(published, ['2', '3']);
});
