/** What is measured of the process itself, by the names that Prometheus' own clients use. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { MetricFamily } from './prometheus.ts';

/** Between two looks at the event loop, in milliseconds: what it adds is a timer. */
const resolutionMs = 20;

const gauge = (name: string, help: string, value: number): MetricFamily => ({
  name,
  help,
  type: 'gauge',
  samples: [{ value }],
});

export interface ProcessMetrics {
  /** How late the event loop was is told for the time since the call before. */
  families(): readonly MetricFamily[];
  close(): void;
}

export const watchProcess = (): ProcessMetrics => {
  const startedAtSeconds = Date.now() / 1000 - process.uptime();
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  /** Nanoseconds of which `resolutionMs` are the pause itself; no sample yet reads as no delay. */
  const late = (nanoseconds: number): number =>
    Number.isFinite(nanoseconds) && delay.count > 0 ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000) : 0;
  return {
    families() {
      const { user, system } = process.cpuUsage();
      const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
      const families: readonly MetricFamily[] = [
        {
          name: 'process_cpu_seconds_total',
          help: 'CPU time used, in seconds.',
          type: 'counter',
          samples: [{ value: (user + system) / 1e6 }],
        },
        gauge('process_start_time_seconds', 'When the process started, in seconds since the epoch.', startedAtSeconds),
        gauge('process_resident_memory_bytes', 'Resident memory.', rss),
        gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.', heapUsed),
        gauge('nodejs_heap_size_total_bytes', 'JavaScript heap reserved.', heapTotal),
        gauge('nodejs_external_memory_bytes', 'Memory of buffers outside the JavaScript heap.', external),
        gauge(
          'nodejs_eventloop_lag_p50_seconds',
          'Median delay of the event loop since the last scrape.',
          late(delay.percentile(50)),
        ),
        gauge('nodejs_eventloop_lag_p99_seconds', '99th percentile of the same.', late(delay.percentile(99))),
        gauge('nodejs_eventloop_lag_max_seconds', 'Longest of the same.', late(delay.max)),
      ];
      delay.reset();
      return families;
    },
    close: () => void delay.disable(),
  };
};
