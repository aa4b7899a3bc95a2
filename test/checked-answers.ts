/**
 * A node and clients whose every answer is looked at byte for byte before a test gets to see it: status, headers, the schema that the SDK publishes, and what the
 * SDK made of it.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import type { MiddlewareStack } from '@smithy/types';
import type { StartOptions } from '../src/index.ts';
import { type Findings, inspect, isVoid, type OperationSchema, operationSchema, revived } from './answer-schema.ts';
import { bootNode } from './harness.ts';

export const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What a marker of a list may be made of. Source: spec identity 1.2. */
export const marker = /^[A-Za-z0-9+/]+={0,2}$/;

/** What the server chose freely, after a look at its form. */
export const chosen = (value: unknown, form: RegExp): string => {
  assert.equal(typeof value, 'string');
  assert.match(String(value), form);
  return String(value);
};

interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** What stands between the SDK's reader and the connection. */
interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  body: AsyncIterable<Uint8Array> | Uint8Array;
}

/** Has a client keep every raw answer, the latest last. The client reads what it would have read. */
const keepAnswers = <Input extends object, Output extends object>(client: {
  readonly middlewareStack: MiddlewareStack<Input, Output>;
}): readonly RawAnswer[] => {
  const kept: RawAnswer[] = [];
  client.middlewareStack.add(
    (next) => async (given) => {
      const result = await next(given);
      // the SDK leaves the answer's type to its transport, which here is HTTP
      const response = result.response as HttpAnswer;
      const chunks: Uint8Array[] = [];
      if (response.body instanceof Uint8Array) chunks.push(response.body);
      else for await (const chunk of response.body) chunks.push(chunk);
      const bytes = new Uint8Array(Buffer.concat(chunks));
      response.body = bytes;
      const { statusCode: status, headers } = response;
      kept.push({ status, headers, text: Buffer.from(bytes).toString('utf8') });
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'keepAnswers' },
  );
  return kept;
};

/** A JSON body. */
export interface Body {
  readonly [member: string]: unknown;
}
/** A command of the SDK's. */
export interface Command {
  readonly input: object;
}

/** The services that speak JSON, each with the type that its answers announce. */
const jsonSdks = { iot, 'iot-data': iotData, acm };
const jsonTypes = { iot: 'application/json', 'iot-data': 'application/json', acm: 'application/x-amz-json-1.1' };

/** Boots a node with a client of each service. */
export const bootChecked = async (t: TestContext, options: StartOptions = {}) => {
  const booted = await bootNode(t, options);
  const clients = { iot: booted.iot(), sts: booted.sts(), 'iot-data': booted.iotData(), acm: booted.acm() };
  const raw = {
    iot: keepAnswers(clients.iot),
    sts: keepAnswers(clients.sts),
    'iot-data': keepAnswers(clients['iot-data']),
    acm: keepAnswers(clients.acm),
  };
  const shown = new Map<string, Findings>();
  const startedAt = booted.node.clock.now() / 1000;

  const findingsOf = (name: string): Findings => {
    const findings = shown.get(name) ?? { problems: [], seen: new Set() };
    shown.set(name, findings);
    return findings;
  };
  const send = async (service: keyof typeof clients, command: Command) => {
    const client: { send(command: never): Promise<object> } = clients[service];
    // a table of many commands, and `send` is overloaded by them
    const { $metadata, ...output } = (await client.send(command as never)) as { $metadata: { requestId?: string } };
    const answer = raw[service].at(-1);
    assert(answer);
    assert.match(answer.headers['x-amzn-requestid'] ?? '', uuid);
    assert.equal($metadata.requestId, answer.headers['x-amzn-requestid']);
    return { answer, output };
  };

  return {
    ...booted,
    shown,
    findingsOf,
    send,
    /** Sends a command and holds the answer against the schema; the JSON body comes back, undefined for none. */
    async json(command: Command, service: keyof typeof jsonSdks = 'iot'): Promise<Body> {
      const operation = operationSchema(jsonSdks[service], command.constructor.name.replace(/Command$/, ''));
      const { answer, output } = await send(service, command);
      assert.equal(answer.status, operation.status ?? 200);
      const findings = findingsOf(operation.name);
      return readJson(operation, answer, { output, findings, contentType: jsonTypes[service] });
    },
    /** A time that the server noted since the start: epoch seconds to the millisecond. */
    noted(value: unknown): number {
      assert(typeof value === 'number' && value >= startedAt && value <= booted.node.clock.now() / 1000, `${value}`);
      assert.equal(Math.round(value * 1000) / 1000, value);
      return value;
    },
  };
};

const readJson = (
  operation: OperationSchema,
  { headers, text }: { headers: Readonly<Record<string, string>>; text: string },
  { output, findings, contentType }: { output: object; findings: Findings; contentType: string },
): Body => {
  assert.equal(headers['content-length'], String(Buffer.byteLength(text)));
  if (isVoid(operation)) {
    assert.equal(text, '', 'an operation without output answers an empty body (spec identity 1)');
    assert.deepEqual(output, {});
    return {};
  }
  assert.equal(headers['content-type'], contentType);
  const body: unknown = JSON.parse(text);
  inspect(operation, body, findings);
  assert.deepEqual(findings.problems, [], operation.name);
  assert.deepEqual(output, revived(operation, body), 'the SDK gives its caller what was sent');
  // the walk has seen that it is an object
  return body as Body;
};
