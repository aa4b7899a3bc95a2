/** What `npm test` shows: one line per file, every failure and skip in full, and the count as the last line. */
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** A failed test whose cause is only that a test inside it failed says nothing new. */
const isOnlyParent = (error: unknown): boolean =>
  error instanceof Error && 'failureType' in error && error.failureType === 'subtestsFailed';

/** Several passes as one: their counts are added up in one summary at the end. A failure is the process's. */
export async function* oneAfterAnother(passes: readonly (() => AsyncIterable<TestEvent>)[]): AsyncGenerator<TestEvent> {
  const counts = { cancelled: 0, passed: 0, skipped: 0, suites: 0, tests: 0, todo: 0, topLevel: 0 };
  let durationMs = 0;
  for (const start of passes) {
    for await (const event of start()) {
      if (event.type === 'test:fail' && event.data.todo === undefined) process.exitCode = 1;
      if (event.type !== 'test:summary' || event.data.file !== undefined) {
        yield event;
        continue;
      }
      for (const [name, count] of Object.entries(event.data.counts)) counts[name as keyof typeof counts] += count; // of the same shape
      durationMs += event.data.duration_ms;
    }
  }
  const success = process.exitCode === undefined;
  yield { type: 'test:summary', data: { counts, duration_ms: durationMs, file: undefined, success } };
}

/** `nameOf`: how a file that was run is called. */
export default async function* report(
  source: AsyncIterable<TestEvent>,
  nameOf: (file: string) => string = (file) => relative('.', file),
): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type === 'test:fail') {
      const { name, file = '', line = 0, details } = event.data;
      if (isOnlyParent(details.error)) continue;
      const cause = details.error.cause ?? details.error;
      yield `\n✖ ${name}\n  ${relative('.', file)}:${line}\n${inspect(cause, { depth: 8 }).replaceAll(/^/gm, '  ')}\n\n`;
    } else if (event.type === 'test:pass' && (event.data.skip || event.data.todo)) {
      yield `- not run: ${event.data.name} (${event.data.skip || event.data.todo})\n`;
    } else if (event.type === 'test:stderr' || event.type === 'test:stdout') {
      yield event.data.message;
    } else if (event.type === 'test:summary') {
      const { counts, duration_ms: durationMs, file } = event.data;
      const { tests, passed } = counts;
      const skipped = counts.skipped + counts.todo;
      const failed = tests - passed - skipped; // cancelled ones too
      const seconds = `${(durationMs / 1000).toFixed(1)} s`;
      if (file !== undefined) yield `${failed > 0 ? '✖' : '✔'} ${nameOf(file)}: ${passed + failed} in ${seconds}\n`;
      else yield `\nall in ${seconds}\n${passed} passed, ${failed} failed, ${skipped} skipped\n`;
    }
  }
}
