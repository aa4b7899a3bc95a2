/** `fleetgate certificates import`: a maker's ledger of certificates becomes certificates of an account. A client of the public API. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigProblem, type Flag, type ReadFlags, readFlags } from '../../config.ts';
import { createApiClient, ServerUnusable } from '../api-client.ts';
import { CommandProblem, type Io } from '../io.ts';
import { ask, findServer, type Server, serverFlags } from '../server.ts';
import { printable } from '../terminal.ts';
import type { Ledger } from './entry.ts';
import { openFolder } from './folder.ts';
import { type Defaults, importEntry, isPolicyName, statuses } from './import-entry.ts';
import { importLedger } from './import-ledger.ts';
import { openManifest } from './manifest.ts';
import { count, createProgress, linesOf, plural } from './progress.ts';
import { openReport, type Report } from './report.ts';
import { type Mark, openState, type State } from './state.ts';

export const importFlags: readonly Flag[] = [
  { name: 'policy', value: 'NAME', about: 'attach this policy where a line names none' },
  { name: 'status', value: 'STATUS', about: "ACTIVE or INACTIVE where a line names none; the API's own is INACTIVE" },
  {
    name: 'thing-from',
    value: 'cn|none',
    byDefault: 'none',
    about: "cn: create a thing named as the certificate's common name",
  },
  { name: 'concurrency', value: 'COUNT', byDefault: '16', about: 'lines under way at once, 1 to 64' },
  {
    name: 'state',
    value: 'FILE',
    byDefault: '<ledger>.import-state',
    about: 'where it is kept how far the import came',
  },
  { name: 'report', value: 'FILE', byDefault: '<ledger>.refused.jsonl', about: 'what was refused and why' },
  { name: 'restart', about: 'begin at the first line, whatever an earlier run did' },
  { name: 'allow-outside', about: 'paths in a manifest may leave its folder' },
];

/** Every line was tried, some were refused. Beside the codes that all commands have. */
export const someRefused = 3;

interface Settings {
  readonly path: string;
  readonly server: Server;
  readonly defaults: Defaults;
  readonly concurrency: number;
  readonly stateFile: string;
  readonly reportFile: string;
  readonly restart: boolean;
  readonly allowOutside: boolean;
}

const oneOf = (values: ReadFlags['values'], flag: string, allowed: readonly string[]): string | undefined => {
  const value = values.get(flag);
  if (value === undefined || allowed.includes(value)) return value;
  throw new ConfigProblem(`--${flag} must be one of ${allowed.join(', ')}, not ${JSON.stringify(value)}.`);
};

const readSettings = (argv: readonly string[], io: Io): Settings => {
  const flags = readFlags(argv, [...importFlags, ...serverFlags]);
  const { values, positionals } = flags;
  const [path, ...more] = positionals;
  if (path === undefined || path === '' || more.length > 0) {
    throw new ConfigProblem('Give one folder of certificates, or one manifest: fleetgate certificates import LEDGER.');
  }
  const concurrency = values.get('concurrency') ?? '16';
  if (!/^\d{1,2}$/.test(concurrency) || Number(concurrency) < 1 || Number(concurrency) > 64) {
    throw new ConfigProblem(`--concurrency must be a number from 1 to 64, not ${JSON.stringify(concurrency)}.`);
  }
  const policy = values.get('policy');
  if (policy !== undefined && !isPolicyName(policy)) {
    throw new ConfigProblem(`--policy must be the name of a policy, not ${JSON.stringify(policy)}.`);
  }
  const status = oneOf(values, 'status', statuses);
  const absolute = resolve(path);
  return {
    path: absolute,
    server: findServer(flags, io.env),
    defaults: {
      thingFrom: oneOf(values, 'thing-from', ['cn', 'none']) === 'cn' ? 'cn' : 'none',
      ...(policy !== undefined && { policy }),
      ...(status !== undefined && { status }),
    },
    concurrency: Number(concurrency),
    stateFile: resolve(values.get('state') ?? `${absolute}.import-state`),
    reportFile: resolve(values.get('report') ?? `${absolute}.refused.jsonl`),
    restart: values.get('restart') === 'true',
    allowOutside: values.get('allow-outside') === 'true',
  };
};

/** The file system's refusal as a sentence. */
const aboutFile = (what: string, error: unknown): unknown =>
  error instanceof Error && 'code' in error && 'syscall' in error
    ? new CommandProblem(`${what}: ${printable(error.message)}.`, { cause: error })
    : error;

const openLedger = async (path: string): Promise<Ledger> => {
  try {
    if ((await stat(path)).isDirectory()) return await openFolder(path);
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw new ConfigProblem('The ledger must be a folder or a regular file.');
      return await openManifest(path, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    throw aboutFile('The ledger cannot be read', error);
  }
};

/** One path for one file, whether it exists or not. */
const realOf = async (path: string): Promise<string> =>
  realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => dirname(path)), basename(path)));

/** A slip of the pen must not cost the ledger. */
const assertApart = async ({ path, stateFile, reportFile }: Settings): Promise<void> => {
  const real = await Promise.all([path, stateFile, reportFile].map(realOf));
  if (new Set(real).size < real.length)
    throw new ConfigProblem('The ledger, --state and --report must be three files.');
};

/** The same ledger, for the same account, in the same way: only then an earlier run is gone on with. */
const identityOf = ({ identity }: Ledger, { server, defaults, allowOutside }: Settings): string => {
  const { url, region, accessKeyId } = server;
  const parts = [
    identity,
    url,
    region,
    accessKeyId,
    defaults.policy,
    defaults.status,
    defaults.thingFrom,
    allowOutside,
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
};

const summary = async (
  from: Mark,
  last: Mark,
  elapsedMs: number,
  settings: Settings,
  report: Report,
): Promise<string> => {
  const here = linesOf(last) - linesOf(from);
  const seconds = elapsedMs / 1000;
  const rate = count(here / Math.max(0.001, seconds));
  const causes = last.refused > 0 ? await report.causes() : [];
  return [
    `${plural(here)} in ${seconds.toFixed(1)} s (${rate} lines/s).`,
    `${linesOf(from) > 0 ? 'Over all runs: ' : ''}${plural(linesOf(last))}: ${count(last.registered)} registered, ${count(last.already)} registered before, ${count(last.refused)} refused.`,
    ...causes.map(
      ({ what, firstLine, count: times }) => `  ${count(times)} x ${printable(what)} (first in line ${firstLine})`,
    ),
    ...(last.refused > 0
      ? [`All that was refused, as a manifest to mend and import: ${printable(settings.reportFile)}`]
      : []),
    '',
  ].join('\n');
};

const carryOut = async (settings: Settings, ledger: Ledger, state: State, report: Report, io: Io): Promise<number> => {
  const { server, defaults, concurrency, allowOutside } = settings;
  const { mark: from } = state;
  for (const note of ledger.notes) io.out(`${note}\n`);
  if (state.changed)
    io.out('The ledger, or what is wanted of it, has changed since the last run: beginning at its first line.\n');
  if (linesOf(from) > 0) io.out(`Going on after ${plural(linesOf(from))}; --restart begins at the first.\n`);
  const progress = createProgress(io, ledger.offsetEnd, from);
  const api = createApiClient({ server, connectionsMax: concurrency, now: io.now, waiting: progress.waiting });
  const startedMs = io.now();
  try {
    const last = await importLedger({
      ledger,
      state,
      report,
      concurrency,
      carryOut: (entry) => importEntry(entry, defaults, { folder: ledger.folder, allowOutside }, api),
      settled: progress.show,
      now: io.now,
    });
    progress.end();
    io.out(await summary(from, last, io.now() - startedMs, settings, report));
    await state.remove();
    return last.refused > 0 ? someRefused : 0;
  } catch (error) {
    progress.end();
    if (!(error instanceof ServerUnusable)) throw error;
    throw new CommandProblem(
      `${error.message.replace(/\.$/, '')}. What is done is done; run the same command again to go on.`,
      {
        cause: error,
      },
    );
  } finally {
    api.close();
  }
};

export const importCertificates = async (argv: readonly string[], io: Io): Promise<number> => {
  const settings = readSettings(argv, io);
  await assertApart(settings);
  const ledger = await openLedger(settings.path);
  try {
    const { policy } = settings.defaults;
    // is there a server, does it know the key, is there such a policy? Better asked once than learned from every line
    await ask(settings.server, policy === undefined ? '/endpoint' : `/policies/${encodeURIComponent(policy)}`, io);
    const failed = (error: unknown) =>
      Promise.reject(aboutFile('--state and --report must name files that can be written', error));
    const state = await openState(settings.stateFile, identityOf(ledger, settings), settings.restart).catch(failed);
    try {
      const report = await openReport(settings.reportFile, state.mark.reportBytes, ledger.folder).catch(failed);
      try {
        return await carryOut(settings, ledger, state, report, io);
      } finally {
        await report.close();
      }
    } finally {
      await state.close();
    }
  } finally {
    await ledger.close();
  }
};
