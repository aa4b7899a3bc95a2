/**
 * Names of condition keys have no case, tags of a resource do: of `env` and `ENV` a condition means either. Source: IAM user guide, "IAM JSON policy elements:
 * Condition" (the key matches both tags; where only one value matches, the condition may fail).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideIam, type IamContext } from './decide.ts';
import { parseIamPolicy } from './document.ts';

const env = 'aws:RequestTag/env';
const statement = (Effect: string, Condition?: object) => ({
  Effect,
  Action: '*',
  Resource: '*',
  ...(Condition && { Condition }),
});
const allow = statement('Allow');
const allowDev = statement('Allow', { StringEquals: { [env]: 'dev' } });
const denyProd = statement('Deny', { StringEquals: { [env]: 'prod' } });
const denyAllButDev = statement('Deny', { StringNotEquals: { [env]: 'dev' } });
const decide = (statements: readonly object[], context: IamContext) => {
  const policy = parseIamPolicy(JSON.stringify({ Version: '2012-10-17', Statement: statements }), 'identity');
  const asked = { action: 'iot:CreateThing', resource: '*', context };
  return decideIam({ identity: [{ policyName: 'p', policy }] }, asked).reason;
};
const tags = (...given: readonly string[]): IamContext =>
  Object.fromEntries(given.map((tag) => tag.split('=')).map(([key, value = '']) => [`aws:RequestTag/${key}`, value]));

const pairs = (count: number): IamContext =>
  tags(...Array.from({ length: count }, (_, index) => [`k${index}=1`, `K${index}=2`]).flat());

const rows: [rule: string, statements: readonly object[], context: IamContext, expected: string][] = [
  ['one tag in another case is meant', [allowDev], tags('ENV=dev'), 'ALLOWED'],
  ['an Allow needs every value', [allowDev], tags('env=dev', 'ENV=prod'), 'IMPLICIT_DENY'],
  ['whichever comes first', [allowDev], tags('ENV=prod', 'env=dev'), 'IMPLICIT_DENY'],
  ['the same value in both is one', [allowDev], tags('env=dev', 'ENV=dev'), 'ALLOWED'],
  ['a Deny needs any value', [allow, denyProd], tags('env=dev', 'ENV=prod'), 'EXPLICIT_DENY'],
  ['whichever comes first', [allow, denyProd], tags('ENV=prod', 'env=dev'), 'EXPLICIT_DENY'],
  ['a negated Deny as well', [allow, denyAllButDev], tags('env=dev', 'ENV=prod'), 'EXPLICIT_DENY'],
  ['a Deny outweighs what is not allowed', [allowDev, denyProd], tags('env=test', 'ENV=prod'), 'EXPLICIT_DENY'],
  [
    'values of several keys are read in every combination',
    [allow, statement('Deny', { StringEquals: { [env]: 'prod', 'aws:RequestTag/team': 'a' } })],
    tags('env=prod', 'ENV=dev', 'team=b', 'TEAM=a'),
    'EXPLICIT_DENY',
  ],
  ['more combinations than are read allow nothing', [allow], pairs(4), 'IMPLICIT_DENY'],
  ['as many as are read are', [allow], pairs(3), 'ALLOWED'],
  ['others are not concerned', [allow], tags('env=dev', 'ENV=prod'), 'ALLOWED'],
];
for (const [rule, statements, context, expected] of rows) {
  test(`${Object.entries(context)
    .map((pair) => pair.join('=').slice(15))
    .join(' ')}: ${expected}: ${rule}`, () => assert.equal(decide(statements, context), expected));
}

test('a request with thousands of such names costs no more than its reading', () => {
  const spellings = Array.from({ length: 20_000 }, (_, index) =>
    [...'abcdefghijklmnop'].map((letter, at) => ((index >> at) & 1 ? letter.toUpperCase() : letter)).join(''),
  );
  const context = tags(...spellings.map((key, index) => `${key}=${index}`));
  const began = performance.now();
  assert.equal(decide([allow], context), 'IMPLICIT_DENY');
  assert.ok(performance.now() - began < 1000);
});
