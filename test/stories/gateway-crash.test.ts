/**
 * The gateway under load is killed at random moments, again and again, and loses nothing that it has acknowledged: no message that a kept session or a
 * shared subscription was entitled to, no session, no subscription, no retained message. The ledger is kept here, outside the killed process
 * (test/crash/ledger.ts has the rules; `npm run soak -- --crash 200` is the long form). Then the power is cut instead: a server that syncs loses nothing
 * either, and one that does not is found out by the same ledger. Source: design 5, "acknowledged means durable"; acceptance 3 of the gateway.
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDisk } from '../crash/power.ts';
import { Crashes, type CrashPlan } from '../crash/run.ts';
import { makeFolder } from '../folder.ts';
import { type ServerOptions, spawnServer } from '../server-process.ts';
import { testEngine } from '../stores.ts';

const timeout = 170_000;
/** On PostgreSQL what is kept is in another process, which is not killed here (postgres-crash.test.ts does that): fewer kills. */
const isFile = testEngine === 'sqlite';
let ledgers = 0;

type Plan = Omit<CrashPlan, 'ledgerFile' | 'killsPerPart'> & Partial<Pick<CrashPlan, 'ledgerFile'>>;
/** Runs it to its end, says what the ledger counted, and returns that. */
const crash = async (t: TestContext, plan: Plan) => {
  const ledgerFile = join(tmpdir(), `fleetgate-crash-${process.pid}-${++ledgers}.log`);
  const { ledger, run } = new Crashes({ killsPerPart: 5, ledgerFile, ...plan });
  await run();
  t.diagnostic(ledger.summary);
  return ledger;
};

test('kill -9 under load, again and again: whatever got its PUBACK reaches every session that was entitled to it', {
  timeout,
}, async (t) => {
  const dataFolder = join(await makeFolder(t), 'data');
  const ledger = await crash(t, { dataFolder, kills: isFile ? 5 : 3, spawn: () => spawnServer(t, dataFolder) });
  assert.deepEqual(ledger.violations, []);
  assert.equal(ledger.totals.lost, 0);
});

test('the same with QoS 2: exactly once, whatever was killed in between', { timeout }, async (t) => {
  const dataFolder = join(await makeFolder(t), 'data');
  const spawn = () => spawnServer(t, dataFolder, { flags: ['--limits', 'open'] });
  const ledger = await crash(t, { dataFolder, kills: isFile ? 3 : 2, qos: 2, spawn });
  assert.deepEqual(ledger.violations, []);
  assert.equal(ledger.totals.lost, 0);
});

if (isFile) {
  const withDisk = async (t: TestContext) => {
    const folder = await makeFolder(t);
    const dataFolder = join(folder, 'data');
    await mkdir(dataFolder);
    const disk = openDisk(dataFolder, join(folder, 'disk'), { syncMs: 10 });
    disk.settle();
    const spawn = (options?: ServerOptions) => spawnServer(t, dataFolder, { ...options, env: disk.env });
    return { folder, dataFolder, disk, spawn };
  };

  test('a loss of power under load: what was acknowledged was on the disk', { timeout }, async (t) => {
    const { dataFolder, disk, spawn } = await withDisk(t);
    let pagesLost = 0;
    let syncs = 0;
    const killed = async (): Promise<void> => {
      syncs += disk.syncs;
      pagesLost += disk.lose({ leastKept: Math.random() < 0.5 }).pagesLost;
    };
    const ledger = await crash(t, { dataFolder, kills: 3, spawn, killed });
    t.diagnostic(`${syncs} syncs, ${pagesLost} pages lost with the power`);
    assert.deepEqual(ledger.violations, []);
    assert.equal(ledger.totals.lost, 0);
    assert.ok(syncs > 0 && pagesLost > 0, 'the disk was in use, and lost something');
  });

  test('a loss of power without syncs loses what was acknowledged, and the ledger says so', { timeout }, async (t) => {
    const { folder, dataFolder, disk, spawn } = await withDisk(t);
    const program = fileURLToPath(new URL('../crash/unsynced-server.ts', import.meta.url));
    let isFirst = true;
    const first = async () => {
      const server = await spawn(isFirst ? {} : { program });
      isFirst = false;
      return server;
    };
    const killed = async (): Promise<void> => {
      disk.lose({ leastKept: true });
    };
    const ledger = await crash(t, {
      dataFolder,
      kills: 8, // one is enough, unless it comes before anything was acknowledged: the first loss ends the run
      spawn: first,
      killed,
      stallMs: 2000,
      ledgerFile: join(folder, 'ledger'),
    });
    t.diagnostic(`found out: ${ledger.violations[0]}`);
    assert.ok(ledger.violations.length > 0, 'a message, a session or a retained message is not as it was acknowledged');
  });
}
