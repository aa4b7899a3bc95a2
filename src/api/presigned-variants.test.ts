/** The freedom that signers of WebSocket URLs have taken: which host was signed, and whether the token was (spec gateway.md 2.1). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { presignUrl, type UnsignedRequest } from '../aws/sigv4.ts';
import { authenticate, type Expectation } from './authenticate.ts';
import { SignatureFault } from './signature-fault.ts';
import { testCredentials } from './test-api.ts';

const temporary = { accessKeyId: 'ASIATEMPORARY', secretAccessKey: 'temporary', sessionToken: 'the-token' };
const presign = (changed: Partial<UnsignedRequest> & { readonly expiresSeconds?: number } = {}): string =>
  presignUrl({
    method: 'GET',
    url: 'https://gate:8443/mqtt',
    accessKeyId: '000000000000',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'iotdevicegateway',
    nowMs: Date.now(),
    expiresSeconds: 300,
    ...changed,
  });
/** As older device SDKs do it: the token is appended to what was signed. */
const tokenAppended = (): string => {
  const { sessionToken, ...key } = temporary;
  return `${presign(key)}&X-Amz-Security-Token=${sessionToken}`;
};

const ask = (url: string, changed: Partial<Expectation> = {}, host = 'gate:8443') =>
  authenticate(
    {
      method: 'GET',
      path: '/mqtt',
      query: new URL(url).search.slice(1),
      headers: [['Host', host]],
      loopback: true,
      forwarded: false,
      body: () => Promise.resolve(new Uint8Array(0)),
    },
    {
      services: ['iotdevicegateway'],
      hostRegion: 'us-east-1',
      credentials: testCredentials,
      tokenMayFollow: true,
      expiresSecondsMax: 86_400,
      ...changed,
    },
  );

const accepted: [rule: string, url: () => string, changed?: Partial<Expectation>][] = [
  ['the Host header as received', () => presign()],
  [
    'the host without its port',
    () => presign({ url: 'https://gate:8443/mqtt', headers: { host: 'gate' } }),
    { otherHosts: ['gate'] },
  ],
  ['the SNI name', () => presign({ headers: { host: 'sni' } }), { otherHosts: ['gate', 'sni'] }],
  ['a token that was appended after the signature', tokenAppended],
  ['a token that was signed', () => presign(temporary)],
  ['a day, the longest life', () => presign({ expiresSeconds: 86_400, nowMs: Date.now() - 86_000_000 })],
];
for (const [rule, url, changed] of accepted) {
  test(`accepted: ${rule}`, async () => assert.equal((await ask(url(), changed)).account.region, 'us-east-1'));
}

const refused: [rule: string, problem: string, url: () => string, changed?: Partial<Expectation>][] = [
  ['a changed signature', 'SIGNATURE_MISMATCH', () => presign().replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))],
  [
    'a host that nobody named',
    'SIGNATURE_MISMATCH',
    () => presign({ headers: { host: 'other' } }),
    { otherHosts: ['gate'] },
  ],
  ['an appended token where only signed ones count', 'SIGNATURE_MISMATCH', tokenAppended, { tokenMayFollow: false }],
  ['an appended token of somebody else', 'INVALID', () => tokenAppended().replace('the-token', 'another')],
  [
    'no token at all',
    'INVALID',
    () => presign({ accessKeyId: temporary.accessKeyId, secretAccessKey: temporary.secretAccessKey }),
  ],
  ['more than a day', 'INVALID', () => presign({ expiresSeconds: 86_401 })],
  ['past its life', 'EXPIRED', () => presign({ nowMs: Date.now() - 301_000 })],
  ['another region', 'INVALID', () => presign({ region: 'eu-west-1' })],
  ['another service', 'INVALID', () => presign({ service: 'iot' })],
];
for (const [rule, problem, url, changed] of refused) {
  test(`refused as ${problem}: ${rule}`, async () => {
    const presigned = url();
    await assert.rejects(ask(presigned, changed), (error) => {
      assert.ok(error instanceof SignatureFault);
      assert.equal(error.problem, problem);
      assert.ok(!error.detail.includes('X-Amz-Credential'), 'nothing of the query is repeated');
      return true;
    });
  });
}
