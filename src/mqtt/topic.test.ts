/** Topics, filters, reserved topics and the subscription trie, which is checked against a naive matcher. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { awsDialect, type Dialect, openDialect } from '../limits.ts';
import { isSubscribable, useOfTopic } from './reserved.ts';
import {
  identifiersPerMatchMax,
  rememberedMatchesMax,
  routesMax,
  Subscriptions,
  sharedGroupsMax,
  sharedMembersMax,
} from './subscriptions.ts';
import { faultOfFilter, faultOfTopic, limitOf, parseShared } from './topic.ts';

const matches = (filter: string, topic: string, dialect: Dialect): boolean => {
  const tree = new Subscriptions<string>(dialect);
  tree.add('me', filter, undefined, { qos: 0, noLocal: false });
  return tree.route(topic).matches.length === 1;
};

const cases: [filter: string, topic: string, expected: boolean, rule: string][] = [
  ['a/b', 'a/b', true, 'equal'],
  ['a/b', 'a/B', false, 'case matters'],
  ['a/+/c', 'a//c', true, 'an empty level is still a level'],
  ['+', '/', false, 'plus is one level, a slash makes two'],
  ['+/+', '/', true, 'two empty levels'],
  ['a/+', 'a', false, 'plus needs its level'],
  ['a/#', 'a', false, 'hash needs a level below (gateway.md 5.6, against MQTT 5 4.7.1.2)'],
  ['a/#', 'a/', true, 'an empty level below is one (gateway.md 14.25)'],
  ['a/#', 'a/b/c', true, 'hash takes the rest'],
  ['#', 'a', true, 'hash alone takes everything'],
  ['#', '/', true, 'hash takes an empty first level'],
  ['#', '$aws/events', false, 'wildcards never reach $ topics [MQTT-4.7.2-1]'],
  ['+/events/x', '$aws/events/x', false, 'plus never reaches $ topics [MQTT-4.7.2-1]'],
  ['$aws/#', '$aws/events', true, 'a filter that begins with $ does'],
  ['a/$b', 'a/$b', true, '$ is ordinary behind the first level'],
  ['a/+', 'a/$b', true, 'wildcards reach $ behind the first level'],
];
for (const [filter, topic, expected, rule] of cases) {
  test(`${filter} ${expected ? 'matches' : 'misses'} ${topic}: ${rule}`, () =>
    assert.equal(matches(filter, topic, awsDialect), expected));
}

test('in open a/# matches a and all below, and # still no $ topic [MQTT-4.7.1-2, MQTT-4.7.2-1]', () => {
  const matched = ['a', 'a/', 'a/b/c', 'ab', 'b', '$aws'].filter((topic) => matches('a/#', topic, openDialect));
  assert.deepEqual(matched, ['a', 'a/', 'a/b/c']);
  assert.equal(matches('+/#', 'a', openDialect), true);
  assert.equal(matches('#', '$aws', openDialect), false);
  assert.equal(matches('+/#', '$aws', openDialect), false);
  assert.equal(matches('$aws/#', '$aws', openDialect), true);
});

/** The rules of MQTT 4.7, with AWS's departure or without, level by level. */
const naive = (filter: string, topic: string, { hashMatchesParent }: Dialect): boolean => {
  const [f, t] = [filter.split('/'), topic.split('/')];
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  for (let index = 0; ; index++) {
    if (f[index] === '#') return index < t.length || hashMatchesParent;
    if (index === f.length || index === t.length) return f.length === t.length;
    if (f[index] !== '+' && f[index] !== t[index]) return false;
  }
};
const level = fc.constantFrom('a', 'b', '', '$x');
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'));

test('the trie gives what the naive matcher gives, after any adding and removing, in both dialects', () => {
  const dialects = fc.constantFrom(awsDialect, openDialect);
  const changes = fc.array(fc.tuple(fc.nat(3), filters, fc.boolean()), { maxLength: 20 });
  fc.assert(
    fc.property(dialects, changes, topics, (dialect, steps, topic) => {
      const tree = new Subscriptions<number>(dialect);
      const route = tree.route(topic);
      const held = new Map<string, [number, string]>();
      for (const [subscriber, filter, adding] of steps) {
        if (adding) {
          tree.add(subscriber, filter, undefined, { qos: 0, noLocal: false });
          held.set(`${subscriber} ${filter}`, [subscriber, filter]);
        } else {
          tree.remove(subscriber, filter, undefined);
          held.delete(`${subscriber} ${filter}`);
        }
        const expected = new Set([...held.values()].filter(([, f]) => naive(f, topic, dialect)).map(([s]) => s));
        assert.deepEqual(new Set(route.matches.map((match) => match.subscriber)), expected);
      }
    }),
    { numRuns: 600 },
  );
});

test('routes that publishers hold remember at most rememberedMatchesMax receivers together, and forgotten ones still find theirs', () => {
  const tree = new Subscriptions<number>(awsDialect);
  const subscribers = 500;
  for (let index = 0; index < subscribers; index++) {
    const shared = index % 5 === 0 ? { shareName: 'g', filter: '#' } : undefined;
    tree.add(index, shared ? '$share/g/#' : '#', shared, { qos: 0, noLocal: false });
  }
  const held = Array.from({ length: 1000 }, (_, index) => tree.route(`device/${index}`));
  for (const route of [...held, ...held]) {
    assert.equal(route.matches.length + (route.groups[0]?.members.length ?? 0), subscribers);
    assert.ok(tree.rememberedCost <= rememberedMatchesMax, `${tree.rememberedCost}`);
  }
  const [first] = held;
  assert.ok(held.length * subscribers > 2 * rememberedMatchesMax, 'the bound was crossed');
  tree.add(subscribers, '#', undefined, { qos: 0, noLocal: false });
  assert.equal(first?.matches.length, subscribers - subscribers / 5 + 1);
});

test('overlapping subscriptions: one match at the highest QoS; no local counts per subscription (gateway.md 5.6)', () => {
  const tree = new Subscriptions<string>(awsDialect);
  tree.add('me', 'a/#', undefined, { qos: 1, noLocal: true });
  tree.add('me', 'a/b', undefined, { qos: 0, noLocal: false });
  const [match, ...rest] = tree.route('a/b').matches;
  assert.deepEqual(rest, []);
  assert.deepEqual([match?.qos, match?.local?.qos], [1, 0]);
  assert.equal(tree.route('a/c').matches[0]?.local, undefined);
});

test('overlapping subscriptions: one match with the identifiers of all, of the local ones for what it published itself [MQTT-3.3.4-4]', () => {
  const tree = new Subscriptions<string>(openDialect);
  tree.add('me', 'a/#', undefined, { qos: 0, noLocal: true, identifier: 268_435_455 });
  tree.add('me', 'a/b', undefined, { qos: 2, noLocal: false, identifier: 1 });
  tree.add('me', 'a/+', undefined, { qos: 1, noLocal: false, retainAsPublished: true });
  const [match] = tree.route('a/b').matches;
  assert.deepEqual([match?.qos, match?.local?.qos], [2, 2]);
  const all = Buffer.of(0x0b, 1, 0x0b, 0xff, 0xff, 0xff, 0x7f);
  assert.deepEqual(match?.extras, { retainAsPublished: true, identifiers: all });
  assert.deepEqual(match?.local?.extras, { retainAsPublished: true, identifiers: Buffer.of(0x0b, 1) });
  assert.equal(tree.route('a/c').matches[0]?.extras?.identifiers?.length, 5);
  tree.add('other', 'a/b', undefined, { qos: 1, noLocal: false });
  assert.equal(tree.route('a/b').matches.find(({ subscriber }) => subscriber === 'other')?.extras, undefined);
});

test('one message carries at most identifiersPerMatchMax identifiers to one subscriber', () => {
  const tree = new Subscriptions<string>(openDialect);
  const levels = 11;
  const topic = Array.from({ length: levels }, () => 'a').join('/');
  for (let bits = 0; bits < 1 << levels; bits++) {
    const filter = Array.from({ length: levels }, (_, at) => (bits & (1 << at) ? '+' : 'a')).join('/');
    tree.add('me', filter, undefined, { qos: 0, noLocal: false, identifier: 1 });
  }
  assert.equal(tree.route(topic).matches[0]?.extras?.identifiers?.length, 2 * identifiersPerMatchMax);
});

test('the routes of an account are bounded, and a route that was forgotten stays right', () => {
  const tree = new Subscriptions<string>(awsDialect);
  const first = tree.route('t');
  for (let index = 0; index < routesMax; index++) tree.route(`other/${index}`);
  assert.notEqual(tree.route('t'), first);
  tree.add('me', 't', undefined, { qos: 0, noLocal: false });
  assert.equal(first.matches.length, 1);
});

test('a shared group is bounded in members (gateway.md 12)', () => {
  const tree = new Subscriptions<number>(awsDialect);
  const shared = { shareName: 'g', filter: 't' };
  for (let member = 0; member < sharedMembersMax; member++) {
    assert.ok(tree.add(member, '$share/g/t', shared, { qos: 0, noLocal: false }));
  }
  assert.equal(tree.add(-1, '$share/g/t', shared, { qos: 0, noLocal: false }), false);
  assert.ok(tree.add(0, '$share/g/t', shared, { qos: 1, noLocal: false }), 'a member may subscribe again');
  assert.equal(tree.route('t').groups[0]?.members.length, sharedMembersMax);
});

test('shared groups of an account are bounded (gateway.md 12); a group without members is none', () => {
  const tree = new Subscriptions<string>(awsDialect);
  const group = (name: number) => ({ shareName: String(name), filter: 't' });
  const add = (name: number) => tree.add('me', `$share/${name}/t`, group(name), { qos: 0, noLocal: false });
  for (let name = 0; name < sharedGroupsMax; name++) assert.ok(add(name));
  assert.equal(add(-1), false);
  tree.remove('me', '$share/0/t', group(0));
  assert.ok(add(-1));
});

test('what is unsubscribed leaves no memory behind', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void; // V8's own function, named by the flag
  const tree = new Subscriptions<string>(awsDialect);
  const cycle = (name: string) => {
    tree.add('me', name, undefined, { qos: 0, noLocal: false });
    tree.remove('me', name, undefined);
  };
  cycle('a/b');
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 50_000; index++) cycle(`thing/${index}/state/now`);
  collect();
  assert.ok(process.memoryUsage().heapUsed - before < 5_000_000);
});

const filterCases: [filter: string, fault: boolean][] = [
  ['', true],
  ['a#', true],
  ['#/a', true],
  ['+b', true],
  ['a/b+', true],
  ['a/#', false],
  ['+', false],
  ['/', false],
  ['#', false],
];
for (const [filter, fault] of filterCases) {
  test(`filter "${filter}" is ${fault ? 'malformed' : 'well formed'} [MQTT-4.7.1]`, () =>
    assert.equal(faultOfFilter(filter) !== undefined, fault));
}

test('a topic is neither empty nor holds a wildcard', () => {
  assert.deepEqual(
    ['', 'a+', 'a/#', 'a', '/'].map((topic) => faultOfTopic(topic) === undefined),
    [false, false, false, true, true],
  );
});

test('shared filters are taken apart; a ShareName holds no wildcard and is not empty (gateway.md 5.10)', () => {
  assert.deepEqual(parseShared('$share/g/a/#'), { shareName: 'g', filter: 'a/#' });
  assert.equal(parseShared('a/b'), undefined);
  for (const bad of ['$share', '$share/g', '$share//a', '$share/g+/a', '$share/#/a'])
    assert.equal(typeof parseShared(bad), 'string', bad);
});

const limits = { topicBytesMax: 256, topicSlashesMax: 7 };
const limitCases: [topic: string, limit: string | undefined, rule: string][] = [
  ['x'.repeat(256), undefined, '256 bytes'],
  ['x'.repeat(257), 'topicBytesMax', '257 bytes'],
  ['ü'.repeat(129), 'topicBytesMax', 'bytes count, not characters'],
  ['/'.repeat(7), undefined, '7 slashes'],
  ['/'.repeat(8), 'topicSlashesMax', '8 slashes (gateway.md 14.30)'],
  [`$aws/rules/r/${'/'.repeat(7)}`, undefined, 'the prefix of Basic Ingest is not counted (gateway.md 14.30)'],
  [`$aws/rules/r/${'/'.repeat(8)}`, 'topicSlashesMax', 'what follows it is'],
];
for (const [topic, limit, rule] of limitCases)
  test(`limit: ${rule}`, () => assert.equal(limitOf(topic, limits), limit));

const uses: [topic: string, use: string][] = [
  ['a/b', 'open'],
  ['$aws/things/t/shadow/get', 'request'],
  ['$aws/things/t/shadow/name/s/update', 'request'],
  ['$aws/things/t/shadow/get/accepted', 'service'],
  ['$aws/things/t/shadow/update/delta', 'service'],
  ['$aws/things/t/shadow/delete/delta', 'closed'],
  ['$aws/things/t/jobs/$next/get', 'request'],
  ['$aws/things/t/jobs/notify-next', 'service'],
  ['$aws/certificates/create/json', 'request'],
  ['$aws/certificates/create/xml', 'closed'],
  ['$aws/provisioning-templates/fleet/provision/cbor', 'request'],
  ['$aws/rules/r/x', 'ingest'],
  ['$aws/rules/r', 'closed'],
  ['$aws/events/presence/connected/x', 'service'],
  ['$aws/things/t/streams/s/get/cbor', 'request'],
  ['$SYS/x', 'closed'],
  ['$share/g/t', 'closed'],
  ['$aws/whatever', 'closed'],
  ['$', 'closed'],
];
for (const [topic, use] of uses)
  test(`publishing to ${topic} is ${use} (gateway.md 6)`, () => assert.equal(useOfTopic(topic).use, use));

const subscribable: [filter: string, allowed: boolean][] = [
  ['a/#', true],
  ['$aws/things/+/shadow/#', true],
  ['$aws/things/t/shadow/get', true],
  ['$aws/things/t/jobs/get', false],
  ['$aws/things/t/jobs/get/accepted', true],
  ['$aws/things/t/jobs/#', true],
  ['$aws/events/#', true],
  ['$aws/events/presence/+/+', true],
  ['$aws/rules/r/#', false],
  ['$aws/rules/#', false],
  ['$aws/certificates/create/json', false],
  ['$aws/certificates/create/+/accepted', true],
  ['$SYS/#', false],
  ['$foo/x', false],
];
for (const [filter, allowed] of subscribable) {
  test(`subscribing to ${filter} is ${allowed ? 'open' : 'closed'} (gateway.md 6)`, () =>
    assert.equal(isSubscribable(filter), allowed));
}

const dollar: [name: string, publish: string, subscribe: boolean][] = [
  ['$foo/x', 'open', true],
  ['$', 'open', true],
  ['$awsome', 'open', true],
  ['$sys', 'open', true],
  ['$SYS/x', 'closed', false],
  ['$SYS', 'closed', false],
  ['$share/g', 'closed', false],
  ['$aws', 'closed', false],
  ['$aws/whatever', 'closed', false],
  ['$aws/events/presence/connected/x', 'service', true],
];
for (const [name, publish, subscribe] of dollar) {
  test(`in open, publishing to ${name} is ${publish}, subscribing ${subscribe ? 'open' : 'closed'}`, () => {
    assert.equal(useOfTopic(name, openDialect).use, publish);
    assert.equal(isSubscribable(name, openDialect), subscribe);
  });
}
