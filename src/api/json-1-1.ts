/**
 * AWS JSON 1.1, the wire of acm: the operation stands in `X-Amz-Target`, JSON comes in and goes out, and faults name themselves in the body.
 * Source: spec identity 10; Smithy, "AWS JSON 1.1 protocol".
 */
import { Fault, type FaultName } from '../aws/fault.ts';
import { type Refusal, statusOf } from './faults.ts';
import { parseJson, readStructure, writeStructure } from './json-shapes.ts';
import { type Operation, operations } from './operations.ts';
import type { Answer } from './rest-json.ts';

const contentType = 'application/x-amz-json-1.1';

/** By target, e.g. `CertificateManager.ListCertificates`. */
const byTarget = new Map(
  operations.filter(({ service }) => service === 'acm').map((found) => [`CertificateManager.${found.name}`, found]),
);

/** The operation that a request asks for. Faults: UnknownOperationException, also for a body that is announced as something else. */
export const findTarget = (headers: ReadonlyMap<string, string>): Operation => {
  const target = headers.get('x-amz-target') ?? '';
  const operation = byTarget.get(target);
  if (!operation) {
    throw new Fault('UnknownOperationException', `No operation has this X-Amz-Target: ${target.slice(0, 128)}`);
  }
  const announced = headers.get('content-type') ?? '';
  if (announced.split(';')[0]?.trim().toLowerCase() !== contentType) {
    throw new Fault('UnknownOperationException', `${target} takes a body of the Content-Type ${contentType}`);
  }
  return operation;
};

/** The handler's input. Faults: SerializationException. */
export const readJsonInput = ({ input }: Operation, body: Uint8Array): Record<string, unknown> =>
  input && body.length > 0 ? readStructure(input, parseJson(body)) : {};

/** The answer of an operation that succeeded. No output at all is an empty body. */
export const writeJsonOutput = ({ output }: Operation, value: Record<string, unknown> | undefined): Answer => ({
  status: 200,
  headers: { 'content-type': contentType },
  body: output ? JSON.stringify(writeStructure(output, value ?? {})) : '',
});

/** What acm calls a fault that others give another name. Source: API reference, "Common errors". */
const jsonNames: { readonly [Name in FaultName]?: string } = { InvalidRequestException: 'ValidationException' };

/**
 * The answer of a request that was refused. A mistake of the caller is always 400, whatever its model says of it.
 * Observed: AccessDeniedException and ExpiredTokenException of acm with status 400 (hashicorp/terraform-provider-aws #37723, DFE-Digital/teaching-vacancies #6568).
 */
export const writeJsonFault = (fault: Refusal): Answer => {
  const name = jsonNames[fault.name] ?? fault.name;
  const modelled = statusOf('acm', fault.name);
  return {
    status: modelled === 413 || modelled >= 500 ? modelled : 400,
    headers: { 'content-type': contentType, 'x-amzn-errortype': name },
    body: JSON.stringify({ __type: name, message: fault.message, ...fault.members }),
  };
};
