import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { IamPrincipal } from '../../aws/iam-principal.ts';
import { createSessionTokens } from './session-token.ts';

const key = randomBytes(32);
const nowMs = 1_767_225_600_500;
const tokens = createSessionTokens({ key, now: () => nowMs });
const accountId = '000000000000';
const role: IamPrincipal = { kind: 'role', roleName: 'installer', roleId: 'AROAX', sessionName: 'shift-1' };

test('a token opens to what was sealed: account, principal, secret, and when it ends, in whole seconds', () => {
  const made = tokens.mint({ accountId, principal: role, durationSeconds: 900 });
  assert.match(made.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
  assert.match(made.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
  assert.deepEqual(made.expiration, new Date(1_767_226_500_000));
  assert.deepEqual(tokens.open(made.accessKeyId, made.sessionToken), {
    accountId,
    secretAccessKey: made.secretAccessKey,
    principal: role,
    issuedAtMs: nowMs,
    expiresAtMs: 1_767_226_500_000,
  });
  const again = createSessionTokens({ key, now: () => nowMs });
  assert.ok(again.open(made.accessKeyId, made.sessionToken), 'after a restart, and on another node');
});

test('nothing of a token can be read without the key, and no two of one session are alike', () => {
  const [a, b] = [0, 1].map(() => tokens.mint({ accountId, principal: role, durationSeconds: 900 }));
  assert(a && b);
  const text = Buffer.from(a.sessionToken, 'base64').toString('latin1');
  for (const hidden of [a.secretAccessKey, accountId, 'installer', 'shift-1']) assert.ok(!text.includes(hidden));
  assert.notEqual(a.sessionToken.slice(0, 44), b.sessionToken.slice(0, 44));
});

test('a token opens for its own access key and under its own key only', () => {
  const made = tokens.mint({ accountId, principal: role, durationSeconds: 900 });
  const other = tokens.mint({ accountId, principal: role, durationSeconds: 900 });
  assert.equal(tokens.open(other.accessKeyId, made.sessionToken), undefined);
  const stranger = createSessionTokens({ key: randomBytes(32), now: () => nowMs });
  assert.equal(stranger.open(made.accessKeyId, made.sessionToken), undefined);
});

test('a token has one spelling: with a character that base64 skips, without its padding or in base64url it does not open', () => {
  const { accessKeyId, sessionToken } = tokens.mint({ accountId, principal: { kind: 'root' }, durationSeconds: 901 });
  const spellings = [` ${sessionToken}`, `${sessionToken}=`, `${sessionToken.slice(0, 9)}\n${sessionToken.slice(9)}`];
  for (const spelling of [...spellings, `${sessionToken}AAAA`])
    assert.equal(tokens.open(accessKeyId, spelling), undefined);
  assert.ok(tokens.open(accessKeyId, sessionToken));
});

test('no token that was changed in any bit, cut or made up opens, and none costs more than a refusal', () => {
  const { accessKeyId, sessionToken } = tokens.mint({ accountId, principal: role, durationSeconds: 900 });
  const bytes = Buffer.from(sessionToken, 'base64');
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    assert.equal(tokens.open(accessKeyId, changed.toString('base64')), undefined);
  }
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(tokens.open(accessKeyId, bytes.subarray(0, length).toString('base64')), undefined);
  }
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 300 }), fc.base64String({ maxLength: 400 })), (text) =>
      assert.equal(tokens.open(accessKeyId, text), undefined),
    ),
  );
  assert.equal(tokens.open(accessKeyId, sessionToken.repeat(100)), undefined);
});

test('session policies have 2048 bytes in all; with them and the longest names a token has 8192 characters at most', () => {
  const withPolicies = (document: string, arns: readonly string[] = []) =>
    tokens.mint({
      accountId,
      principal: {
        ...{ kind: 'role', roleName: 'r'.repeat(64), roleId: 'AROA'.padEnd(21, 'X'), sessionName: 's'.repeat(64) },
        sessionPolicies: { document, arns },
      },
      durationSeconds: 900,
    });
  const longest = withPolicies('"'.repeat(2048));
  assert.equal(longest.packedPolicySize, 100);
  assert.ok(longest.sessionToken.length <= 8192 && tokens.open(longest.accessKeyId, longest.sessionToken));
  assert.equal(withPolicies('x'.repeat(1000), ['a'.repeat(24)]).packedPolicySize, 50);
  const tooMuch: readonly [document: string, arns: readonly string[]][] = [
    [' '.repeat(2049), []],
    ['é'.repeat(1025), []],
    ['x'.repeat(2000), ['a'.repeat(49)]],
  ];
  for (const [document, arns] of tooMuch) {
    assert.throws(() => withPolicies(document, arns), {
      name: 'PackedPolicyTooLargeException',
      message: 'Packed size of session policies consumes 101% of allotted space.',
    });
  }
});
