import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type NaivePolicy, naiveDecision } from '../../test/naive-policy.ts';
import type { AuthDecision } from '../aws/decision.ts';
import type { PolicyContext } from './context.ts';
import { evaluate } from './evaluate.ts';
import { compilePolicies, type NamedPolicy } from './policy-set.ts';
import { weigh } from './weigh.ts';

/** One row of spec policy.md 10. */
interface PolicyCase {
  readonly name: string;
  readonly policies: NaivePolicy[];
  readonly action: string;
  readonly resource: string;
  readonly context: PolicyContext & { readonly rolePolicies?: NaivePolicy[] };
  readonly expect: AuthDecision;
  readonly basis: string;
}

// The file is a fixture of ours: its shape is the interface above.
const cases = JSON.parse(
  readFileSync(new URL('../../test/policy-cases.json', import.meta.url), 'utf8'),
) as readonly PolicyCase[];

const named = (policies: readonly NaivePolicy[]): NamedPolicy[] =>
  policies.map((policy, i) => ({
    policyName: `p${i}`,
    policyArn: `arn:aws:iot:us-east-1:123456789012:policy/p${i}`,
    policyVersionId: '1',
    text: JSON.stringify(policy),
  }));

describe('the decision matrix of spec policy.md 10', () => {
  test('has all its 40 rows', () => assert.equal(cases.length, 40));

  for (const { name, policies, action, resource, context, expect, basis } of cases) {
    test(`${name}: ${expect} (${basis})`, () => {
      const { rolePolicies = [], ...facts } = context;
      const set = compilePolicies(named(policies), named(rolePolicies));
      const request = { action, resource, context: facts };
      assert.equal(evaluate(set, request), expect);
      assert.equal(weigh(set, request).decision, expect);
      assert.equal(naiveDecision(policies, rolePolicies, request), expect, 'the oracle itself');
    });
  }
});
