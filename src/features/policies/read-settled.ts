import { setImmediate as turn } from 'node:timers/promises';
import { Fault } from '../../aws/fault.ts';

/** Readings of one caller before it is told to come again. */
const readingsMax = 5;

/**
 * Reads what takes several queries until nothing has changed in between, which `read` tells by undefined.
 * Faults: ServiceUnavailableException, which clients retry, when it never stands still.
 */
export const readSettled = async <T>(read: () => Promise<T | undefined>): Promise<T> => {
  for (let left = readingsMax; left > 0; left -= 1) {
    const settled = await read();
    if (settled !== undefined) return settled;
    await turn();
  }
  throw new Fault('ServiceUnavailableException', 'The policies are just being changed; try again');
};
