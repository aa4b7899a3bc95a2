/** How far an import is: one line that redraws itself on a terminal, elsewhere a line at every tenth and at least twice a minute. */
import type { Io } from '../io.ts';
import { printable } from '../terminal.ts';
import type { Mark } from './state.ts';

export interface Progress {
  show(mark: Mark): void;
  /** The server asks to wait, or does not answer. */
  waiting(reason: string): void;
  /** Leaves a clean line behind. */
  end(): void;
}

const redrawMs = 100;
const lineMs = 30_000;
const waitingMs = 5_000;
const barColumns = 24;
/** Columns of a redrawn line: a longer one would wrap, and not be drawn over. */
const columnsMax = 79;

export const count = (number: number): string => Math.round(number).toLocaleString('en-US');
export const plural = (lines: number): string => `${count(lines)} ${lines === 1 ? 'line' : 'lines'}`;
export const linesOf = ({ registered, already, refused }: Mark): number => registered + already + refused;

const duration = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 120
    ? `${seconds} s`
    : seconds < 7200
      ? `${Math.ceil(seconds / 60)} min`
      : `${Math.ceil(seconds / 3600)} h`;
};

/** `offsetEnd` is what the offset of the last mark will be; `from` is where this run begins. */
export const createProgress = (io: Pick<Io, 'out' | 'terminal' | 'now'>, offsetEnd: number, from: Mark): Progress => {
  const startedMs = io.now();
  let shownMs = startedMs;
  let waitingShownMs = Number.NEGATIVE_INFINITY;
  let tenth = Math.floor((10 * from.next.offset) / offsetEnd);

  const text = (mark: Mark): string => {
    const elapsedMs = Math.max(1, io.now() - startedMs);
    const share = Math.min(1, mark.next.offset / offsetEnd);
    const rate = (linesOf(mark) - linesOf(from)) / (elapsedMs / 1000);
    const left = ((offsetEnd - mark.next.offset) / Math.max(1, mark.next.offset - from.next.offset)) * elapsedMs;
    const refused = mark.refused > 0 ? `, ${count(mark.refused)} refused` : '';
    return `${Math.floor(share * 100)} %  ${plural(linesOf(mark))}${refused}, ${count(rate)}/s, ${duration(left)} left`;
  };
  const redraw = (line: string): void => io.out(`\r\u001b[2K${line.slice(0, columnsMax)}`);

  return {
    show(mark) {
      const nowMs = io.now();
      if (io.terminal) {
        if (nowMs - shownMs < redrawMs) return;
        const filled = Math.min(barColumns, Math.floor((barColumns * mark.next.offset) / offsetEnd));
        redraw(`[${'#'.repeat(filled)}${'-'.repeat(barColumns - filled)}] ${text(mark)}`);
        shownMs = nowMs;
        return;
      }
      const nowTenth = Math.floor((10 * mark.next.offset) / offsetEnd);
      if (nowTenth === tenth && nowMs - shownMs < lineMs) return;
      tenth = nowTenth;
      shownMs = nowMs;
      io.out(`${text(mark)}\n`);
    },
    waiting(reason) {
      const nowMs = io.now();
      if (nowMs - waitingShownMs < waitingMs) return;
      waitingShownMs = nowMs;
      const line = `Trying again: ${printable(reason)}`;
      if (io.terminal) redraw(line);
      else io.out(`${line}\n`);
    },
    end() {
      if (io.terminal) io.out('\r\u001b[2K');
    },
  };
};
