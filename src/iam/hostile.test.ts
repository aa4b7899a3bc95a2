/** What a document may cost, whoever wrote it: 131,072 characters to be read, 6144 of a managed policy to be asked. Source: IAM user guide, quotas. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideIam, type IamContext } from './decide.ts';
import { parseIamPolicy } from './document.ts';
import { MalformedIamPolicy } from './malformed.ts';

/** Each takes some milliseconds; what grows with the square of the length took seconds. */
const readingMsMax = 500;
const askingMsMax = 200;

const statement = (members: object) => ({ Effect: 'Allow', Action: 'iam:*', Resource: '*', ...members });
const documentOf = (...statements: readonly object[]) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const filled = (unit: string, length: number) => unit.repeat(Math.floor(length / unit.length));

const most = 120_000;
const texts: readonly [what: string, document: string][] = [
  ['braces that nobody closes, in a resource', documentOf(statement({ Resource: `arn:${filled('${', most)}` }))],
  [
    'braces that nobody closes, in an ARN of a condition',
    documentOf(statement({ Condition: { ArnLike: { 'a:b': filled('${', most) } } })),
  ],
  [
    'braces that nobody closes, in a text',
    documentOf(statement({ Condition: { StringEquals: { 'a:b': filled('${', most) } } })),
  ],
  ['variables with defaults', documentOf(statement({ Resource: `arn:${filled("${a , 'b'}", most)}*` }))],
  ['blanks in a variable', documentOf(statement({ Resource: `arn:\${a${filled(' ', most)}x}*` }))],
  ['wildcards', documentOf(statement({ Resource: `arn:${filled('*?', most)}` }))],
  ['colons', documentOf(statement({ Resource: filled('arn:', most) }))],
  ['arrays in arrays', filled('[', most)],
  ['objects in objects', `${filled('{"a":', most)}1`],
  ['statements', documentOf(...Array.from({ length: 1500 }, (_, index) => statement({ Sid: `s${index}` })))],
  ['values', documentOf(statement({ Action: Array.from({ length: 12_000 }, () => 'a:B') }))],
];
for (const [what, document] of texts) {
  test(`a document full of ${what} is soon read or refused`, () => {
    assert.ok(document.length <= 131_072);
    const startMs = performance.now();
    try {
      parseIamPolicy(document, 'identity');
    } catch (error) {
      assert.ok(error instanceof MalformedIamPolicy, String(error));
      assert.ok(error.message.length < 1000);
    }
    assert.ok(performance.now() - startMs < readingMsMax);
  });
}

const longest = `arn:aws:iam::000000000000:role/${filled('a', 2017)}`;
const policyCharacters = 6000;
const userAgent = filled('x', 8000);
const keys = Array.from({ length: 50 }, (_, index) => `key${index}`);
const tags: IamContext = Object.fromEntries(
  keys.flatMap((key) => ['Principal', 'Request'].map((of) => [`aws:${of}Tag/${filled('t', 120)}${key}`, 'v'])),
);
const many = (unit: string) => Array.from({ length: Math.floor(policyCharacters / (unit.length + 3)) }, () => unit);
const asked: readonly [what: string, members: object, context?: IamContext][] = [
  ['one pattern of many stars', { Resource: `arn:${filled('*a', policyCharacters)}b` }],
  ['one pattern of many stars and marks', { Resource: `arn:${filled('*a?', policyCharacters)}b` }],
  ['many patterns that nearly match everywhere', { Resource: many(`*${filled('a?', 50)}b*`) }],
  ['many short patterns', { Resource: many('*a?b*') }],
  ['long runs', { Resource: many(`*b${filled('a', 990)}*`) }],
  ['patterns within a component', { Resource: many(`arn:a*s:*a?:${filled('*a', 20)}b`) }],
  [
    'a long value that is inserted often',
    {
      Condition: {
        'ForAnyValue:StringEqualsIgnoreCase': { 'aws:TagKeys': filled('${aws:UserAgent}', policyCharacters) },
      },
    },
    { 'aws:UserAgent': userAgent, 'aws:TagKeys': keys },
  ],
  [
    'a long value among stars',
    { Condition: { 'ForAnyValue:StringLike': { 'aws:TagKeys': filled('*${aws:UserAgent}', policyCharacters) } } },
    { 'aws:UserAgent': userAgent, 'aws:TagKeys': keys },
  ],
  [
    'variables, of a request with many tags',
    { Condition: { 'ForAllValues:StringNotLike': { 'aws:TagKeys': many('*${aws:PrincipalTag/nobody}') } } },
    { ...tags, 'aws:TagKeys': keys },
  ],
];
for (const [what, members, context = {}] of asked) {
  test(`a policy of ${what} is soon asked`, () => {
    const document = documentOf(statement(members));
    assert.ok(document.length < 6500);
    const policy = parseIamPolicy(document, 'identity');
    const startMs = performance.now();
    decideIam({ identity: [{ policyName: 'hostile', policy }] }, { action: 'iam:GetRole', resource: longest, context });
    assert.ok(performance.now() - startMs < askingMsMax);
  });
}
