import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createKeyPool, type KeyPair, KeyPoolExhausted, keysInFlightMax } from './key-pool.ts';

/** Generations that the test ends itself. */
const byHand = () => {
  const running: PromiseWithResolvers<KeyPair>[] = [];
  let made = 0;
  return {
    running,
    generate: () => {
      const one = Promise.withResolvers<KeyPair>();
      running.push(one);
      return one.promise;
    },
    finish: () => running.shift()?.resolve({ publicKeyPem: `public ${++made}`, privateKeyPem: `private ${made}` }),
    fail: (error: Error) => running.shift()?.reject(error),
  };
};
/** Until the pool has started as many generations as expected. */
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await setImmediate();
};

test('a pair is RSA-2048, PKCS#1 and SPKI in PEM, and no two are equal (spec identity 2.2)', async (t) => {
  const pool = createKeyPool({ keyPoolMax: 0 });
  t.after(() => pool.close());
  const [one, two] = await Promise.all([pool.take(), pool.take()]);
  assert.match(one.privateKeyPem, /^-----BEGIN RSA PRIVATE KEY-----\n/);
  assert.match(one.publicKeyPem, /^-----BEGIN PUBLIC KEY-----\n/);
  const key = createPrivateKey(one.privateKeyPem);
  assert.equal(key.asymmetricKeyDetails?.modulusLength, 2048);
  assert.equal(createPublicKey(key).export({ type: 'spki', format: 'pem' }), one.publicKeyPem);
  assert.notEqual(one.privateKeyPem, two.privateKeyPem);
});

test('nothing is made before the first take or warm; then the stock fills up to keyPoolMax, one at a time', async (t) => {
  const { running, generate, finish } = byHand();
  const pool = createKeyPool({ keyPoolMax: 2, generate });
  t.after(() => pool.close());
  await setImmediate();
  assert.equal(running.length, 0);
  pool.warm();
  await until(() => running.length === 1);
  finish();
  await until(() => running.length === 1);
  finish();
  await setImmediate();
  await setImmediate();
  assert.equal(running.length, 0);
  assert.deepEqual(pool.sizes(), { stock: 2, waiting: 0 });
  assert.equal((await pool.take()).publicKeyPem, 'public 1');
  await until(() => running.length === 1);
});

test('waiters are served in order, with a bound on generations at once, and one too many is refused', async (t) => {
  const { running, generate, finish } = byHand();
  const pool = createKeyPool({ keyPoolMax: 1, keyWaitersMax: 3, generate });
  t.after(() => pool.close());
  const taken = [pool.take(), pool.take(), pool.take()];
  await assert.rejects(pool.take(), KeyPoolExhausted);
  assert.deepEqual(pool.sizes(), { stock: 0, waiting: 3 });
  assert.equal(running.length, keysInFlightMax);
  for (const expected of ['public 1', 'public 2', 'public 3']) {
    finish();
    assert.equal((await taken.shift())?.publicKeyPem, expected);
    assert(running.length <= keysInFlightMax);
  }
  const later = pool.take();
  await until(() => running.length > 0);
  finish();
  assert.equal((await later).publicKeyPem, 'public 4');
});

test('a failed generation is told to one waiter, the others are still served', async (t) => {
  const { running, generate, finish, fail } = byHand();
  const pool = createKeyPool({ keyPoolMax: 0, generate });
  t.after(() => pool.close());
  const [one, two, three] = [pool.take(), pool.take(), pool.take()];
  fail(new Error('no entropy'));
  await assert.rejects(one, /no entropy/);
  finish();
  await until(() => running.length === 1);
  finish();
  assert.deepEqual(
    (await Promise.all([two, three])).map(({ publicKeyPem }) => publicKeyPem),
    ['public 1', 'public 2'],
  );
});

test('close rejects those who wait, and later takers', async () => {
  const { generate, finish } = byHand();
  const pool = createKeyPool({ generate });
  const waiting = pool.take();
  pool.close();
  await assert.rejects(waiting, /closed/);
  finish();
  await assert.rejects(pool.take(), /closed/);
});
