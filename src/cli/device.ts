/** `fleetgate device`: devices for people who have none at hand. */
import { flagLine } from './flag-line.ts';
import type { Command } from './io.ts';
import { journeysOf } from './journeys.ts';
import { serverFlags } from './server.ts';
import { simulate, simulateFlags } from './simulate/simulate.ts';

const run = journeysOf('device', 'simulate --claim FOLDER --template NAME', { simulate });

const page = (): string =>
  [
    'fleetgate device simulate --claim PATH --template NAME [--parameter NAME=TEXT] [--count COUNT] [flags]',
    '',
    'Plays devices through provisioning by claim: each connects with the claim, gets a certificate, registers its thing, connects',
    'again with its own certificate and publishes a message. MQTT 5 over mutual TLS, nothing else, and what real devices are',
    'allowed. The claim is a folder with a certificate and its key, a file, or what aws prints:',
    '',
    '  aws iot create-provisioning-claim --template-name fleet |',
    '    fleetgate device simulate --claim - --template fleet --parameter SerialNumber={n} --count 20',
    '',
    ...simulateFlags.map((flag) => flagLine(flag)),
    ...serverFlags.map((flag) => flagLine(flag)),
    '',
    'The server is asked where its devices connect and for its root certificate, unless --endpoint and --ca-file say it.',
    'Exit codes: 0 all devices were heard, 1 none was tried, 2 the command line makes no sense, 3 some were refused.',
    '',
  ].join('\n');

export const device: Command = {
  usage: 'simulate',
  summary: 'play devices through provisioning by claim',
  run,
  page,
};
