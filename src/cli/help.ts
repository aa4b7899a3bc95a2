/** The one page of `fleetgate --help`: every command, every flag with its variable and its default. */
import { configFlags, environmentName } from '../config.ts';
import { clockFlags } from './clock.ts';
import { explainFlags } from './explain.ts';
import { flagLine } from './flag-line.ts';
import type { Command } from './io.ts';
import { serverFlags } from './server.ts';

export const helpPage = (commands: Readonly<Record<string, Pick<Command, 'usage' | 'summary'>>>): string =>
  [
    'fleetgate: AWS IoT Core, the device side, on your own machine.',
    '',
    'Usage: fleetgate <command> [flags]',
    '',
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(14)}${summary}`),
    '',
    'fleetgate start: each flag can be given as an environment variable too; the flag wins.',
    ...configFlags.map((flag) => flagLine(flag, environmentName(flag.name))),
    '  (environment alone)       FLEETGATE_ROOT_ACCESS_KEY_ID and FLEETGATE_ROOT_SECRET_ACCESS_KEY: a key of the',
    '                            default account that also works from other machines',
    '  (environment alone)       FLEETGATE_S3_ACCESS_KEY_ID and FLEETGATE_S3_SECRET_ACCESS_KEY: for --s3-endpoint',
    '',
    `fleetgate explain ${commands['explain']?.usage ?? ''}`,
    ...explainFlags.map((flag) => flagLine(flag)),
    '',
    `fleetgate clock ${commands['clock']?.usage ?? ''}`,
    ...clockFlags.map((flag) => flagLine(flag)),
    '',
    'fleetgate backup FILE and restore FILE take --data and --store.',
    '',
    'The other commands find the server by:',
    ...serverFlags.map((flag) => flagLine(flag)),
    'and sign with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else with the development key.',
    '',
    '--help and --version work everywhere; certificates and device have pages of their own.',
    '',
  ].join('\n');
