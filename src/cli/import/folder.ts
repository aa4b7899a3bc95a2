/** A folder of certificates as a ledger: its files, by name, one certificate each. Folders inside it are not entered. */
import { createHash } from 'node:crypto';
import { opendir, realpath, stat } from 'node:fs/promises';
import { ConfigProblem } from '../../config.ts';
import type { Entry, Ledger } from './entry.ts';
import type { Position } from './lines.ts';

/** Files of one folder: their names are held in memory, to be taken in a stable order. */
export const filesMax = 1_000_000;

const isCertificateName = (name: string): boolean => /\.(?:pem|crt|cer|der)$/i.test(name);

async function* entriesOf(names: readonly string[], from: Position): AsyncGenerator<Entry> {
  for (let index = from.offset; index < names.length; index++) {
    const position = { offset: index + 1, line: index + 2 };
    yield { line: index + 1, next: position, wanted: { certificate: `./${names[index] ?? ''}` } };
  }
}

/** Faults: ConfigProblem when the folder holds no certificate file, or more than `max`. */
export const openFolder = async (path: string, max = filesMax): Promise<Ledger> => {
  const folder = await realpath(path);
  const { mtimeMs } = await stat(folder);
  const names: string[] = [];
  let others = 0;
  for await (const { name } of await opendir(folder)) {
    if (!isCertificateName(name)) others++;
    else if (names.push(name) > max) {
      throw new ConfigProblem(`The folder holds more than ${max} certificates; list them in a manifest.`);
    }
  }
  if (names.length === 0) throw new ConfigProblem('The folder holds no file that ends in .pem, .crt, .cer or .der.');
  names.sort();
  return {
    identity: createHash('sha256').update(`${folder}\n${names.length}\n${mtimeMs}`).digest('hex'),
    folder,
    offsetEnd: names.length,
    notes: others > 0 ? [`Passed over: ${others} that do not end in .pem, .crt, .cer or .der.`] : [],
    entries: (from) => entriesOf(names, from),
    close: async () => {},
  };
};
