/** `fleetgate certificates`: what is done with certificates by the thousand. One at a time is `aws iot`. */
import { flagLine } from './flag-line.ts';
import { importCertificates, importFlags } from './import/import.ts';
import type { Command } from './io.ts';
import { journeysOf } from './journeys.ts';
import { serverFlags } from './server.ts';

const run = journeysOf('certificates', 'import LEDGER', { import: importCertificates });

const page = (): string =>
  [
    'fleetgate certificates import LEDGER [flags]',
    '',
    'Registers every certificate of a ledger without its CA, through the public API, and attaches what its line names.',
    'LEDGER is a folder of .pem, .crt, .cer or .der files, or a manifest: a CSV whose first line names the columns, or JSON',
    'Lines. Columns: certificate (a path beside the manifest, PEM, or base64 of DER), thing, policy, status; all but the first',
    'may be missing or empty. What is registered already counts as done, and its attachments are made whole.',
    '',
    '  serial,certificate,thing,policy,status',
    '  0001,certs/0001.pem,sensor-1,sensors,ACTIVE',
    '',
    ...importFlags.map((flag) => flagLine(flag)),
    ...serverFlags.map((flag) => flagLine(flag)),
    '',
    'It may be ended at any time, even by a crash: the same command goes on where it was. Bad lines never end it; they stand in',
    'the report with their causes, and the report is itself a manifest.',
    'Exit codes: 0 all is imported, 1 it ended before the last line, 2 the command line or the ledger makes no sense, 3 every line',
    'was tried and some were refused.',
    '',
  ].join('\n');

export const certificates: Command = {
  usage: 'import LEDGER',
  summary: "register a maker's certificates by the thousand",
  run,
  page,
};
