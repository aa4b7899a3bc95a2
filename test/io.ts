/** What a command of the command line may touch, in the tests' own process: no terminal, no input, no environment; what it writes is kept. */
import { Readable } from 'node:stream';
import type { Io } from '../src/cli/io.ts';

export const keepingIo = (members: Partial<Io> = {}) => {
  const written = { out: '', err: '' };
  const io: Io = {
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
    input: Readable.from([]),
    env: {},
    terminal: false,
    program: ['fleetgate'],
    version: '0',
    now: Date.now,
    ...members,
  };
  return { io, written };
};
