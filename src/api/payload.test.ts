/** What may stand in place of a signed body, on AWS and so here: nothing. The marks are Amazon S3's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalRequest, presignUrl, signatureOf, signRequest, type UnsignedRequest } from '../aws/sigv4.ts';
import { bootApi, sendRaw, sendSigned, type TestApi } from './test-api.ts';

type Headers = Record<string, string>;

const sign = (api: TestApi, changed: Partial<UnsignedRequest> = {}): Headers =>
  signRequest({
    method: 'GET',
    url: `${api.url}/things`,
    accessKeyId: '000000000000',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'iot',
    nowMs: Date.now(),
    ...changed,
  });

const markers = [
  'UNSIGNED-PAYLOAD',
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD',
];
for (const marker of markers) {
  test(`${marker} in place of the body's hash is Amazon S3's alone: refused on every wire, with the reason`, async (t) => {
    const api = await bootApi(t);
    const json = {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'CertificateManager.ListCertificates',
    };
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const calls: [target: string, service: string, headers: Headers, status: number, code: string][] = [
      ['/things/a', 'iot', {}, 403, 'InvalidSignatureException'],
      ['/topics/a', 'iotdata', {}, 403, 'ForbiddenException'],
      ['/', 'acm', json, 400, 'InvalidSignatureException'],
      ['/', 'sts', form, 403, 'SignatureDoesNotMatch'],
      ['/', 'iam', form, 403, 'SignatureDoesNotMatch'],
    ];
    for (const [target, service, own, status, code] of calls) {
      const headers = signWithMarker(api, marker, {
        method: 'POST',
        url: `${api.url}${target}`,
        service,
        headers: own,
      });
      const answer = await sendRaw(api.port, 'POST', target, headers, '{}');
      assert.deepEqual([service, answer.status, answer.fault], [service, status, code]);
      assert.ok(answer.message.includes(marker), answer.message);
      assert.match(answer.message, /signature we calculated does not match.*only Amazon S3 takes: sign the SHA-256/);
    }
  });
}

/** Signed as for Amazon S3: the marker stands where the hash belongs. */
const signWithMarker = (api: TestApi, marker: string, request: Partial<UnsignedRequest>): Headers => {
  const headers: Record<string, string> = { ...sign(api, request), 'x-amz-content-sha256': marker };
  const [date = '', region = '', service = ''] = headers['authorization']?.split('/').slice(1, 4) ?? [];
  const signedHeaders = /SignedHeaders=([^,]+)/.exec(headers['authorization'] ?? '')?.[1]?.split(';') ?? [];
  const { method = 'GET', url = '' } = request;
  const { pathname: path, search } = new URL(url);
  const canonical = canonicalRequest({
    ...{ method, path, query: search.slice(1), signedHeaders, payloadHash: marker },
    headers: Object.entries(headers),
  });
  const signature = signatureOf('test', { date, region, service }, headers['x-amz-date'] ?? '', canonical);
  return { ...headers, authorization: headers['authorization']?.replace(/[0-9a-f]{64}$/, signature) ?? '' };
};

test('a presigned URL with an unsigned payload is refused with the reason', async (t) => {
  const api = await bootApi(t);
  const url = `${api.url}/?Action=GetCallerIdentity&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD`;
  const target = presignUrl({
    ...{ method: 'GET', url, accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1', service: 'sts' },
    ...{ nowMs: Date.now(), expiresSeconds: 60 },
  }).slice(api.url.length);
  const answer = await sendRaw(api.port, 'GET', target, { host: new URL(api.url).host });
  assert.deepEqual([answer.status, answer.fault], [403, 'SignatureDoesNotMatch']);
  assert.match(answer.message, /'UNSIGNED-PAYLOAD', which only Amazon S3 takes/);
});

test('a body in the chunks of HTTP is a body; one in the chunks of Amazon S3 is refused with the reason', async (t) => {
  const api = await bootApi(t);
  const request = { method: 'POST', url: `${api.url}/things/a`, body: '{"thingTypeName":"t"}' };
  const chunked = { ...sign(api, request), 'transfer-encoding': 'chunked' };
  const chunks = '5\r\n{"thi\r\n10;a=b\r\nngTypeName":"t"}\r\n0\r\n\r\n';
  assert.equal((await sendRaw(api.port, 'POST', '/things/a', chunked, chunks)).status, 200);

  const body = `15;chunk-signature=${'0'.repeat(64)}\r\n{"thingTypeName":"t"}\r\n0;chunk-signature=${'0'.repeat(64)}\r\n\r\n`;
  for (const coding of ['aws-chunked', 'gzip, AWS-CHUNKED']) {
    const headers = { 'content-encoding': coding, 'x-amz-decoded-content-length': '21' };
    const answer = await sendSigned(api, 'POST', '/things/a', { headers, body });
    assert.deepEqual([answer.status, answer.fault], [400, 'SerializationException']);
    assert.match(answer.message, /aws-chunked is for Amazon S3 only: send the body as it is/);
  }
});
