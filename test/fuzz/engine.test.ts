/** The fuzzer itself: what it makes depends on the seed alone, and it finds what is planted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from './campaign.ts';
import { type Material, mutate, Random } from './mutate.ts';
import { type Guard, runCampaign } from './run.ts';

const material: Material = {
  corpus: [Buffer.from('valid input'), Buffer.from([22, 3, 1, 0, 4, 1, 2, 3, 4])],
  dictionary: [Buffer.from('word')],
  bytesMax: 64,
};
const inputs = (seed: number, count: number): Buffer[] => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => mutate(random, material));
};

test('the same seed makes the same inputs, another seed others, and none is longer than it may be', () => {
  const made = inputs(1, 5_000);
  assert.deepEqual(inputs(1, 5_000), made);
  assert.notDeepEqual(inputs(2, 5_000), made);
  assert.ok(made.every(({ length }) => length <= 64));
  assert.ok(new Set(made.map((input) => input.toString('hex'))).size > 3_000);
});

test('mutation does not change its material', () => {
  const before = JSON.stringify(material);
  inputs(3, 1_000);
  assert.equal(JSON.stringify(material), before);
});

const plan: Plan = { seed: 1, executionsMax: 20_000, ms: 20_000, inputMsMax: 1_000, guided: false, known: [] };
const guard: Partial<Guard> = {
  table: new URL('./planted.ts', import.meta.url),
  hangMs: 1_000,
  heapMegabytesMax: 64,
};

test('a target that holds has no findings, and its inputs are counted by what became of them', async () => {
  const { findings, outcomes, executions } = await runCampaign('sound', plan, guard);
  assert.deepEqual(findings, []);
  assert.ok((outcomes['refused'] ?? 0) > 100 && (outcomes['accepted'] ?? 0) > 100);
  assert.equal(executions, (outcomes['refused'] ?? 0) + (outcomes['accepted'] ?? 0));
});

test('what is thrown is one finding per cause, its input as small as the cause allows', async () => {
  const { findings } = await runCampaign('throws', plan, guard);
  assert.deepEqual(
    findings.map(({ cause, input }) => [cause, String(Buffer.from(input))]),
    [['TypeError: number #', '#!']],
  );
});

for (const [name, cause] of [
  ['throws later', /^SyntaxError/],
  ['hangs', /^hangs for/],
  ['hoards', /memory/i],
] as const) {
  test(`a target that ${name} is found, with the input that did it`, async () => {
    const { findings } = await runCampaign(name, plan, guard);
    assert.match(findings[0]?.cause ?? '', cause);
    assert.match(String(Buffer.from(findings[0]?.input ?? [])), /#!/);
  });
}

test('a known input is run before all others', async () => {
  const { findings } = await runCampaign('throws', { ...plan, executionsMax: 1, known: [Buffer.from('#!')] }, guard);
  assert.equal(findings.length, 1);
});

test('a guided campaign keeps what reaches new code', async () => {
  const { kept, findings } = await runCampaign('policy', { ...plan, ms: 1_500, guided: true });
  assert.deepEqual(findings, []);
  assert.ok(kept.length > 0);
});
