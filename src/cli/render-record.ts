/** One record of the journal for human eyes: what, why, the cure, and the facts behind it. Every foreign string is escaped here again. */
import { type Fields, fieldsOf, listOf, type ShownRecord, textOf } from './journal-answer.ts';
import { isPrintable, printable, type Style } from './terminal.ts';

const timeOf = (value: unknown): string => {
  const date = new Date(typeof value === 'number' ? value : Number.NaN);
  return Number.isNaN(date.getTime())
    ? 'at an unknown time'
    : date.toISOString().replace('T', ' ').replace('Z', ' UTC');
};

/** One line: for the records that came before the one in full. */
export const renderLine = ({ record, sentence }: ShownRecord, style: Style): string =>
  `${style.faint(timeOf(record['lastAtMs']))}  ${printable(sentence)}\n`;

const repeatsOf = (record: Fields): string => {
  const repeats = record['repeats'];
  if (typeof repeats !== 'number' || repeats < 1) return '';
  return `, and ${repeats} more time${repeats === 1 ? '' : 's'} until ${timeOf(record['lastAtMs'])}`;
};

const joined = (...parts: readonly unknown[]): string =>
  parts
    .map(textOf)
    .filter((part) => part !== '')
    .join(' ');

/** Labels of the facts that a cure may need, where they are not the words of their names. */
const factLabels: Readonly<Record<string, string>> = {
  certificateArn: 'Certificate ARN',
  certificateStatus: 'Status',
  policyNames: 'Policies',
  thingName: 'Attached thing',
  registeredTwin: 'Same subject',
  endpoint: 'Endpoint',
  topic: 'Topic',
  provisioningTemplateName: 'Template',
  templateVersion: 'Template version',
  parameterNames: 'Parameters sent',
  deviceCertificateId: 'Given certificate',
  caCertificateId: 'CA certificate',
  allowedInstead: 'Allowed instead',
  successor: 'Successor',
  domainConfigurationName: 'Domain configuration',
  domainName: 'Domain name',
  serverCertificateArn: 'Server certificate',
  validationCertificateArn: 'Proof of the name',
  deletionDays: 'Days until deletion',
  deletableAt: 'To be deleted from',
  fault: 'Fault',
  principalArn: 'Principal',
  userName: 'User',
  roleName: 'Role',
  sessionName: 'Session',
  roleArn: 'Role ARN',
  policyType: 'Kind of policy',
  heldBy: 'Held by',
  boundaryArn: 'Boundary',
  accessKeyId: 'Access key',
  keyAccountId: 'Account of the key',
  keyProblem: 'What is wrong',
};

/** The words of a name: `roleAlias` is shown as "Role alias", so that no label begins as a command would. */
const labelOf = (name: string): string => {
  const words = name
    .replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, ' ')
    .toLowerCase()
    .replaceAll(/\barn\b/g, 'ARN');
  return factLabels[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
};

/** What the cure has used, and nobody reads. */
const hiddenFacts: ReadonlySet<string> = new Set(['decidingDocument', 'correctedInput', 'malformed', 'trustingRole']);

/** Label and value of everything known; empty values are left out. */
const factsOf = (record: Fields): readonly (readonly [label: string, value: string])[] => {
  const tls = fieldsOf(record['tls']);
  const domain = fieldsOf(tls['domain']);
  const account = fieldsOf(record['account']);
  const source = textOf(record['sourceIp']);
  const port = textOf(record['sourcePort']);
  const chain = listOf(tls['chain']).map(fieldsOf);
  const [leaf = {}] = chain;
  const validity = 'notAfterMs' in leaf ? `${timeOf(leaf['notBeforeMs'])} to ${timeOf(leaf['notAfterMs'])}` : '';
  const facts: (readonly [string, string])[] = [
    ['Event', joined(record['eventType'], record['status'], record['reason'])],
    ['Detail', textOf(record['detail'])],
    ['Account', joined(account['accountId'], account['region']) || 'none proven'],
    ['Client', source && port ? `${source.includes(':') ? `[${source}]` : source}:${port}` : source],
    ['Host (SNI)', textOf(tls['serverName']) || ('tls' in record ? 'none sent' : '')],
    ['Domain', joined(domain['name'], domain['securityPolicy'], domain['applicationProtocol'])],
    ['TLS', joined(tls['version'], tls['resumed'] === true ? '(resumed)' : '', tls['failure'])],
    ['Protocols (ALPN)', listOf(tls['alpn']).map(textOf).join(', ')],
    ['Certificate', textOf(record['certificateId'])],
    ['Subject', textOf(leaf['subject'])],
    ['Issuer', textOf(leaf['issuer'])],
    ['Valid', validity],
    [
      'Sent above it',
      chain
        .slice(1)
        .map((entry) => textOf(entry['subject']))
        .join(', '),
    ],
    ['Client id', textOf(record['clientId'])],
    ['Action', textOf(record['action'])],
    ['Resource', textOf(record['resource'])],
    ['Decision', textOf(record['decision'])],
    [
      'No value for',
      listOf(record['unresolved'])
        .map((name) => `\${${textOf(name)}}`)
        .join(', '),
    ],
  ];
  const more = Object.entries(fieldsOf(record['facts']))
    .filter(([name]) => !hiddenFacts.has(name))
    .map(([name, value]) => [labelOf(name), textOf(value)] as const);
  return [...facts, ...more, ['Record', textOf(record['id'])] as const].filter(([, value]) => value !== '');
};

const whyNot: Readonly<Record<string, string>> = {
  matched: 'applies',
  action: 'is about other actions',
  resource: 'is about other resources',
  condition: 'its condition is not met',
  unresolved: 'a variable in it has no value',
};

/** Every statement that was weighed, the deciding one marked. */
const renderStatements = (record: Fields, style: Style): string => {
  const statements = listOf(record['statements']).map(fieldsOf);
  if (statements.length === 0) return '';
  const rows = statements.map((statement, index) => {
    const effect = textOf(statement['effect']);
    const outcome = textOf(statement['outcome']);
    const applies = outcome === 'matched';
    const mark = !applies ? style.faint('-') : effect === 'Allow' ? style.good('+') : style.bad('x');
    const name = printable(
      joined(
        statement['policyName'],
        textOf(statement['policyVersionId']) && `v${textOf(statement['policyVersionId'])}`,
        textOf(statement['sid']) || `Statement[${textOf(statement['index'])}]`,
      ),
    );
    const missing = listOf(statement['unresolved'])
      .map((variable) => `\${${textOf(variable)}}`)
      .join(', ');
    const because = printable(
      joined(
        whyNot[outcome] ?? outcome,
        missing && `(${missing})`,
        statement['condition'] && `(${textOf(statement['condition'])})`,
      ),
    );
    const decided = index === record['decidedBy'] ? style.strong('  <- decided') : '';
    return `    ${mark} ${effect.padEnd(5)} ${name}  ${because}${decided}\n`;
  });
  const omitted = record['statementsOmitted'];
  const more = typeof omitted === 'number' ? `    and ${omitted} more that came less close\n` : '';
  return `  ${style.faint('Statements weighed')}\n${rows.join('')}${more}`;
};

const dayOf = (value: unknown): string => timeOf(value).slice(0, 10);
/** Time of day; with the date where it is another than that of the last step. */
const stepTime = (value: unknown, lastDay: string): string =>
  typeof value !== 'number' ? '' : dayOf(value) === lastDay ? timeOf(value).slice(11, 23) : timeOf(value).slice(0, 23);

/** The steps of a provisioning by time, from top to bottom. */
const renderTrail = ({ trail, record }: ShownRecord, style: Style): string => {
  if (trail.length === 0) return '';
  const lastDay = dayOf(trail.findLast(({ atMs }) => atMs !== undefined)?.['atMs']);
  const times = trail.map(({ atMs }) => stepTime(atMs, lastDay));
  const width = Math.max(...times.map((time) => time.length));
  const rows = trail.map(({ mark, text }, index) => {
    const time = style.faint((times[index] ?? '').padEnd(width));
    const words = printable(textOf(text));
    if (mark === 'failed') return `    ${style.bad('x')} ${time}  ${style.strong(words)}\n`;
    if (mark === 'done') return `    ${style.good('+')} ${time}  ${words}\n`;
    return `    ${style.faint(`${mark === 'undone' ? '~' : ' '} ${times[index]?.padEnd(width)}  ${words}`)}\n`;
  });
  const title = record['status'] === 'Success' ? 'How it went' : 'How far it came';
  return `\n  ${style.faint(title)}\n${rows.join('')}`;
};

export const renderRecord = (shownRecord: ShownRecord, style: Style): string => {
  const { record, sentence, cure, commands } = shownRecord;
  // A command that could not be printed as it is must not be printed changed.
  const shown = commands.every(isPrintable) ? commands : [];
  const facts = factsOf(record);
  const width = Math.max(...facts.map(([label]) => label.length));
  return [
    `${style.faint(`${timeOf(record['atMs'])}${repeatsOf(record)}`)}\n`,
    `${style.strong(printable(sentence))}\n`,
    `${printable(cure)}\n`,
    shown.length > 0 ? `\n${shown.map((line) => `  ${line}\n`).join('')}` : '',
    renderTrail(shownRecord, style),
    '\n',
    ...facts.map(([label, value]) => `  ${style.faint(printable(label).padEnd(width))}  ${printable(value)}\n`),
    renderStatements(record, style),
  ].join('');
};
