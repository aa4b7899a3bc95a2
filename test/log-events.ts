/** Log events as operators find them: a file for each account and region. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FleetNode } from '../src/index.ts';
import { waitMsMax } from './within.ts';

export type LogEvent = Readonly<Record<string, unknown>>;

/** The log events of the default account so far; waits until one is there that `wanted` takes. */
export const readLog = async (
  { account: { accountId, region } }: Pick<FleetNode, 'account'>,
  dataFolder: string,
  wanted: (event: LogEvent) => boolean,
): Promise<LogEvent[]> => {
  const file = join(dataFolder, 'logs', accountId, region, 'AWSIotLogsV2.jsonl');
  const endMs = performance.now() + waitMsMax;
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const events = text
      .split('\n')
      .slice(0, -1)
      .map((line): LogEvent => JSON.parse(line));
    if (events.some(wanted)) return events;
    if (performance.now() > endMs) throw new Error(`no such event within ${waitMsMax} ms: ${text.slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
