/** Every operation of the services that Fleetgate answers, and the HTTP status of every fault, as the SDK packages export them. */
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import type { $SchemaRef } from '@smithy/types';
import type { ServiceName } from '../aws/operations.ts';
import type { Handlers } from '../feature.ts';
import { compileStructure, type Structure } from './shapes.ts';

export interface Operation {
  readonly service: ServiceName;
  readonly name: string;
  /** Absent for operations that are named in the form (Query) or in a header (JSON 1.1). `path` is a template, e.g. `/things/{thingName}`. */
  readonly http?: { readonly method: string; readonly path: string; readonly status: number };
  /** Undefined: nothing goes in, or nothing comes out. */
  readonly input: Structure | undefined;
  readonly output: Structure | undefined;
}

const packages: { readonly [Service in ServiceName]: object } = { iot, 'iot-data': iotData, sts, iam, acm };
export const serviceNames: readonly ServiceName[] = ['iot', 'iot-data', 'sts', 'iam', 'acm'];

// The SDK declares its schemas as plain arrays; the leading number tells the kind: 9 an operation, -3 an error.
type OperationSchema = readonly [9, string, string, { http?: [string, string, number] } | 0, $SchemaRef, $SchemaRef];
interface ErrorTraits {
  readonly error?: 'client' | 'server';
  readonly httpError?: number;
  readonly awsQueryError?: readonly [string, number];
}
type ErrorSchema = readonly [-3, string, string, ErrorTraits | 0];
const isOperation = (value: unknown): value is OperationSchema => Array.isArray(value) && value[0] === 9;
const isError = (value: unknown): value is ErrorSchema => Array.isArray(value) && value[0] === -3;

const readOperation = (service: ServiceName, [, , name, traits, input, output]: OperationSchema): Operation => {
  const http = traits === 0 ? undefined : traits.http;
  let inputShape: { readonly structure: Structure | undefined } | undefined;
  let outputShape: { readonly structure: Structure | undefined } | undefined;
  return {
    service,
    name,
    ...(http && { http: { method: http[0], path: http[1], status: http[2] } }),
    get input() {
      inputShape ??= { structure: compileStructure(input) };
      return inputShape.structure;
    },
    get output() {
      outputShape ??= { structure: compileStructure(output) };
      return outputShape.structure;
    },
  };
};

/** All operations of all services, in the order of the SDK's exports. */
export const operations: readonly Operation[] = serviceNames.flatMap((service) =>
  Object.values(packages[service])
    .filter(isOperation)
    .map((schema) => readOperation(service, schema)),
);

/** What the models say of one service's errors: HTTP status and, for Query services, the code on the wire. */
export interface ModelledError {
  readonly status: number;
  readonly queryCode: string | undefined;
}

/** Service, then fault name -> what its model says. */
export const modelledErrors: { readonly [Service in ServiceName]: ReadonlyMap<string, ModelledError> } = (() => {
  const read = (service: ServiceName): ReadonlyMap<string, ModelledError> => {
    const errors = new Map<string, ModelledError>();
    for (const schema of Object.values(packages[service]).filter(isError)) {
      const traits = schema[3];
      if (traits === 0 || traits.error === undefined) continue;
      const status = traits.httpError ?? (traits.error === 'client' ? 400 : 500);
      errors.set(schema[2], { status, queryCode: traits.awsQueryError?.[0] });
    }
    return errors;
  };
  return { iot: read('iot'), 'iot-data': read('iot-data'), sts: read('sts'), iam: read('iam'), acm: read('acm') };
})();

/** The handler of an operation as api/ calls it: input and output already follow the schema, so their types are the schema's business. */
export type AnyHandler = (
  input: Record<string, unknown>,
  call: unknown,
) => Promise<Record<string, unknown> | undefined>;

/** The handler of an operation; undefined when this version has none. */
export const handlerOf = (handlers: Handlers, operation: Operation): AnyHandler | undefined => {
  const own: object = handlers[operation.service] ?? {};
  if (!Object.hasOwn(own, operation.name)) return undefined;
  // The reader has built `input` after the very schema that the handler's static type is drawn from: here the two meet.
  return (own as Record<string, AnyHandler | undefined>)[operation.name];
};

export interface Covered {
  readonly service: ServiceName;
  readonly operation: string;
  readonly handled: boolean;
}

/** Which operations are handled, by service and name: the source of the generated coverage page. */
export const coverage = (handlers: Handlers): readonly Covered[] =>
  operations.map((operation) => ({
    service: operation.service,
    operation: operation.name,
    handled: handlerOf(handlers, operation) !== undefined,
  }));
