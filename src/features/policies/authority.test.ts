import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { version1Id, version1Pem } from '../../../test/openssl.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import { localBus } from '../../bus/local.ts';
import type { Call } from '../../feature.ts';
import type { Reason } from '../../journal/record.ts';
import type { Admission, Authority, ConnectFacts, Peer } from '../../mqtt/authority.ts';
import {
  type CertificateMode,
  type CertificateStatus,
  certificateArn,
  insertCertificate,
  removeCertificate,
  saveStatus,
} from '../certificates/certificate.ts';
import { migrations } from '../certificates/migrations.ts';
import { attachThingPrincipal, detachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import { updateThing } from '../things/update-thing.ts';
import { attachPolicy, detachPolicy } from './attach-policy.ts';
import { type AuthoritiesOptions, createAuthorities } from './authority.ts';
import { createPolicy, createPolicyVersion } from './create-policy.ts';
import { policies } from './feature.ts';
import { createLivePrincipals } from './live-principals.ts';
import { deletePolicy, setDefaultPolicyVersion } from './operations.ts';

const certificateId = 'a'.repeat(64);
const statement = (Action: string, Resource: string, rest: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...rest,
});
const documentOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const allowAll = documentOf(statement('iot:*', '*'));
const allowNothing = documentOf(statement('iot:Publish', 'arn:aws:iot:us-east-1:000000000000:topic/never'));

const make = async (t: TestContext, options: Partial<AuthoritiesOptions> = {}) => {
  const made = await makeCall(t, { features: [{ name: 'certificates', migrations }, things(), policies()] });
  const authorities = createAuthorities({
    db: made.call.db,
    bus: made.bus,
    now: made.call.now,
    region: 'us-east-1',
    requireSni: false,
    connectionsMax: 1000,
    recheckMs: 60_000, // tests say when
    ...options,
  });
  t.after(() => authorities.close());
  return { ...made, authorities };
};

interface Registration {
  readonly id?: string;
  readonly status?: CertificateStatus;
  readonly certificateMode?: CertificateMode;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly pem?: string;
}

const register = (call: Call, { id = certificateId, ...rest }: Registration = {}) =>
  call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId: id,
      status: 'ACTIVE',
      certificateMode: 'SNI_ONLY',
      pem: 'not looked at here',
      generationId: id.slice(0, 8),
      createdAtMs: testStartMs,
      notBeforeMs: 0,
      notAfterMs: testStartMs * 2,
      ...rest,
    }),
  );

/** Registered, and with this policy attached. */
const admissible = async (call: Call, policyDocument: string, registration: Registration = {}) => {
  await register(call, registration);
  await createPolicy({ policyName: 'p', policyDocument }, call);
  await attachPolicy({ policyName: 'p', target: certificateArn(call.account, registration.id ?? certificateId) }, call);
};

const setStatus = async (call: Call, status: CertificateStatus, id = certificateId) => {
  await call.write((db) => saveStatus(db, call.account, { certificateId: id, status, nowMs: call.now() }));
  call.changed('certificate', id);
};

const peerOf = (peer: Partial<Peer> = {}): Peer => ({
  account: testAccount,
  serverName: 'localhost',
  certificate: { certificateId, der: new Uint8Array([1]) },
  tls: {},
  remoteAddress: '::ffff:192.0.2.10',
  remotePort: 50_000,
  ...peer,
});
const withoutSni = { account: undefined, serverName: undefined };

const connectAs = (clientId: string, rest: Partial<ConnectFacts> = {}): ConnectFacts => ({
  clientId,
  connectAttributes: [],
  lastWillTopic: undefined,
  ...rest,
});

const admitted = (admission: Admission): Authority => {
  assert.ok('authority' in admission, `refused: ${JSON.stringify(admission)}`);
  return admission.authority;
};
const refused = (admission: Admission) => {
  assert.ok('refusal' in admission);
  return admission;
};

const statuses: [registration: Registration, refusal: Reason | undefined, rule: string][] = [
  [{ status: 'ACTIVE' }, undefined, 'an ACTIVE certificate is admitted'],
  [{ status: 'INACTIVE' }, 'DEVICE_CERTIFICATE_INACTIVE', 'INACTIVE'],
  [{ status: 'REVOKED' }, 'DEVICE_CERTIFICATE_REVOKED', 'REVOKED'],
  [{ status: 'PENDING_ACTIVATION' }, 'DEVICE_CERTIFICATE_PENDING', 'PENDING_ACTIVATION'],
  [{ status: 'PENDING_TRANSFER' }, 'DEVICE_CERTIFICATE_PENDING', 'PENDING_TRANSFER'],
  [{ notBeforeMs: testStartMs }, undefined, 'the first instant of the validity belongs to it'],
  [{ notBeforeMs: testStartMs + 1 }, 'DEVICE_CERTIFICATE_NOT_YET_VALID', 'before its first instant'],
  [{ notAfterMs: testStartMs }, undefined, 'the last instant of the validity belongs to it'],
  [{ notAfterMs: testStartMs - 1 }, 'DEVICE_CERTIFICATE_EXPIRED', 'after its last instant'],
  [{ status: 'REVOKED', notAfterMs: 1 }, 'DEVICE_CERTIFICATE_REVOKED', 'the status is asked before the dates'],
];
for (const [registration, expected, rule] of statuses) {
  test(`admission: ${rule} (gateway 1.5)`, async (t) => {
    const { call, authorities } = await make(t);
    await register(call, registration);
    const admission = await authorities.admit(peerOf(), connectAs('dev1'));
    assert.equal('refusal' in admission ? admission.refusal : undefined, expected);
    if (expected === undefined) return;
    const { account, facts } = refused(admission);
    assert.deepEqual(account, testAccount, 'the journal of the account that the SNI named');
    assert.equal(facts?.['certificateStatus'], registration.status ?? 'ACTIVE');
    assert.equal(facts?.['certificateArn'], certificateArn(testAccount, certificateId));
    assert.equal(authorities.sizes().connections, 0, 'nothing of a refused peer stays in memory');
  });
}

test('a peer without a certificate is refused, in the journal of the account its SNI names', async (t) => {
  const { authorities } = await make(t);
  const admission = await authorities.admit(peerOf({ certificate: undefined }), connectAs('dev1'));
  assert.deepEqual(admission, { refusal: 'CLIENT_CERTIFICATE_MISSING', account: testAccount });
});

test('what another account holds is not registered here, and the refusal does not tell of it (design 5)', async (t) => {
  const { callAs, authorities } = await make(t);
  await admissible(callAs(otherAccount), allowAll, { pem: version1Pem });
  const certificate = { certificateId, der: new X509Certificate(version1Pem).raw };
  const admission = await authorities.admit(peerOf({ certificate }), connectAs('dev1'));
  assert.deepEqual(admission, { refusal: 'DEVICE_CERTIFICATE_NOT_REGISTERED', account: testAccount, facts: {} });
});

test('an unknown certificate with the subject of a registered one names that twin, at most twice a second', async (t) => {
  const { call, authorities } = await make(t);
  await register(call, { id: 'b'.repeat(64) });
  await register(call, { id: version1Id, pem: version1Pem });
  const certificate = { certificateId, der: new X509Certificate(version1Pem).raw };
  const first = refused(await authorities.admit(peerOf({ certificate }), connectAs('dev1')));
  assert.deepEqual([first.refusal, first.facts], ['DEVICE_CERTIFICATE_NOT_REGISTERED', { registeredTwin: version1Id }]);
  const second = refused(await authorities.admit(peerOf({ certificate }), connectAs('dev1')));
  assert.deepEqual(second.facts, {}, 'a flood of strangers costs one search');
});

const elsewhere: AccountRegion = { ...testAccount, region: 'eu-central-1' };
type Holding = [account: AccountRegion, certificateMode: CertificateMode];
const withoutName: [holdings: Holding[], expected: AccountRegion | Reason, rule: string][] = [
  [[[testAccount, 'DEFAULT']], testAccount, 'the one account that holds it in DEFAULT mode'],
  [[[otherAccount, 'DEFAULT']], otherAccount, 'whichever account that is'],
  [[[testAccount, 'SNI_ONLY']], 'SNI_REQUIRED', 'SNI_ONLY needs SNI'],
  [
    [
      [testAccount, 'DEFAULT'],
      [otherAccount, 'SNI_ONLY'],
    ],
    testAccount,
    'an SNI_ONLY holder beside it changes nothing',
  ],
  [[[elsewhere, 'DEFAULT']], 'SNI_REQUIRED', 'only the default region is looked at'],
  [[], 'SNI_REQUIRED', 'nobody holds it'],
];
for (const [holdings, expected, rule] of withoutName) {
  test(`without SNI: ${rule} (gateway 1.1, design 3)`, async (t) => {
    const { callAs, authorities } = await make(t);
    for (const [account, certificateMode] of holdings) await register(callAs(account), { certificateMode });
    const admission = await authorities.admit(peerOf(withoutSni), connectAs('dev1'));
    if (typeof expected === 'string') assert.deepEqual(admission, { refusal: expected, account: undefined });
    else assert.deepEqual(admitted(admission).account, expected);
  });
}

test('a name of no account never falls back to the certificate, which no name would (gateway 1.1)', async (t) => {
  const { call, authorities } = await make(t);
  await register(call, { certificateMode: 'DEFAULT' });
  const misnamed = await authorities.admit(peerOf({ account: undefined, serverName: 'nobody' }), connectAs('dev1'));
  assert.deepEqual(misnamed, { refusal: 'SNI_MISUSED', account: undefined });
  admitted(await authorities.admit(peerOf(withoutSni), connectAs('dev1')));
});

test('requireSni refuses a connection without SNI whose account could be derived (gateway 1.1)', async (t) => {
  const { call, authorities } = await make(t, { requireSni: true });
  await register(call, { certificateMode: 'DEFAULT' });
  const unnamed = await authorities.admit(peerOf(withoutSni), connectAs('dev1'));
  assert.deepEqual(unnamed, { refusal: 'SNI_REQUIRED', account: undefined });
  admitted(await authorities.admit(peerOf(), connectAs('dev1')));
});

test('without a policy nothing is allowed; the union of all policies is, unless one denies (policy 6)', async (t) => {
  const { call, authorities } = await make(t);
  await register(call);
  const bare = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  assert.equal(bare.allows('iot:Connect', 'client/dev1'), false);
  const target = certificateArn(testAccount, certificateId);
  const deny = documentOf(statement('iot:Publish', 'arn:aws:iot:us-east-1:000000000000:topic/b', { Effect: 'Deny' }));
  for (const [policyName, policyDocument] of [
    ['all', allowAll],
    ['deny-b', deny],
  ] as const) {
    await createPolicy({ policyName, policyDocument }, call);
    await attachPolicy({ policyName, target }, call);
  }
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  assert.equal(authority.allows('iot:Connect', 'client/dev1'), true);
  assert.equal(authority.allows('iot:Publish', 'topic/a'), true);
  assert.equal(authority.allows('iot:Publish', 'topic/b'), false);
  const { decision, statements, decidedBy } = authority.weigh('iot:Publish', 'topic/b');
  assert.equal(decision, 'EXPLICIT_DENY');
  assert.equal(statements[decidedBy ?? -1]?.policyName, 'deny-b');
  assert.deepEqual(authority.facts(), {
    certificateArn: target,
    certificateStatus: 'ACTIVE',
    policyNames: 'all deny-b',
    decidingDocument: deny,
  });
  authority.weigh('iot:Publish', 'topic/a');
  assert.equal(authority.facts()['decidingDocument'], undefined, 'the document belongs to the last refusal weighed');
});

const contexts: [
  action: 'iot:Connect' | 'iot:Publish',
  rest: object,
  peer: Partial<Peer>,
  connect: ConnectFacts,
  rule: string,
][] = [
  ['iot:Publish', { StringEquals: { 'iot:ClientId': 'dev1' } }, {}, connectAs('dev1'), 'the client id'],
  [
    'iot:Publish',
    { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } },
    {},
    connectAs('x'),
    'the address, IPv4 mapped into IPv6 as IPv4',
  ],
  [
    'iot:Publish',
    { StringEquals: { 'iot:DomainName': 'my.name' } },
    { serverName: 'my.name' },
    connectAs('x'),
    'the SNI',
  ],
  ['iot:Publish', { StringEquals: { 'iot:CertificateId': certificateId } }, {}, connectAs('x'), 'the certificate id'],
  [
    'iot:Connect',
    { 'ForAnyValue:StringEquals': { 'iot:ConnectAttributes': 'LastWill' } },
    {},
    connectAs('x', { connectAttributes: ['LastWill'] }),
    'the connect attributes',
  ],
  [
    'iot:Connect',
    { ArnEquals: { 'iot:LastWillTopic': 'arn:aws:iot:us-east-1:000000000000:topic/will' } },
    {},
    connectAs('x', { lastWillTopic: 'will' }),
    'the topic of the will',
  ],
  [
    'iot:Publish',
    { DateGreaterThan: { 'aws:CurrentTime': '2025-12-31T00:00:00Z' } },
    {},
    connectAs('x'),
    'the clock of the node',
  ],
];
for (const [action, Condition, peer, connect, rule] of contexts) {
  test(`policies are told ${rule} (policy 4.4, 5)`, async (t) => {
    const { call, authorities } = await make(t);
    await admissible(call, documentOf(statement(action, '*', { Condition })));
    const authority = admitted(await authorities.admit(peerOf(peer), connect));
    assert.equal(authority.allows(action, 'topic/a'), true);
  });
}

test('policies are told the fields of the certificate that the peer showed (policy 4.4)', async (t) => {
  const { call, authorities } = await make(t);
  const document = documentOf(
    statement(
      'iot:Publish',
      'arn:aws:iot:us-east-1:000000000000:topic/${iot:Certificate.Subject.Country}/${iot:Certificate.Subject.CommonName}',
    ),
  );
  await admissible(call, document, { id: version1Id });
  const certificate = { certificateId: version1Id, der: new X509Certificate(version1Pem).raw };
  const authority = admitted(await authorities.admit(peerOf({ certificate }), connectAs('x')));
  assert.equal(authority.allows('iot:Publish', 'topic/DE/dev-v1'), true);
  assert.equal(authority.allows('iot:Publish', 'topic/DE/dev-v2'), false);
});

test('a condition on the time is never remembered: the revision moves with every look', async (t) => {
  const { call, authorities, advance } = await make(t);
  const Condition = { DateLessThan: { 'aws:CurrentTime': new Date(testStartMs + 1000).toISOString() } };
  await admissible(call, documentOf(statement('iot:*', '*', { Condition })));
  const authority = admitted(await authorities.admit(peerOf(), connectAs('x')));
  assert.notEqual(authority.revision, authority.revision);
  assert.equal(authority.allows('iot:Publish', 'topic/a'), true);
  advance(1000);
  assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
});

const byThing = documentOf(
  statement('iot:*', 'arn:aws:iot:us-east-1:000000000000:client/${iot:Connection.Thing.ThingName}'),
  statement('iot:*', 'arn:aws:iot:us-east-1:000000000000:topic/${iot:Connection.Thing.Attributes[site]}'),
);
const thingRules: [
  type: 'EXCLUSIVE_THING' | 'NON_EXCLUSIVE_THING' | undefined,
  clientId: string,
  allowed: boolean,
  rule: string,
][] = [
  ['NON_EXCLUSIVE_THING', 'dev1', true, 'attached, and named like the client id (check 2)'],
  [undefined, 'dev1', false, 'not attached (check 3)'],
  ['NON_EXCLUSIVE_THING', 'other', false, 'attached under another name'],
  ['EXCLUSIVE_THING', 'other', true, 'exclusive, whatever the client id (check 4)'],
];
for (const [thingPrincipalType, clientId, allowed, rule] of thingRules) {
  test(`the thing of the connection: ${rule} (policy 4.4)`, async (t) => {
    const { call, authorities } = await make(t);
    await admissible(call, byThing);
    await createThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'tokyo' } } }, call);
    const principal = certificateArn(testAccount, certificateId);
    if (thingPrincipalType) await attachThingPrincipal({ thingName: 'dev1', principal, thingPrincipalType }, call);
    const authority = admitted(await authorities.admit(peerOf(), connectAs(clientId)));
    assert.equal(authority.allows('iot:Connect', 'client/dev1'), allowed);
    assert.equal(authority.allows('iot:Publish', 'topic/tokyo'), allowed);
    assert.equal(authority.facts()['thingName'], thingPrincipalType && 'dev1', 'a cure may name what is attached');
  });
}

const principal = certificateArn(testAccount, certificateId);
const changesThatAct: [rule: string, before: boolean, change: (call: Call) => Promise<unknown>][] = [
  ['a policy detached', true, (call) => detachPolicy({ policyName: 'p', target: principal }, call)],
  [
    'a new default version',
    true,
    (call) => createPolicyVersion({ policyName: 'p', policyDocument: allowNothing, setAsDefault: true }, call),
  ],
  [
    'the default set back',
    true,
    async (call) => {
      await createPolicyVersion({ policyName: 'p', policyDocument: allowNothing, setAsDefault: true }, call);
      await createPolicyVersion({ policyName: 'p', policyDocument: byThing, setAsDefault: true }, call);
      await setDefaultPolicyVersion({ policyName: 'p', policyVersionId: '2' }, call);
    },
  ],
  ['a thing detached', true, (call) => detachThingPrincipal({ thingName: 'dev1', principal }, call)],
  [
    'an attribute changed',
    true,
    (call) => updateThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'osaka' } } }, call),
  ],
  ['a policy attached', false, (call) => attachPolicy({ policyName: 'all', target: principal }, call)],
];
for (const [rule, before, change] of changesThatAct) {
  test(`${rule} while connected: nothing is decided before it is read, then the decision is the new one (policy 7)`, async (t) => {
    const { call, authorities } = await make(t);
    await admissible(call, before ? byThing : allowNothing);
    await createPolicy({ policyName: 'all', policyDocument: allowAll }, call);
    await createThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'tokyo' } } }, call);
    await attachThingPrincipal({ thingName: 'dev1', principal }, call);
    const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
    const { revision } = authority;
    assert.equal(authority.allows('iot:Publish', 'topic/tokyo'), before);
    assert.equal(authority.stale(), undefined);
    await change(call);
    const stale = authority.stale();
    assert.ok(stale, 'the notice has been heard');
    await stale;
    assert.equal(authority.stale(), undefined);
    assert.equal(authority.allows('iot:Publish', 'topic/tokyo'), !before);
    assert.ok(authority.revision > revision);
  });
}

test("another account's changes of things, policies and certificates of the same name do not concern it (design 5)", async (t) => {
  const { call, callAs, authorities } = await make(t);
  await admissible(call, allowAll);
  await createThing({ thingName: 'dev1' }, call);
  await attachThingPrincipal({ thingName: 'dev1', principal }, call);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  const lost: Reason[] = [];
  authority.onLost((reason) => lost.push(reason));
  const { revision } = authority;
  const other = callAs(otherAccount);
  await admissible(other, allowAll);
  await createThing({ thingName: 'dev1' }, other);
  await attachThingPrincipal({ thingName: 'dev1', principal: certificateArn(otherAccount, certificateId) }, other);
  await updateThing({ thingName: 'dev1' }, other);
  await createPolicyVersion({ policyName: 'p', policyDocument: allowNothing, setAsDefault: true }, other);
  await setStatus(other, 'REVOKED');
  assert.equal(authority.stale(), undefined);
  await authorities.recheck();
  assert.deepEqual([authority.revision, authority.allows('iot:Publish', 'topic/a'), lost], [revision, true, []]);
});

const losses: [rule: string, change: (call: Call) => Promise<unknown>, status: string | undefined][] = [
  ['INACTIVE', (call) => setStatus(call, 'INACTIVE'), 'INACTIVE'],
  ['REVOKED', (call) => setStatus(call, 'REVOKED'), 'REVOKED'],
  [
    'deleted',
    async (call) => {
      await call.write((db) => removeCertificate(db, call.account, certificateId));
      call.changed('certificate', certificateId);
    },
    undefined,
  ],
  [
    'INACTIVE and at once ACTIVE again',
    async (call) => {
      await call.write(async (db) => {
        for (const status of ['INACTIVE', 'ACTIVE'] as const) {
          await saveStatus(db, call.account, { certificateId, status, nowMs: 0 });
        }
      });
      call.changed('certificate', certificateId);
    },
    'ACTIVE',
  ],
];
for (const [rule, change, status] of losses) {
  test(`a certificate that becomes ${rule} ends all its connections, once, and allows nothing more (policy 7, check 34)`, async (t) => {
    const { call, authorities } = await make(t);
    await admissible(call, allowAll);
    const lost: string[] = [];
    const connected: Authority[] = [];
    for (const clientId of ['dev1', 'dev2']) {
      const authority = admitted(await authorities.admit(peerOf(), connectAs(clientId)));
      authority.onLost((reason) => lost.push(`${clientId} ${reason}`));
      connected.push(authority);
    }
    await change(call);
    await connected[0]?.stale();
    assert.deepEqual(lost, ['dev1 CERTIFICATE_NO_LONGER_ACTIVE', 'dev2 CERTIFICATE_NO_LONGER_ACTIVE']);
    for (const authority of connected) {
      assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
      assert.equal(authority.weigh('iot:Publish', 'topic/a').decision, 'IMPLICIT_DENY');
      assert.equal(authority.stale(), undefined);
      assert.equal(authority.facts()['certificateStatus'], status);
      authority.release();
    }
    call.changed('certificate', certificateId);
    await authorities.recheck();
    assert.equal(lost.length, 2);
    assert.equal(authorities.sizes().connections, 0);
  });
}

test('a certificate lost between admission and onLost is told all the same', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  await setStatus(call, 'INACTIVE');
  await authority.stale();
  const lost: Reason[] = [];
  authority.onLost((reason) => lost.push(reason));
  await new Promise(setImmediate);
  assert.deepEqual(lost, ['CERTIFICATE_NO_LONGER_ACTIVE']);
});

test('a certificate that expires while connected ends its connections at the next look at the clock (gateway 1.5)', async (t) => {
  const { call, authorities, advance } = await make(t);
  await admissible(call, allowAll, { notAfterMs: testStartMs + 5000 });
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  const lost: Reason[] = [];
  authority.onLost((reason) => lost.push(reason));
  advance(5000);
  await authorities.recheck();
  assert.deepEqual(lost, [], 'the last instant belongs to the validity');
  advance(1);
  await authorities.recheck();
  assert.deepEqual(lost, ['DEVICE_CERTIFICATE_EXPIRED']);
});

test('lost notices are healed by age: policy, thing and status are read again without holding anything up', async (t) => {
  const { call, authorities } = await make(t, { bus: localBus() });
  await admissible(call, byThing);
  await createThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'tokyo' } } }, call);
  await attachThingPrincipal({ thingName: 'dev1', principal }, call);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  const lost: Reason[] = [];
  authority.onLost((reason) => lost.push(reason));

  await updateThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'osaka' } } }, call);
  assert.equal(authority.allows('iot:Publish', 'topic/tokyo'), true, 'nobody has told');
  const rechecked = authorities.recheck();
  assert.equal(authority.stale(), undefined);
  await rechecked;
  assert.equal(authority.allows('iot:Publish', 'topic/tokyo'), false);
  assert.equal(authority.allows('iot:Publish', 'topic/osaka'), true);

  await detachPolicy({ policyName: 'p', target: principal }, call);
  await authorities.recheck();
  assert.equal(authority.allows('iot:Publish', 'topic/osaka'), false);

  await setStatus(call, 'REVOKED');
  await authorities.recheck();
  assert.deepEqual(lost, ['CERTIFICATE_NO_LONGER_ACTIVE']);
});

test('rechecking happens by itself, every recheckMs', async (t) => {
  const { call, authorities } = await make(t, { bus: localBus(), recheckMs: 5 });
  await admissible(call, allowAll);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  const lost = new Promise<Reason>((resolve) => authority.onLost(resolve));
  await setStatus(call, 'INACTIVE');
  const keepAlive = setInterval(() => undefined, 1000); // the timers of the authorities keep no process alive
  assert.equal(await lost, 'CERTIFICATE_NO_LONGER_ACTIVE');
  clearInterval(keepAlive);
});

for (const [recheckMs, status] of [
  [60_000, 'ACTIVE'],
  [1, 'INACTIVE'],
] as const) {
  test(`with recheckMs ${recheckMs} a second connection finds what is ${status === 'ACTIVE' ? 'in memory' : 'in the store'}`, async (t) => {
    const { call } = await make(t);
    await register(call);
    const live = createLivePrincipals({
      db: call.db,
      now: call.now,
      connectionsMax: 10,
      policySetsMax: 10,
      recheckMs,
      failed: () => assert.fail('the store can be read'),
    });
    t.after(() => live.close());
    await live.enter(testAccount, certificateId, 'dev1');
    await call.write((db) => saveStatus(db, testAccount, { certificateId, status: 'INACTIVE', nowMs: 0 }));
    await delay(2); // its age is what is tested
    const second = await live.enter(testAccount, certificateId, 'dev2');
    assert.equal(second?.principal.standing?.status, status);
  });
}

test('after any burst of changes, whatever reading they fall into, the last state counts', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  for (let round = 0; round < 40; round++) {
    const change = round % 2 === 0 ? detachPolicy : attachPolicy;
    await change({ policyName: 'p', target: principal }, call);
    // notices come before, during and after readings of the ones before
    if (round % 3 === 0) await authority.stale();
    if (round % 5 === 0) await new Promise(setImmediate);
    if (authority.stale() === undefined) assert.equal(authority.allows('iot:Publish', 'topic/a'), round % 2 === 1);
  }
  await authority.stale();
  assert.equal(authority.allows('iot:Publish', 'topic/a'), true);
});

/** Changes that are committed and told just after the n-th query of an admission: standing 1, policies 2, documents 3, things 4. */
const duringReading: [query: number, rule: string, change: (call: Call) => Promise<unknown>][] = [
  [2, 'a policy detached', (call) => detachPolicy({ policyName: 'p', target: principal }, call)],
  [
    2,
    'a default version switched, of a policy that is not known yet to concern it',
    (call) => createPolicyVersion({ policyName: 'p', policyDocument: allowNothing, setAsDefault: true }, call),
  ],
  [
    4,
    'an attribute changed, of a thing that is not known yet to concern it',
    (call) => updateThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'osaka' } } }, call),
  ],
  [4, 'a thing detached', (call) => detachThingPrincipal({ thingName: 'dev1', principal }, call)],
];
for (const [query, rule, change] of duringReading) {
  test(`${rule}, while the first reading is under way: read again before anything is decided`, async (t) => {
    const { call, bus } = await makeCall(t, { features: [{ name: 'certificates', migrations }, things(), policies()] });
    await admissible(call, byThing);
    await createThing({ thingName: 'dev1', attributePayload: { attributes: { site: 'tokyo' } } }, call);
    await attachThingPrincipal({ thingName: 'dev1', principal }, call);
    let queries = 0;
    const db = call.db.withPlugin({
      transformQuery: ({ node }) => node,
      async transformResult({ result }) {
        queries += 1;
        if (queries === query) await change(call);
        return result;
      },
    });
    const authorities = createAuthorities({
      db,
      bus,
      now: call.now,
      region: 'us-east-1',
      requireSni: false,
      connectionsMax: 10,
      recheckMs: 60_000,
    });
    t.after(() => authorities.close());
    const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
    assert.equal(authority.allows('iot:Publish', 'topic/tokyo'), false);
    assert.ok(queries > 4);
  });
}

test('connectionsMax bounds what is held; the next one is refused until somebody leaves', async (t) => {
  const { call, authorities } = await make(t, { connectionsMax: 2 });
  await admissible(call, allowAll);
  const [first] = await Promise.all(['a', 'b'].map((id) => authorities.admit(peerOf(), connectAs(id))));
  const third = await authorities.admit(peerOf(), connectAs('c'));
  assert.deepEqual(third, { refusal: 'CONNECTION_LIMIT', account: testAccount });
  assert.ok(first);
  admitted(first).release();
  admitted(await authorities.admit(peerOf(), connectAs('c')));
});

test('when all connections are gone, nothing of them stays in memory but compiled policies', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  await createThing({ thingName: 'dev1' }, call);
  await attachThingPrincipal({ thingName: 'dev1', principal }, call);
  const admissions = await Promise.all(
    ['dev1', 'dev2', 'dev3'].map((id) => authorities.admit(peerOf(), connectAs(id))),
  );
  assert.deepEqual(authorities.sizes(), { connections: 3, principals: 1, things: 1, sets: 1, policies: 1 });
  for (const admission of admissions) {
    admitted(admission).release();
    admitted(admission).release();
  }
  assert.deepEqual(authorities.sizes(), { connections: 0, principals: 0, things: 0, sets: 1, policies: 1 });
});

test('certificates with equal policies share one compiled set; the bound keeps the latest used', async (t) => {
  const { call, authorities } = await make(t, { policySetsMax: 2 });
  const ids = ['1', '2', '3', '4', '5', '6'].map((digit) => digit.repeat(64));
  for (const policyName of ['p', 'q', 'r']) await createPolicy({ policyName, policyDocument: allowAll }, call);
  for (const [index, id] of ids.entries()) {
    await register(call, { id });
    const target = certificateArn(testAccount, id);
    for (const policyName of index < 4 ? ['p', 'q'] : index === 4 ? ['q'] : ['r']) {
      await attachPolicy({ policyName, target }, call);
    }
  }
  const admit = async (id: string | undefined) =>
    admitted(
      await authorities.admit(
        peerOf({ certificate: { certificateId: id ?? '', der: new Uint8Array() } }),
        connectAs('x'),
      ),
    );
  await Promise.all(ids.slice(0, 4).map(admit));
  assert.deepEqual([authorities.sizes().sets, authorities.sizes().policies], [1, 2]);
  const fifth = await admit(ids[4]);
  const sixth = await admit(ids[5]);
  assert.deepEqual([authorities.sizes().sets, authorities.sizes().policies], [2, 2]);
  assert.equal(fifth.allows('iot:Publish', 'topic/a') && sixth.allows('iot:Publish', 'topic/a'), true);
});

test('a policy that was deleted and made anew under its name is another policy', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  const before = admitted(await authorities.admit(peerOf(), connectAs('x')));
  await detachPolicy({ policyName: 'p', target: principal }, call);
  await deletePolicy({ policyName: 'p' }, call);
  await createPolicy({ policyName: 'p', policyDocument: allowNothing }, call);
  await attachPolicy({ policyName: 'p', target: principal }, call);
  await before.stale();
  assert.equal(before.allows('iot:Publish', 'topic/a'), false);
});

test('a stored document that cannot be understood takes all rights away: a Deny might be in it', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  await createPolicy({ policyName: 'q', policyDocument: allowAll }, call);
  await attachPolicy({ policyName: 'q', target: principal }, call);
  await call.write((db) => sql`update policy_versions set document = '{' where policy_name = 'q'`.execute(db));
  const authority = admitted(await authorities.admit(peerOf(), connectAs('x')));
  assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
  assert.equal(authority.facts()['policyNames'], 'p q');
});

test('a version that stays missing grants nothing, and admission does not wait for it for ever', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  await call.write((db) => sql`delete from policy_versions`.execute(db));
  const authority = admitted(await authorities.admit(peerOf(), connectAs('x')));
  assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
});

test('a store that cannot be read refuses admissions, holds up live connections and is asked again', async (t) => {
  let failures = 0;
  const { call, store, authorities } = await make(t, { failed: () => failures++ });
  await admissible(call, allowAll);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  await store.write((db) => sql`alter table policy_attachments rename to gone`.execute(db));
  call.changed('principal', certificateId);
  const stale = authority.stale();
  assert.ok(stale);
  await assert.rejects(authorities.admit(peerOf(), connectAs('dev2')));
  assert.ok(failures > 0);
  assert.ok(authority.stale(), 'still nothing is decided');
  await store.write((db) => sql`alter table gone rename to policy_attachments`.execute(db));
  const keepAlive = setInterval(() => undefined, 1000);
  await stale;
  clearInterval(keepAlive);
  assert.equal(authority.allows('iot:Publish', 'topic/a'), true);
  assert.equal(authorities.sizes().connections, 1);
});

test('close lets everybody go on: what waited for a reading is released, and nobody else comes in', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, allowAll);
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  call.changed('principal', certificateId);
  const stale = authority.stale();
  await authorities.close();
  await stale;
  assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
  const late = await authorities.admit(peerOf(), connectAs('dev2'));
  assert.deepEqual(late, { refusal: 'CONNECTION_LIMIT', account: testAccount });
});

test('an action without a resource is allowed on * only, not on everything of the account (spec policy.md 3)', async (t) => {
  const { call, authorities } = await make(t);
  await admissible(call, documentOf(statement('iot:ListRetainedMessages', 'arn:aws:iot:us-east-1:000000000000:*')));
  const narrow = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  assert.equal(narrow.allows('iot:ListRetainedMessages', '*'), false);
  const policyDocument = documentOf(statement('iot:ListRetainedMessages', '*'));
  await createPolicyVersion({ policyName: 'p', policyDocument, setAsDefault: true }, call);
  await narrow.stale();
  assert.equal(narrow.allows('iot:ListRetainedMessages', '*'), true);
});

test('iot:Topic is the topic of a direct message, of that decision alone (spec policy.md 5)', async (t) => {
  const { call, authorities } = await make(t);
  const onOrders = { Condition: { StringLike: { 'iot:Topic': 'orders/*' } } };
  await admissible(call, documentOf(statement('iot:SendDirectMessage', '*', onOrders)));
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  assert.equal(authority.allows('iot:SendDirectMessage', 'client/a', { topic: 'orders/1' }), true);
  assert.equal(authority.allows('iot:SendDirectMessage', 'client/a', { topic: 'other/1' }), false);
  assert.equal(authority.allows('iot:SendDirectMessage', 'client/a'), false);
  assert.equal(authority.weigh('iot:SendDirectMessage', 'client/a', { topic: 'orders/1' }).decision, 'ALLOWED');
});

test('iot:IncludeSocketInformation is whether GetConnection asks for the socket (developer guide, GetThingConnectivityData; service authorization reference)', async (t) => {
  const { call, authorities } = await make(t);
  const withoutSocket = { Condition: { Bool: { 'iot:IncludeSocketInformation': 'false' } } };
  await admissible(call, documentOf(statement('iot:GetConnection', '*', withoutSocket)));
  const authority = admitted(await authorities.admit(peerOf(), connectAs('dev1')));
  const may = (includeSocketInformation: boolean) =>
    authority.allows('iot:GetConnection', 'client/a', { includeSocketInformation });
  assert.deepEqual([may(false), may(true), authority.allows('iot:GetConnection', 'client/a')], [true, false, false]);
});

test('over HTTPS client id and thing have no value, IsAttached neither, be the thing exclusive (spec policy.md 4.4)', async (t) => {
  const { call, authorities } = await make(t);
  const attached = { Condition: { Null: { 'iot:Connection.Thing.IsAttached': 'false' } } };
  await admissible(
    call,
    documentOf(
      statement('iot:Publish', 'arn:aws:iot:us-east-1:000000000000:topic/${iot:Connection.Thing.ThingName}'),
      statement('iot:Publish', 'arn:aws:iot:us-east-1:000000000000:topic/attached', attached),
    ),
  );
  await createThing({ thingName: 'lamp' }, call);
  const principal = certificateArn(call.account, certificateId);
  await attachThingPrincipal({ thingName: 'lamp', principal, thingPrincipalType: 'EXCLUSIVE_THING' }, call);
  const decide = async (clientId: string | undefined) => {
    const facts = { clientId, connectAttributes: [], lastWillTopic: undefined };
    const authority = admitted(await authorities.admit(peerOf(), facts));
    return ['topic/lamp', 'topic/attached'].map((resource) => authority.allows('iot:Publish', resource));
  };
  assert.deepEqual(await decide('any'), [true, true]);
  assert.deepEqual(await decide(undefined), [false, false]);
});
