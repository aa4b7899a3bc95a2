/** What a node tells of itself beside AWS's counters: how much it holds, and whether it can serve. */
import type { MetricFamily } from './prometheus.ts';

/** Numbers at this moment. */
export interface NodeState {
  readonly version: string;
  /** Each under its name, e.g. `connections`. */
  readonly gauges: Readonly<Record<string, { readonly help: string; readonly value: number }>>;
  /** The same for what only grows. */
  readonly counters: Readonly<Record<string, { readonly help: string; readonly value: number }>>;
}

export const nodeFamilies = ({ version, gauges, counters }: NodeState): readonly MetricFamily[] => [
  {
    name: 'fleetgate_info',
    help: 'The version that runs.',
    type: 'gauge',
    samples: [{ labels: { version }, value: 1 }],
  },
  ...Object.entries(gauges).map(
    ([name, { help, value }]): MetricFamily => ({
      name: `fleetgate_${name}`,
      help,
      type: 'gauge',
      samples: [{ value }],
    }),
  ),
  ...Object.entries(counters).map(
    ([name, { help, value }]): MetricFamily => ({
      name: `fleetgate_${name}_total`,
      help,
      type: 'counter',
      samples: [{ value }],
    }),
  ),
];
