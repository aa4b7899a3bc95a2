/** Refusals of the data plane's operations that the journal is told of too, so that `fleetgate explain` can say what to do. */
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import type { EventType, Reason } from '../../journal/record.ts';

/** A fault with its cause in the journal's words. Its message is the record's detail. */
export class Refusal extends Fault {
  readonly reason: Reason;
  constructor(name: FaultName, message: string, reason: Reason) {
    super(name, message);
    this.reason = reason;
  }
}

/** The caller's own mistake. */
export const invalid = (message: string): Refusal => new Refusal('InvalidRequestException', message, 'CLIENT_ERROR');

/** What a record names beside its caller. */
interface Subject {
  readonly clientId?: string;
  readonly facts?: Readonly<Record<string, string>>;
}

/** Does the work and records a refusal of it; what was denied by policy is recorded where it was denied. */
export const journaled = async <Result>(
  call: Call,
  eventType: EventType,
  subject: Subject,
  work: () => Promise<Result>,
): Promise<Result> => {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal) {
      call.record(eventType, { status: 'Failure', reason: error.reason, detail: error.message, ...subject });
    }
    throw error;
  }
};
