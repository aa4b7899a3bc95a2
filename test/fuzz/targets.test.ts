/**
 * Every reader of untrusted bytes, against the inputs of former findings and some thousand hostile ones of a fixed seed; what must hold stands in each target.
 * The long form, with seeds of its own, is `npm run soak`. Source: issue, "Hostile input"; design 5.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { told } from './findings.ts';
import { fixturesOf, runCampaign } from './run.ts';
import { targets } from './targets.ts';

/** Inputs of a short campaign: about a quarter of a second each. */
const executions: Readonly<Record<string, number>> = {
  'client-hello': 2_000,
  'mqtt-reader': 6_000,
  'mqtt-connection': 750,
  certificate: 1_250,
  csr: 1_500,
  issued: 750,
  ocsp: 1_250,
  policy: 6_000,
  'iam-policy': 3_000,
  'session-token': 1_500,
  'secret-box': 3_000,
  'acm-import': 150,
  'credentials-request': 7_500,
  'server-name': 7_500,
  template: 4_000,
  marker: 15_000,
  arn: 30_000,
  'journal-query': 4_000,
  'api-input': 12_500,
  sigv4: 2_500,
  'api-node': 250,
  'gateway-node': 300,
  'mqtt-node': 20,
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
