/** What is said to whoever gets no credentials of a role; that the commands work is told in test/stories/credentials-provider.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import type { JournalRecord } from './record.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const certificateId = 'ab12cd34'.repeat(8);
const arn = `arn:aws:iot:us-east-1:000000000000:cert/${certificateId}`;
const trust =
  '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"credentials.iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}';

const explained = (members: Partial<JournalRecord>) => {
  const record: JournalRecord = {
    ...{ account, certificateId, eventType: 'AssumeRoleWithCertificate', protocol: 'HTTP', status: 'Failure' },
    ...{ action: 'iot:AssumeRoleWithCertificate', resource: 'arn:aws:iot:us-east-1:000000000000:rolealias/reader' },
    ...members,
    facts: { roleAlias: 'reader', roleArn: 'arn:aws:iam::000000000000:role/a/b/reader', ...members.facts },
  };
  return explain(storedRecord(record, { id: 'id', atMs: 0, sequence: 1 }), {
    account,
    apiUrl: 'http://127.0.0.1:4566',
  });
};

test('a thing that is not attached is attached; where another is, the device may name that', () => {
  const reason = 'THING_NOT_ATTACHED';
  const none = explained({ reason, facts: { namedThing: 'lamp' } });
  assert.match(none.sentence, /^The device with certificate ab12cd34 asked .* for the thing "lamp" \(x-amzn-iot-thing/);
  assert.equal(none.cure, 'If it is that thing, attach it:');
  assert.deepEqual(none.commands, [
    'aws iot describe-thing --thing-name lamp > /dev/null 2>&1 || aws iot create-thing --thing-name lamp',
    `aws iot attach-thing-principal --thing-name lamp --principal ${arn}`,
  ]);
  const other = explained({ reason, facts: { namedThing: 'lamp', thingName: 'pump' } });
  assert.match(other.cure, /^Let it name "pump", .*; or, if it is that thing too, attach it:$/);
  assert.deepEqual(other.commands, none.commands);
  const exclusive = { namedThing: 'lamp', thingName: 'pump', exclusiveThingName: 'pump' };
  const only = explained({ reason, facts: exclusive });
  assert.deepEqual(
    [only.cure, only.commands],
    ['Let it name "pump", the thing that is attached and may have no other beside it.', []],
  );
});

for (const namedThing of ['no thing', "'; rm -rf /", 'x'.repeat(2000), '\u202elamp', '']) {
  test(`${JSON.stringify(namedThing.slice(0, 20))} is the name of no thing, and comes into no command`, () => {
    const { cure, commands } = explained({ reason: 'THING_NOT_ATTACHED', facts: { namedThing } });
    assert.deepEqual([cure, commands], ['Let it name a thing that is attached to its certificate.', []]);
  });
}

test('a role alias that is missing is made with a role of its name; one in another case is told of', () => {
  const reason = 'ROLE_ALIAS_NOT_FOUND';
  const { cure, commands } = explained({ reason });
  assert.match(
    cure,
    /^If it should be there, make the role alias, here with a role of the same name\. It may do nothing/,
  );
  assert.deepEqual(commands, [
    `aws iam get-role --role-name=reader > /dev/null 2>&1 || aws iam create-role --role-name=reader --assume-role-policy-document '${trust}'`,
    'aws iot create-role-alias --role-alias=reader --role-arn "$(aws iam get-role --role-name=reader --query Role.Arn --output text)"',
  ]);
  const similar = explained({ reason, facts: { similarAlias: 'Reader' } });
  assert.match(similar.cure, /^Let it ask for "Reader": names are told apart by case\. Or make the role alias/);
  const long = explained({ reason, facts: { roleAlias: 'a'.repeat(128) } });
  assert.match(long.commands[1] ?? '', /--role-alias=a{128} .*--role-name=a{64} /);
  const impossible = explained({ reason, facts: { roleAlias: '$(reboot)' } });
  assert.deepEqual([impossible.cure, impossible.commands], ['Let it ask for one that exists.', []]);
});

test('a role that is missing is made under its path, and where it stands under another path the alias is changed', () => {
  const reason = 'ROLE_NOT_FOUND';
  assert.deepEqual(explained({ reason }).commands, [
    `aws iam create-role --role-name=reader --path /a/b/ --assume-role-policy-document '${trust}'`,
  ]);
  const sameNameRoleArn = 'arn:aws:iam::000000000000:role/reader';
  const moved = explained({ reason, facts: { sameNameRoleArn } });
  assert.match(moved.sentence, /does not exist: the role of that name is "arn:aws:iam::000000000000:role\/reader"\.$/);
  assert.deepEqual(moved.commands, [`aws iot update-role-alias --role-alias=reader --role-arn ${sameNameRoleArn}`]);
});

const ec2 = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
const [allowed] = JSON.parse(trust).Statement;
const denying = { ...allowed, Effect: 'Deny' };

const trusts: [policy: object, decidingStatement: number | undefined, expected: readonly object[], rule: string][] = [
  [{ Statement: [ec2] }, undefined, [ec2, allowed], 'gets the statement in addition'],
  [{ Id: 'x', Statement: ec2 }, undefined, [ec2, allowed], 'also where its one statement is no list'],
  [{ Statement: [ec2, denying] }, 1, [ec2, allowed], 'loses the Deny, and gets the statement'],
  [{ Statement: [denying, allowed] }, 0, [allowed], 'loses the Deny, and has the statement'],
];
for (const [policy, decidingStatement, expected, rule] of trusts) {
  test(`a trust policy ${rule}`, () => {
    const { sentence, commands } = explained({
      reason: 'ROLE_NOT_TRUSTING',
      decision: decidingStatement === undefined ? 'IMPLICIT_DENY' : 'EXPLICIT_DENY',
      facts: {
        trustedRole: 'reader',
        decidingDocument: JSON.stringify(policy),
        ...(decidingStatement !== undefined && { decidingStatement: String(decidingStatement) }),
      },
    });
    assert.match(
      sentence,
      decidingStatement === undefined
        ? /does not let credentials\.iot\.amazonaws\.com/
        : /Statement\[\d\] of its trust policy denies/,
    );
    const text = JSON.stringify({ ...policy, Statement: expected });
    assert.deepEqual(commands, [`aws iam update-assume-role-policy --role-name=reader --policy-document '${text}'`]);
  });
}

test('credentials that would last too long are made to last as long as they may', () => {
  const durations = { credentialDurationSeconds: '7200', maxSessionSeconds: '3600' };
  const { sentence, commands } = explained({
    reason: 'CREDENTIAL_DURATION_EXCEEDED',
    facts: { trustedRole: 'reader', ...durations },
  });
  assert.match(sentence, /last 7200 seconds, while sessions of its role "reader" last 3600 at most\.$/);
  assert.deepEqual(commands, ['aws iot update-role-alias --role-alias=reader --credential-duration-seconds 3600']);
});

test('a policy that asks for the thing of a request that names none says so, and not that a client id is missing', () => {
  const unresolved = ['iot:Connection.Thing.ThingTypeName'];
  const denied = (facts: Readonly<Record<string, string>>) =>
    explained({
      reason: 'AUTHORIZATION_FAILURE',
      decision: 'IMPLICIT_DENY',
      facts: { policyNames: 'p', ...facts },
      statements: [
        {
          ...{ policyName: 'p', policyArn: 'arn:aws:iot:us-east-1:000000000000:policy/p', policyVersionId: '1' },
          ...{ index: 0, effect: 'Allow', outcome: 'unresolved', unresolved },
        },
      ],
    });
  const unnamed = denied({ thingName: 'lamp' });
  assert.match(
    unnamed.sentence,
    /\$\{iot:Connection\.Thing\.ThingTypeName\} in .* has no value, because the request names no thing\.$/,
  );
  assert.equal(
    unnamed.cure,
    'Let the device name its thing in the header x-amzn-iot-thingname: "lamp" is attached to the certificate.',
  );
  assert.match(denied({}).cure, /^Attach a thing to the certificate/);
  const named = denied({ namedThing: 'lamp', thingName: 'lamp' });
  assert.match(named.sentence, /has no value for this connection/);
  assert.match(
    named.commands[0] ?? '',
    /"Action":"iot:AssumeRoleWithCertificate","Resource":"[^"]*:rolealias\/reader"/,
  );
});

test('what a device was given is told by role and alias', () => {
  const { sentence } = explained({ status: 'Success' });
  assert.equal(
    sentence,
    'The device with certificate ab12cd34 was given credentials of the role "arn:aws:iam::000000000000:role/a/b/reader" by the role alias "reader".',
  );
});
