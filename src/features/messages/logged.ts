/** The log events of calls that succeed; refusals are logged where they are recorded (refusal.ts, `call.authorize`). Source: spec gateway.md 8. */
import type { Call } from '../../feature.ts';

/** A handler whose success is told to the account's log. */
export const logged =
  <Input, Output>(
    handler: (input: Input, call: Call) => Promise<Output>,
    event: (input: Input, output: Output) => Parameters<Call['log']>[0],
  ) =>
  async (input: Input, call: Call): Promise<Output> => {
    const output = await handler(input, call);
    call.log(event(input, output));
    return output;
  };
