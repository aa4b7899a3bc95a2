import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A folder of the test's own, removed after it; `close` first ends what has files open in it. */
export const makeFolder = async (t: TestContext, close: () => Promise<void> = async () => {}): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-'));
  t.after(async () => {
    await close();
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
};
