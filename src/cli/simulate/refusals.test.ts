import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Seen } from './mqtt-client.ts';
import type { Refusal } from './one-device.ts';
import { fill, unknownPlaceholders } from './placeholders.ts';
import { createProgress } from './progress.ts';
import { Refusals, reasonsMax } from './refusals.ts';

const said = (step: Refusal['step'], message: string, clientId: string, kind: Seen['kind'] = 'said'): Refusal => ({
  step,
  seen: new Seen(kind, message),
  clientId,
});

test('alike reasons are told once, the most frequent first, with where to look', () => {
  const refusals = new Refusals();
  refusals.add(said('claim', 'no TLS connection to localhost:8883 (ECONNREFUSED)', 'd-1', 'unreachable'));
  for (const n of [2, 3, 4]) refusals.add(said('thing', `rejected: 409 ResourceConflicts: d-${n} exists`, `d-${n}`));
  refusals.add(said('keep', 'ENOSPC', 'd-5'));
  assert.equal(refusals.count, 5);
  assert.deepEqual(refusals.lines(' --account 111122223333'), [
    '  3 x registering the thing: rejected: 409 ResourceConflicts: d-2 exists',
    '      why: fleetgate explain d-2 --account 111122223333',
    '  1 x connecting with the claim: no TLS connection to localhost:8883 (ECONNREFUSED)',
    '      is the server there? fleetgate doctor --account 111122223333',
    '  1 x keeping its key: ENOSPC',
    '      look at the folder of --out',
  ]);
});

test('what a server says moves no cursor and is no word of a shell; reasons without end are counted together', () => {
  const refusals = new Refusals();
  refusals.add(said('own', 'a\u001b[2Jb', 'x; rm -rf /'));
  const [first = '', where] = refusals.lines('');
  assert.match(first, /a\\u\{1b\}\[2Jb/);
  assert.equal(where, "      why: fleetgate explain 'x; rm -rf /'");
  for (const letter of 'abcdefghijklmnopqrstuvwxyz') refusals.add(said('own', letter, 'd'));
  const lines = refusals.lines('');
  assert.equal(lines.length, 2 * reasonsMax + 1);
  assert.equal(lines.at(-1), '  7 x other reasons');
});

test('placeholders are filled once, and slips of the pen are found', () => {
  assert.equal(fill('a{n}b{thing}{other}', { n: '{thing}', thing: 'T' }), 'a{thing}bT{other}');
  assert.deepEqual(unknownPlaceholders('{n}{N}{thing}{"a":1}{}', ['n']), ['{N}', '{thing}']);
});

test('a terminal sees a bar that redraws itself, a pipe nothing', () => {
  const world = { out: '', nowMs: 0 };
  const out = (text: string): void => {
    world.out += text;
  };
  const bar = createProgress({ out, terminal: true, now: () => world.nowMs }, 2000);
  bar.show(1, 0);
  bar.show(2, 0);
  world.nowMs = 1000;
  bar.show(1000, 12);
  bar.show(2000, 12);
  bar.end();
  assert.deepEqual(world.out.split('\r\u001b[2K').slice(1), [
    '[------------------------] 1 of 2,000, 1000.0/s',
    '[############------------] 1,000 of 2,000, 12 refused, 1000.0/s',
    '[########################] 2,000 of 2,000, 12 refused, 2000.0/s',
    '',
  ]);
  world.out = '';
  const pipe = createProgress({ out, terminal: false, now: () => world.nowMs }, 10);
  pipe.show(10, 0);
  pipe.end();
  assert.equal(world.out, '');
});
