/** What a handler throws when it refuses, for `assert.rejects` and `assert.throws`. Over the wire it is sdk-fault.ts. */
import assert from 'node:assert/strict';
import { Fault, type FaultName } from '../src/aws/fault.ts';

/** The fault's name; its message, whole or by a pattern; and all its members, where they are told. */
export const fails =
  (name: FaultName, message?: RegExp | string, members?: object) =>
  (error: unknown): true => {
    assert(error instanceof Fault, String(error));
    assert.equal(error.name, name, error.message);
    if (typeof message === 'string') assert.equal(error.message, message);
    else if (message) assert.match(error.message, message);
    if (members) assert.deepEqual(error.members, members);
    return true;
  };
