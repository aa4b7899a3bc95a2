/** `fleetgate explain`: why a device was refused, and the commands that cure it. */
import { ConfigProblem, type Flag, readFlags } from '../config.ts';
import { type Command, CommandProblem, type Io } from './io.ts';
import { fieldsOf, readAnswer, type ShownRecord } from './journal-answer.ts';
import { nothingFound } from './nothing-found.ts';
import { renderLine, renderRecord } from './render-record.ts';
import { ask, findServer, givenServerFlags, serverFlags, switchLines } from './server.ts';
import { printableLines, type Style, styleOf } from './terminal.ts';

export const explainFlags: readonly Flag[] = [
  { name: 'json', about: 'print the records as JSON' },
  { name: 'certificate', about: 'print only the certificate that the device showed, as PEM' },
  { name: 'limit', value: 'COUNT', byDefault: '10', about: 'how many records; the newest failure is shown in full' },
];

const queryFor = (subject: string, limit: string): string => {
  if (!/^\d{1,3}$/.test(limit) || Number(limit) < 1 || Number(limit) > 100) {
    throw new ConfigProblem(`--limit must be a number from 1 to 100, not ${JSON.stringify(limit)}.`);
  }
  // a blank as %20: the API reads a query as SigV4 signs it, where + is a plus
  return subject === 'last' ? 'last=true' : `subject=${encodeURIComponent(subject)}&limit=${limit}`;
};

const pemIn = (records: readonly ShownRecord[]): string => {
  for (const { record } of records) {
    const pem = fieldsOf(record['tls'])['leafPem'];
    if (
      typeof pem === 'string' &&
      /^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?$/.test(pem)
    ) {
      return `${pem.trimEnd()}\n`;
    }
  }
  throw new CommandProblem('None of these records holds a certificate.');
};

const newestFailureIn = (records: readonly ShownRecord[]): number =>
  records.findIndex(({ record }) => record['status'] !== 'Success');

/** Where the newest failure stands, what it came of, and so on to the first cause. Each cause is older than what came of it, so the search ends. */
const chainIn = (records: readonly ShownRecord[]): readonly number[] => {
  const chain: number[] = [];
  for (let at = newestFailureIn(records); at >= 0; ) {
    chain.push(at);
    const cause = records[at]?.cause ?? '';
    const from = at;
    at = cause === '' ? -1 : records.findIndex(({ record }, index) => index > from && record['id'] === cause);
  }
  return chain;
};

/** A device that has been provisioned since is no longer refused. */
const isProvisioned = ({ record }: ShownRecord): boolean =>
  record['status'] === 'Success' && record['eventType'] === 'ProvisionDevice';

/** The newest failure in full, or what it came of, or the provisioning that succeeded since; what came after and before that on a line each. */
const renderAll = (records: readonly ShownRecord[], style: Style): string => {
  const chain = chainIn(records);
  const provisioned = records.slice(0, chain[0] ?? 0).findIndex(isProvisioned);
  const full = provisioned < 0 ? (chain.at(-1) ?? 0) : provisioned;
  const newer = records.slice(0, full);
  const cameOfIt = (each: ShownRecord): boolean => provisioned < 0 && chain.includes(records.indexOf(each));
  const lines = (title: string, some: readonly ShownRecord[]): string =>
    some.length === 0 ? '' : `\n${style.faint(title)}\n${some.map((each) => renderLine(each, style)).join('')}`;
  return [
    ...records.slice(full, full + 1).map((newest) => renderRecord(newest, style)),
    lines('What came of it:', newer.filter(cameOfIt)),
    lines(
      'Since then:',
      newer.filter((each) => !cameOfIt(each)),
    ),
    lines('Before:', records.slice(full + 1)),
  ].join('');
};

/** The same with lines before what acts on the server. */
const preparedBy = (lines: readonly string[], record: ShownRecord): ShownRecord =>
  record.commands.some((command) => /\b(aws|fleetgate) /.test(command))
    ? { ...record, commands: [...lines, ...record.commands] }
    : record;

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const flags = readFlags(argv, [...explainFlags, ...serverFlags]);
  const [subject = 'last', ...more] = flags.positionals;
  if (more.length > 0)
    throw new ConfigProblem('explain takes one thing to explain: a certificate id, a client id, or last.');
  const server = findServer(flags, io.env);
  const pathAndQuery = `/_fleetgate/journal?${queryFor(subject, flags.values.get('limit') ?? '10')}`;
  const body = await ask(server, pathAndQuery, io);
  const records = readAnswer(body);
  const code = records.length === 0 && subject !== 'last' ? 1 : 0;
  if (flags.values.get('json') === 'true') {
    io.out(`${printableLines(JSON.stringify(JSON.parse(body), undefined, 2))}\n`);
    return code;
  }
  if (flags.values.get('certificate') === 'true') {
    io.out(pemIn(records));
    return 0;
  }
  const style = styleOf(io.terminal && !io.env['NO_COLOR']);
  const question = { subject, server, pathAndQuery, flags: givenServerFlags(flags, 'region') };
  const shown = records.map((record) => preparedBy(switchLines(flags, io.env), record));
  io.out(shown.length === 0 ? await nothingFound(question, body, io) : renderAll(shown, style));
  return code;
};

export const explain: Command = {
  usage: '[<certificate id> | <client id> | last]',
  summary: 'say why a device was refused and how to cure it',
  run,
};
