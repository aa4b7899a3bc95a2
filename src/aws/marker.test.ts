import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { cursorBytesMax, type MarkerScope, openMarker, sealMarker } from './marker.ts';

const key = randomBytes(32);
const scope: MarkerScope = {
  account: { accountId: '000000000000', region: 'us-east-1' },
  operation: 'iot ListPolicies',
};
const refused = { name: 'InvalidRequestException' };

test('a marker opens to its cursor and has the form the models ask for: standard base64, at most 1024 (identity 1.2)', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 180 }), (cursor) => {
      const marker = sealMarker(key, scope, cursor);
      assert.match(marker, /^[A-Za-z0-9+/]+={0,2}$/);
      assert.ok(marker.length <= 1024);
      assert.equal(openMarker(key, scope, marker), cursor);
    }),
  );
});

test('the longest cursor just fits', () => {
  const cursor = 'x'.repeat(cursorBytesMax);
  assert.equal(openMarker(key, scope, sealMarker(key, scope, cursor)), cursor);
  assert.equal(sealMarker(key, scope, cursor).length, 1024);
  assert.throws(() => sealMarker(key, scope, `${cursor}x`), { name: 'AssertionError' });
});

const foreign: [name: string, scope: MarkerScope][] = [
  ['account', { ...scope, account: { accountId: '111111111111', region: 'us-east-1' } }],
  ['region', { ...scope, account: { accountId: '000000000000', region: 'eu-west-1' } }],
  ['operation', { ...scope, operation: 'iot ListCertificates' }],
];
for (const [name, other] of foreign) {
  test(`a marker of another ${name} is InvalidRequestException`, () => {
    assert.throws(() => openMarker(key, scope, sealMarker(key, other, 'cursor')), refused);
  });
}

test('a marker of another key is InvalidRequestException', () => {
  assert.throws(() => openMarker(randomBytes(32), scope, sealMarker(key, scope, 'cursor')), refused);
});

test('every changed character of a marker is seen, also where base64 leaves bits over', () => {
  for (const cursor of ['some cursor', 'a cursor', '']) {
    const marker = sealMarker(key, scope, cursor);
    for (let index = 0; index < marker.length; index++) {
      for (const other of 'ABCDQgw9') {
        const changed = marker.slice(0, index) + other + marker.slice(index + 1);
        if (changed !== marker) assert.throws(() => openMarker(key, scope, changed), refused, changed);
      }
    }
  }
});

test('anything else is InvalidRequestException, never a crash', () => {
  const marker = sealMarker(key, scope, '');
  for (const text of ['', '=', 'AAAA', '\u0000', 'a-b_', `${marker}=`, marker.slice(1), 'A'.repeat(2000)]) {
    assert.throws(() => openMarker(key, scope, text), refused, text);
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.throws(() => openMarker(key, scope, text), refused);
    }),
  );
});
