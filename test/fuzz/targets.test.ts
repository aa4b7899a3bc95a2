/**
 * Every reader of untrusted bytes, against the inputs of former findings and some thousand hostile ones of a fixed seed; what must hold stands in each target.
 * The long form, with seeds of its own, is `npm run soak`. Source: issue, "Hostile input"; design 5.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { told } from './findings.ts';
import { fixturesOf, runCampaign } from './run.ts';
import { targets } from './targets.ts';

/** Inputs of a short campaign: about half a second each. */
const executions: Readonly<Record<string, number>> = {
  'client-hello': 4_000,
  'mqtt-reader': 12_000,
  'mqtt-connection': 1_500,
  certificate: 2_500,
  csr: 3_000,
  issued: 1_500,
  ocsp: 2_500,
  policy: 12_000,
  'iam-policy': 6_000,
  'session-token': 3_000,
  'secret-box': 6_000,
  'acm-import': 300,
  'credentials-request': 15_000,
  'server-name': 15_000,
  template: 8_000,
  marker: 30_000,
  arn: 60_000,
  'journal-query': 8_000,
  'api-input': 25_000,
  sigv4: 5_000,
  'api-node': 500,
  'gateway-node': 600,
  'mqtt-node': 40,
};

for (const name of Object.keys(targets)) {
  test(`${name}: hostile bytes cost a refusal, and nothing else`, async () => {
    const known = fixturesOf(name).map(([, input]) => input);
    const executionsMax = (executions[name] ?? 1_000) + known.length;
    const plan = { seed: 20_261, executionsMax, ms: 10_000, inputMsMax: 2_000, guided: false, known };
    const { findings, outcomes } = await runCampaign(name, plan);
    assert.deepEqual(
      findings.map((finding) => told(name, finding)),
      [],
    );
    assert.ok(Object.keys(outcomes).length > 1, 'both valid and hostile inputs came through');
  });
}
