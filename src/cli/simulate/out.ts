/** Where the certificates and keys of simulated devices are kept, for whoever wants to go on as one of them. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandProblem } from '../io.ts';
import { printable } from '../terminal.ts';
import type { NewDevice } from './one-device.ts';

/** Names of things that can be names of files everywhere we run. */
const fileName = /^[A-Za-z0-9_:-]{1,128}$/;

/** `NAME.pem` and `NAME.key`, both for this user alone. Nothing that is there is overwritten. */
export const openOut = async (folder: string): Promise<{ readonly keep: (device: NewDevice) => Promise<void> }> => {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw new CommandProblem(`--out ${printable(folder)} cannot be made (${cause.code}).`, { cause });
  });
  const write = (name: string, ending: string, text: string): Promise<void> =>
    writeFile(join(folder, `${name}.${ending}`), text, { mode: 0o600, flag: 'wx' });
  return {
    async keep({ number, name, certificateId, certificatePem, privateKeyPem }) {
      const base = fileName.test(name) ? name : `device-${number}`;
      const save = async (as: string): Promise<void> => {
        await write(as, 'key', privateKeyPem);
        await write(as, 'pem', certificatePem);
      };
      // a thing may have a certificate of an earlier run there
      await save(base).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EEXIST') throw cause;
        return save(`${base}-${certificateId.slice(0, 12)}`);
      });
    },
  };
};
