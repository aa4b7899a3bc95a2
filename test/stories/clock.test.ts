/** The clock of a server that runs for trying things out is moved from this machine, and no other server's is (design 2.10). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signRequest } from '../../src/aws/sigv4.ts';
import type { FleetNode } from '../../src/index.ts';
import { bootNode } from '../harness.ts';

/** Asks as whoever is on this machine; answers the status and the members. */
const move = async (
  { apiUrl }: FleetNode,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly [status: number, members: { nowMs?: number; message?: string }]> => {
  const url = `${apiUrl}/_fleetgate/clock`;
  const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1' };
  const { host: _, ...signed } = signRequest({ method: 'POST', url, body, ...key, service: 'iot', nowMs: Date.now() });
  const response = await fetch(url, { method: 'POST', headers: { ...signed, ...headers }, body });
  // the endpoint's own answers, as JSON brings them back
  return [response.status, (await response.json()) as { nowMs?: number; message?: string }];
};
const week = '{"advanceMs":604800000}';

test('with --dev the clock is moved by a command, and the node acts on it; signatures keep real time', async (t) => {
  const { node, shell, iot } = await bootNode(t, { dev: true });
  const client = iot();
  await client.createDomainConfiguration({ domainConfigurationName: 'managed' });
  await client.updateDomainConfiguration({
    ...{ domainConfigurationName: 'managed', domainConfigurationStatus: 'DISABLED' },
  });
  const { code, stdout } = await shell('fleetgate clock && fleetgate clock --advance 7d && fleetgate clock');
  const [before = 0, moved = 0, after = 0] = stdout.trim().split('\n').map(Date.parse);
  assert.equal(code, 0);
  assert.ok(moved - before >= 604_800_000 && moved - before < 604_860_000, stdout);
  assert.ok(after >= moved && after - moved < 60_000, stdout);
  assert.ok(Math.abs(node.clock.now() - after) < 60_000);
  await client.deleteDomainConfiguration({ domainConfigurationName: 'managed' });
  const wrong = await shell('fleetgate clock --advance 1w');
  assert.deepEqual([wrong.code, wrong.stderr.includes('--advance must be a time such as 90s')], [2, true]);
});

test('nobody moves it without --dev, from behind a proxy, backwards or without bound', async (t) => {
  const { node, shell } = await bootNode(t);
  const { code, stderr } = await shell('fleetgate clock --advance 7d');
  assert.equal(code, 1);
  assert.match(stderr, /answered 403: Only a server that was started with --dev lets its clock be moved\.$/m);
  assert.ok(Math.abs(node.clock.now() - Date.now()) < 1000);

  const { node: open } = await bootNode(t, { dev: true });
  const unsigned = await fetch(`${open.apiUrl}/_fleetgate/clock`, { method: 'POST', body: week });
  assert.equal(unsigned.status, 403);
  assert.equal((await move(open, week, { 'x-forwarded-for': '192.0.2.1' }))[0], 403);
  assert.equal((await move(open, week, { origin: 'https://evil.example' }))[0], 403);
  for (const body of [
    '',
    '[]',
    'null',
    '{"advanceMs":-1}',
    '{"advanceMs":1.5}',
    '{"advanceMs":"1"}',
    '{"advanceMs":1e15}',
  ]) {
    assert.equal((await move(open, body))[0], 400, body);
  }
  assert.ok(Math.abs(open.clock.now() - Date.now()) < 1000);
  assert.equal((await move(open, week))[0], 200);
});
