import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parsePolicyDocument, policyCharactersMax } from './document.ts';
import { MalformedPolicy } from './malformed.ts';

const statement = { Effect: 'Allow', Action: 'iot:Publish', Resource: '*' };
/** A document with one statement, its members replaced or, by undefined, removed. */
const withStatement = (members: Record<string, unknown>): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ ...statement, ...members }] });
const withMembers = (members: Record<string, unknown>): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [statement], ...members });
const withCondition = (Condition: unknown): string => withStatement({ Condition });

describe('malformed (spec policy.md 2.1)', () => {
  const cases: [rule: string, text: string, message: string][] = [
    ['empty text', '', 'the document is not JSON'],
    ['not JSON', '{"Version":', 'the document is not JSON'],
    ['a comment', '{} // x', 'the document is not JSON'],
    ['a list', '[]', 'the document must be a JSON object'],
    ['null', 'null', 'the document must be a JSON object'],
    ['duplicate top-level key', '{"Statement":[],"Statement":[]}', 'key "Statement" occurs twice'],
    [
      'duplicate key in a statement, one of them escaped',
      '{"Statement":[{"Sid":"}{\\"[,"},{"Effect":"Deny","\\u0045ffect":"Allow"}]}',
      'Statement[1]: key "Effect" occurs twice',
    ],
    [
      'duplicate condition key',
      '{"Statement":{"Condition":{"Bool":{"a":[{},{}],"b":"","a":""}}}}',
      'Statement.Condition.Bool: key "a" occurs twice',
    ],
    ['deep nesting', `{"Statement":${'['.repeat(8)}${']'.repeat(8)}}`, 'nested deeper than 8 levels'],
    ['unknown top-level key', withMembers({ Comment: 'x' }), 'unknown element "Comment"'],
    ['a key in another case', withMembers({ version: '2012-10-17' }), 'unknown element "version"'],
    ['__proto__ as a key', '{"__proto__":{},"Statement":[]}', 'unknown element "__proto__"'],
    [
      'unknown version',
      withMembers({ Version: '2012-10-18' }),
      'Version: must be "2012-10-17" or "2008-10-17", not "2012-10-18"',
    ],
    ['version as a number', withMembers({ Version: 2012 }), 'Version: must be "2012-10-17" or "2008-10-17", not 2012'],
    ['Id as a number', withMembers({ Id: 7 }), 'Id: must be a string'],
    ['no statement', withMembers({ Statement: undefined }), 'Statement: is missing'],
    ['no statement in the list', withMembers({ Statement: [] }), 'Statement: must not be empty'],
    ['a statement that is text', withMembers({ Statement: ['Allow'] }), 'Statement[0]: must be an object'],
    ['statement null', withMembers({ Statement: null }), 'Statement: must be an object'],
    ['unknown statement key', withStatement({ Actions: [] }), 'Statement[0]: unknown element "Actions"'],
    [
      'Principal',
      withStatement({ Principal: '*' }),
      'Statement[0]: Principal is not allowed: the policy belongs to what it is attached to',
    ],
    [
      'NotPrincipal',
      withStatement({ NotPrincipal: '*' }),
      'Statement[0]: NotPrincipal is not allowed: the policy belongs to what it is attached to',
    ],
    ['no effect', withStatement({ Effect: undefined }), 'Statement[0].Effect: is missing'],
    [
      'effect in lower case',
      withStatement({ Effect: 'allow' }),
      'Statement[0].Effect: must be "Allow" or "Deny", not "allow"',
    ],
    [
      'effect as a list',
      withStatement({ Effect: ['Allow'] }),
      'Statement[0].Effect: must be "Allow" or "Deny", not ["Allow"]',
    ],
    ['Sid as a number', withStatement({ Sid: 1 }), 'Statement[0].Sid: must be a string'],
    [
      'repeated Sid',
      withMembers({ Statement: [{ ...statement, Sid: 'a' }, statement, { ...statement, Sid: 'a' }] }),
      'Statement[2].Sid: "a" is already used',
    ],
    ['both actions', withStatement({ NotAction: 'iot:Publish' }), 'Statement[0]: has both Action and NotAction'],
    ['neither action', withStatement({ Action: undefined }), 'Statement[0]: has neither Action nor NotAction'],
    ['both resources', withStatement({ NotResource: '*' }), 'Statement[0]: has both Resource and NotResource'],
    ['neither resource', withStatement({ Resource: undefined }), 'Statement[0]: has neither Resource nor NotResource'],
    ['empty action list', withStatement({ Action: [] }), 'Statement[0].Action: must not be empty'],
    [
      'empty NotAction list',
      withStatement({ Action: undefined, NotAction: [] }),
      'Statement[0].NotAction: must not be empty',
    ],
    ['empty resource list', withStatement({ Resource: [] }), 'Statement[0].Resource: must not be empty'],
    ['action null', withStatement({ Action: null }), 'Statement[0].Action: must be a string'],
    ['action as an object', withStatement({ Action: ['*', {}] }), 'Statement[0].Action[1]: must be a string'],
    ...['Publish', '', 'iot:', ':Publish', 'iot Publish', 'iot:Pub lish', 'iot:Publish:x', '**', 'iot:${*}'].map(
      (action): [string, string, string] => [
        `action ${JSON.stringify(action)}`,
        withStatement({ Action: ['iot:Connect', action] }),
        `Statement[0].Action[1]: ${JSON.stringify(action)} is neither "*" nor "<service>:<action>"`,
      ],
    ),
    ...['topic/a', '', 'ARN:aws:iot', ' arn:aws:iot', '?rn:aws', '$aws'].map((resource): [string, string, string] => [
      `resource ${JSON.stringify(resource)}`,
      withStatement({ Resource: resource }),
      `Statement[0].Resource: ${JSON.stringify(resource)} is neither "*" nor an ARN`,
    ]),
    [
      'unterminated variable in a resource',
      withStatement({ Resource: ['*', 'arn:${iot:ClientId}/${iot:ClientId'] }),
      'Statement[0].Resource[1]: ${ without } in "arn:${iot:ClientId}/${iot:ClientId"',
    ],
    [
      'unterminated variable in a condition',
      withCondition({ StringEquals: { 'iot:Topic': ['a', '${'] } }),
      'Statement[0].Condition.StringEquals["iot:Topic"]: ${ without } in "${"',
    ],
    ['condition as a list', withCondition([]), 'Statement[0].Condition: must be an object'],
    ['condition null', withCondition(null), 'Statement[0].Condition: must be an object'],
    ['operator without an object', withCondition({ Bool: 'true' }), 'Statement[0].Condition.Bool: must be an object'],
    ['operator with a list', withCondition({ Bool: [] }), 'Statement[0].Condition.Bool: must be an object'],
    [
      'condition value as an object',
      withCondition({ Bool: { 'iot:Topic': {} } }),
      'Statement[0].Condition.Bool["iot:Topic"]: must be a string or a list of strings',
    ],
    ...[
      ...['StringMatches', 'stringEquals', 'ForAllValues:StringMatches', 'ForAnyValue:', 'ForSomeValues:StringEquals'],
      ...['IfExists', 'NullIfExists', 'ForAnyValue:Null', 'NotBool', 'toString', ''],
    ].map((operator): [string, string, string] => [
      `operator ${JSON.stringify(operator)}`,
      withCondition({ [operator]: {} }),
      `Statement[0].Condition: unknown operator ${JSON.stringify(operator)}`,
    ]),
  ];
  for (const [rule, text, message] of cases) {
    test(rule, () => assert.throws(() => parsePolicyDocument(text), { name: 'MalformedPolicy', message }));
  }

  test('what a message quotes is bounded and free of control characters', () => {
    const text = withStatement({ Effect: `\u001b[2J${'x'.repeat(1500)}` });
    assert.throws(
      () => parsePolicyDocument(text),
      (error: unknown) =>
        error instanceof MalformedPolicy && error.message.length < 200 && !error.message.includes('\u001b'),
    );
  });
});

describe('not malformed (spec policy.md 2.1)', () => {
  const cases: [rule: string, text: string][] = [
    ['one statement without a list', withMembers({ Statement: statement })],
    ['no version', withMembers({ Version: undefined })],
    ['the version of 2008', withMembers({ Version: '2008-10-17' })],
    ['an Id', withMembers({ Id: 'x' })],
    ['unknown actions of the service', withStatement({ Action: 'iot:Teleport' })],
    ['actions of other services', withStatement({ Action: ['s3:GetObject', 'execute-api:Invoke'] })],
    ['every action', withStatement({ Action: '*' })],
    ['wildcards in actions', withStatement({ Action: ['iot:*', 'iot:Get*Shadow', 'i?t:?'] })],
    ['unknown variables', withStatement({ Resource: 'arn:aws:iot:::topic/${x}' })],
    ['an empty variable', withStatement({ Resource: '${}' })],
    ['resources that begin with a variable', withStatement({ Resource: '${iot:ClientId}' })],
    ['resources that begin with a wildcard', withStatement({ Resource: '*:topic/a' })],
    ['other accounts and regions', withStatement({ Resource: 'arn:aws-cn:iot:mars-1:999999999999:topic/a' })],
    ['resource types that do not fit the action', withStatement({ Resource: 'arn:aws:iot:us-east-1:1:client/a' })],
    ['escapes', withStatement({ Resource: 'arn:${*}${?}${$}' })],
    ['a plain dollar', withStatement({ Resource: 'arn:aws:iot:::topic/$aws/things/{x}' })],
    ['unknown condition keys', withCondition({ StringEquals: { 'x:y': 'z' } })],
    ['an empty condition', withCondition({})],
    ['an operator without keys', withCondition({ Bool: {} })],
    ['a key without values', withCondition({ 'ForAllValues:StringEquals': { 'iot:ConnectAttributes': [] } })],
    [
      'booleans and numbers as condition values',
      withCondition({ Bool: { a: true }, NumericLessThan: { b: [1, 2.5] } }),
    ],
    ['set operators with IfExists', withCondition({ 'ForAnyValue:StringNotLikeIfExists': { a: 'b' } })],
    ['condition keys that differ in case only', withCondition({ StringEquals: { a: 'b', A: 'b' } })],
    [
      'several empty Sids',
      withMembers({
        Statement: [
          { ...statement, Sid: '' },
          { ...statement, Sid: '' },
        ],
      }),
    ],
    ['the same key in different objects', withMembers({ Statement: [statement, statement] })],
  ];
  for (const [rule, text] of cases) test(rule, () => void parsePolicyDocument(text));
});

describe('the size of a document (spec policy.md 1 and 11.15)', () => {
  const sized = (characters: number): string => {
    const room = characters - withStatement({ Sid: '' }).length;
    return withStatement({ Sid: 'x'.repeat(room) });
  };

  test('2048 characters are accepted', () => void parsePolicyDocument(sized(policyCharactersMax)));

  test('2049 characters are refused', () =>
    assert.throws(() => parsePolicyDocument(sized(2049)), {
      message: '2049 characters without white space, at most 2048 are allowed',
    }));

  test('white space anywhere does not count', () => {
    const text = sized(policyCharactersMax);
    parsePolicyDocument(text.replaceAll(',', ` ,${' \t\r\n'.repeat(500)}`).replace('xx', `x${' '.repeat(1000)}x`));
  });

  test('404600 characters are the most that is looked at (service model, PolicyDocument)', () => {
    parsePolicyDocument(sized(2048) + ' '.repeat(404_600 - 2048));
    assert.throws(() => parsePolicyDocument(sized(2048) + ' '.repeat(404_601 - 2048)), {
      message: 'longer than 404600 characters',
    });
  });
});

describe('hostile documents', () => {
  test('any text is either read or refused as malformed', () => {
    const json = fc.json({ depthSize: 'large' });
    const tokens = fc.array(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ':',
        ',',
        '"',
        '"Statement"',
        '"Effect"',
        '"Allow"',
        '"Condition"',
        '"__proto__"',
        '\\',
        '1',
        ' ',
      ),
      { maxLength: 30 },
    );
    const texts = fc.oneof(
      fc.string(),
      json,
      tokens.map((parts) => parts.join('')),
      json.map((value) => withMembers({ Statement: JSON.parse(value) })),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parsePolicyDocument(text);
        } catch (error) {
          assert.ok(error instanceof MalformedPolicy, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a repeated key is found wherever it stands, and nothing else is', () => {
    const keys = fc.constantFrom('a', 'b', '"', '\\', '{', ',', '\u0000');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(keys, fc.constantFrom('1', '"x,\\"y"', '[1,{"a":[]},2]', '{"a":{},"b":{}}')), {
          maxLength: 5,
        }),
        (members) => {
          const text = `{${members.map(([key, value]) => `${JSON.stringify(key)} : ${value}`).join(' , ')}}`;
          const repeated = new Set(members.map(([key]) => key)).size < members.length;
          const twice = (error: unknown): boolean =>
            error instanceof MalformedPolicy && error.message.includes('occurs twice');
          assert.throws(
            () => parsePolicyDocument(text),
            (error: unknown) => twice(error) === repeated,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});
