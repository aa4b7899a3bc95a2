import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../aws/fault.ts';
import type { AskedCall, Handlers } from '../feature.ts';
import { bootApi, sendRaw, sendSigned, testHandlers } from './test-api.ts';

const denied = (): never => {
  throw new Fault('AccessDeniedException', 'User: u is not authorized to perform: a on resource: r');
};
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const target = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'CertificateManager.ListCertificates' };
const handlers: Handlers = { ...testHandlers, acm: { ListCertificates: async () => ({ CertificateSummaryList: [] }) } };

test('who may do what is asked after the constraints and before the handler and the account (design 3)', async (t) => {
  const asked: AskedCall[] = [];
  const ensured: unknown[] = [];
  const api = await bootApi(t, {
    ensureAccount: async (account) => void ensured.push(account),
    authorize: async (call) => {
      asked.push(call);
      if (call.operation === 'DeleteThing') denied();
    },
  });
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 403);
  assert.deepEqual(ensured, [], 'a refused caller brings no account into being');
  const wrong = await sendSigned(api, 'GET', `/things/${encodeURIComponent('a b')}`);
  assert.deepEqual([wrong.status, asked.length], [400, 1]);
  assert.equal((await sendSigned(api, 'GET', '/things/lamp')).status, 200);
  const [, { service, operation, input, account, caller, arrival } = assert.fail()] = asked;
  assert.deepEqual([service, operation, input], ['iot', 'DescribeThing', { thingName: 'lamp' }]);
  assert.deepEqual(
    [account, caller.arn, arrival.loopback],
    [{ accountId: '000000000000', region: 'us-east-1' }, 'arn:aws:iam::000000000000:root', true],
  );
  // what is not handled is told as such, and nobody is asked
  assert.equal((await sendSigned(api, 'GET', '/thing-types/a')).status, 501);
  assert.equal(asked.length, 2);
});

test('a refusal has the shape of each wire: 403 on REST, AccessDenied on Query, 400 on JSON 1.1, Forbidden on the data plane', async (t) => {
  const api = await bootApi(t, { handlers, authorize: async () => denied() });
  const sentence = 'User: u is not authorized to perform: a on resource: r';
  const rest = await sendSigned(api, 'GET', '/things/lamp');
  assert.deepEqual(
    [rest.status, rest.fault, JSON.parse(rest.body)],
    [403, 'AccessDeniedException', { message: sentence }],
  );
  const query = await sendSigned(api, 'POST', '/', {
    ...{ service: 'sts', headers: form, body: 'Action=GetCallerIdentity&Version=2011-06-15' },
  });
  assert.equal(query.status, 403);
  assert.match(query.body, new RegExp(`<Type>Sender</Type><Code>AccessDenied</Code><Message>${sentence}</Message>`));
  const json = await sendSigned(api, 'POST', '/', { service: 'acm', headers: target, body: '{}' });
  assert.deepEqual([json.status, JSON.parse(json.body)], [400, { __type: 'AccessDeniedException', message: sentence }]);
});

test('a signed page of the node is asked about by its name, an open one is not', async (t) => {
  const asked: string[] = [];
  const page = { method: 'GET', handle: () => ({ status: 200, contentType: 'text/plain', body: 'read' }) } as const;
  const api = await bootApi(t, {
    extras: [
      { ...page, path: '/open', signed: false },
      { ...page, path: '/signed', signed: true, name: 'ReadPage' },
    ],
    authorize: async ({ service, operation }) => {
      asked.push(`${service}:${operation}`);
      denied();
    },
  });
  assert.equal((await sendRaw(api.port, 'GET', '/open', { host: 'localhost' })).status, 200);
  const refused = await sendSigned(api, 'GET', '/signed');
  assert.deepEqual([refused.status, refused.fault, asked], [403, 'AccessDeniedException', ['fleetgate:ReadPage']]);
});
