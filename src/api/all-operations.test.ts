/**
 * Every operation of all services, called by the real SDK clients with inputs made from the schemas and constraint tables: what the SDK writes, the
 * handler must get; what the handler answers, the SDK must read.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import { commandFor, inputFor, outputFor } from '../../test/sample-input.ts';
import type { ServiceName } from '../aws/operations.ts';
import { coverage, operations } from './operations.ts';
import { unsignedActions } from './query.ts';
import { bootApi, type TestApi } from './test-api.ts';

interface Client {
  send(command: unknown): Promise<Record<string, unknown>>;
  destroy(): void;
}

const clientsOf = (api: TestApi): { readonly [Service in ServiceName]: Client } => {
  const options = {
    endpoint: api.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  };
  // the clients' own `send` is typed by command; here the command comes by its name
  return {
    iot: new iot.IoTClient(options) as unknown as Client,
    'iot-data': new iotData.IoTDataPlaneClient(options) as unknown as Client,
    sts: new sts.STSClient(options) as unknown as Client,
    iam: new iam.IAMClient(options) as unknown as Client,
    acm: new acm.ACMClient(options) as unknown as Client,
  };
};

/** Bytes compare as bytes, whatever class the SDK gives them; what it adds to every answer is left out. */
const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return [...value];
  if (value instanceof Date || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== '$metadata')
      .map(([name, item]) => [name, plain(item)]),
  );
};

before(() => assert.equal(operations.length, 272 + 11 + 11 + 180 + 40));

test('no handler: each operation is 501 NotImplementedException that names it (issue 2)', async (t) => {
  const api = await bootApi(t, { handlers: {} });
  const clients = clientsOf(api);
  t.after(() => Object.values(clients).map((client) => client.destroy()));
  for (const operation of operations) {
    const sent = clients[operation.service].send(commandFor(operation, inputFor(operation)));
    await assert.rejects(sent, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
      assert.equal(error.name, /^(sts|iam)$/.test(operation.service) ? 'NotImplemented' : 'NotImplementedException');
      assert.equal(error.message, `${operation.name} is not available in this version of Fleetgate`);
      assert.equal(error.$metadata?.httpStatusCode, 501);
      return true;
    });
  }
});

test('handled: each operation reads what the SDK writes and writes what the SDK reads', async (t) => {
  const got: Record<string, unknown>[] = [];
  const handlersOf = (service: ServiceName) =>
    Object.fromEntries(
      operations
        .filter((operation) => operation.service === service)
        .map((operation) => [
          operation.name,
          async (input: Record<string, unknown>) => {
            got.push(input);
            return outputFor(operation);
          },
        ]),
    );
  const handlers = {
    iot: handlersOf('iot'),
    'iot-data': handlersOf('iot-data'),
    sts: handlersOf('sts'),
    iam: handlersOf('iam'),
    acm: handlersOf('acm'),
  };
  const api = await bootApi(t, { handlers });
  const clients = clientsOf(api);
  t.after(() => Object.values(clients).map((client) => client.destroy()));
  assert(coverage(handlers).every(({ handled }) => handled));
  for (const operation of operations) {
    if (unsignedActions.has(operation.name)) continue;
    const input = inputFor(operation);
    const output = await clients[operation.service].send(commandFor(operation, input));
    assert.deepEqual(plain(got.pop()), plain(input), `input of ${operation.name}`);
    assert.deepEqual(plain(output), plain(outputFor(operation)), `output of ${operation.name}`);
  }
});

test('coverage lists every operation once, with whether it is handled', () => {
  const listed = coverage({ iot: { ListThings: async () => ({}) } });
  assert.equal(new Set(listed.map(({ service, operation }) => `${service} ${operation}`)).size, operations.length);
  assert.deepEqual(
    listed.filter(({ handled }) => handled),
    [{ service: 'iot', operation: 'ListThings', handled: true }],
  );
});
