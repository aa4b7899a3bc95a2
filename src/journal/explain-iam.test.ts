import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WeighedStatement } from '../aws/decision.ts';
import { explain } from './explain.ts';
import type { JournalRecord } from './record.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const base: JournalRecord = {
  ...{ account, eventType: 'ApiCall', status: 'Failure', reason: 'AUTHORIZATION_FAILURE', protocol: 'HTTP' },
  ...{ action: 'iot:DescribeThing', resource: 'arn:aws:iot:us-east-1:000000000000:thing/lamp' },
  decision: 'IMPLICIT_DENY',
};
const alice = { principalArn: 'arn:aws:iam::000000000000:user/alice', userName: 'alice', policyType: 'identity' };
const deploy = {
  ...{ principalArn: 'arn:aws:sts::000000000000:assumed-role/deploy/ci', roleName: 'deploy', sessionName: 'ci' },
  ...{ roleArn: 'arn:aws:iam::000000000000:role/deploy', policyType: 'identity' },
};
const explained = (members: Partial<JournalRecord>) => {
  const record = storedRecord({ ...base, ...members }, { id: 'id', atMs: 0, sequence: 1 });
  return explain(record, { account, apiUrl: 'http://127.0.0.1:4566' });
};
const policyArn = 'arn:aws:iam::000000000000:policy/team';
const denying = (members: Partial<WeighedStatement> = {}): Partial<JournalRecord> => ({
  decision: 'EXPLICIT_DENY',
  statements: [
    {
      ...{ policyName: 'team', policyArn: '', policyVersionId: '', index: 1, sid: 'Never' },
      ...{ effect: 'Deny', outcome: 'matched', ...members },
    },
  ],
  decidedBy: 0,
});
const allow = '{"Effect":"Allow","Action":"*","Resource":"*"}';
const deny = '{"Sid":"Never","Effect":"Deny","Action":"iot:DescribeThing","Resource":"*"}';
const documentOf = (...statements: readonly string[]): string =>
  `{"Version":"2012-10-17","Statement":[${statements.join(',')}]}`;
const allowing = (resource: string, more = ''): string =>
  `'${documentOf(`{"Effect":"Allow","Action":"iot:DescribeThing","Resource":"${resource}"${more}}`)}'`;
const lamp = 'arn:aws:iot:us-east-1:000000000000:thing/lamp';

const cases: [
  rule: string,
  members: Partial<JournalRecord>,
  sentence: string,
  commands: readonly (string | RegExp)[],
][] = [
  [
    'no statement allows: an inline policy of the user with exactly that',
    { facts: alice },
    'User "alice" was refused iot:DescribeThing on "thing/lamp": no statement of its policies allows it.',
    [/^aws iam put-user-policy --user-name=alice --policy-name=fleetgate-allow-[0-9a-f]{12} --policy-document /],
  ],
  [
    'a session of a role: an inline policy of the role',
    { facts: deploy },
    'Role "deploy" (session "ci") was refused iot:DescribeThing on "thing/lamp": no statement of its policies allows it.',
    [/^aws iam put-role-policy --role-name=deploy --policy-name=fleetgate-allow-/],
  ],
  [
    'a role that is passed: to that service only',
    {
      ...{ action: 'iam:PassRole', resource: deploy.roleArn },
      facts: { ...alice, operation: 'iot:RegisterCACertificate', passedTo: 'iot.amazonaws.com' },
    },
    'User "alice" was refused iam:PassRole on "arn:aws:iam::000000000000:role/deploy", which iot:RegisterCACertificate needs as well: no statement of its policies allows it.',
    [
      /"Action":"iam:PassRole","Resource":"[^"]+","Condition":\{"StringEquals":\{"iam:PassedToService":"iot.amazonaws.com"\}\}/,
    ],
  ],
  [
    'wildcards in what was asked mean themselves',
    { action: 'iot:Publish', resource: 'arn:aws:iot:us-east-1:000000000000:topic/a*', facts: alice },
    'User "alice" was refused iot:Publish on "topic/a*": no statement of its policies allows it.',
    [/"Resource":"arn:aws:iot:us-east-1:000000000000:topic\/a\$\{\*\}"/],
  ],
  [
    'what is still to be made may be called anything',
    { action: 'acm:ImportCertificate', resource: 'arn:aws:acm:us-east-1:000000000000:certificate/*', facts: alice },
    'User "alice" was refused acm:ImportCertificate on "arn:aws:acm:us-east-1:000000000000:certificate/*": no statement of its policies allows it.',
    [/"Resource":"arn:aws:acm:us-east-1:000000000000:certificate\/\*"/],
  ],
  [
    'a Deny beside other statements of an inline policy: the policy without it',
    { ...denying(), facts: { ...alice, heldBy: 'user', decidingDocument: documentOf(allow, deny) } },
    'User "alice" was refused iot:DescribeThing on "thing/lamp": statement "Never" of policy "team" denies it, and a Deny outweighs every Allow.',
    [`aws iam put-user-policy --user-name=alice --policy-name=team --policy-document '${documentOf(allow)}'`],
  ],
  [
    'a Deny that is all of an inline policy, and nothing else allows: both',
    {
      ...denying({ index: 0 }),
      facts: { ...alice, heldBy: 'user', decidingDocument: documentOf(deny), unallowed: 'true' },
    },
    'User "alice" was refused iot:DescribeThing on "thing/lamp": statement "Never" of policy "team" denies it, and a Deny outweighs every Allow.',
    [
      'aws iam delete-user-policy --user-name=alice --policy-name=team',
      new RegExp(`--policy-document ${allowing(lamp).replaceAll(/[[\]{}.*?]/g, '\\$&')}$`),
    ],
  ],
  [
    'a Deny of a group',
    { ...denying({ index: 0 }), facts: { ...alice, heldBy: 'group devs', decidingDocument: documentOf(deny) } },
    'User "alice" was refused iot:DescribeThing on "thing/lamp": statement "Never" of policy "team", which it has from the group "devs", denies it, and a Deny outweighs every Allow.',
    ['aws iam delete-group-policy --group-name=devs --policy-name=team'],
  ],
  [
    'a Deny of a managed policy: a version without it',
    {
      ...denying({ policyArn, policyVersionId: '3', index: 0 }),
      facts: { ...deploy, heldBy: 'role', decidingDocument: documentOf(deny, allow) },
    },
    'Role "deploy" (session "ci") was refused iot:DescribeThing on "thing/lamp": statement "Never" of policy "team" version v3 denies it, and a Deny outweighs every Allow.',
    [
      `aws iam create-policy-version --policy-arn ${policyArn} --set-as-default --policy-document '${documentOf(allow)}'`,
    ],
  ],
  [
    'a Deny that is all of a managed policy: it is detached',
    {
      ...denying({ policyArn, policyVersionId: '1', index: 0 }),
      facts: { ...alice, heldBy: 'user', decidingDocument: documentOf(deny) },
    },
    'User "alice" was refused iot:DescribeThing on "thing/lamp": statement "Never" of policy "team" version v1 denies it, and a Deny outweighs every Allow.',
    [`aws iam detach-user-policy --user-name=alice --policy-arn ${policyArn}`],
  ],
  [
    'a policy of AWS cannot be changed: it is detached',
    {
      ...denying({
        policyName: 'AWSDenyAll',
        policyArn: 'arn:aws:iam::aws:policy/AWSDenyAll',
        policyVersionId: '2',
        index: 0,
      }),
      facts: { ...alice, heldBy: 'group devs', decidingDocument: documentOf(deny, deny) },
    },
    'User "alice" was refused iot:DescribeThing on "thing/lamp": statement "Never" of policy "AWSDenyAll" version v2, which it has from the group "devs", denies it, and a Deny outweighs every Allow.',
    ['aws iam detach-group-policy --group-name=devs --policy-arn arn:aws:iam::aws:policy/AWSDenyAll'],
  ],
  [
    'a boundary that does not allow: a version of it that does',
    { facts: { ...alice, policyType: 'boundary', boundaryArn: policyArn, decidingDocument: documentOf(deny) } },
    `User "alice" was refused iot:DescribeThing on "thing/lamp": its permissions boundary "${policyArn}" does not allow it, and nothing beyond the boundary counts.`,
    [
      `aws iam create-policy-version --policy-arn ${policyArn} --set-as-default --policy-document '${documentOf(deny, `{"Effect":"Allow","Action":"iot:DescribeThing","Resource":"${lamp}"}`)}'`,
    ],
  ],
  [
    'a session policy: another session without it',
    { facts: { ...deploy, policyType: 'session' } },
    'Role "deploy" (session "ci") was refused iot:DescribeThing on "thing/lamp": the session policy that the session was begun with does not let it.',
    ['aws sts assume-role --role-arn arn:aws:iam::000000000000:role/deploy --role-session-name=ci'],
  ],
  [
    'characters that are not safe to paste: no command',
    { resource: 'arn:aws:iot:us-east-1:000000000000:topic/a\u001b', facts: alice },
    'User "alice" was refused iot:DescribeThing on "topic/a\\u001b": no statement of its policies allows it.',
    [],
  ],
];
for (const [rule, members, sentence, commands] of cases) {
  test(`refused by IAM: ${rule}`, () => {
    const told = explained(members);
    assert.equal(told.sentence, sentence);
    assert.equal(told.commands.length, commands.length, told.commands.join('\n'));
    for (const [at, wanted] of commands.entries()) {
      if (typeof wanted === 'string') assert.equal(told.commands[at], wanted);
      else assert.match(told.commands[at] ?? '', wanted);
    }
    assert.equal(told.cure.endsWith(':'), commands.length > 0);
  });
}

test('a key that is no longer active is activated, or another one made', () => {
  const lost = { eventType: 'Disconnect', reason: 'ACCESS_KEY_NO_LONGER_ACTIVE', clientId: 'c' } as const;
  const ofUser = explained({ ...lost, facts: alice });
  assert.match(
    ofUser.sentence,
    /^The client "c" was disconnected: the access key of the user "alice" is no longer active/,
  );
  assert.deepEqual([ofUser.cure, ofUser.commands], ['If the client may connect, give it an active key of a user.', []]);
  const { commands } = explained({ ...lost, facts: { ...alice, accessKeyId: 'AKIAX' } });
  assert.deepEqual(commands, [
    'aws iam update-access-key --user-name=alice --access-key-id=AKIAX --status Active || aws iam create-access-key --user-name=alice',
  ]);
  assert.match(explained({ ...lost, facts: deploy }).sentence, /the role "deploy" that it had assumed is gone/);
});
