/**
 * The AWS CLI for stories whose point is not the CLI: Debian's, loaded once for a whole run of `npm test`, so that a call costs a tenth. Without such a run
 * the scripts of a story meet the CLI that stands on PATH. That every CLI on the machine works is tested with each as it stands on disk (test/stories/aws-cli-versions.test.ts).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { awsModels } from '../src/cli/env.ts';

/** Names the socket of the loaded CLI. */
export const awsVariable = 'FLEETGATE_TEST_AWS';

const folderOfCli = fileURLToPath(new URL('aws-cli', import.meta.url));
/** What hands a call to it. */
export const loadedAws = join(folderOfCli, 'aws');
/** No settings of the user who runs the tests. */
const noSettings = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };

/** PATH on which `aws` is the loaded CLI, if there is one. */
export const pathWithAws = (): string =>
  [...(process.env[awsVariable] === undefined ? [] : [folderOfCli]), process.env['PATH']].join(delimiter);

/** Loads the CLI; ends with this process, however that ends. */
export const startAwsCli = async (): Promise<{ readonly socket: string; stop(): Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-aws-'));
  const socket = join(folder, 'socket');
  const child = spawn('/usr/bin/python3', [join(folderOfCli, 'serve.py'), socket], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // `fleetgate env` sets it for each call; here the models are loaded before
    env: { ...process.env, ...noSettings, AWS_DATA_PATH: awsModels },
  });
  const exited = once(child, 'exit');
  await Promise.race([
    once(child.stdout, 'data'),
    exited.then(([code]: unknown[]) =>
      Promise.reject(new Error(`Debian's AWS CLI cannot be loaded: exit code ${code}`)),
    ),
  ]);
  return {
    socket,
    async stop() {
      child.stdin.end();
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
};
