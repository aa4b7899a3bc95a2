/**
 * Every operation of the three services, called by the real SDK clients with inputs made from the schemas and constraint tables: what the SDK writes, the
 * handler must get; what the handler answers, the SDK must read.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import type { ServiceName } from '../aws/operations.ts';
import iotTable from './constraints/iot.json' with { type: 'json' };
import iotDataTable from './constraints/iot-data.json' with { type: 'json' };
import stsTable from './constraints/sts.json' with { type: 'json' };
import { coverage, type Operation, operations } from './operations.ts';
import { matchesPattern } from './patterns.ts';
import { unsignedActions } from './query.ts';
import type { Member, Shape, Structure } from './shapes.ts';
import { bootApi, type TestApi } from './test-api.ts';
import type { Constraint } from './validate.ts';

const tables: { readonly [Service in ServiceName]: Readonly<Record<string, Readonly<Record<string, Constraint>>>> } = {
  iot: iotTable.structures,
  'iot-data': iotDataTable.structures,
  sts: stsTable.structures,
};

const samples = [
  'a',
  'A',
  '1',
  '1.5',
  'LAST',
  ',',
  'p1',
  'arn:a',
  'https://a',
  'ab:1',
  'https://ingestion-a.a.sfdcnow.com/streams/a/a/event',
];
samples.push('arn:aws:acm:us-east-1:000000000000:certificate/a');

const textFor = ({ min = 0, enum: allowed, pattern }: Constraint): string => {
  if (allowed) return allowed[0] ?? '';
  for (const sample of samples) {
    const text = sample.length >= min ? sample : sample.repeat(Math.ceil(min / sample.length)).slice(0, min);
    if (pattern === undefined || matchesPattern(pattern, text)) return text;
  }
  return assert.fail(`no sample for ${pattern}`);
};

const valueFor = (service: ServiceName, shape: Shape, constraint: Constraint): unknown => {
  switch (shape.kind) {
    case 'structure':
      return structureFor(service, shape);
    case 'list':
      return Array.from({ length: Math.max(1, constraint.min ?? 1) }, () =>
        valueFor(service, shape.item, constraint.items ?? {}),
      );
    case 'map':
      return { [textFor(constraint.keys ?? {})]: valueFor(service, shape.value, constraint.values ?? {}) };
    case 'string':
      return textFor(constraint);
    case 'boolean':
      return true;
    case 'number':
      return Math.max(constraint.min ?? 0, Math.min(constraint.max ?? 200, 200));
    case 'timestamp':
      return new Date(1655249872000);
    case 'blob':
      return new Uint8Array([1, 2, 255]);
  }
};

const memberFor = (service: ServiceName, structure: Structure, member: Member): unknown =>
  member.binding.at === 'header' && member.binding.base64
    ? '[{"a":"b"}]'
    : valueFor(service, member.shape, tables[service][structure.name]?.[member.name] ?? {});

const structureFor = (service: ServiceName, structure: Structure): Record<string, unknown> =>
  Object.fromEntries(
    (structure.union ? structure.members.slice(0, 1) : structure.members).map((member) => [
      member.name,
      memberFor(service, structure, member),
    ]),
  );

const inputFor = ({ service, input }: Operation): Record<string, unknown> =>
  input ? structureFor(service, input) : {};
const outputFor = ({ service, output }: Operation): Record<string, unknown> =>
  output ? structureFor(service, output) : {};

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
  };
};

const commandFor = (operation: Operation, input: unknown): unknown => {
  const packages: { readonly [Service in ServiceName]: object } = { iot, 'iot-data': iotData, sts };
  const commands = packages[operation.service] as Readonly<
    Record<string, (new (input: unknown) => unknown) | undefined>
  >;
  const Command = commands[`${operation.name}Command`];
  assert(Command, `${operation.name} has a command`);
  return new Command(input);
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

before(() => assert.equal(operations.length, 272 + 11 + 11));

test('no handler: each operation is 501 NotImplementedException that names it (issue 2)', async (t) => {
  const api = await bootApi(t, { handlers: {} });
  const clients = clientsOf(api);
  t.after(() => Object.values(clients).map((client) => client.destroy()));
  for (const operation of operations) {
    const sent = clients[operation.service].send(commandFor(operation, inputFor(operation)));
    await assert.rejects(sent, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
      assert.equal(error.name, operation.service === 'sts' ? 'NotImplemented' : 'NotImplementedException');
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
  const handlers = { iot: handlersOf('iot'), 'iot-data': handlersOf('iot-data'), sts: handlersOf('sts') };
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
