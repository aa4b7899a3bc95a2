import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operations } from './operations.ts';
import { findOperation } from './routes.ts';

test('every path of the models leads to its own operation, with its labels', () => {
  for (const { name, http } of operations) {
    if (!http) continue;
    const labels = new Map<string, string>();
    const path = http.path.replace(/\{(\w+)\+?\}/g, (_, label: string) => {
      labels.set(label, `value-of-${label}`);
      return `value-of-${label}`;
    });
    const found = findOperation(http.method, path);
    assert.equal(found?.operation.name, name, `${http.method} ${path}`);
    assert.deepEqual(found?.labels, labels);
  }
});

const cases: [
  method: string,
  path: string,
  operation: string | undefined,
  labels: Record<string, string>,
  rule: string,
][] = [
  ['GET', '/things/a', 'DescribeThing', { thingName: 'a' }, 'a label is one segment'],
  ['GET', '/things/a%2Fb', 'DescribeThing', { thingName: 'a%2Fb' }, 'an encoded slash does not part segments'],
  ['GET', '/things/a/b', undefined, {}, 'nor does a label take two'],
  ['GET', '/things/', undefined, {}, 'an empty label is none'],
  ['GET', '/things', 'ListThings', {}, 'the list beside it'],
  ['get', '/things', undefined, {}, 'methods are case-sensitive'],
  ['GET', '/authorizers/', 'ListAuthorizers', {}, 'botocore keeps the slash of the model'],
  ['GET', '/authorizers', 'ListAuthorizers', {}, 'the JavaScript SDK drops it'],
  ['GET', '/destinations/a/b/c', 'GetTopicRuleDestination', { arn: 'a/b/c' }, 'a greedy label takes the rest'],
  ['GET', '/destinations', 'ListTopicRuleDestinations', {}, 'but not nothing'],
  ['GET', '/destinations/', undefined, {}, 'nor an empty rest'],
  ['POST', '/topics/a%2Fb', 'Publish', { topic: 'a%2Fb' }, 'a topic travels in one segment'],
  ['POST', '/topics/a/b', 'Publish', { topic: 'a/b' }, 'or in several (gateway.md 3)'],
  ['POST', '/topics//a', 'Publish', { topic: '/a' }, 'its first level may be empty'],
  ['POST', '/topics/a//', 'Publish', { topic: 'a//' }, 'and its last'],
  ['POST', '/topics/', undefined, {}, 'but nothing is no topic'],
  ['GET', '', undefined, {}, 'no path at all'],
  ['GET', 'http://localhost/things', undefined, {}, 'an absolute target'],
];
for (const [method, path, operation, labels, rule] of cases) {
  test(`${method} ${path} is ${operation ?? 'no operation'}: ${rule}`, () => {
    const found = findOperation(method, path);
    assert.equal(found?.operation.name, operation);
    if (found) assert.deepEqual(Object.fromEntries(found.labels), labels);
  });
}
