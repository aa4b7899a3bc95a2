/** What one account asks for never keeps another from being served: measured with a DNS server that answers nothing. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { acmBed, described, recordsOf } from '../../../test/acm-bed.ts';
import { otherAccount } from '../../../test/call.ts';
import { startDnsServer } from '../../../test/dns-server.ts';
import { onChange } from '../../bus/changes.ts';
import { boundedLookUp } from './bounded-look-up.ts';
import { dnsLookup } from './dns-lookup.ts';
import { orderBehind, type Share, takeFairTurns } from './fair-turns.ts';

const { start } = acmBed();

/** A DNS server that hears everything and says nothing. `questions`: those that it has heard, names in lower case. */
const startDeadServer = async (t: TestContext) => {
  const questions = new Set<string>();
  const socket = createSocket('udp4', (message) => {
    questions.add(
      message
        .toString('latin1', 12)
        .replace(/[^\w-]+/g, '.')
        .toLowerCase(),
    );
  }).bind(0, '127.0.0.1');
  t.after(() => socket.close());
  await once(socket, 'listening');
  return { address: `127.0.0.1:${socket.address().port}`, questions };
};

const deadNames = 300;

test('names of one account on a dead DNS server cost that account its share of a turn, and others nothing', async (t) => {
  const dead = await startDeadServer(t);
  const dns = await startDnsServer(t);
  const [ofDead, ofLive] = [dnsLookup([dead.address], 30), dnsLookup([dns.address])];
  const { callAs, request, requested, advance, bus } = await start(t, {
    lookUp: (name) => (name.endsWith('.dead.corp') ? ofDead(name) : ofLive(name)),
  });
  for (let index = 0; index < deadNames; index += 1) await requested({ DomainName: `n${index}.dead.corp` });
  const other = callAs(otherAccount);
  const { CertificateArn: arn = '' } = await request(
    { DomainName: 'fleet.corp', ValidationMethod: 'DNS', KeyAlgorithm: 'EC_prime256v1' },
    other,
  );
  await dns.serve(await recordsOf(other, arn));
  let askedBefore: number | undefined;
  onChange(bus, () => {
    askedBefore ??= dead.questions.size;
  });
  await advance(0);
  assert.equal((await described(other, arn)).Status, 'ISSUED', 'in the first turn, though it was the last to ask');
  assert.ok((askedBefore ?? deadNames) <= 40, `issued after ${askedBefore} dead look-ups`);
  assert.ok(dead.questions.size <= 100, `${dead.questions.size} look-ups of one account in a turn`);
  const begun = dead.questions.size;
  assert.ok(begun > 0);
  await advance(0);
  assert.ok(dead.questions.size > begun, 'the next turn goes on with what was left');
});

const ask: [lookUpsMax: number, msMax: number, asked: number, rule: string][] = [
  [3, 60_000, 3, 'as many as there are'],
  [2, 60_000, 2, 'no more than lookUpsMax'],
  [3, 0, 0, 'none when the time is up'],
];
for (const [lookUpsMax, msMax, asked, rule] of ask) {
  test(`of 3 look-ups of an account, bounded to ${lookUpsMax} in ${msMax} ms, ${asked} are asked: ${rule}`, async () => {
    const names: string[] = [];
    const { lookUp, isUsedUp } = boundedLookUp(async (name) => [String(names.push(name))], { lookUpsMax, msMax });
    const answers = [await lookUp('a'), await lookUp('b'), await lookUp('c')];
    assert.deepEqual(names, ['a', 'b', 'c'].slice(0, asked));
    assert.equal(answers.filter((answer) => answer === undefined).length, 3 - asked);
    assert.equal(isUsedUp(), true);
  });
}

test('a turn asks at most 400 look-ups of one account, however many names its certificates have', async (t) => {
  const asked: string[] = [];
  const { requested, advance } = await start(t, {
    async lookUp(name) {
      asked.push(name);
      return [];
    },
  });
  for (let index = 0; index < 6; index += 1) {
    const names = Array.from({ length: 99 }, (_, name) => `n${name}.c${index}.corp`);
    await requested({ DomainName: `c${index}.corp`, SubjectAlternativeNames: names });
  }
  await advance(0);
  assert.equal(asked.length, 400);
  // those that have been looked at, in part perhaps, are looked at again ten seconds later
  await advance(10_000);
  assert.ok(asked.length > 400);
});

/** Work that is begun as `begun` says and done when the test says so: `A1` is the first piece of account A. */
const sharedBetween = (amounts: Readonly<Record<string, number>>) => {
  const begun: string[] = [];
  const done = new Map<string, () => void>();
  const openShare = async (accountId: string): Promise<Share> => {
    let next = 1;
    return () => {
      if (next > (amounts[accountId] ?? 0)) return undefined;
      const name = `${accountId}${next++}`;
      begun.push(name);
      return new Promise<void>((resolve) => done.set(name, resolve));
    };
  };
  return { begun, finish: (name: string) => done.get(name)?.(), accountIds: Object.keys(amounts), openShare };
};
const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = () => false;

test('every account has its first piece of work begun before any has its second, and none more at once than its bound', async () => {
  const { begun, finish, ...shared } = sharedBetween({ A: 9, B: 1, C: 2 });
  const turn = takeFairTurns({ ...shared, atOnceMax: 6, atOnceOfAccountMax: 2, isOver: never });
  await settled();
  assert.deepEqual(begun, ['A1', 'B1', 'C1', 'A2', 'C2'], 'nothing of A beyond two, though there was room');
  finish('A2');
  await settled();
  assert.deepEqual(begun.slice(5), ['A3']);
  for (const name of ['A1', 'B1', 'C1', 'C2', 'A3', 'A4', 'A5', 'A6', 'A7', 'A8', 'A9']) {
    finish(name);
    await settled();
  }
  assert.equal(await turn, 'C');
  assert.equal(begun.length, 12);
});

test('with less room than accounts, work is begun in turns', async () => {
  const { begun, finish, ...shared } = sharedBetween({ A: 9, B: 9, C: 9 });
  let isOver = false;
  const turn = takeFairTurns({ ...shared, atOnceMax: 2, atOnceOfAccountMax: 1, isOver: () => isOver });
  await settled();
  for (const name of ['A1', 'B1', 'C1', 'A2']) {
    finish(name);
    await settled();
  }
  assert.deepEqual(begun, ['A1', 'B1', 'C1', 'A2', 'B2', 'C2']);
  isOver = true;
  finish('B2');
  finish('C2');
  assert.equal(await turn, 'C', 'when the turn is over, nothing more is begun');
  assert.equal(begun.length, 6);
});

test('an account that had none in one turn is first in the next', async () => {
  const { begun, finish, ...shared } = sharedBetween({ A: 9, B: 9, C: 9 });
  let isOver = false;
  const turn = takeFairTurns({ ...shared, atOnceMax: 2, atOnceOfAccountMax: 1, isOver: () => isOver });
  await settled();
  isOver = true;
  for (const name of begun) finish(name);
  const reached = await turn;
  assert.equal(reached, 'B');
  assert.deepEqual(orderBehind(shared.accountIds, reached), ['C', 'A', 'B']);
  assert.deepEqual(orderBehind(shared.accountIds, 'C'), ['A', 'B', 'C'], 'and round');
  assert.deepEqual(orderBehind(shared.accountIds, undefined), ['A', 'B', 'C']);
  assert.deepEqual(orderBehind([], 'C'), []);
});
