/** What an SDK client throws when the server refuses, for `assert.rejects`. */
import assert from 'node:assert/strict';
import type { FaultName } from '../src/aws/fault.ts';

/** The refusal's name and HTTP status, and the members that its answer must have besides. */
export const fails =
  (name: FaultName, httpStatusCode: number, members: Readonly<Record<string, unknown>> = {}) =>
  (error: Error): true => {
    const { message, name: answered } = error;
    const expected = { name, $metadata: { httpStatusCode }, ...members };
    assert.partialDeepStrictEqual({ ...error, name: answered }, expected, `${answered}: ${message}`);
    return true;
  };
