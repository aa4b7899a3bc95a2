/** What an operation on domain configurations refuses, told to the journal too, so that `fleetgate explain` has a cure for it. */
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import type { DomainCallReason } from '../../journal/explain-domain-calls.ts';

/** A fault that the journal knows a cure for. */
export class DomainRefusal extends Fault {
  readonly reason: DomainCallReason;
  /** See `explain-domain-calls.ts`. */
  readonly facts: Readonly<Record<string, string>>;
  constructor(
    reason: DomainCallReason,
    name: FaultName,
    message: string,
    facts: Readonly<Record<string, string>> = {},
  ) {
    super(name, message);
    this.reason = reason;
    this.facts = facts;
  }
}

/** The same operation; what it refuses is in the journal of the account. `factsOf`: what the input says that a cure may need. */
export const journaled =
  <Input, Output>(
    operation: string,
    handler: (input: Input, call: Call) => Promise<Output>,
    factsOf: (input: Input) => Readonly<Record<string, string | undefined>>,
  ) =>
  async (input: Input, call: Call): Promise<Output> => {
    try {
      return await handler(input, call);
    } catch (error) {
      if (!(error instanceof DomainRefusal)) throw error;
      const facts: Record<string, string> = { ...error.facts };
      for (const [name, value] of Object.entries(factsOf(input))) if (value !== undefined) facts[name] = value;
      const { reason, message: detail } = error;
      call.record('ApiCall', { status: 'Failure', reason, detail, action: `iot:${operation}`, facts });
      throw error;
    }
  };
