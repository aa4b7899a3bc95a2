import assert from 'node:assert/strict';
import { createDecipheriv } from 'node:crypto';
import { test } from 'node:test';
import { createSecretBox, type SecretRow, secretBytesMax } from './secret-box.ts';

const key = new Uint8Array(32).fill(7);
const box = createSecretBox(key);
const row: SecretRow = { accountId: '111122223333', kind: 'access-key', id: 'AKIAEXAMPLE' };
const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';

test('what is sealed opens again, byte for byte, also after a restart with the same key', () => {
  for (const bytes of [
    Buffer.from(secret),
    Buffer.alloc(0),
    Buffer.from([0, 255, 128]),
    Buffer.alloc(secretBytesMax),
  ]) {
    assert.deepEqual(createSecretBox(Uint8Array.from(key)).open(box.seal(bytes, row), row), bytes);
  }
  assert.equal(box.open(box.seal(secret, row), row).toString(), secret);
});

test('the form is AES-256-GCM with a nonce of 12 and a tag of 16 bytes (NIST SP 800-38D): another program with the key can open it', () => {
  const [version, , text = ''] = box.seal(secret, row).split('.');
  assert.equal(version, '1');
  const bytes = Buffer.from(text, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
  decipher.setAAD(Buffer.from('["fleetgate","1","111122223333","access-key","AKIAEXAMPLE"]'));
  decipher.setAuthTag(bytes.subarray(-16));
  assert.equal(decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8'), secret);
});

test('the same secret sealed twice gives two texts, and neither shows it', () => {
  const [first, second] = [box.seal(secret, row), box.seal(secret, row)];
  assert.notEqual(first, second);
  assert.notEqual(first.split('.')[2]?.slice(0, 16), second.split('.')[2]?.slice(0, 16));
  for (const shown of [secret, Buffer.from(secret).toString('base64url'), Buffer.from(secret).toString('hex')]) {
    assert.ok(!first.includes(shown));
  }
});

const others: readonly (readonly [name: string, other: SecretRow])[] = [
  ['another account', { ...row, accountId: '444455556666' }],
  ['another kind', { ...row, kind: 'acm-private-key' }],
  ['another row', { ...row, id: 'AKIAOTHER' }],
  ['parts cut at another place', { ...row, kind: 'access-keyAKIA', id: 'EXAMPLE' }],
  ['parts joined by what joins them', { ...row, kind: 'access-key","AKIAEXAMPLE', id: '' }],
];
for (const [name, other] of others) {
  test(`a secret does not open in ${name}`, () => {
    assert.throws(() => box.open(box.seal(secret, row), other), { name: 'SecretUnreadable', message: /another row/ });
  });
}

test('a secret of which one bit was altered, or that was cut, does not open, and the message shows none of it', () => {
  const [version, keyName, text = ''] = box.seal(secret, row).split('.');
  const bytes = Buffer.from(text, 'base64url');
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const altered = Buffer.from(bytes);
    altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(
      () => box.open(`${version}.${keyName}.${altered.toString('base64url')}`, row),
      (error: Error) => error.name === 'SecretUnreadable' && !error.message.includes(secret),
    );
  }
  for (let length = 0; length < bytes.length; length += 1) {
    const cut = bytes.subarray(0, length).toString('base64url');
    assert.throws(() => box.open(`${version}.${keyName}.${cut}`, row), { name: 'SecretUnreadable' });
  }
});

test('with another key nothing opens, and the message says which file to put back', () => {
  const other = createSecretBox(new Uint8Array(32).fill(8));
  assert.throws(() => other.open(box.seal(secret, row), row), { name: 'SecretUnreadable', message: /secrets\.key/ });
  const renamed = box.seal(secret, row).replace(/\.[0-9a-f]{8}\./, `.${other.seal('', row).split('.')[1]}.`);
  assert.throws(() => other.open(renamed, row), { name: 'SecretUnreadable' });
});

test('a text of another version, or of none, is refused and not guessed at', () => {
  const sealed = box.seal(secret, row);
  for (const text of [
    '',
    secret,
    sealed.replace('1.', '2.'),
    `${sealed}=`,
    `${sealed}\n`,
    ` ${sealed}`,
    sealed.toUpperCase(),
  ]) {
    assert.throws(() => box.open(text, row), { name: 'SecretUnreadable', message: /another version/ });
  }
});

test('a short key, with which anybody could open, and a secret beyond the bound are refused', () => {
  for (const length of [0, 16, 31, 33]) assert.throws(() => createSecretBox(new Uint8Array(length)), RangeError);
  assert.throws(() => box.seal(Buffer.alloc(secretBytesMax + 1), row), RangeError);
});
