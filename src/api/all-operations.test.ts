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
import type { ServiceName } from '../aws/operations.ts';
import acmTable from './constraints/acm.json' with { type: 'json' };
import iamTable from './constraints/iam.json' with { type: 'json' };
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
  iam: iamTable.structures,
  acm: acmTable.structures,
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
samples.push(
  'arn:aws:acm:us-east-1:000000000000:certificate/a',
  'arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/a',
  'a.example',
  '00:00',
  '000000000000',
  '/a/',
  'v1',
  'abc',
  'p-00000000',
  'o-0000000000/r-0000',
);

const textFor = ({ min = 0, enum: allowed, pattern }: Constraint): string => {
  if (allowed) return allowed[0] ?? '';
  for (const sample of samples) {
    const text = sample.length >= min ? sample : sample.repeat(Math.ceil(min / sample.length)).slice(0, min);
    if (pattern === undefined || matchesPattern(pattern, text)) return text;
  }
  return assert.fail(`no sample for ${pattern}`);
};

/** The structures that a value is inside of: one that contains itself is not gone into again. */
type Inside = readonly string[];

const valueFor = (service: ServiceName, shape: Shape, constraint: Constraint, inside: Inside): unknown => {
  switch (shape.kind) {
    case 'structure':
      return structureFor(service, shape, inside);
    case 'list':
      return Array.from({ length: Math.max(1, constraint.min ?? 1) }, () =>
        valueFor(service, shape.item, constraint.items ?? {}, inside),
      );
    case 'map':
      return { [textFor(constraint.keys ?? {})]: valueFor(service, shape.value, constraint.values ?? {}, inside) };
    case 'string':
      return textFor(constraint);
    case 'boolean':
      return true;
    case 'number':
      return Math.max(constraint.min ?? 0, Math.min(constraint.max ?? 200, 200));
    case 'timestamp':
      return new Date(1655249872000);
    case 'blob':
      return new Uint8Array([1, 2, 255, ...Array.from({ length: constraint.min ?? 0 }, () => 0)]);
  }
};

const isInside = (shape: Shape, inside: Inside): boolean => {
  if (shape.kind === 'list') return isInside(shape.item, inside);
  if (shape.kind === 'map') return isInside(shape.value, inside);
  return shape.kind === 'structure' && inside.includes(shape.name);
};

const memberFor = (service: ServiceName, structure: Structure, member: Member, inside: Inside): unknown =>
  member.binding.at === 'header' && member.binding.base64
    ? '[{"a":"b"}]'
    : valueFor(service, member.shape, tables[service][structure.name]?.[member.name] ?? {}, inside);

const structureFor = (service: ServiceName, structure: Structure, outside: Inside = []): Record<string, unknown> => {
  const inside = [...outside, structure.name];
  const members = structure.members.filter(({ shape }) => !isInside(shape, inside));
  return Object.fromEntries(
    (structure.union ? members.slice(0, 1) : members).map((member) => [
      member.name,
      memberFor(service, structure, member, inside),
    ]),
  );
};

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
    iam: new iam.IAMClient(options) as unknown as Client,
    acm: new acm.ACMClient(options) as unknown as Client,
  };
};

const commandFor = (operation: Operation, input: unknown): unknown => {
  const packages: { readonly [Service in ServiceName]: object } = { iot, 'iot-data': iotData, sts, iam, acm };
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
