/** Samples of a run and how they are told: medians with the smallest and the largest, and ratios within one round, so that both sides met the same neighbours. */

/** One peer in one round of one scenario. */
export interface Sample {
  readonly scenario: string;
  readonly peer: string;
  readonly round: number;
  /** Operations that were done. */
  readonly done: number;
  readonly failed: number;
  readonly wallMs: number;
  /** CPU time of the server process, all threads. */
  readonly serverMicros: number;
  /** Of the server, user and kernel; undefined where counters are hidden. */
  readonly instructions?: number;
  /** Busiest generator, as a share of one core; undefined where the server drives itself. */
  readonly generatorBusy?: number;
  /** Cores that others used meanwhile. */
  readonly othersBusy?: number;
}

/** A figure that is not CPU per operation, with its unit: memory, ns per decision. */
export interface Figure {
  readonly scenario: string;
  readonly peer: string;
  readonly round: number;
  readonly value: number;
  readonly unit: string;
  /** Whether a ratio to the first means something. */
  readonly compared: boolean;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

const short = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** `median (min-max)` */
const spread = (values: readonly number[]): string =>
  values.length === 0 ? '-' : `${short(median(values))} (${short(Math.min(...values))}-${short(Math.max(...values))})`;

const grouped = <T>(all: readonly T[], key: (one: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
};

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

/** Per round: what the first of `ours` needed, divided by what `theirs` needed. */
const ratios = <T extends { readonly round: number }>(
  ours: readonly T[],
  theirs: readonly T[],
  cost: (one: T) => number,
): number[] =>
  ours.flatMap((own) => {
    const other = theirs.find(({ round }) => round === own.round);
    return other ? [cost(own) / cost(other)] : [];
  });

const microsPerOperation = ({ serverMicros, done }: Sample): number => serverMicros / done;
const perSecond = ({ done, wallMs }: Sample): number => (1000 * done) / wallMs;

/** Above this share of a core a generator may be what limits the rate; CPU per operation still holds. */
const generatorLimit = 0.85;

/** A table per scenario: each peer, and the first peer's CPU per operation as a multiple of each other's. */
export const describeSamples = (samples: readonly Sample[]): string =>
  [...grouped(samples, ({ scenario }) => scenario)]
    .map(([scenario, all]) => {
      const peers = [...grouped(all, ({ peer }) => peer)];
      const [, ours = []] = peers[0] ?? [];
      const counted = all.some(({ instructions }) => instructions !== undefined);
      const head = ['', 'CPU us/op', ...(counted ? ['kinstr/op'] : []), 'op/s', 'first/this', 'failed', 'note'];
      const rows = peers.map(([peer, theirs]) => {
        const busy = Math.max(...theirs.map(({ generatorBusy = 0 }) => generatorBusy));
        const kinstr = theirs.flatMap(({ instructions, done }) => (instructions ? [instructions / 1000 / done] : []));
        return [
          `  ${peer}`,
          spread(theirs.map(microsPerOperation)),
          ...(counted ? [spread(kinstr)] : []),
          spread(theirs.map(perSecond)),
          theirs === ours ? '' : spread(ratios(ours, theirs, microsPerOperation)),
          String(theirs.reduce((sum, { failed }) => sum + failed, 0)),
          busy > generatorLimit ? `rate: generator-bound (${Math.round(busy * 100)} %)` : '',
        ];
      });
      return table([[scenario, ...head.slice(1)], ...rows]);
    })
    .join('\n\n');

export const describeFigures = (figures: readonly Figure[]): string =>
  [...grouped(figures, ({ scenario }) => scenario)]
    .map(([scenario, all]) => {
      const peers = [...grouped(all, ({ peer }) => peer)];
      const [, ours = []] = peers[0] ?? [];
      const rows = peers.map(([peer, theirs]) => [
        `  ${peer}`,
        spread(theirs.map(({ value }) => value)),
        theirs === ours || !theirs[0]?.compared ? '' : spread(ratios(ours, theirs, ({ value }) => value)),
      ]);
      return table([[scenario, all[0]!.unit, all[0]!.compared ? 'first/this' : ''], ...rows]);
    })
    .join('\n\n');
