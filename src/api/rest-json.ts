/**
 * REST-JSON, the wire of iot and iot-data: input from labels, query, headers and body; output and faults to status, headers and body, all by the
 * operation's schema. Source: spec identity 1; Smithy, "AWS restJson1 protocol".
 */
import assert from 'node:assert/strict';
import type { ServiceName } from '../aws/operations.ts';
import { decodeBytes, queryPairs } from '../aws/sigv4.ts';
import { type Refusal, statusOf } from './faults.ts';
import { malformed, parseJson, readBase64, readSeconds, readStructure, writeStructure } from './json-shapes.ts';
import type { Operation } from './operations.ts';
import type { Match } from './routes.ts';
import type { Member, Shape } from './shapes.ts';

/** An HTTP answer before the headers that every answer carries. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** The parts of a request that carry input. */
export interface InputParts {
  /** What follows the `?`; '' for none. */
  readonly query: string;
  /** Lower-case name -> values joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of a byte string (one character per byte) that holds UTF-8. */
const textOf = (bytes: string): string => {
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    throw malformed('The request is not valid UTF-8');
  }
};

const byteStringOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** The value of a label, query parameter or header, which are text whatever their shape. */
const readText = (shape: Shape, text: string): unknown => {
  switch (shape.kind) {
    case 'string':
      return text;
    case 'boolean':
      if (text !== 'true' && text !== 'false') throw malformed(`STRING_VALUE can not be converted to a Boolean`);
      return text === 'true';
    case 'number': {
      const number = Number(text);
      if (!/^[+-]?[0-9]{1,19}$/.test(text) || !Number.isSafeInteger(number)) {
        throw malformed('STRING_VALUE can not be converted to an Integer');
      }
      return number;
    }
    case 'timestamp': {
      if (/^-?[0-9]{1,13}(\.[0-9]{1,9})?$/.test(text)) return readSeconds(Number(text));
      const ms = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
      if (Number.isNaN(ms)) throw malformed('STRING_VALUE can not be converted to milliseconds since epoch');
      return new Date(ms);
    }
    default:
      return assert.fail(`no operation has a ${shape.kind} there`);
  }
};

const readBody = (input: readonly Member[], operation: Operation, body: Uint8Array): Record<string, unknown> => {
  const payload = input.find(({ binding }) => binding.at === 'payload');
  if (payload?.shape.kind === 'blob') return body.length === 0 ? {} : { [payload.name]: body };
  if (body.length === 0) return {};
  if (payload) {
    assert(payload.shape.kind === 'structure', 'a payload is bytes or a structure');
    return { [payload.name]: readStructure(payload.shape, parseJson(body)) };
  }
  if (!operation.input || !input.some(({ binding }) => binding.at === 'body')) return {};
  return readStructure(operation.input, parseJson(body));
};

/** The parameters of a query as text; of a repeated one the first counts. Faults: SerializationException for what is not UTF-8. */
export const readQuery = (query: string): ReadonlyMap<string, string> =>
  new Map(
    queryPairs(query)
      .reverse()
      .map(([name, value]): [string, string] => [textOf(name), textOf(value)]),
  );

/** The handler's input. Faults: SerializationException for what does not have the form that the schema asks for. */
export const readInput = ({ operation, labels }: Match, parts: InputParts): Record<string, unknown> => {
  if (!operation.input) return {};
  const { members } = operation.input;
  const input = readBody(members, operation, parts.body);
  // of a repeated parameter the first counts
  const query = new Map(queryPairs(parts.query).reverse());
  for (const { name, shape, binding } of members) {
    if (binding.at === 'label') {
      input[name] = readText(shape, textOf(decodeBytes(labels.get(name) ?? '')));
    } else if (binding.at === 'query') {
      const text = query.get(binding.name);
      if (text !== undefined) input[name] = readText(shape, textOf(text));
    } else if (binding.at === 'header') {
      const text = parts.headers.get(binding.name);
      if (text !== undefined)
        input[name] = readText(shape, textOf(binding.base64 ? byteStringOf(readBase64(text)) : text));
    }
  }
  return input;
};

/** The answer of an operation that succeeded. No output at all is an empty body; otherwise a JSON object, if an empty one. */
export const writeOutput = (operation: Operation, output: Record<string, unknown> | undefined): Answer => {
  assert(operation.http, `${operation.name} is a REST operation`);
  const { status } = operation.http;
  if (!operation.output) return { status, headers: {}, body: '' };
  const value = output ?? {};
  const { members } = operation.output;
  const payload = members.find(({ binding }) => binding.at === 'payload');
  if (payload) {
    const bytes = value[payload.name] ?? new Uint8Array(0);
    assert(bytes instanceof Uint8Array, 'every payload that is answered is bytes');
    return { status, headers: { 'content-type': 'application/json' }, body: bytes };
  }
  const statusMember = members.find(({ binding }) => binding.at === 'status');
  const ownStatus = statusMember && value[statusMember.name];
  return {
    status: typeof ownStatus === 'number' ? ownStatus : status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(writeStructure(operation.output, value)),
  };
};

/** The answer of a request that was refused. The data plane repeats the request id as `traceId` (spec gateway 3). */
export const writeFault = (service: ServiceName, fault: Refusal, requestId: string): Answer => ({
  status: statusOf(service, fault.name),
  headers: { 'content-type': 'application/json', 'x-amzn-errortype': fault.name },
  body: JSON.stringify({
    message: fault.message,
    ...fault.members,
    ...(service === 'iot-data' && { traceId: requestId }),
  }),
});
