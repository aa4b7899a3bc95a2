/** A generator process: takes one job after the other from the bench that forked it. */
import type { ConnectJob, Job, Outcome } from './jobs.ts';
import { prepareConnects } from './load-connect.ts';
import { runHttp } from './load-http.ts';
import { Messages } from './load-messages.ts';

let messages: Messages | undefined;
let connects: (() => Promise<{ failed: number; failure?: string }>) | undefined;
let connectJob: ConnectJob | undefined;

const measured = async (work: () => Promise<{ done: number; failed: number; failure?: string }>): Promise<Outcome> => {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const result = await work();
  const { user, system } = process.cpuUsage(cpu);
  return { ...result, wallMs: performance.now() - startedMs, generatorMs: (user + system) / 1000 };
};

const none: Outcome = { done: 0, failed: 0, wallMs: 0, generatorMs: 0 };

/** Preparation is answered with an empty outcome; what is measured is `run` and `http`. */
const perform = async (job: Job): Promise<Outcome> => {
  switch (job.job) {
    case 'connect':
      connectJob = job;
      connects = await prepareConnects(job);
      return none;
    case 'open':
      messages = new Messages(job);
      await messages.open();
      return none;
    case 'prepare':
      messages?.prepare(job);
      return none;
    case 'run':
      return measured(async () => {
        if (messages) return messages.run();
        const result = await connects!();
        return { ...result, done: connectJob!.count - result.failed };
      });
    case 'close':
      messages?.close();
      messages = connects = undefined;
      return none;
    case 'http':
      return measured(() => runHttp(job));
  }
};

// Structured clone keeps the shape that generators.ts sent, not its type.
process.on('message', (job: Job) => {
  perform(job).then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ ...none, failed: 1, failure: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
