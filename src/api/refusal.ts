/** What a caller is told when a request ends in an error, in the wire of the service that was asked. */
import { Fault } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import type { Answer } from './rest-json.ts';
import { writeRefusal } from './wires.ts';

/** A refusal, with what the log wants to know: `error` is there when the fault hides something from the caller. */
export interface Refused {
  readonly answer: Answer;
  readonly fault: string;
  readonly error?: unknown;
}

/** Refusals of the data plane that are one ForbiddenException there. Source: spec gateway 3, "bad or missing credentials". */
const forbiddenOnDataPlane: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'UnrecognizedClientException',
]);

/** What the caller is told of an error; `hidden` when the error says more than that. */
const toFault = (error: unknown, service: ServiceName): { fault: Fault; hidden: boolean } => {
  if (error instanceof Fault) {
    return service === 'iot-data' && forbiddenOnDataPlane.has(error.name)
      ? { fault: new Fault('ForbiddenException', error.message), hidden: false }
      : { fault: error, hidden: error.name === 'InternalFailureException' };
  }
  // the store's own class, known by its name: this room does not import the store
  if (error instanceof Error && error.name === 'StoreUnavailable') {
    return {
      fault: new Fault('ServiceUnavailableException', 'The service cannot reach its store just now; try again'),
      hidden: true,
    };
  }
  return { fault: new Fault('InternalFailureException', 'An internal failure has occurred'), hidden: true };
};

/** The answer to a request that ended in an error. */
export const refusal = (service: ServiceName, error: unknown, requestId: string): Refused => {
  const { fault, hidden } = toFault(error, service);
  return { answer: writeRefusal(service, fault, requestId), fault: fault.name, ...(hidden && { error }) };
};
