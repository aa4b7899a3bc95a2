/** `fleetgate clock`: the time as the server sees it, moved forward for rules about days. The server allows that with --dev, and to this machine only. */
import { signRequest } from '../aws/sigv4.ts';
import { ConfigProblem, type Flag, readFlags } from '../config.ts';
import { type Command, CommandProblem, type Io } from './io.ts';
import { fieldsOf } from './journal-answer.ts';
import { answerMsMax, findServer, serverFlags } from './server.ts';
import { printable } from './terminal.ts';

export const clockFlags: readonly Flag[] = [
  { name: 'advance', value: 'TIME', byDefault: '0s', about: 'move it forward: 90s, 15m, 36h or 7d' },
];

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds. Faults: ConfigProblem. */
const readTime = (text: string): number => {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (amount !== undefined) return Number(amount) * (unitMs[unit] ?? 0);
  throw new ConfigProblem(`--advance must be a time such as 90s, 15m, 36h or 7d, not ${JSON.stringify(text)}.`);
};

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const flags = readFlags(argv, [...clockFlags, ...serverFlags]);
  const advanceMs = readTime(flags.values.get('advance') ?? '0s');
  const { url: base, ...key } = findServer(flags, io.env);
  const url = `${base}/_fleetgate/clock`;
  const body = JSON.stringify({ advanceMs });
  const signed = signRequest({ method: 'POST', url, body, ...key, service: 'iot', nowMs: io.now() });
  const { host: _, ...headers } = signed;
  const options = {
    method: 'POST',
    headers,
    body,
    redirect: 'manual',
    signal: AbortSignal.timeout(answerMsMax),
  } as const;
  const response = await fetch(url, options).catch((cause: unknown) => {
    throw new CommandProblem(`No server answers at ${printable(base)}.`, { cause });
  });
  const answer = fieldsOf(await response.json().catch(() => ({})));
  const { nowMs, message } = answer;
  if (response.status !== 200 || typeof nowMs !== 'number') {
    const said = typeof message === 'string' ? `: ${printable(message).replace(/\.$/, '')}` : '';
    throw new CommandProblem(`The server at ${printable(base)} answered ${response.status}${said}.`);
  }
  io.out(`${new Date(nowMs).toISOString()}\n`);
  return 0;
};

export const clock: Command = {
  usage: '[--advance TIME]',
  summary: 'tell or move the clock of a server with --dev',
  run,
};
