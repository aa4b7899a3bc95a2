/** The HTTP status of a fault: from the service's own model, else from another service's, else from the table of what AWS answers before any model. */
import type { CommonFaultName, Fault, FaultName } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import { modelledErrors, serviceNames } from './operations.ts';

/** Source: IoT API reference, "Common errors"; spec identity 1; 404, 413 and 501 by what the names say. */
const commonStatus: { readonly [Name in CommonFaultName]: number } = {
  AccessDeniedException: 403,
  ExpiredTokenException: 403,
  ForbiddenException: 403,
  IncompleteSignatureException: 400,
  InvalidSignatureException: 403,
  MissingAuthenticationTokenException: 403,
  NotImplementedException: 501,
  RequestEntityTooLargeException: 413,
  SerializationException: 400,
  UnknownOperationException: 404,
  UnrecognizedClientException: 403,
};

const commonOf = (name: FaultName): number | undefined => {
  const table: { readonly [name: string]: number } = commonStatus;
  return table[name];
};

/** Status of a fault on one service: ThrottlingException is 400 on iot and 429 on iot-data. */
export const statusOf = (service: ServiceName, name: FaultName): number => {
  const own = modelledErrors[service].get(name)?.status ?? commonOf(name);
  if (own !== undefined) return own;
  for (const other of serviceNames) {
    const status = modelledErrors[other].get(name)?.status;
    if (status !== undefined) return status;
  }
  return 400;
};

/** A fault as the renderers of both wires take it. */
export type Refusal = Pick<Fault, 'name' | 'message' | 'members'>;
