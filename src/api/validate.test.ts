import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { operations } from './operations.ts';
import { matchesPattern } from './patterns.ts';
import { MalformedInput, validate } from './validate.ts';

const operationOf = (name: string) => {
  const operation = operations.find((candidate) => candidate.name === name);
  assert(operation, name);
  return operation;
};

const failed = (value: string, member: string, rule: string): string =>
  `Value ${value} at '${member}' failed to satisfy constraint: ${rule}`;

const longName = 'a'.repeat(129);
const cases: [operation: string, input: object, violations: string[], rule: string][] = [
  ['CreateThing', { thingName: 'a' }, [], 'a good name'],
  ['CreateThing', {}, [failed('null', 'thingName', 'Member must not be null')], 'required'],
  [
    'CreateThing',
    { thingName: 'not a name' },
    [failed("'not a name'", 'thingName', 'Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+')],
    'pattern, of the whole value',
  ],
  [
    'CreateThing',
    { thingName: `${longName} ` },
    [failed(`'${longName} '`, 'thingName', 'Member must have length less than or equal to 128')],
    'too long: the pattern is not asked any more',
  ],
  [
    'CreateThing',
    { thingName: '' },
    [
      failed("''", 'thingName', 'Member must have length greater than or equal to 1'),
      failed("''", 'thingName', 'Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+'),
    ],
    'too short, and no match',
  ],
  [
    'CreateThing',
    { thingName: 'a b', thingTypeName: 'c d' },
    [
      failed("'a b'", 'thingName', 'Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+'),
      failed("'c d'", 'thingTypeName', 'Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+'),
    ],
    'two members, two errors',
  ],
  [
    'ListThings',
    { maxResults: 251 },
    [failed("'251'", 'maxResults', 'Member must have value less than or equal to 250')],
    'range, from above',
  ],
  [
    'ListThings',
    { maxResults: 0 },
    [failed("'0'", 'maxResults', 'Member must have value greater than or equal to 1')],
    'range, from below',
  ],
  [
    'UpdateCertificate',
    { certificateId: 'a'.repeat(64), newStatus: 'GONE' },
    [
      failed(
        "'GONE'",
        'newStatus',
        'Member must satisfy enum value set: [ACTIVE, INACTIVE, REVOKED, PENDING_TRANSFER, REGISTER_INACTIVE, PENDING_ACTIVATION]',
      ),
    ],
    'enum',
  ],
  [
    'CreateThing',
    { thingName: 'a', attributePayload: { attributes: { 'a b': 'c' } } },
    [
      failed(
        "'{a b=c}'",
        'attributePayload.attributes',
        'Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must satisfy regular expression pattern: [a-zA-Z0-9_.,@/:#-]+]',
      ),
    ],
    'keys of a map, in a nested structure',
  ],
  [
    'CreateThing',
    { thingName: 'a', attributePayload: { attributes: { a: ' ' } } },
    [
      failed(
        "'{a= }'",
        'attributePayload.attributes',
        'Map value must satisfy constraint: [Member must have length less than or equal to 800, Member must satisfy regular expression pattern: [a-zA-Z0-9_.,@/:#=\\[\\]-]*]',
      ),
    ],
    'values of a map',
  ],
  [
    'UntagResource',
    { resourceArn: 'arn', tagKeys: ['ok', ''] },
    [
      failed(
        "'[ok, ]'",
        'tagKeys',
        'Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$]',
      ),
    ],
    'items of a list',
  ],
  [
    'CreateThing',
    { thingName: 'a', attributePayload: { attributes: { a: null } } },
    [failed('null', 'attributePayload.attributes.a.member', 'Member must not be null')],
    'null in a map',
  ],
  [
    'TagResource',
    { resourceArn: 'arn', tags: [{ Key: 'a' }, { Value: 'b' }] },
    [failed('null', 'tags.2.member.key', 'Member must not be null')],
    'required in a structure in a list',
  ],
  [
    'CreatePackage',
    { packageName: 'a', description: `\u0000${'secret'}` },
    ["Value at 'description' failed to satisfy constraint: Member must satisfy regular expression pattern: [^\\p{C}]+"],
    'the value of a sensitive member is not told',
  ],
  [
    'AssumeRole',
    { RoleArn: 'short', RoleSessionName: 'abc' },
    [failed("'short'", 'roleArn', 'Member must have length greater than or equal to 20')],
    'sts members begin in lower case',
  ],
  ['CreateThing', { thingName: 'a', thingTypeName: undefined, billingGroupName: null }, [], 'absent is absent'],
];
for (const [name, input, violations, rule] of cases) {
  test(`${name}: ${rule} (spec identity 1)`, () => {
    const run = () => validate(operationOf(name), input);
    if (violations.length === 0) return run();
    const count = `${violations.length} validation error${violations.length === 1 ? '' : 's'} detected: `;
    assert.throws(run, { message: count + violations.join('; ') });
  });
}

test('the fault is InvalidRequestException, or ValidationException where the model has only that', () => {
  assert.throws(() => validate(operationOf('CreateThing'), {}), { name: 'InvalidRequestException' });
  assert.throws(() => validate(operationOf('CreatePackage'), {}), { name: 'ValidationException' });
});

test('no text may hold U+0000, wherever it stands: PostgreSQL could not keep it (SQLite could)', () => {
  const arn = 'arn:aws:iot:us-east-1:000000000000:policy/p';
  const id = 'a'.repeat(64);
  const inputs: [operation: string, input: object, member: string][] = [
    [
      'TransferCertificate',
      { certificateId: id, targetAwsAccount: '111111111111', transferMessage: 'a\0b' },
      'transferMessage',
    ],
    ['RejectCertificateTransfer', { certificateId: id, rejectReason: '\0' }, 'rejectReason'],
    ['TagResource', { resourceArn: arn, tags: [{ Key: 'k', Value: 'a\0' }] }, 'tags.1.member.value'],
    ['ListTagsForResource', { resourceArn: `${arn}\0` }, 'resourceArn'],
    ['RegisterThing', { templateBody: '{}', parameters: { p: '\0' } }, 'parameters.p.member'],
    ['RegisterThing', { templateBody: '{}', parameters: { 'p\0': '' } }, 'parameters'],
  ];
  for (const [operation, input, member] of inputs) {
    const message = (error: Error): boolean =>
      error.message.includes(`at '${member}' failed`) && error.message.includes('U+0000');
    assert.throws(() => validate(operationOf(operation), input), message, operation);
  }
});

test('length counts characters, not UTF-16 units', () => {
  const value = '\u{1F600}'.repeat(256);
  const tag = (Value: string) => ({ resourceArn: 'arn', tags: [{ Key: 'a', Value }] });
  assert.doesNotThrow(() => validate(operationOf('TagResource'), tag(value)));
  assert.throws(() => validate(operationOf('TagResource'), tag(`${value}a`)), /less than or equal to 256/);
});

test('a message repeats at most twenty violations and a bounded part of a value', () => {
  const tags = Array.from({ length: 5000 }, () => ({}));
  assert.throws(
    () => validate(operationOf('TagResource'), { resourceArn: 'arn', tags }),
    /^InvalidRequestException: 20 validation errors/,
  );
  const thingName = 'x'.repeat(1_000_000);
  assert.throws(
    () => validate(operationOf('CreateThing'), { thingName }),
    (error: Error) => error.message.length < 2000,
  );
});

/** Every pattern of the tables. */
const patterns = new Set<string>();
for (const file of ['iot', 'iot-data', 'sts', 'iam', 'acm']) {
  const text = readFileSync(new URL(`./constraints/${file}.json`, import.meta.url), 'utf8');
  JSON.parse(text, (key, value: unknown) => {
    if (key === 'pattern' && typeof value === 'string') patterns.add(value);
    return value;
  });
}

test('every pattern of the models compiles', () => {
  assert(patterns.size > 40);
  for (const pattern of patterns) assert.doesNotThrow(() => matchesPattern(pattern, ''), pattern);
});

test('what a journal may keep of a malformed input repeats no value', () => {
  const input = { templateName: 'secret one', description: 'x', tags: [{ Key: 'secret two'.repeat(20) }, null] };
  assert.throws(
    () => validate(operationOf('CreateProvisioningTemplate'), input),
    (error) => {
      assert(error instanceof MalformedInput);
      assert.match(error.message, /Value 'secret one' at 'templateName' failed/);
      assert.match(error.broken, /^5 validation errors detected: Value at 'templateName' failed .*; Value at 'tags/);
      return !error.broken.includes('secret');
    },
  );
});

test('no pattern of the models takes long on a hostile value of the longest length that reaches it', () => {
  const started = performance.now();
  for (const pattern of patterns) {
    for (const piece of ['a', '1', '-', ':', '/', '=', '9', 'arn:', 'https://ingestion-', '\u{1F600}', ' ']) {
      matchesPattern(pattern, `${piece.repeat(Math.floor(16_000 / piece.length))}\u0000`);
    }
  }
  // 500 values in well under a second; exponential work would never end
  assert(performance.now() - started < 5000);
});

test('a pattern without a longest length takes no value beyond 16 kB; one with it takes all of that', () => {
  const version = { policyName: 'a', policyVersionId: '1'.repeat(20_000) };
  assert.throws(() => validate(operationOf('GetPolicyVersion'), version), /regular expression pattern: \[0-9\]\+$/);
  const policy = { policyName: 'a', policyDocument: ' '.repeat(404_600) };
  assert.doesNotThrow(() => validate(operationOf('CreatePolicy'), policy));
});

const javaClasses: [pattern: string, value: string, matches: boolean][] = [
  ['[\\p{Graph}\\x20]*', 'a b!~', true],
  ['[\\p{Graph}\\x20]*', 'ä', false],
  ['[\\p{Graph}\\x20]*', 'a\n', false],
  ['[\\p{Upper}\\p{Digit}_]+', 'A_1', true],
  ['[\\p{Upper}\\p{Digit}_]+', 'a', false],
  ['[^\\p{Cntrl}]*', 'ä b', true],
  ['[^\\p{Cntrl}]*', '\u007f', false],
  ['[^\\p{C}]*', 'ä', true],
  ['[^\\p{C}]*', '\u200b', false],
  ['^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$', 'ключ 1', true],
  ['^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$', 'a#', false],
  ['[a-zA-Z0-9:_-]+', 'a\n', false],
  ['[a-zA-Z0-9-_.]+', 'a-_.', true],
];
for (const [pattern, value, matches] of javaClasses) {
  test(`${pattern} ${matches ? 'takes' : 'refuses'} ${JSON.stringify(value)}, as in Java`, () =>
    assert.equal(matchesPattern(pattern, value), matches));
}
