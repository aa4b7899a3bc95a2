/** Where the input of a finding goes, and how it becomes a test. */
import { hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding } from './campaign.ts';

/** Writes the input into a file of the temporary folder and says what was found, where, and how it becomes a fixture. */
export const told = (target: string, { cause, stack, input }: Finding): string => {
  const folder = join(tmpdir(), 'fleetgate-fuzz', target);
  const file = join(folder, `${hash('sha256', input, 'hex').slice(0, 12)}.bin`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, input);
  const where = stack
    .split('\n')
    .filter((line) => line.trimStart().startsWith('at '))
    .slice(0, 4)
    .join('\n');
  return [
    `${target}: ${cause} (${input.length} bytes)`,
    ...(where === '' ? [] : [where]),
    `  its input: ${file}`,
    `  as a test: cp ${file} test/fixtures/fuzz/${target}/<what-it-was>.bin && npm test -- fuzz/targets`,
  ].join('\n');
};
