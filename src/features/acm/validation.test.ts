import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prove, validationOf } from './validation.ts';

const names = ['*.fleet.corp', 'fleet.corp', 'a.corp', 'b.corp', 'c.corp', 'd.corp', 'e.corp'];
const pending = validationOf(new Uint8Array(32), '000000000000', names);
const targetOf = (name: string): string =>
  pending.find(({ recordName }) => recordName === `${name}.`)?.recordValue ?? 'unknown';

/** Looks up as `answers` says, and keeps what was asked. */
const proving = (answers: (name: string) => readonly string[] | undefined) => {
  const asked: string[] = [];
  return {
    asked,
    isImmediate: () => false,
    async lookUp(name: string) {
      asked.push(name);
      return answers(name);
    },
  };
};
const statuses = async (options: ReturnType<typeof proving>) =>
  (await prove(pending, options)).map(({ status }) => status === 'SUCCESS');

test('each record is looked up once, in any case and with or without a dot at its end', async () => {
  const options = proving((name) => [targetOf(name).toUpperCase().replace(/\.$/, '')]);
  assert.deepEqual(await statuses(options), [true, true, true, true, true, true, true]);
  assert.deepEqual(
    options.asked.map((name) => name.replace(/^_[0-9a-f]{32}/, '_')),
    ['_.fleet.corp', '_.a.corp', '_.b.corp', '_.c.corp', '_.d.corp', '_.e.corp'],
  );
});

test('a name without the record does not keep others from being proven', async () => {
  const options = proving((name) => (name.endsWith('a.corp') ? ['other.aws'] : [targetOf(name)]));
  assert.deepEqual(await statuses(options), [true, true, false, true, true, true, true]);
});

test('when nobody answers, nothing more is asked, and what was answered counts', async () => {
  const options = proving((name) => (name.endsWith('a.corp') ? undefined : [targetOf(name)]));
  assert.deepEqual(await statuses(options), [true, true, false, true, true, true, false]);
  assert.equal(options.asked.length, 5);
});
