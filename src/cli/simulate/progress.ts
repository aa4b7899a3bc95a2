/** How far a run is: one line that redraws itself on a terminal; nothing elsewhere, where the summary is what counts. */
import { count } from '../import/progress.ts';
import type { Io } from '../io.ts';

const redrawMs = 100;
const barColumns = 24;

export interface Progress {
  show(done: number, refused: number): void;
  /** Leaves a clean line behind. */
  end(): void;
}

export const createProgress = (io: Pick<Io, 'out' | 'terminal' | 'now'>, total: number): Progress => {
  if (!io.terminal) return { show() {}, end() {} };
  const startedMs = io.now();
  let shownMs = Number.NEGATIVE_INFINITY;
  return {
    show(done, refused) {
      const nowMs = io.now();
      if (nowMs - shownMs < redrawMs && done < total) return;
      shownMs = nowMs;
      const filled = Math.floor((barColumns * done) / total);
      const rate = done / Math.max(0.001, (nowMs - startedMs) / 1000);
      const bar = `[${'#'.repeat(filled)}${'-'.repeat(barColumns - filled)}]`;
      const refusals = refused > 0 ? `, ${count(refused)} refused` : '';
      io.out(`\r\u001b[2K${bar} ${count(done)} of ${count(total)}${refusals}, ${rate.toFixed(1)}/s`);
    },
    end: () => io.out('\r\u001b[2K'),
  };
};
