/** Just-in-time registration and provisioning at admission, over a real store; certificates are made by openssl. Over the wire: test/stories/first-connect.test.ts. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { authorities as makeAuthorities } from '../../../test/ca.ts';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import { noteChange } from '../../bus/changes.ts';
import type { Call } from '../../feature.ts';
import type { JournalRecord, Reason } from '../../journal/record.ts';
import type { Admission, Peer } from '../../mqtt/authority.ts';
import { namesIn } from '../../pki/issued-by.ts';
import type { Db } from '../../store/store.ts';
import { type CaCertificate, insertCaCertificate, removeCaCertificate, saveCaSettings } from '../cas/ca-certificate.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { findCertificate, insertCertificate, removeCertificate, saveStatus } from '../certificates/certificate.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { attachPolicy } from '../policies/attach-policy.ts';
import { createAuthorities, type Refused } from '../policies/authority.ts';
import { createPolicy } from '../policies/create-policy.ts';
import { policies } from '../policies/feature.ts';
import { listAttachedPolicies } from '../policies/list-attachments.ts';
import { createProvisioningTemplate, createProvisioningTemplateVersion } from '../provisioning/create-template.ts';
import { migrations } from '../provisioning/migrations.ts';
import { Trail } from '../provisioning/trail.ts';
import { updateProvisioningTemplate } from '../provisioning/update-template.ts';
import { tags } from '../tags/feature.ts';
import { things } from '../things/feature.ts';
import { listThingPrincipals } from '../things/list-attachments.ts';
import { listThings } from '../things/list-things.ts';
import { describeThing } from '../things/operations.ts';
import { createFirstConnects } from './first-connect.ts';
import { provisionJustInTime } from './just-in-time.ts';
import type { RegisteredEvent } from './registered-event.ts';
import { createVerificationBudget, verificationsPerSourcePerSecondMax } from './verification-budget.ts';

let folder = '';
let maker: ReturnType<typeof makeAuthorities>;
/** PEM by name. */
const made: Record<string, string> = {};
const pemOf = (name: string): string => made[name] ?? assert.fail(name);
const derOf = (name: string): Uint8Array => new X509Certificate(pemOf(name)).raw;
const idOf = (name: string): string =>
  new X509Certificate(pemOf(name)).fingerprint256.replaceAll(':', '').toLowerCase();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetgate-first-'));
  maker = makeAuthorities(folder);
  made['ca'] = await maker.ca('ca', { subject: '/O=Acme/CN=Factory' });
  // the same name with another key, and the same name and key once more
  made['namesake'] = await maker.ca('namesake', { subject: '/O=Acme/CN=Factory' });
  made['renewed'] = await maker.ca('renewed', { subject: '/O=Acme/CN=Factory', keyOf: 'ca' });
  const subject = '/C=DE/O=Acme/O=Second/OU=Works/dnQualifier=q/ST=Hesse/serialNumber=42/CN=dev1';
  made['dev1'] = await maker.leaf('dev1', 'ca', { subject, days: 30 });
  made['dev2'] = await maker.leaf('dev2', 'ca', { subject: '/CN=dev2' });
  made['weak'] = await maker.leaf('weak', 'ca', { key: 'rsa-1024' });
  made['sha1'] = await maker.leaf('sha1', 'ca', { extras: ['-sha1'] });
  made['old'] = await maker.leaf('old', 'ca');
  made['old'] = await maker.version1('old', 'ca');
  // check 9: an intermediate under the CA signs the device
  const extensions = ['-extfile', join(folder, 'ca.ext')];
  await writeFile(join(folder, 'ca.ext'), 'basicConstraints=critical,CA:TRUE\n');
  made['intermediate'] = await maker.leaf('intermediate', 'ca', { subject: '/CN=Intermediate', extras: extensions });
  made['below'] = await maker.leaf('below', 'intermediate');
});
after(() => rm(folder, { recursive: true, force: true }));

const dayMs = 86_400_000;

const start = async (t: TestContext, options: { readonly requireSni?: boolean } = {}) => {
  let offsetMs = 0;
  const now = (): number => Date.now() + offsetMs;
  const features = [
    tags({}),
    { name: 'certificates', migrations: certificates },
    { name: 'cas', migrations: cas },
    things(),
    policies(),
    { name: 'provisioning', migrations },
  ];
  const scene = await makeCall(t, { features, now });
  const { call, bus, store } = scene;
  const events: (RegisteredEvent & { readonly account: AccountRegion })[] = [];
  const records: JournalRecord[] = [];
  const troubles: unknown[] = [];
  let budgetMs = 0;
  const firstConnects = createFirstConnects({
    ...{ db: store.db, write: store.write, now, newId: call.newId, region: testAccount.region },
    changed: (account, kind, id) => noteChange(bus, { account, kind, id }),
    async publish(account, event) {
      events.push({ account, ...event });
    },
    record: (record) => records.push(record),
    trouble: (error) => troubles.push(error),
    budget: createVerificationBudget(() => budgetMs),
  });
  const admission = createAuthorities({
    ...{ db: store.db, bus, now, region: testAccount.region, requireSni: options.requireSni ?? false },
    ...{ connectionsMax: 1000, recheckMs: 60_000, firstConnect: firstConnects.firstConnect },
  });
  t.after(async () => {
    await admission.close();
    await firstConnects.close();
  });
  const connect = (name: string, peer: Partial<Peer> = {}, clientId: string | undefined = 'dev'): Promise<Admission> =>
    admission.admit(
      {
        ...{ account: testAccount, serverName: 'localhost', tls: {}, remoteAddress: '192.0.2.1', remotePort: 5 },
        certificate: { certificateId: idOf(name), der: derOf(name) },
        ...peer,
      },
      { clientId, connectAttributes: [], lastWillTopic: undefined },
    );
  return {
    ...scene,
    ...{ admission, firstConnects, events, records, troubles, connect },
    advance(ms: number) {
      offsetMs += ms;
    },
    /** Seconds pass for the bound of verifications. */
    recover(ms: number) {
      budgetMs += ms;
    },
    /** Connects, is refused, and waits for the template. */
    async comes(name: string, peer?: Partial<Peer>): Promise<Refused> {
      const refused = await connect(name, peer);
      assert('refusal' in refused, 'let in');
      await firstConnects.idle();
      return refused;
    },
  };
};

type Held = Partial<
  Pick<CaCertificate, 'status' | 'certificateMode' | 'autoRegistrationStatus' | 'registrationConfig'>
>;
/** The account holds the CA; ACTIVE, in DEFAULT mode and with auto-registration unless told otherwise. */
const hold = async (call: Call, name: string, settings: Held = {}): Promise<string> => {
  const isNew = await call.write((db) =>
    insertCaCertificate(db, call.account, {
      ...{ status: 'ACTIVE', certificateMode: 'DEFAULT', autoRegistrationStatus: 'ENABLE' },
      ...{ caCertificateId: idOf(name), certificatePem: pemOf(name), registrationConfig: undefined },
      ...{ generationId: 'g', createdAtMs: call.now(), notBeforeMs: 0, notAfterMs: call.now() * 2 },
      subjectDer: namesIn(derOf(name)).subjectDer,
      ...settings,
    }),
  );
  assert(isNew);
  return idOf(name);
};
const statusOf = async (call: Call, name: string) => (await findCertificate(call.db, call.account, idOf(name)))?.status;
const withoutSni: Partial<Peer> = { account: undefined, serverName: undefined };
const thingNames = async (call: Call) => ((await listThings({}, call)).things ?? []).map(({ thingName }) => thingName);

test('provisioning.md check 1, 2: an unknown certificate of a registered CA is registered PENDING_ACTIVATION, and the event has six members', async (t) => {
  const { call, comes, events, changes } = await start(t);
  const caCertificateId = await hold(call, 'ca');
  const beforeMs = call.now();
  const { refusal, account, facts } = await comes('dev1');
  assert.deepEqual([refusal, account], ['DEVICE_CERTIFICATE_PENDING', testAccount]);
  assert.deepEqual(facts, {
    certificateArn: `arn:aws:iot:us-east-1:000000000000:cert/${idOf('dev1')}`,
    certificateStatus: 'PENDING_ACTIVATION',
    caCertificateId,
  });
  const held = await findCertificate(call.db, call.account, idOf('dev1'));
  assert.deepEqual(
    [held?.status, held?.certificateMode, held?.caCertificateId, held?.pem],
    ['PENDING_ACTIVATION', 'DEFAULT', caCertificateId, pemOf('dev1')],
  );
  assert.deepEqual(changes, [{ account: testAccount, kind: 'certificate', id: idOf('dev1') }]);

  assert.equal(events.length, 1);
  const [{ account: to, topic, qos, payload } = assert.fail()] = events;
  assert.deepEqual([to, topic, qos], [testAccount, `$aws/events/certificates/registered/${caCertificateId}`, 1]);
  const event = JSON.parse(Buffer.from(payload).toString());
  const { timestamp, certificateRegistrationTimestamp, ...members } = event;
  assert.deepEqual(members, {
    certificateId: idOf('dev1'),
    caCertificateId,
    certificateStatus: 'PENDING_ACTIVATION',
    awsAccountId: '000000000000',
  });
  assert(typeof timestamp === 'number' && timestamp >= beforeMs && timestamp <= call.now());
  assert.equal(certificateRegistrationTimestamp, String(Math.floor((held?.createdAtMs ?? 0) / 1000) * 1000));
});

test('HTTPS, which has no CONNECT packet, registers nobody (design 6)', async (t) => {
  const { call, admission, events } = await start(t);
  await hold(call, 'ca');
  const peer: Peer = {
    ...{ account: testAccount, serverName: 'localhost', tls: {}, remoteAddress: '192.0.2.1', remotePort: 5 },
    certificate: { certificateId: idOf('dev1'), der: derOf('dev1') },
  };
  const facts = { clientId: undefined, connectAttributes: [], lastWillTopic: undefined };
  const refused = await admission.admit(peer, facts);
  assert.equal('refusal' in refused && refused.refusal, 'DEVICE_CERTIFICATE_NOT_REGISTERED');
  assert.deepEqual([await statusOf(call, 'dev1'), events], [undefined, []]);
});

test('provisioning.md check 3: while it is PENDING_ACTIVATION each connection is told of and refused', async (t) => {
  const { call, comes, events } = await start(t);
  await hold(call, 'ca');
  for (const attempt of [1, 2, 3]) {
    assert.equal((await comes('dev1')).refusal, 'DEVICE_CERTIFICATE_PENDING');
    assert.equal(events.length, attempt);
  }
  const registered = events.map(({ payload }) => JSON.parse(String(payload)).certificateRegistrationTimestamp);
  assert.equal(new Set(registered).size, 1);
  assert.equal((await findCertificate(call.db, call.account, idOf('dev1')))?.customerVersion, 1);
});

test('provisioning.md check 4: once it is ACTIVE it is let in', async (t) => {
  const { call, comes, connect, events } = await start(t);
  await hold(call, 'ca');
  await comes('dev1');
  await call.write((db) =>
    saveStatus(db, call.account, { certificateId: idOf('dev1'), status: 'ACTIVE', nowMs: call.now() }),
  );
  const admitted = await connect('dev1');
  assert('authority' in admitted);
  assert.equal(events.length, 1);
});

for (const [status, refusal] of [
  ['INACTIVE', 'DEVICE_CERTIFICATE_INACTIVE'],
  ['REVOKED', 'DEVICE_CERTIFICATE_REVOKED'],
] as const) {
  test(`an ${status} certificate is refused without an event (spec provisioning.md 2.3)`, async (t) => {
    const { call, comes, events } = await start(t);
    await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
    await call.write((db) =>
      insertCertificate(db, call.account, {
        ...{ certificateId: idOf('dev1'), status, certificateMode: 'DEFAULT', pem: pemOf('dev1'), generationId: 'g' },
        ...{ caCertificateId: idOf('ca'), createdAtMs: 1, notBeforeMs: 0, notAfterMs: call.now() * 2 },
      }),
    );
    assert.equal((await comes('dev1')).refusal, refusal);
    assert.deepEqual([events, await statusOf(call, 'dev1'), await thingNames(call)], [[], status, []]);
  });
}

test('a certificate that waits for RegisterThing, and came from no CA, is neither told of nor provisioned', async (t) => {
  const { call, comes, events } = await start(t);
  await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
  await call.write((db) =>
    insertCertificate(db, call.account, {
      ...{ certificateId: idOf('dev1'), status: 'PENDING_ACTIVATION', certificateMode: 'DEFAULT', pem: 'x' },
      ...{ generationId: 'g', createdAtMs: 1, notBeforeMs: 0, notAfterMs: call.now() * 2 },
    }),
  );
  assert.equal((await comes('dev1')).refusal, 'DEVICE_CERTIFICATE_PENDING');
  assert.deepEqual([events, await thingNames(call)], [[], []]);
});

test('provisioning.md check 5: what else the device sent of its chain plays no part', async (t) => {
  // the gateway hands on the leaf alone; the whole of it over the wire is a story
  const { call, comes } = await start(t);
  await hold(call, 'ca');
  const chain = ['dev1', 'ca'].map((name) => ({
    ...{ fingerprint: idOf(name), subject: name, issuer: 'x', notBeforeMs: 0, notAfterMs: 0 },
  }));
  assert.equal((await comes('dev1', { tls: { chain } })).refusal, 'DEVICE_CERTIFICATE_PENDING');
});

const refusals: [settings: Held, name: string, refusal: Reason, detail: RegExp | undefined, rule: string][] = [
  [{ autoRegistrationStatus: 'DISABLE' }, 'dev1', 'AUTO_REGISTRATION_DISABLED', undefined, 'check 6: DISABLE'],
  [{ status: 'INACTIVE' }, 'dev1', 'CA_CERTIFICATE_INACTIVE', undefined, 'check 7: the CA is INACTIVE'],
  [
    { status: 'INACTIVE', autoRegistrationStatus: 'DISABLE' },
    'dev1',
    'CA_CERTIFICATE_INACTIVE',
    undefined,
    'INACTIVE comes before DISABLE',
  ],
  [{}, 'below', 'DEVICE_CERTIFICATE_NOT_REGISTERED', undefined, 'check 9: a CA above the issuer does not count'],
  [{}, 'weak', 'DEVICE_CERTIFICATE_INVALID', /1024 bits/, 'a weak key'],
  [{}, 'sha1', 'DEVICE_CERTIFICATE_INVALID', /SHA1WITHECDSA/, 'a weak signature'],
];
for (const [settings, name, refusal, detail, rule] of refusals) {
  test(`refused, and nothing registered: ${rule}`, async (t) => {
    const { call, comes, events } = await start(t);
    const caCertificateId = await hold(call, 'ca', settings);
    const refused = await comes(name);
    assert.deepEqual([refused.refusal, refused.account], [refusal, testAccount]);
    if (detail) assert.match(refused.detail ?? '', detail);
    if (refusal !== 'DEVICE_CERTIFICATE_NOT_REGISTERED') {
      assert.equal(refused.facts?.['caCertificateId'], caCertificateId);
    }
    assert.deepEqual([await statusOf(call, name), events], [undefined, []]);
  });
}

test('a CA of the same name that did not sign it registers nothing, whatever it is', async (t) => {
  const { call, comes, events } = await start(t);
  const caCertificateId = await hold(call, 'namesake');
  const { refusal, facts } = await comes('dev1');
  assert.deepEqual([refusal, facts], ['CA_SIGNATURE_MISMATCH', { caCertificateId }]);
  assert.deepEqual([await statusOf(call, 'dev1'), events], [undefined, []]);
  // beside it, the one that signed counts
  await hold(call, 'ca');
  assert.equal((await comes('dev1')).refusal, 'DEVICE_CERTIFICATE_PENDING');
});

test('of several CAs with the name and the key, one that registers is taken, the newest first', async (t) => {
  const { call, comes, advance } = await start(t);
  await hold(call, 'ca');
  advance(1000);
  await hold(call, 'renewed');
  await comes('dev1');
  assert.equal((await findCertificate(call.db, call.account, idOf('dev1')))?.caCertificateId, idOf('renewed'));
  await call.write((db) =>
    saveCaSettings(
      db,
      call.account,
      {
        ...{ caCertificateId: idOf('renewed'), status: 'ACTIVE', autoRegistrationStatus: 'DISABLE' },
        registrationConfig: undefined,
      },
      call.now(),
    ),
  );
  await comes('dev2');
  assert.equal((await findCertificate(call.db, call.account, idOf('dev2')))?.caCertificateId, idOf('ca'));
});

test('an expired certificate, and one that is not valid yet, are refused; also while they are PENDING_ACTIVATION', async (t) => {
  const { call, comes, advance, events } = await start(t);
  await hold(call, 'ca');
  advance(-2 * dayMs);
  assert.equal((await comes('dev1')).refusal, 'DEVICE_CERTIFICATE_NOT_YET_VALID');
  advance(2 * dayMs + 60 * dayMs);
  assert.equal((await comes('dev1')).refusal, 'DEVICE_CERTIFICATE_EXPIRED');
  assert.deepEqual([await statusOf(call, 'dev1'), events.length], [undefined, 0]);
  advance(-60 * dayMs);
  await comes('dev1');
  advance(60 * dayMs);
  assert.equal((await comes('dev1')).refusal, 'DEVICE_CERTIFICATE_EXPIRED');
  assert.equal(events.length, 1);
});

test('provisioning.md check 8: DEFAULT in one account and SNI_ONLY in the other: the SNI decides', async (t) => {
  const { call, callAs, comes, events } = await start(t);
  const other = callAs(otherAccount);
  await hold(call, 'ca');
  await hold(other, 'ca', { certificateMode: 'SNI_ONLY' });
  await comes('dev1', { account: otherAccount, serverName: 'b.example' });
  const inOther = await findCertificate(other.db, otherAccount, idOf('dev1'));
  assert.deepEqual([inOther?.status, inOther?.certificateMode], ['PENDING_ACTIVATION', 'SNI_ONLY']);
  assert.equal(await statusOf(call, 'dev1'), undefined);
  await comes('dev1');
  assert.equal((await findCertificate(call.db, call.account, idOf('dev1')))?.certificateMode, 'DEFAULT');
  assert.deepEqual(
    events.map(({ account }) => account),
    [otherAccount, testAccount],
  );
});

test('the SNI of an account without the CA is refused, although another has it in DEFAULT mode (spec provisioning.md 2.4)', async (t) => {
  const { call, callAs, comes } = await start(t);
  await hold(call, 'ca');
  const { refusal, account, facts } = await comes('dev1', { account: otherAccount, serverName: 'b.example' });
  assert.deepEqual([refusal, account, facts], ['DEVICE_CERTIFICATE_NOT_REGISTERED', otherAccount, {}]);
  assert.deepEqual(
    [await statusOf(call, 'dev1'), await statusOf(callAs(otherAccount), 'dev1')],
    [undefined, undefined],
  );
});

test('without SNI the single account whose DEFAULT CA signed it is meant', async (t) => {
  const { call, callAs, comes, events } = await start(t);
  await hold(callAs(otherAccount), 'ca', { certificateMode: 'SNI_ONLY' });
  assert.equal((await comes('dev1', withoutSni)).refusal, 'SNI_REQUIRED');
  // a namesake in DEFAULT mode has not signed it
  await hold(callAs({ accountId: '222222222222', region: 'us-east-1' }), 'namesake');
  assert.equal((await comes('dev1', withoutSni)).refusal, 'SNI_REQUIRED');
  await hold(call, 'ca');
  for (const attempt of [1, 2]) {
    const { refusal, account } = await comes('dev1', withoutSni);
    assert.deepEqual([refusal, account, events.length], ['DEVICE_CERTIFICATE_PENDING', testAccount, attempt]);
  }
  assert.equal(await statusOf(call, 'dev1'), 'PENDING_ACTIVATION');
});

test('without SNI: two accounts with a DEFAULT CA that signed it are none, nor is an account that has it in SNI_ONLY mode', async (t) => {
  const { call, callAs, comes } = await start(t);
  await hold(call, 'ca');
  await call.write((db) =>
    insertCertificate(db, call.account, {
      ...{ certificateId: idOf('dev2'), status: 'ACTIVE', certificateMode: 'SNI_ONLY', pem: pemOf('dev2') },
      ...{ generationId: 'g', createdAtMs: 1, notBeforeMs: 0, notAfterMs: call.now() * 2 },
    }),
  );
  assert.equal((await comes('dev2', withoutSni)).refusal, 'SNI_REQUIRED');
  await hold(callAs(otherAccount), 'renewed');
  const { refusal, account } = await comes('dev1', withoutSni);
  assert.deepEqual([refusal, account], ['SNI_REQUIRED', undefined]);
  assert.equal(await statusOf(call, 'dev1'), undefined);
});

test('without SNI nobody is registered in another region, nor where SNI is required', async (t) => {
  const strict = await start(t, { requireSni: true });
  await hold(strict.call, 'ca');
  assert.equal((await strict.comes('dev1', withoutSni)).refusal, 'SNI_REQUIRED');
  const { callAs, comes } = await start(t);
  const elsewhere = callAs({ ...testAccount, region: 'eu-west-1' });
  await hold(elsewhere, 'ca');
  assert.equal((await comes('dev1', withoutSni)).refusal, 'SNI_REQUIRED');
  assert.equal(await statusOf(elsewhere, 'dev1'), undefined);
});

test('a certificate that another account holds in DEFAULT mode is not registered in DEFAULT mode again, and nothing tells of the other', async (t) => {
  const { call, callAs, comes, events } = await start(t);
  const other = callAs(otherAccount);
  await hold(other, 'renewed');
  await comes('dev1', { account: otherAccount, serverName: 'b.example' });
  await hold(call, 'ca');
  const { refusal, facts } = await comes('dev1');
  assert.deepEqual([refusal, facts, events.length], ['DEVICE_CERTIFICATE_NOT_REGISTERED', {}, 1]);
});

test('provisioning.md check 10: a certificate of X.509 version 1 is registered', async (t) => {
  const { call, comes } = await start(t);
  await hold(call, 'ca');
  await comes('old');
  assert.equal(await statusOf(call, 'old'), 'PENDING_ACTIVATION');
});

test('20 first connections at once: one registration, and an event of each (spec provisioning.md 2.3)', async (t) => {
  const { call, connect, events, changes } = await start(t);
  await hold(call, 'ca');
  const answers = await Promise.all(Array.from({ length: 20 }, () => connect('dev1')));
  const refusals = answers.map((answer) => 'refusal' in answer && answer.refusal);
  assert.deepEqual(new Set(refusals), new Set(['DEVICE_CERTIFICATE_PENDING']));
  assert.equal(changes.filter(({ kind }) => kind === 'certificate').length, 1);
  assert.equal((await findCertificate(call.db, call.account, idOf('dev1')))?.customerVersion, 1);
  assert.equal(events.length, 20);
});

test('a flood from one source is refused without verifying, another source is not, and in a second all is as before', async (t) => {
  const { call, comes, recover } = await start(t);
  await hold(call, 'namesake');
  for (let i = 0; i < verificationsPerSourcePerSecondMax; i++) {
    assert.equal((await comes('dev1')).refusal, 'CA_SIGNATURE_MISMATCH');
  }
  const { refusal, detail, account } = await comes('dev1');
  assert.deepEqual([refusal, detail, account], ['THROTTLED', 'verificationsPerSecondMax', testAccount]);
  assert.equal((await comes('dev1', { remoteAddress: '192.0.2.2' })).refusal, 'CA_SIGNATURE_MISMATCH');
  // who has no CA of that name costs no verification
  assert.equal((await comes('below')).refusal, 'DEVICE_CERTIFICATE_NOT_REGISTERED');
  recover(1000);
  assert.equal((await comes('dev1')).refusal, 'CA_SIGNATURE_MISMATCH');
});

const roleArn = 'arn:aws:iam::000000000000:role/jitp';
const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';

/** A template with a thing named by the common name. */
const jitpBody = (
  more: { readonly parameters?: object; readonly attributes?: object; readonly certificate?: object } = {},
): string =>
  JSON.stringify({
    Parameters: { 'AWS::IoT::Certificate::CommonName': { Type: 'String' }, ...more.parameters },
    Resources: {
      thing: {
        Type: 'AWS::IoT::Thing',
        Properties: {
          ThingName: { Ref: 'AWS::IoT::Certificate::CommonName' },
          AttributePayload: more.attributes ?? {},
        },
      },
      certificate: {
        Type: 'AWS::IoT::Certificate',
        Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
        ...more.certificate,
      },
      policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'device' } },
    },
  });
const string = { Type: 'String' };

test('provisioning.md check 11: templateBody is carried out: thing, policy, ACTIVE certificate, and the second connection is let in', async (t) => {
  const { call, comes, connect, events, records, changes, firstConnects } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  const caCertificateId = await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
  const { refusal, facts } = await comes('dev1');
  assert.deepEqual([refusal, facts?.['provisioning']], ['DEVICE_CERTIFICATE_PENDING', 'STARTED']);
  assert.equal(events.length, 1, 'the registered event of just-in-time provisioning, too (spec provisioning.md 3)');
  assert.equal(await statusOf(call, 'dev1'), 'ACTIVE');
  const target = `arn:aws:iot:us-east-1:000000000000:cert/${idOf('dev1')}`;
  assert.deepEqual((await listThingPrincipals({ thingName: 'dev1' }, call)).principals, [target]);
  const { policies: attached = [] } = await listAttachedPolicies({ target }, call);
  assert.deepEqual(
    attached.map(({ policyName }) => policyName),
    ['device'],
  );
  const [{ steps = [], ...told } = assert.fail(), ...others] = records;
  assert.deepEqual(
    [told, ...others],
    [
      {
        ...{ account: testAccount, eventType: 'ProvisionDevice', status: 'Success', certificateId: idOf('dev1') },
        ...{ clientId: 'dev', sourceIp: '192.0.2.1', sourcePort: 5 },
        facts: { caCertificateId, deviceCertificateId: idOf('dev1'), thingName: 'dev1' },
      },
    ],
  );
  assert.deepEqual(
    steps.map(({ step, outcome, subject, how }) => [step, outcome, subject, how]),
    [
      ['connected', 'done', idOf('dev1'), 'own'],
      ['registered', 'done', idOf('dev1'), caCertificateId],
      ['template', 'done', undefined, undefined],
      ['filled', 'done', undefined, undefined],
      ['thing', 'done', 'dev1', 'created'],
      ['policy', 'done', 'device', 'found'],
      ['certificate', 'done', idOf('dev1'), 'ACTIVE'],
      ['attached', 'done', 'device', 'policy'],
      ['attached', 'done', 'dev1', 'thing'],
    ],
  );
  assert.deepEqual(
    changes.slice(-3).map(({ kind, id }) => `${kind} ${id}`),
    [`certificate ${idOf('dev1')}`, `certificate ${idOf('dev1')}`, `principal ${idOf('dev1')}`],
  );
  const admitted = await connect('dev1');
  assert('authority' in admitted && admitted.authority.allows('iot:Connect', 'client/dev1'));
  assert.equal(firstConnects.metrics['ProvisionThing.Success'], 1);
});

test('provisioning.md check 12: a declared parameter that the subject has no value for keeps everything as it was, and is told; a reconnection tries again', async (t) => {
  const { call, comes, records, firstConnects } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  const templateBody = jitpBody({ parameters: { 'AWS::IoT::Certificate::Country': string } });
  const caCertificateId = await hold(call, 'ca', { registrationConfig: { templateBody, roleArn } });
  await comes('dev2');
  assert.deepEqual([await statusOf(call, 'dev2'), await thingNames(call)], ['PENDING_ACTIVATION', []]);
  const [told] = records;
  assert.deepEqual(
    [told?.eventType, told?.status, told?.reason, told?.facts?.['errorCode'], told?.facts?.['caCertificateId']],
    ['ProvisionDevice', 'Failure', 'JUST_IN_TIME_PROVISIONING_FAILED', 'InvalidParameters', caCertificateId],
  );
  assert.match(told?.detail ?? '', /Country.*subject has no C/);
  assert.equal(firstConnects.metrics['ProvisionThing.ClientError'], 1);

  await comes('dev2');
  assert.equal(records.length, 2);
  const corrected = { status: 'ACTIVE', autoRegistrationStatus: 'ENABLE' } as const;
  await call.write((db) =>
    saveCaSettings(
      db,
      call.account,
      { ...corrected, caCertificateId, registrationConfig: { templateBody: jitpBody(), roleArn } },
      call.now(),
    ),
  );
  await comes('dev2');
  assert.deepEqual([await statusOf(call, 'dev2'), await thingNames(call)], ['ACTIVE', ['dev2']]);
});

test('what a template met half-way leaves nothing behind (design 5)', async (t) => {
  const { call, comes, records } = await start(t);
  await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
  await comes('dev1');
  assert.deepEqual([await statusOf(call, 'dev1'), await thingNames(call)], ['PENDING_ACTIVATION', []]);
  assert.deepEqual(records[0]?.facts?.['errorCode'], 'ResourceRegistrationFailure');
  await createPolicy({ policyName: 'device', policyDocument }, call);
  await comes('dev1');
  assert.equal(await statusOf(call, 'dev1'), 'ACTIVE');
});

test('provisioning.md check 13: Status DO_NOTHING in the override settings ends ACTIVE all the same', async (t) => {
  const { call, comes } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  const templateBody = jitpBody({ certificate: { OverrideSettings: { Status: 'DO_NOTHING' } } });
  await hold(call, 'ca', { registrationConfig: { templateBody, roleArn } });
  await comes('dev1');
  assert.equal(await statusOf(call, 'dev1'), 'ACTIVE');
});

test("check 15: parameters are the subject's, SerialNumber its serialNumber; of several values the first counts", async (t) => {
  const { call, comes } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  const names = ['Country', 'Organization', 'OrganizationalUnit', 'StateName', 'SerialNumber'];
  const all = [...names, 'DistinguishedNameQualifier', 'Id'].map((name) => `AWS::IoT::Certificate::${name}`);
  const templateBody = jitpBody({
    parameters: Object.fromEntries(all.map((name) => [name, string])),
    attributes: { all: { 'Fn::Join': [',', all.map((name) => ({ Ref: name }))] } },
  });
  await hold(call, 'ca', { registrationConfig: { templateBody, roleArn } });
  await comes('dev1');
  const { attributes } = await describeThing({ thingName: 'dev1' }, call);
  assert.equal(attributes?.['all'], ['DE', 'Acme', 'Works', 'Hesse', '42', 'q', idOf('dev1')].join(','));
});

test('templateName: the default version at this moment, only while it is enabled and there', async (t) => {
  const { call, comes, records } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  await hold(call, 'ca', { registrationConfig: { templateName: 'ship' } });
  const { facts } = await comes('dev1');
  assert.deepEqual([facts?.['provisioningTemplateName'], facts?.['provisioning']], ['ship', 'STARTED']);
  assert.equal(records.at(-1)?.facts?.['errorCode'], 'ResourceNotFound');

  const provisioningRoleArn = roleArn;
  const templateBody = jitpBody({ attributes: { version: '1' } });
  await createProvisioningTemplate({ templateName: 'ship', type: 'JITP', provisioningRoleArn, templateBody }, call);
  await comes('dev1');
  assert.deepEqual([records.at(-1)?.facts?.['errorCode'], await thingNames(call)], ['InvalidRequest', []]);
  assert.match(records.at(-1)?.detail ?? '', /ship is not enabled/);

  await updateProvisioningTemplate({ templateName: 'ship', enabled: true }, call);
  const second = jitpBody({ attributes: { version: '2' } });
  await createProvisioningTemplateVersion({ templateName: 'ship', templateBody: second, setAsDefault: true }, call);
  await comes('dev1');
  assert.equal((await describeThing({ thingName: 'dev1' }, call)).attributes?.['version'], '2');
  assert.equal(records.at(-1)?.status, 'Success');
});

test('a named template with our tag for lifetimes ends sooner what the certificate states itself (docs/divergences.md)', async (t) => {
  const { call, comes, connect, advance } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  await hold(call, 'ca', { registrationConfig: { templateName: 'ship' } });
  const tags = [{ Key: 'fleetgate:certificate-lifetime-days', Value: '10' }];
  const template = { templateName: 'ship', type: 'JITP', provisioningRoleArn: roleArn, enabled: true, tags } as const;
  await createProvisioningTemplate({ ...template, templateBody: jitpBody() }, call);
  await comes('dev1');
  const held = (await findCertificate(call.db, call.account, idOf('dev1'))) ?? assert.fail();
  assert.equal(held.notAfterMs, Math.floor((held.createdAtMs + 10 * dayMs) / 1000) * 1000);
  advance(9 * dayMs);
  assert('authority' in (await connect('dev1')));
  advance(2 * dayMs);
  const refused = await connect('dev1');
  assert('refusal' in refused);
  const { refusal, facts } = refused;
  assert.deepEqual(
    [refusal, facts?.['notAfter']],
    ['DEVICE_CERTIFICATE_EXPIRED', new Date(held.notAfterMs).toISOString()],
  );
});

for (const [settings, told] of [
  [{ status: 'INACTIVE', autoRegistrationStatus: 'ENABLE' }, 'CA_CERTIFICATE_INACTIVE'],
  [{ status: 'ACTIVE', autoRegistrationStatus: 'DISABLE' }, 'AUTO_REGISTRATION_DISABLED'],
] as const) {
  test(`a CA that no longer registers (${told}) provisions nobody who was waiting`, async (t) => {
    const { call, comes, events } = await start(t);
    const caCertificateId = await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
    await comes('dev1'); // there is no policy yet
    await createPolicy({ policyName: 'device', policyDocument }, call);
    const registrationConfig = { templateBody: jitpBody(), roleArn };
    await call.write((db) =>
      saveCaSettings(db, call.account, { ...settings, caCertificateId, registrationConfig }, call.now()),
    );
    const { refusal, facts } = await comes('dev1');
    assert.deepEqual([refusal, facts?.['provisioning']], ['DEVICE_CERTIFICATE_PENDING', told]);
    assert.deepEqual([await statusOf(call, 'dev1'), events.length], ['PENDING_ACTIVATION', 2]);
  });
}

test('a template is carried out once for connections that come together', async (t) => {
  const { call, connect, firstConnects, records } = await start(t);
  await createPolicy({ policyName: 'device', policyDocument }, call);
  await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
  await Promise.all(Array.from({ length: 20 }, () => connect('dev1')));
  await firstConnects.idle();
  assert.deepEqual([await statusOf(call, 'dev1'), await thingNames(call)], ['ACTIVE', ['dev1']]);
  assert.equal(records.length, 1);
});

for (const [decision, decide] of [
  [
    'the certificate was revoked',
    (db: Db, account: AccountRegion) =>
      saveStatus(db, account, { certificateId: idOf('dev1'), status: 'REVOKED', nowMs: 1 }),
  ],
  ['the certificate was deleted', (db: Db, account: AccountRegion) => removeCertificate(db, account, idOf('dev1'))],
  ['the CA was deleted', (db: Db, account: AccountRegion) => removeCaCertificate(db, account, idOf('ca'))],
  [
    'the CA was given another template',
    (db: Db, account: AccountRegion) => {
      const registrationConfig = { templateBody: jitpBody({ attributes: { version: '2' } }), roleArn };
      const settings = { status: 'ACTIVE', autoRegistrationStatus: 'ENABLE', registrationConfig } as const;
      return saveCaSettings(db, account, { caCertificateId: idOf('ca'), ...settings }, 1);
    },
  ],
] as const) {
  test(`what an operator decides while a template is at work stands: ${decision}`, async (t) => {
    const { call, comes, store } = await start(t);
    await hold(call, 'ca', { registrationConfig: { templateBody: jitpBody(), roleArn } });
    await comes('dev1'); // there is no policy yet
    await createPolicy({ policyName: 'device', policyDocument }, call);
    const before = await statusOf(call, 'dev1');
    const services = { ...call, changed: () => assert.fail('nothing changes') };
    const late = await provisionJustInTime(
      {
        ...services,
        async write(unit) {
          await store.write((db) => decide(db, call.account));
          return store.write(unit);
        },
      },
      call.account,
      idOf('dev1'),
      new Trail(call.now),
    );
    assert.deepEqual([before, late, await thingNames(call)], ['PENDING_ACTIVATION', undefined, []]);
    assert.notEqual(await statusOf(call, 'dev1'), 'ACTIVE');
  });
}

test('the attached policy of a pending certificate stays in the record', async (t) => {
  const { call, comes } = await start(t);
  await hold(call, 'ca');
  await comes('dev1');
  await createPolicy({ policyName: 'device', policyDocument }, call);
  await attachPolicy({ policyName: 'device', target: `arn:aws:iot:us-east-1:000000000000:cert/${idOf('dev1')}` }, call);
  const { facts } = await comes('dev1');
  assert.deepEqual([facts?.['policyNames'], facts?.['caCertificateId']], ['device', idOf('ca')]);
});
