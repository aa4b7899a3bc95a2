/** The library: a whole node inside a test or another program. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, readConfig } from './config.ts';
import { type FleetNode, type NodeOptions, startNode } from './node.ts';

export type { Config } from './config.ts';
export type { Dialect, Limits } from './limits.ts';
export type { Clock, FleetNode, NodeOptions } from './node.ts';
export { StartProblem } from './start-problem.ts';

/**
 * Whatever is left out: free ports on 127.0.0.1, no log, a data folder of its own that goes when the node closes, and the defaults of the
 * command for the rest. The environment is not read.
 */
export type StartOptions = Partial<Config>;

/** Boots a node in this process. Its clock can be moved, so that rules about days can be tested in milliseconds. */
export const start = async (options: StartOptions = {}, beside: NodeOptions = {}): Promise<FleetNode> => {
  const ownFolder = options.dataFolder === undefined ? await mkdtemp(join(tmpdir(), 'fleetgate-')) : undefined;
  const dropFolder = async (): Promise<void> => {
    if (ownFolder !== undefined) await rm(ownFolder, { recursive: true, force: true });
  };
  try {
    const config = {
      ...readConfig([], {}),
      apiPort: 0,
      mqttPort: 0,
      httpsPorts: [0],
      metricsPort: 0,
      logLevel: 'silent',
      ...(ownFolder !== undefined && { dataFolder: ownFolder }),
      ...options,
    };
    const node = await startNode(config, beside);
    return {
      ...node,
      async close(graceMs) {
        await node.close(graceMs).finally(dropFolder);
      },
    };
  } catch (error) {
    await dropFolder();
    throw error;
  }
};
