/**
 * Who gets credentials of a role, who does not, in which order that is asked, and what the journal hears. Order, messages and statuses are those observed of AWS
 * (github.com/awslabs/aws-iot-core-credential-provider-session-helper, docs/dev_notes.md).
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { makeCall, testAccount, testStartMs } from '../../../test/call.ts';
import { iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { JournalRecord } from '../../journal/record.ts';
import type { Peer } from '../../mqtt/authority.ts';
import { insertCertificate } from '../certificates/certificate.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { hostNamesOf } from '../domains/endpoint.ts';
import { migrations as iam } from '../iam/migrations.ts';
import { insertRole, type Role, saveRole } from '../iam/role.ts';
import { createSessionTokens } from '../iam/session-token.ts';
import { attachPolicy } from '../policies/attach-policy.ts';
import { createPolicy, createPolicyVersion } from '../policies/create-policy.ts';
import { policies } from '../policies/feature.ts';
import { tags } from '../tags/feature.ts';
import { attachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import { createCredentialsProvider } from './credentials-provider.ts';
import { roles } from './feature.ts';
import { createRoleAlias, updateRoleAlias } from './operations.ts';

const certificateId = 'c'.repeat(64);
const principal = iotArn(testAccount, 'cert', certificateId);
const roleArn = 'arn:aws:iam::000000000000:role/devices/reader';
const { 'iot:CredentialProvider': ownHost, 'iot:Data-ATS': dataHost } = hostNamesOf(testAccount, 'fleet.example');

const trustOf = (Statement: object | readonly object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });
const allowDevices = {
  Effect: 'Allow',
  Principal: { Service: 'credentials.iot.amazonaws.com' },
  Action: 'sts:AssumeRole',
};
const documentOf = (resource: string, effect = 'Allow'): string =>
  trustOf({ Effect: effect, Action: 'iot:AssumeRoleWithCertificate', Resource: resource });
const aliasArn = iotArn(testAccount, 'rolealias', 'reader');

/** An account in which a device with the thing `lamp` gets credentials by the role alias `reader`, and a way to ask for them. */
const bed = async (t: TestContext) => {
  const features = [tags({}), { name: 'certificates', migrations: certificates }, things(), policies(), roles()];
  const { call, store, records, advance } = await makeCall(t, {
    features: [...features, { name: 'iam', migrations: iam }],
  });
  const { account, now } = call;
  await call.write((db) =>
    insertCertificate(db, account, {
      ...{ certificateId, status: 'ACTIVE', certificateMode: 'SNI_ONLY', pem: 'not looked at here', generationId: '1' },
      ...{ createdAtMs: testStartMs, notBeforeMs: 0, notAfterMs: testStartMs * 2 },
    }),
  );
  for (const thingName of ['lamp', 'pump']) await createThing({ thingName }, call);
  await attachThingPrincipal({ thingName: 'lamp', principal }, call);
  await createPolicy({ policyName: 'p', policyDocument: documentOf(aliasArn) }, call);
  await attachPolicy({ policyName: 'p', target: principal }, call);
  await createRoleAlias({ roleAlias: 'reader', roleArn, credentialDurationSeconds: 3600 }, call);
  const role = await call.write((db) =>
    insertRole(db, account.accountId, {
      ...{ name: 'reader', path: '/devices/', createdAtMs: testStartMs },
      ...{ trustPolicy: trustOf(allowDevices), maxSessionSeconds: 3600 },
    }),
  );
  const tokens = createSessionTokens({ key: randomBytes(32), now });
  const provider = createCredentialsProvider({
    ...{ db: store.db, now, mintSession: tokens.mint },
    endpoints: {
      hostNames: () => hostNamesOf(testAccount, 'fleet.example'),
      isPlainName: (name) => name === 'localhost',
    },
    record: (record) => heard.push(record),
  });
  const heard: JournalRecord[] = [];
  /** Credentials, or what the device is told instead, with what the journal was told. */
  const ask = async (given: { roleAlias?: string; thingName?: string; host?: string | undefined } = {}) => {
    heard.length = 0;
    const { roleAlias = 'reader', thingName } = given;
    const serverName = 'host' in given ? given.host : ownHost;
    const peer: Peer = {
      ...{ account, serverName, certificate: { certificateId, der: new Uint8Array(0) } },
      ...{ tls: {}, remoteAddress: '192.0.2.1', remotePort: 1 },
    };
    const authority = { account, principalId: certificateId, facts: () => ({ certificateArn: principal }) };
    const answer = await provider({ peer, authority, roleAlias, thingName }).catch((error: unknown) => error);
    if (!(answer instanceof Fault)) return { answer, record: heard[0] };
    return { answer: `${answer.name}: ${answer.message}`, record: heard[0] };
  };
  const changeRole = (changes: Partial<Role>) =>
    call.write((db) => saveRole(db, account.accountId, { ...role, ...changes }));
  const setPolicy = (policyDocument: string) =>
    createPolicyVersion({ policyName: 'p', policyDocument, setAsDefault: true }, call);
  return { call, ask, tokens, role, changeRole, setPolicy, records, advance };
};

test('a device gets credentials of the role, in the name of its certificate, for as long as the alias says', async (t) => {
  const { ask, tokens, role, call } = await bed(t);
  await updateRoleAlias({ roleAlias: 'reader', credentialDurationSeconds: 900 }, call);
  const { answer, record } = await ask();
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = answer as Record<string, string>;
  assert.match(String(accessKeyId), /^ASIA[A-Z2-7]{16}$/);
  assert.equal(expiration, '2026-01-01T00:15:00Z');
  const opened = tokens.open(String(accessKeyId), String(sessionToken));
  assert.deepEqual(opened, {
    ...{ accountId: '000000000000', secretAccessKey, issuedAtMs: testStartMs, expiresAtMs: testStartMs + 900_000 },
    principal: {
      ...{ kind: 'role', roleName: 'reader', roleId: role.id, sessionName: certificateId },
      device: { certificateId },
    },
  });
  assert.deepEqual(
    [record?.eventType, record?.status, record?.reason, record?.facts?.['roleArn']],
    ['AssumeRoleWithCertificate', 'Success', undefined, roleArn],
  );
  const written = JSON.stringify(record);
  for (const secret of [secretAccessKey, sessionToken]) assert.ok(!written.includes(String(secret)));
});

test('a thing that the request names, and its type, are known to policies of the role', async (t) => {
  const { ask, tokens } = await bed(t);
  const { answer } = await ask({ thingName: 'lamp' });
  const { accessKeyId = '', sessionToken = '' } = answer as Record<string, string>;
  const principalOf = tokens.open(accessKeyId, sessionToken)?.principal;
  assert.deepEqual(principalOf?.kind === 'role' && principalOf.device, { certificateId, thingName: 'lamp' });
});

test('only the endpoint of the credentials provider gives any; plain names stand for it too', async (t) => {
  const { ask } = await bed(t);
  for (const host of [ownHost, `${ownHost}.`, 'localhost', undefined]) {
    assert.equal(typeof (await ask({ host })).answer, 'object', String(host));
  }
  const { answer, record } = await ask({ host: dataHost, thingName: 'pump' });
  assert.equal(answer, 'ResourceNotFoundException: Not Found');
  assert.deepEqual([record?.reason, record?.facts?.['endpoint']], ['CREDENTIALS_ENDPOINT_MISMATCH', ownHost]);
});

for (const thingName of ['pump', 'nobody', 'Lamp', '', 'lamp,lamp', 'x'.repeat(129)]) {
  test(`a thing named ${JSON.stringify(thingName.slice(0, 10))} that is not the certificate's gets nothing, whatever else is wrong`, async (t) => {
    const { ask, setPolicy } = await bed(t);
    await setPolicy(documentOf('*', 'Deny'));
    const { answer, record } = await ask({ thingName, roleAlias: 'none' });
    assert.equal(answer, 'AccessDeniedException: Invalid thing name passed');
    assert.deepEqual([record?.reason, record?.status], ['THING_NOT_ATTACHED', 'Failure']);
    assert.deepEqual([record?.facts?.['namedThing'], record?.facts?.['thingName']], [thingName, 'lamp']);
  });
}

test('the policies of the certificate decide, on the ARN of the role alias, before anything says whether that exists', async (t) => {
  const { ask, setPolicy } = await bed(t);
  await setPolicy(documentOf(iotArn(testAccount, 'rolealias', 'other')));
  for (const roleAlias of ['reader', 'none']) {
    const { answer, record } = await ask({ roleAlias });
    assert.equal(answer, 'AccessDeniedException: Access Denied');
    assert.deepEqual([record?.reason, record?.decision], ['AUTHORIZATION_FAILURE', 'IMPLICIT_DENY']);
    assert.deepEqual(
      [record?.action, record?.resource],
      ['iot:AssumeRoleWithCertificate', iotArn(testAccount, 'rolealias', roleAlias)],
    );
    assert.equal(record?.facts?.['policyNames'], 'p');
  }
  await setPolicy(documentOf('*', 'Deny'));
  const { record } = await ask();
  assert.deepEqual([record?.decision, record?.facts?.['decidingDocument']], ['EXPLICIT_DENY', documentOf('*', 'Deny')]);
  await setPolicy(documentOf(iotArn(testAccount, 'rolealias', 'Reader')));
  assert.equal((await ask()).answer, 'AccessDeniedException: Access Denied');
});

test('policies may ask for the thing that the request names, and have no value for it where none is named', async (t) => {
  const { ask, setPolicy, call } = await bed(t);
  await createRoleAlias({ roleAlias: 'lamp', roleArn }, call);
  await setPolicy(documentOf(iotArn(testAccount, 'rolealias', '${iot:Connection.Thing.ThingName}')));
  assert.equal(typeof (await ask({ roleAlias: 'lamp', thingName: 'lamp' })).answer, 'object');
  const { answer, record } = await ask({ roleAlias: 'lamp' });
  assert.equal(answer, 'AccessDeniedException: Access Denied');
  assert.deepEqual(record?.unresolved, ['iot:Connection.Thing.ThingName']);
  assert.equal(record?.facts?.['thingName'], 'lamp');
  assert.equal((await ask({ roleAlias: 'reader', thingName: 'lamp' })).answer, 'AccessDeniedException: Access Denied');
});

test('there are no client ids in such requests, nor values of credentials-iot, which are for IAM (developer guide)', async (t) => {
  const { ask, setPolicy, call } = await bed(t);
  await createRoleAlias({ roleAlias: 'lamp', roleArn }, call);
  for (const variable of ['${iot:ClientId}', '${credentials-iot:ThingName}']) {
    await setPolicy(documentOf(iotArn(testAccount, 'rolealias', variable)));
    const { answer } = await ask({ roleAlias: 'lamp', thingName: 'lamp' });
    assert.equal(answer, 'AccessDeniedException: Access Denied', variable);
  }
});

test('a role alias that is missing is told by name, and by one that differs in case only', async (t) => {
  const { ask, setPolicy } = await bed(t);
  await setPolicy(documentOf('*'));
  for (const [roleAlias, similar] of [
    ['none', undefined],
    ['READER', 'reader'],
    ['rea/der', undefined],
    ['', undefined],
  ] as const) {
    const { answer, record } = await ask({ roleAlias });
    assert.equal(answer, 'ResourceNotFoundException: Role alias does not exist');
    assert.deepEqual([record?.reason, record?.facts?.['similarAlias']], ['ROLE_ALIAS_NOT_FOUND', similar]);
    assert.equal(record?.facts?.['roleAlias'], roleAlias);
  }
});

test('a role that is missing, or stands under another path, cannot be assumed', async (t) => {
  const { ask, call } = await bed(t);
  const refused = 'InvalidRequestException: Unable to assume the role, or the role to assume does not exist';
  await updateRoleAlias({ roleAlias: 'reader', roleArn: 'arn:aws:iam::000000000000:role/nobody' }, call);
  const missing = await ask();
  assert.equal(missing.answer, refused);
  assert.deepEqual([missing.record?.reason, missing.record?.facts?.['sameNameRoleArn']], ['ROLE_NOT_FOUND', undefined]);
  await updateRoleAlias({ roleAlias: 'reader', roleArn: 'arn:aws:iam::000000000000:role/reader' }, call);
  const moved = await ask();
  assert.equal(moved.answer, refused);
  assert.deepEqual([moved.record?.reason, moved.record?.facts?.['sameNameRoleArn']], ['ROLE_NOT_FOUND', roleArn]);
});

const ofAccount = { StringEquals: { 'aws:SourceAccount': '000000000000' } };
const trusts: [statements: readonly object[], given: boolean, rule: string][] = [
  [[allowDevices], true, 'the service by its name'],
  [
    [{ ...allowDevices, Principal: { Service: ['ec2.amazonaws.com', 'credentials.iot.amazonaws.com'] } }],
    true,
    'in a list',
  ],
  [[{ ...allowDevices, Principal: { Service: 'iot.amazonaws.com' } }], false, 'another service'],
  [[{ ...allowDevices, Principal: { AWS: 'arn:aws:iam::000000000000:root' } }], false, 'the account'],
  [[{ ...allowDevices, Action: 'sts:TagSession' }], false, 'another action'],
  [[allowDevices, { ...allowDevices, Effect: 'Deny' }], false, 'a Deny beside the Allow'],
  [[{ ...allowDevices, Condition: ofAccount }], true, 'the account that asks (confused deputy)'],
  [[{ ...allowDevices, Condition: { ArnLike: { 'aws:SourceArn': aliasArn } } }], true, 'the role alias'],
  [[{ ...allowDevices, Condition: { StringEquals: { 'aws:SourceAccount': '1' } } }], false, 'another account'],
];
for (const [statements, given, rule] of trusts) {
  test(`a trust policy that ${given ? 'lets' : 'does not let'} the credentials provider: ${rule}`, async (t) => {
    const { ask, changeRole } = await bed(t);
    const trustPolicy = trustOf(statements);
    await changeRole({ trustPolicy });
    const { answer, record } = await ask();
    if (given) {
      assert.equal(typeof answer, 'object', String(answer));
      return;
    }
    assert.equal(answer, 'InvalidRequestException: Unable to assume the role, or the role to assume does not exist');
    assert.equal(record?.reason, 'ROLE_NOT_TRUSTING');
    const { trustedRole, decidingDocument, decidingStatement } = record.facts ?? {};
    assert.deepEqual([trustedRole, decidingDocument], ['reader', trustPolicy]);
    const isDenied = statements.length > 1;
    assert.deepEqual([record.decision === 'EXPLICIT_DENY', decidingStatement], [isDenied, isDenied ? '1' : undefined]);
  });
}

test('an alias that asks for longer sessions than the role allows gets none at all (observed)', async (t) => {
  const { ask, changeRole, call } = await bed(t);
  await updateRoleAlias({ roleAlias: 'reader', credentialDurationSeconds: 3601 }, call);
  const { answer, record } = await ask();
  assert.equal(
    answer,
    'InvalidRequestException: The requested CredentialDurationSeconds exceeds the MaxSessionDuration set for the role',
  );
  const { credentialDurationSeconds, maxSessionSeconds } = record?.facts ?? {};
  assert.deepEqual(
    [record?.reason, credentialDurationSeconds, maxSessionSeconds],
    ['CREDENTIAL_DURATION_EXCEEDED', '3601', '3600'],
  );
  await changeRole({ maxSessionSeconds: 43_200 });
  assert.equal(typeof (await ask()).answer, 'object');
});
