/**
 * A server under attack, as a process of its own, with healthy clients beside it: what they wait and what it costs in memory is printed; that the old
 * connections go on being served, that new ones come in again, and that slow ones are ended, is asserted. Source: design 5; issue, "Hostile input".
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attacks } from './hostile/attacker.ts';
import { type Report, reportLine, type Siege, startSiege } from './hostile/siege.ts';

const connections = 100;
const attackMs = 200;
/** Both listeners give a slow client ten seconds, and look once a second. */
const slowMs = 12_500;

const slow = Object.keys(attacks).filter((name) => name.startsWith('slow') && !name.startsWith('slow signed'));

const calmAgain = async (siege: Siege): Promise<Report> => {
  for (let left = 20; ; left--) {
    const report = await siege.run([], { connections: 0, ms: 500 });
    if (left === 0 || Object.values(report.waits).every(({ ms, failed }) => ms.length > 0 && failed === 0))
      return report;
  }
};

test('a server under attack goes on serving healthy clients, in bounded memory', { timeout: 120_000 }, async (t) => {
  const siege = await startSiege();
  t.after(() => siege.close());
  const reports: Report[] = [await siege.run([], { connections: 0, ms: 500 })];
  const loris = siege.run(slow, { connections, ms: slowMs });
  for (const attack of Object.keys(attacks)) {
    if (!attack.startsWith('slow')) reports.push(await siege.run([attack], { connections, ms: attackMs }));
  }
  const slowly = await loris;
  const after = await calmAgain(siege);
  for (const report of [...reports, slowly, after]) t.diagnostic(reportLine(report));
  assert.deepEqual(
    [...reports, slowly, after].flatMap(({ attacks, findings }) => findings.map((finding) => `${attacks}: ${finding}`)),
    [],
  );
  const { opened = 0, ...ends } = slowly.tally;
  assert.ok(opened > 3 * connections);
  assert.deepEqual(ends, { 'ended by the server': opened });
  assert.ok(Object.values(after.waits).every(({ failed }) => failed === 0));
});
