import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { mismatch, overFault } from './signature-fault.ts';

const identity = {
  accountId: '000000000000',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: 'the-token-of-the-session',
  arn: 'arn:aws:iam::000000000000:user/alice',
  userId: 'AIDA',
  iam: { kind: 'user', userName: 'alice', userId: 'AIDA' },
} as const;
const claim = {
  presigned: false,
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  scope: { date: '20260504', region: 'us-east-1', service: 'iot' },
  terminator: 'aws4_request',
  amzDate: '20260504T120000Z',
  signedAtMs: 0,
  expiresSeconds: undefined,
  signedHeaders: ['host'],
  signature: '',
  sessionToken: undefined,
};

test('a fault of a signature tells whose the key is, and holds neither its secret nor its token: it may come into a log', () => {
  for (const fault of [mismatch('GET', claim, identity), overFault('INACTIVE', claim, { identity })]) {
    const text = inspect(fault, { depth: 9 });
    assert.match(text, /userName: 'alice'/);
    assert.ok(!text.includes(identity.secretAccessKey) && !text.includes(identity.sessionToken), text);
  }
});
