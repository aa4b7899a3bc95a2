import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { testAccount } from '../../../test/call.ts';
import { openIamBed } from '../../../test/iam-bed.ts';
import { Fault } from '../../aws/fault.ts';
import type { AskedCall, Caller } from '../../feature.ts';
import { explain } from '../../journal/explain.ts';
import type { JournalRecord } from '../../journal/record.ts';
import { storedRecord } from '../../journal/stored-record.ts';
import { createCallAuthorization } from './authorize-call.ts';
import { createDescribeResource } from './resource-facts.ts';

const { accountId } = testAccount;
const arn = (resource: string): string => `arn:aws:iot:us-east-1:${accountId}:${resource}`;
const iamArn = (resource: string): string => `arn:aws:iam::${accountId}:${resource}`;
const documentOf = (...statements: readonly object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const allow = (Action: string | readonly string[], Resource = '*') => ({ Effect: 'Allow', Action, Resource });
const deny = (Action: string, more: object = {}) => ({ Effect: 'Deny', Action, Resource: '*', ...more });
const everything = documentOf(allow('*'));

const open = async (t: TestContext) => {
  const bed = await openIamBed(t);
  const records: JournalRecord[] = [];
  const tags = new Map<string, { Key: string; Value: string }[]>();
  const looked: string[] = [];
  const authorize = createCallAuthorization({
    iam: bed.iam,
    describe: createDescribeResource({
      db: bed.store.db,
      findDomainArn: async (_account, name) => (name === 'd' ? arn('domainconfiguration/d/abcde') : undefined),
      listTags: async (_account, of) => {
        looked.push(of);
        return tags.get(of) ?? [];
      },
    }),
    record: (attempt) => records.push(attempt),
  });
  const ask = (
    caller: Caller,
    operation: string,
    input: object = {},
    more: Partial<Pick<AskedCall, 'service' | 'arrival' | 'account'>> = {},
  ) =>
    authorize({
      ...{ service: 'iot', operation, input: { ...input }, account: testAccount, caller },
      arrival: { host: 'localhost', loopback: true, source: { ip: '192.0.2.7', port: 4711 } },
      ...more,
    });
  /** What a refusal says after `User: ARN is not authorized to perform: `. */
  const refusal = async (asked: Promise<void>, caller: Caller): Promise<string> => {
    const error = await asked.then(
      () => assert.fail('it was allowed'),
      (cause: unknown) => cause,
    );
    assert(error instanceof Fault && error.name === 'AccessDeniedException');
    const prefix = `User: ${caller.arn} is not authorized to perform: `;
    assert.ok(error.message.startsWith(prefix), error.message);
    return error.message.slice(prefix.length);
  };
  const told = (at = -1): string[] => {
    const record = records.at(at);
    assert(record);
    const { sentence, commands } = explain(storedRecord(record, { id: 'i', atMs: 0, sequence: 1 }), {
      account: testAccount,
      apiUrl: '',
    });
    return [sentence, ...commands];
  };
  return { ...bed, ask, refusal, records, tags, looked, told };
};

test('root may do everything; a user what a statement allows, and no more (IAM user guide, "Policy evaluation logic")', async (t) => {
  const { ask, refusal, user, records, told } = await open(t);
  const root: Caller = { accessKeyId: 'test', arn: iamArn('root'), userId: accountId, iam: { kind: 'root' } };
  await ask(root, 'DeleteThing', { thingName: 'lamp' });
  const alice = await user('alice', documentOf(allow('iot:DescribeThing', arn('thing/lamp'))));
  await ask(alice, 'DescribeThing', { thingName: 'lamp' });
  assert.equal(
    await refusal(ask(alice, 'DescribeThing', { thingName: 'pump' }), alice),
    `iot:DescribeThing on resource: ${arn('thing/pump')} because no identity-based policy allows the iot:DescribeThing action`,
  );
  const [
    { account, eventType, status, reason, action, resource, decision, sourceIp, sourcePort, facts } = assert.fail(),
  ] = records;
  assert.deepEqual([account, eventType, status, reason], [testAccount, 'ApiCall', 'Failure', 'AUTHORIZATION_FAILURE']);
  assert.deepEqual([action, resource, decision], ['iot:DescribeThing', arn('thing/pump'), 'IMPLICIT_DENY']);
  assert.deepEqual([sourceIp, sourcePort, facts?.['userName']], ['192.0.2.7', 4711, 'alice']);
  assert.match(told()[0] ?? '', /^User "alice" was refused iot:DescribeThing on "thing\/pump"/);
});

test('the resource is left out where ACM leaves it out, and named as IAM names its own', async (t) => {
  const { ask, refusal, user } = await open(t);
  const nobody = await user('nobody', documentOf(deny('iot:X')));
  assert.equal(
    await refusal(ask(nobody, 'ListCertificates', {}, { service: 'acm' }), nobody),
    'acm:ListCertificates because no identity-based policy allows the acm:ListCertificates action',
  );
  assert.equal(
    await refusal(ask(nobody, 'ListThings'), nobody),
    'iot:ListThings on resource: * because no identity-based policy allows the iot:ListThings action',
  );
  assert.equal(
    await refusal(ask(nobody, 'ListAccessKeys', { UserName: 'x' }, { service: 'iam' }), nobody),
    'iam:ListAccessKeys on resource: user x because no identity-based policy allows the iam:ListAccessKeys action',
  );
});

test('a Deny wins, of the user, of a group, of a managed policy; the journal says whose it is and how it is lifted', async (t) => {
  const { ask, refusal, user, run, told } = await open(t);
  const alice = await user('alice', documentOf(allow('*'), { Sid: 'Never', ...deny('iot:DeleteThing') }));
  const denied = (action: string, resource: string) =>
    `${action} on resource: ${resource} with an explicit deny in an identity-based policy`;
  assert.equal(
    await refusal(ask(alice, 'DeleteThing', { thingName: 'lamp' }), alice),
    denied('iot:DeleteThing', arn('thing/lamp')),
  );
  assert.deepEqual(told().slice(1), [
    `aws iam put-user-policy --user-name=alice --policy-name=own --policy-document '${documentOf(allow('*'))}'`,
  ]);

  await run('CreateGroup', { GroupName: 'devs' });
  await run('PutGroupPolicy', {
    GroupName: 'devs',
    PolicyName: 'own',
    PolicyDocument: documentOf(deny('iot:ListThings')),
  });
  await run('AddUserToGroup', { GroupName: 'devs', UserName: 'alice' });
  assert.equal(await refusal(ask(alice, 'ListThings'), alice), denied('iot:ListThings', '*'));
  assert.deepEqual(told().slice(1), ['aws iam delete-group-policy --group-name=devs --policy-name=own']);

  const { Policy } = await run('CreatePolicy', {
    PolicyName: 'careful',
    PolicyDocument: documentOf(deny('iot:GetPolicy'), allow('iot:X')),
  });
  await run('AttachUserPolicy', { UserName: 'alice', PolicyArn: Policy?.Arn });
  assert.equal(
    await refusal(ask(alice, 'GetPolicy', { policyName: 'p' }), alice),
    denied('iot:GetPolicy', arn('policy/p')),
  );
  const [sentence, ...commands] = told();
  assert.match(sentence ?? '', /Statement\[0\] of policy "careful" version v1 denies it/);
  assert.deepEqual(commands, [
    `aws iam create-policy-version --policy-arn ${iamArn('policy/careful')} --set-as-default --policy-document '${documentOf(allow('iot:X'))}'`,
  ]);
});

test('a permissions boundary and a session policy are named where it is they that do not allow', async (t) => {
  const { ask, refusal, user, session, run, told } = await open(t);
  const alice = await user('alice', everything);
  const { Policy } = await run('CreatePolicy', { PolicyName: 'fence', PolicyDocument: documentOf(allow('iot:List*')) });
  await run('PutUserPermissionsBoundary', { UserName: 'alice', PermissionsBoundary: Policy?.Arn });
  await ask(alice, 'ListThings');
  assert.equal(
    await refusal(ask(alice, 'GetRegistrationCode'), alice),
    'iot:GetRegistrationCode on resource: * because no permissions boundary allows the iot:GetRegistrationCode action',
  );
  assert.match(told()[1] ?? '', /^aws iam create-policy-version --policy-arn arn:aws:iam::000000000000:policy\/fence /);

  const ci = await session('deploy', everything, { sessionPolicy: documentOf(allow('iot:List*')) });
  await ask(ci, 'ListThings');
  assert.equal(
    await refusal(ask(ci, 'GetRegistrationCode'), ci),
    'iot:GetRegistrationCode on resource: * because no session policy allows the iot:GetRegistrationCode action',
  );
  const strict = await session('other', everything, { sessionPolicy: documentOf(allow('*'), deny('iot:ListThings')) });
  assert.equal(
    await refusal(ask(strict, 'ListThings'), strict),
    'iot:ListThings on resource: * with an explicit deny in a session policy',
  );
});

test('a role that is handed to the service must be one that the caller may pass, to that service (iam:PassRole)', async (t) => {
  const { ask, refusal, user, told } = await open(t);
  const roleArn = iamArn('role/R');
  const input = { caCertificate: '-', registrationConfig: { roleArn } };
  const alice = await user('alice', documentOf(allow('iot:*')));
  await ask(alice, 'RegisterCACertificate', { caCertificate: '-' });
  assert.equal(
    await refusal(ask(alice, 'RegisterCACertificate', input), alice),
    `iam:PassRole on resource: ${roleArn} because no identity-based policy allows the iam:PassRole action`,
  );
  const [sentence, command] = told();
  assert.match(sentence ?? '', /iam:PassRole on "[^"]+", which iot:RegisterCACertificate needs as well/);
  assert.match(command ?? '', /"iam:PassedToService":"iot.amazonaws.com"/);
  const to = (service: string) => ({
    ...allow('iam:PassRole', roleArn),
    Condition: { StringEquals: { 'iam:PassedToService': service } },
  });
  const bob = await user('bob', documentOf(allow('iot:*'), to('iot.amazonaws.com')));
  await ask(bob, 'RegisterCACertificate', input);
  const carol = await user('carol', documentOf(allow('iot:*'), to('credentials.iot.amazonaws.com')));
  assert.match(await refusal(ask(carol, 'RegisterCACertificate', input), carol), /^iam:PassRole/);
  await ask(carol, 'CreateRoleAlias', { roleAlias: 'a', roleArn });
});

test('keys of the request, of its tags and of the resource reach the conditions', async (t) => {
  const { ask, refusal, user, tags, run } = await open(t);
  const when = (Action: string, Condition: object) => ({ ...allow(Action), Condition });
  const alice = await user(
    'alice',
    documentOf(
      when('iot:ListThings', { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } }),
      when('iot:ListPolicies', { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } }),
      when('iot:ListCertificates', { Bool: { 'aws:SecureTransport': 'true' } }),
      when('iot:CreatePolicy', { StringEquals: { 'aws:RequestTag/team': 'blue' } }),
      when('iot:GetPolicy', { StringEquals: { 'aws:ResourceTag/team': 'blue' } }),
      when('iam:GetRole', { StringEquals: { 'iam:ResourceTag/team': 'blue' } }),
    ),
  );
  await ask(alice, 'ListThings');
  const account = { ...testAccount, region: 'eu-west-1' };
  assert.match(await refusal(ask(alice, 'ListThings', {}, { account }), alice), /^iot:ListThings/);
  await ask(alice, 'ListPolicies');
  const arrival = { host: 'localhost', loopback: true, source: { ip: '198.51.100.1', port: 1 } };
  assert.match(await refusal(ask(alice, 'ListPolicies', {}, { arrival }), alice), /^iot:ListPolicies/);
  assert.match(await refusal(ask(alice, 'ListCertificates'), alice), /^iot:ListCertificates/);
  const blue = { Key: 'team', Value: 'blue' };
  await ask(alice, 'CreatePolicy', { policyName: 'p', tags: [blue] });
  assert.match(await refusal(ask(alice, 'CreatePolicy', { policyName: 'p' }), alice), /^iot:CreatePolicy/);
  assert.match(await refusal(ask(alice, 'GetPolicy', { policyName: 'p' }), alice), /^iot:GetPolicy/);
  tags.set(arn('policy/p'), [blue]);
  await ask(alice, 'GetPolicy', { policyName: 'p' });
  const AssumeRolePolicyDocument = documentOf({
    Effect: 'Allow',
    Principal: { AWS: accountId },
    Action: 'sts:AssumeRole',
  });
  await run('CreateRole', { RoleName: 'R', AssumeRolePolicyDocument, Tags: [blue] });
  await ask(alice, 'GetRole', { RoleName: 'R' }, { service: 'iam' });
  assert.match(await refusal(ask(alice, 'GetRole', { RoleName: 'S' }, { service: 'iam' }), alice), /^iam:GetRole/);
});

test('tags of the resource are looked up for those whose policies can ask for them, and for nobody else', async (t) => {
  const { ask, user, tags, looked } = await open(t);
  const mine = arn('policy/mine');
  tags.set(mine, [{ Key: 'team', Value: 'mine' }]);
  const condition = documentOf({ ...allow('*'), Condition: { StringEquals: { 'aws:ResourceTag/team': 'mine' } } });
  // each allows the tagged one alone
  const documents: readonly (readonly [string, string])[] = [
    ['condition', condition.replace('aws:ResourceTag', 'AWS:resourcetag')],
    ['slash', condition.replace('Tag/team', 'Tag\\/team')],
    ['escape', condition.replace('ResourceTag', '\\u0052esourceTag')],
    ['variable', documentOf(allow('*', arn('policy/${aws:ResourceTag/team}')))],
  ];
  for (const [name, document] of documents) {
    const caller = await user(name, document);
    await ask(caller, 'GetPolicy', { policyName: 'mine' });
    await assert.rejects(ask(caller, 'GetPolicy', { policyName: 'other' }), { name: 'AccessDeniedException' });
    assert.deepEqual(looked.splice(0), [mine, arn('policy/other')], name);
  }
  const plain = await user('plain', documentOf(allow('iot:GetPolicy', mine)));
  await ask(plain, 'GetPolicy', { policyName: 'mine' });
  await assert.rejects(ask(plain, 'GetPolicy', { policyName: 'other' }), { name: 'AccessDeniedException' });
  assert.deepEqual(looked, []);
});

test('what is known by a name is asked about under its whole ARN: a Deny on a path cannot be stepped round', async (t) => {
  const { ask, refusal, user, records } = await open(t);
  const alice = await user(
    'alice',
    documentOf(
      allow('*'),
      { Effect: 'Deny', Action: 'iam:*', Resource: iamArn('user/admins/*') },
      { Effect: 'Deny', Action: 'iot:*', Resource: arn('domainconfiguration/d/abcde') },
    ),
  );
  await user('boss', everything, '/admins/');
  await ask(alice, 'CreateAccessKey', { UserName: 'alice' }, { service: 'iam' });
  assert.match(
    await refusal(ask(alice, 'CreateAccessKey', { UserName: 'boss' }, { service: 'iam' }), alice),
    /^iam:CreateAccessKey on resource: user boss with an explicit deny/,
  );
  assert.equal(records.at(-1)?.resource, iamArn('user/admins/boss'));
  const ofDomain = ask(alice, 'DescribeDomainConfiguration', { domainConfigurationName: 'd' });
  assert.match(await refusal(ofDomain, alice), new RegExp(`on resource: ${arn('domainconfiguration/d/abcde')} with`));
});

test('who renames or moves a user or group must be let do so to what it is and to what it becomes (API reference, UpdateUser)', async (t) => {
  const { ask, refusal, user, run, records } = await open(t);
  const alice = await user(
    'alice',
    documentOf(allow('iam:*', iamArn('user/devs/*')), allow('iam:*', iamArn('group/devs/*'))),
  );
  await user('bob', everything, '/devs/');
  await run('CreateGroup', { GroupName: 'all', Path: '/devs/' });
  const rename = (more: object) => ask(alice, 'UpdateUser', { UserName: 'bob', ...more }, { service: 'iam' });
  const regroup = (more: object) => ask(alice, 'UpdateGroup', { GroupName: 'all', ...more }, { service: 'iam' });
  await rename({});
  await rename({ NewUserName: 'robert', NewPath: '/devs/b/' });
  await regroup({ NewGroupName: 'every' });
  assert.match(await refusal(rename({ NewPath: '/admins/' }), alice), /^iam:UpdateUser on resource: user bob because/);
  assert.equal(records.at(-1)?.resource, iamArn('user/admins/bob'));
  await refusal(rename({ NewUserName: 'root', NewPath: '/' }), alice);
  assert.equal(records.at(-1)?.resource, iamArn('user/root'));
  await refusal(regroup({ NewPath: '/admins/' }), alice);
  assert.equal(records.at(-1)?.resource, iamArn('group/admins/all'));
});

test('what needs no permission is refused to nobody; pages of the node have a name; what no table knows is for root alone', async (t) => {
  const { ask, refusal, user } = await open(t);
  const nobody = await user('nobody', documentOf(deny('*')));
  await ask(nobody, 'GetCallerIdentity', {}, { service: 'sts' });
  assert.match(
    await refusal(ask(nobody, 'ReadJournal', {}, { service: 'fleetgate' }), nobody),
    /^fleetgate:ReadJournal on/,
  );
  const all = await user('all', everything);
  await ask(all, 'ReadJournal', {}, { service: 'fleetgate' });
  assert.match(await refusal(ask(all, 'StartAudit'), all), /^iot:StartAudit/);
});

test('credentials of GetSessionToken do not reach IAM, whatever policies say, nor those of the root (API reference, GetSessionToken)', async (t) => {
  const { ask, user, session, iam, callerOf, told } = await open(t);
  const alice = await user('alice', everything);
  const root = { kind: 'root' } as const;
  for (const principal of [alice.iam ?? assert.fail(), root]) {
    const { accessKeyId, sessionToken } = iam.mintSession({ accountId, principal, durationSeconds: 900 });
    const caller = await callerOf(accessKeyId, sessionToken);
    await ask(caller, 'ListThings');
    await ask(caller, 'GetCallerIdentity', {}, { service: 'sts' });
    for (const operation of ['CreateAccessKey', 'GetUser', 'CreateServiceSpecificCredential']) {
      await assert.rejects(ask(caller, operation, {}, { service: 'iam' }), {
        name: 'UnrecognizedClientException',
        message: 'The security token included in the request is invalid',
      });
      assert.ok(told()[0]?.startsWith(`${caller.arn} was refused iam:${operation}: `));
    }
  }
  await ask(await session('deploy', everything), 'ListUsers', {}, { service: 'iam' });
});

test('a caller with neither an identity nor an authority may do nothing', async (t) => {
  const { ask, refusal } = await open(t);
  const stranger: Caller = { accessKeyId: '', arn: 'arn:strange', userId: '' };
  assert.match(await refusal(ask(stranger, 'ListThings'), stranger), /^iot:ListThings/);
});

test('a change of policies counts for the next call', async (t) => {
  const { ask, refusal, user, run } = await open(t);
  const alice = await user('alice', everything);
  await ask(alice, 'ListThings');
  await run('DeleteUserPolicy', { UserName: 'alice', PolicyName: 'own' });
  assert.match(await refusal(ask(alice, 'ListThings'), alice), /because no identity-based policy allows/);
});

test('whose key it is decides who may see its last use; of a key of nobody, only who may see any (service authorization reference, GetAccessKeyLastUsed)', async (t) => {
  const { ask, refusal, user, run } = await open(t);
  const own = { Effect: 'Allow', Action: 'iam:GetAccessKeyLastUsed', Resource: iamArn('user/*${aws:username}') };
  const alice = await user('alice', documentOf(own), '/staff/');
  const bob = await user('bob', documentOf(allow('iam:GetAccessKeyLastUsed')));
  const lastUsed = (caller: Caller, AccessKeyId: string) =>
    ask(caller, 'GetAccessKeyLastUsed', { AccessKeyId }, { service: 'iam' });
  await lastUsed(alice, alice.accessKeyId);
  const what = 'iam:GetAccessKeyLastUsed on resource: ';
  const why = ' because no identity-based policy allows the iam:GetAccessKeyLastUsed action';
  assert.equal(await refusal(lastUsed(alice, bob.accessKeyId), alice), `${what}user bob${why}`);
  assert.equal(await refusal(lastUsed(alice, 'AKIAAAAAAAAAAAAAAAAA'), alice), `${what}*${why}`);
  await lastUsed(bob, alice.accessKeyId);
  await lastUsed(bob, 'AKIAAAAAAAAAAAAAAAAA');
  const Tags = [{ Key: 'team', Value: 'a' }];
  await run('TagUser', { UserName: 'alice', Tags });
  const tagged = { Condition: { StringEquals: { 'iam:ResourceTag/team': 'a' } } };
  const carol = await user('carol', documentOf({ ...allow('iam:GetAccessKeyLastUsed'), ...tagged }));
  await lastUsed(carol, alice.accessKeyId);
  assert.equal(await refusal(lastUsed(carol, bob.accessKeyId), carol), `${what}user bob${why}`);
});
