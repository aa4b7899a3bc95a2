/** Fleet provisioning without a wire: tokens, the sweeper, bounds and what goes wrong between two steps, over both engines. Source: spec provisioning.md 4, 5. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { type FleetReply, fleetTemplate, provisionTopic } from '../../../test/fleet.ts';
import { iotArn } from '../../aws/arn.ts';
import type { Call, ReservedTopic } from '../../feature.ts';
import type { Authority, Peer } from '../../mqtt/authority.ts';
import { RequestTopics } from '../../mqtt/requests.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import { type KeyPair, KeyPoolExhausted } from '../../pki/key-pool.ts';
import { StoreUnavailable } from '../../store/store.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { findCertificate, insertCertificate, removeCertificate } from '../certificates/certificate.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { updateCertificate } from '../certificates/update-certificate.ts';
import { createPolicy } from '../policies/create-policy.ts';
import { policies } from '../policies/feature.ts';
import { insertPolicyAttachment } from '../policies/policy-attachment.ts';
import { createProvisioningTemplate } from '../provisioning/create-template.ts';
import { migrations } from '../provisioning/migrations.ts';
import { updateProvisioningTemplate } from '../provisioning/update-template.ts';
import { tags } from '../tags/feature.ts';
import { things } from '../things/feature.ts';
import { listThings } from '../things/list-things.ts';
import { openClaimAdmission } from './claim-admission.ts';
import { createProvisioningClaim } from './create-claim.ts';
import { type FleetServices, fleetProvisioning } from './feature.ts';
import { createFleetMetrics } from './fleet-metrics.ts';
import { ownershipTokenLifetimeMs } from './ownership-token.ts';
import { claimsPerAccountMax } from './provisioning-claim.ts';
import { sweepUnclaimed } from './sweep.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keyPair: KeyPair = {
  publicKeyPem: String(publicKey.export({ format: 'pem', type: 'spki' })),
  privateKeyPem: String(privateKey.export({ format: 'pem', type: 'pkcs8' })),
};

/** As `makeCall` with the slice; certificates have numbers for ids. */
const start = async (t: TestContext, services: Partial<FleetServices> = {}) => {
  let issued = 0;
  const issue: IssueDeviceCertificate = async ({ nowMs, notAfterMs = nowMs + 1 }) => ({
    certificateId: String(++issued).padStart(64, '0'),
    pem: `PEM ${issued}\n`,
    notBeforeMs: nowMs,
    notAfterMs,
  });
  const metrics = createFleetMetrics();
  const own: FleetServices = {
    issue,
    takeKeyPair: async () => keyPair,
    invokeFunction: async () => assert.fail('there is no hook'),
    // the task is called by itself
    store: { db: undefined as never, write: undefined as never },
    fleetMetrics: metrics,
    ...services,
  };
  const feature = fleetProvisioning(own);
  const made = await makeCall(t, {
    features: [
      tags({}),
      { name: 'certificates', migrations: certificates },
      { name: 'cas', migrations: cas },
      things(),
      policies(),
      { name: 'provisioning', migrations },
      feature,
    ],
  });
  const policyDocument = '{"Version":"2012-10-17","Statement":[]}'.replace(
    '[]',
    '[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]',
  );
  await createPolicy({ policyName: 'device', policyDocument }, made.call);
  await template(made.call, 'fleet');
  const topics = new RequestTopics((feature.topics ?? []).map((topic) => ({ ...topic, answer: () => assert.fail() })));
  const handlerOf = (pattern: string): ReservedTopic => {
    const found = feature.topics?.find((topic) => topic.pattern === pattern);
    assert(found);
    return found;
  };

  /** A device asks. */
  const ask = async (
    topic: string,
    payload: unknown,
    { call = made.call, principalId = 'a'.repeat(64) }: { call?: Call; principalId?: string } = {},
  ): Promise<FleetReply> => {
    const asked = topics.find(topic);
    assert(asked);
    const { outcome, payload: bytes } = await handlerOf(asked.handler.pattern).answer(
      {
        account: call.account,
        clientId: 'device',
        // handlers ask for nothing else of it
        authority: { principalId } as Authority,
        certificateId: principalId,
        source: { ip: '127.0.0.1', port: 1 },
        connectedAtMs: call.now(),
        topic,
        labels: asked.labels,
        payload: Buffer.from(JSON.stringify(payload)),
      },
      call,
    );
    return { outcome, payload: Buffer.from(bytes), members: JSON.parse(Buffer.from(bytes).toString()) };
  };
  const create = async (more: Parameters<typeof ask>[2] = {}) => {
    const { outcome, members } = await ask('$aws/certificates/create/json', {}, more);
    assert.equal(outcome, 'accepted');
    return {
      certificateId: String(members['certificateId']),
      certificateOwnershipToken: String(members['certificateOwnershipToken']),
    };
  };
  return { ...made, feature, metrics, ask, create };
};

const template = (
  call: Call,
  templateName: string,
  more: object = {},
  body: object = fleetTemplate('device', 'fleet-'),
) =>
  createProvisioningTemplate(
    {
      ...{ templateName, templateBody: JSON.stringify(body), enabled: true },
      ...{ provisioningRoleArn: `arn:aws:iam::${call.account.accountId}:role/r`, ...more },
    },
    call,
  );

const refused = ({ outcome, members }: FleetReply): unknown[] => [outcome, members['statusCode'], members['errorCode']];
const hook = { preProvisioningHook: { targetArn: 'arn:aws:lambda:us-east-1:000000000000:function:hook' } };
const invalidToken = ['rejected', 400, 'InvalidCertificateOwnershipToken'];
const request = (certificateOwnershipToken: string, SerialNumber = '1') => ({
  certificateOwnershipToken,
  parameters: { SerialNumber },
});
const count = async (call: Call, table: 'ownership_tokens' | 'certificates' | 'provisioning_claims'): Promise<number> =>
  (await call.db.selectFrom(table).select('certificate_id').execute()).length;

test('a token is good to the last millisecond of its hour, and not after it', async (t) => {
  const { ask, create, advance, records } = await start(t);
  const [first, second] = [await create(), await create()];
  advance(ownershipTokenLifetimeMs - 1);
  assert.equal((await ask(provisionTopic('fleet'), request(first.certificateOwnershipToken))).outcome, 'accepted');
  advance(1);
  assert.deepEqual(
    refused(await ask(provisionTopic('fleet'), request(second.certificateOwnershipToken))),
    invalidToken,
  );
  assert.deepEqual([records.at(-1)?.reason, records.at(-1)?.detail], ['OWNERSHIP_TOKEN_INVALID', 'expired']);
  const again = await ask(provisionTopic('fleet'), request(first.certificateOwnershipToken));
  assert.deepEqual(refused(again), invalidToken, 'what was answered is forgotten with the token');
});

test('a token that was forgotten with its hour is called expired in the journal, and what is none unknown', async (t) => {
  const { ask, create, advance, store, call, records } = await start(t);
  const { certificateOwnershipToken } = await create();
  const asked = async (token: string): Promise<string | undefined> => {
    assert.deepEqual(refused(await ask(provisionTopic('fleet'), request(token))), invalidToken);
    return records.at(-1)?.detail;
  };
  const other = certificateOwnershipToken.startsWith('A') ? 'B' : 'A';
  assert.equal(await asked(other + certificateOwnershipToken.slice(1)), 'unknown');
  advance(ownershipTokenLifetimeMs);
  await sweepUnclaimed(store, call.now());
  assert.equal(await asked(certificateOwnershipToken), 'expired');
  for (const token of ['x', certificateOwnershipToken.slice(0, 43), '_'.repeat(51)]) {
    assert.equal(await asked(token), 'unknown', token);
  }
});

test('the hook takes the rest of the hour: nothing is provisioned, as the sweeper may have been there', async (t) => {
  const scene = await start(t, {
    async invokeFunction() {
      scene.advance(2);
      await sweepUnclaimed(scene.store, scene.call.now());
      return { allowProvisioning: true };
    },
  });
  const { ask, create, advance, call } = scene;
  await template(call, 'hooked', hook);
  const { certificateId, certificateOwnershipToken } = await create();
  advance(ownershipTokenLifetimeMs - 1);
  assert.deepEqual(refused(await ask(provisionTopic('hooked'), request(certificateOwnershipToken))), invalidToken);
  assert.equal(await findCertificate(call.db, testAccount, certificateId), undefined);
});

test('the claim is revoked while the hook is asked: nothing is provisioned', async (t) => {
  const claim = { certificateId: 'a'.repeat(64), status: 'ACTIVE', certificateMode: 'SNI_ONLY', pem: 'PEM' } as const;
  const scene = await start(t, {
    async invokeFunction() {
      await updateCertificate({ certificateId: claim.certificateId, newStatus: 'REVOKED' }, scene.call);
      return { allowProvisioning: true };
    },
  });
  const { ask, create, call, store, records } = scene;
  const dates = { generationId: 'g', createdAtMs: 1, notBeforeMs: 0, notAfterMs: testStartMs * 2 };
  await store.write((db) => insertCertificate(db, testAccount, { ...claim, ...dates }));
  await template(call, 'hooked', hook);
  const { certificateId, certificateOwnershipToken } = await create();
  assert.deepEqual(refused(await ask(provisionTopic('hooked'), request(certificateOwnershipToken))), invalidToken);
  assert.equal(records.at(-1)?.detail, 'of a claim that was deactivated');
  assert.equal((await findCertificate(call.db, testAccount, certificateId))?.status, 'PENDING_ACTIVATION');
});

/** Asks with one token twice at once: both have passed the look at the token before either goes on. */
const race = async (t: TestContext, serials: readonly string[]) => {
  const waiting: (() => void)[] = [];
  const scene = await start(t, {
    async invokeFunction() {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length === serials.length) for (const go of waiting) go();
      });
      return { allowProvisioning: true };
    },
  });
  await template(scene.call, 'hooked', hook);
  const { certificateId, certificateOwnershipToken } = await scene.create();
  const replies = await Promise.all(
    serials.map((serial) => scene.ask(provisionTopic('hooked'), request(certificateOwnershipToken, serial))),
  );
  const { things: made } = await listThings({}, scene.call);
  const certificate = await findCertificate(scene.call.db, testAccount, certificateId);
  return { replies, things: made?.map(({ thingName }) => thingName), certificate, metrics: scene.metrics };
};

test('two different requests with one token at once: one is carried out, the other is refused and leaves nothing', async (t) => {
  const { replies, things: made, metrics } = await race(t, ['1', '2']);
  const accepted = replies.filter(({ outcome }) => outcome === 'accepted');
  assert.deepEqual(
    accepted.map(({ members }) => members['thingName']),
    made,
  );
  assert.deepEqual(
    [accepted.length, metrics.ApproximateNumberOfThingsRegistered, metrics.RegisterThingFailed],
    [1, 1, 1],
  );
  assert.deepEqual(refused(replies.find(({ outcome }) => outcome === 'rejected') ?? assert.fail()), invalidToken);
});

test('the same request twice at once is carried out once, and answered twice', async (t) => {
  const { replies, things: made, certificate, metrics } = await race(t, ['1', '1']);
  for (const { members } of replies) assert.deepEqual(members, { deviceConfiguration: {}, thingName: 'fleet-1' });
  assert.deepEqual([made, certificate?.customerVersion], [['fleet-1'], 2]);
  assert.equal(metrics.ApproximateNumberOfThingsRegistered, 1);
});

test('a token whose certificate was deleted by hand is refused', async (t) => {
  const { ask, create, call, records } = await start(t);
  const { certificateId, certificateOwnershipToken } = await create();
  await call.write((db) => removeCertificate(db, testAccount, certificateId));
  assert.deepEqual(refused(await ask(provisionTopic('fleet'), request(certificateOwnershipToken))), invalidToken);
  assert.equal(records.at(-1)?.detail, 'of a certificate that was deleted');
});

test('a token means nothing in another account, and nothing to another claim', async (t) => {
  const { ask, create, callAs } = await start(t);
  const abroad = callAs(otherAccount);
  const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
  await createPolicy({ policyName: 'device', policyDocument }, abroad);
  await template(abroad, 'fleet');
  const { certificateOwnershipToken } = await create();
  const asked = request(certificateOwnershipToken);
  assert.deepEqual(refused(await ask(provisionTopic('fleet'), asked, { call: abroad })), invalidToken);
  assert.deepEqual(refused(await ask(provisionTopic('fleet'), asked, { principalId: 'b'.repeat(64) })), invalidToken);
  assert.equal((await ask(provisionTopic('fleet'), asked)).outcome, 'accepted');
});

test('the answer to a repeated request is that of its time, though the template was disabled or its hook would say no now', async (t) => {
  let asked = 0;
  const { ask, create, call, metrics } = await start(t, {
    invokeFunction: async () => ({ allowProvisioning: ++asked === 1, parameterOverrides: { SerialNumber: 'hooked' } }),
  });
  await template(call, 'hooked', hook);
  const { certificateOwnershipToken } = await create();
  const first = await ask(provisionTopic('hooked'), request(certificateOwnershipToken));
  assert.deepEqual(first.members, { deviceConfiguration: {}, thingName: 'fleet-hooked' });
  await updateProvisioningTemplate({ templateName: 'hooked', enabled: false }, call);
  assert.deepEqual((await ask(provisionTopic('hooked'), request(certificateOwnershipToken))).members, first.members);
  assert.deepEqual([asked, metrics.ApproximateNumberOfThingsRegistered], [1, 1]);
});

test('the hook is told the claim, the certificate and the parameters of the request; a function that breaks refuses', async (t) => {
  const events: unknown[] = [];
  const { ask, create, call, records } = await start(t, {
    async invokeFunction(invocation) {
      events.push(invocation);
      throw new Error('The function hook failed.');
    },
  });
  await template(call, 'hooked', hook);
  const { certificateId, certificateOwnershipToken } = await create();
  const reply = await ask(provisionTopic('hooked'), request(certificateOwnershipToken));
  assert.deepEqual(refused(reply), ['rejected', 403, 'AccessDenied']);
  assert.deepEqual(
    [records.at(-1)?.reason, records.at(-1)?.detail],
    ['PROVISIONING_HOOK_REFUSED', 'The function hook failed.'],
  );
  assert.deepEqual(events, [
    {
      functionArn: hook.preProvisioningHook.targetArn,
      account: testAccount,
      timeoutMs: 5000,
      event: {
        claimCertificateId: 'a'.repeat(64),
        certificateId,
        certificatePem: 'PEM 1\n',
        templateArn: iotArn(testAccount, 'provisioningtemplate', 'hooked'),
        clientId: 'device',
        parameters: { SerialNumber: '1' },
      },
    },
  ]);
});

test('the sweeper takes unclaimed certificates with their tokens, however many, and leaves what somebody attached', async (t) => {
  const { create, call, advance, store } = await start(t);
  const many = 205; // more than two batches
  const made: string[] = [];
  for (let each = 0; each < many; each++) made.push((await create()).certificateId);
  const target = iotArn(testAccount, 'cert', made[0] ?? '');
  await call.write((db) => insertPolicyAttachment(db, testAccount, { policyName: 'device', target, createdAtMs: 1 }));
  advance(ownershipTokenLifetimeMs / 2);
  await create();
  await sweepUnclaimed(store, call.now());
  assert.equal(await count(call, 'ownership_tokens'), many + 1, 'nothing is due yet');
  advance(ownershipTokenLifetimeMs / 2);
  await sweepUnclaimed(store, call.now());
  assert.deepEqual([await count(call, 'ownership_tokens'), await count(call, 'certificates')], [1, 2]);
  assert.ok(await findCertificate(call.db, testAccount, made[0] ?? ''));
});

test('certificates that wait are bounded per account; what is claimed makes room again', async (t) => {
  const { ask, create, advance, callAs, metrics } = await start(t, {
    unclaimedBounds: { perAccountMax: 2, perClaimMax: 2 },
  });
  const { certificateOwnershipToken } = await create();
  await create();
  const create3 = () => ask('$aws/certificates/create/json', {});
  assert.deepEqual(refused(await create3()), ['rejected', 429, 'Throttled']);
  assert.equal(metrics.CreateKeysAndCertificateFailed, 1);
  await create({ call: callAs(otherAccount) });
  assert.equal((await ask(provisionTopic('fleet'), request(certificateOwnershipToken))).outcome, 'accepted');
  advance(10_000);
  assert.equal((await create3()).outcome, 'accepted');
});

test('one claim has half of the room: when it was stolen and is revoked, the devices of a new one get in', async (t) => {
  const { ask, create, advance } = await start(t, { unclaimedBounds: { perAccountMax: 4, perClaimMax: 2 } });
  const [stolen, fresh] = [{ principalId: 'c'.repeat(64) }, { principalId: 'd'.repeat(64) }];
  const [{ certificateOwnershipToken }] = [await create(stolen), await create(stolen)];
  const again = () => ask('$aws/certificates/create/json', {}, stolen);
  assert.deepEqual(refused(await again()), ['rejected', 429, 'Throttled']);
  await create(fresh);
  assert.deepEqual(refused(await again()), ['rejected', 429, 'Throttled'], 'room for others is no room for it');
  const claimed = await ask(provisionTopic('fleet'), request(certificateOwnershipToken), stolen);
  assert.equal(claimed.outcome, 'accepted');
  advance(10_000);
  assert.equal((await again()).outcome, 'accepted');
});

test('no key pair to be had: 429; no store: a fault of ours, which leaves neither certificate nor token', async (t) => {
  const { ask, call, metrics, feature } = await start(t, {
    takeKeyPair: async () => {
      throw new KeyPoolExhausted('all are taken');
    },
  });
  assert.deepEqual(refused(await ask('$aws/certificates/create/json', {})), ['rejected', 429, 'Throttled']);
  const broken: Call = { ...call, write: () => Promise.reject(new StoreUnavailable('The disk is full.')) };
  const second = await start(t);
  await assert.rejects(second.ask('$aws/certificates/create/json', {}, { call: broken }), StoreUnavailable);
  assert.deepEqual([await count(call, 'ownership_tokens'), await count(call, 'certificates')], [0, 0]);
  assert.equal(metrics.CreateKeysAndCertificateFailed, 1);
  const excused = feature.topics?.[0]?.excuse(
    { labels: { format: 'json' } } as unknown as Parameters<ReservedTopic['excuse']>[0],
    'failed',
  );
  const { statusCode, errorCode } = JSON.parse(Buffer.from(excused?.payload ?? []).toString());
  assert.deepEqual([excused?.outcome, statusCode, errorCode], ['rejected', 500, 'InternalFailure']);
});

test('parameters beyond what RegisterThing over HTTP takes are refused before anything else is asked', async (t) => {
  const { ask, create } = await start(t);
  const { certificateOwnershipToken } = await create();
  for (const parameters of [{ SerialNumber: 'x'.repeat(4097) }, { ['x'.repeat(2049)]: '1' }]) {
    const reply = await ask(provisionTopic('fleet'), { certificateOwnershipToken, parameters });
    assert.deepEqual(refused(reply), ['rejected', 400, 'InvalidParameters']);
  }
  const long = await ask(provisionTopic('fleet'), { certificateOwnershipToken: 'x'.repeat(501), parameters: {} });
  assert.deepEqual(refused(long), invalidToken);
});

const peerOf = (certificateId: string, more: Partial<Peer> = {}): Peer => ({
  account: testAccount,
  serverName: 'localhost',
  certificate: { certificateId, der: new Uint8Array() },
  tls: {},
  remoteAddress: '127.0.0.1',
  remotePort: 1,
  ...more,
});
const connecting = { clientId: 'device', connectAttributes: [], lastWillTopic: undefined };

const withClaim = async (t: TestContext, { requireSni = false, sessionsMax = 2 } = {}) => {
  const scene = await start(t);
  const { call } = scene;
  const made = await createProvisioningClaim({
    issue: async ({ nowMs, notAfterMs = 0 }) => ({
      ...{ certificateId: 'c'.repeat(64), pem: 'PEM', notBeforeMs: nowMs, notAfterMs },
    }),
    takeKeyPair: async () => keyPair,
  })({ templateName: 'fleet' }, call);
  const claims = openClaimAdmission({
    db: call.db,
    now: call.now,
    region: testAccount.region,
    requireSni,
    sessionsMax,
  });
  t.after(claims.close);
  const admit = async (more: Partial<Peer> = {}) => {
    const admission = await claims.admit(peerOf(String(made.certificateId), more), connecting);
    return admission === undefined ? 'unknown' : 'refusal' in admission ? admission.refusal : admission.authority;
  };
  const authority = async (): Promise<Authority> => {
    const admitted = await admit();
    assert(typeof admitted === 'object');
    return admitted;
  };
  return { ...scene, made, claims, admit, authority };
};

test('a claim may connect by any client id, and do what RegisterThing for its template takes; nothing else', async (t) => {
  const { authority } = await withClaim(t);
  const { allows, weigh } = await authority();
  for (const [action, resource, expected] of [
    ['iot:Connect', 'client/anything', true],
    ['iot:Publish', 'topic/$aws/certificates/create/json', true],
    ['iot:Publish', 'topic/$aws/certificates/create-from-csr/cbor', true],
    ['iot:Publish', 'topic/$aws/provisioning-templates/fleet/provision/json', true],
    ['iot:Publish', 'topic/$aws/provisioning-templates/fleet2/provision/json', false],
    ['iot:Subscribe', 'topicfilter/$aws/provisioning-templates/fleet/provision/json/accepted', true],
    ['iot:Subscribe', 'topicfilter/$aws/certificates/create/#', true],
    ['iot:Subscribe', 'topicfilter/$aws/provisioning-templates/+/provision/json/accepted', false],
    ['iot:Subscribe', 'topicfilter/#', false],
    ['iot:Receive', 'topic/$aws/certificates/create/json/accepted', true],
    ['iot:Receive', 'topic/a', false],
    ['iot:Publish', 'topic/a', false],
    ['iot:RetainPublish', 'topic/$aws/certificates/create/json', false],
    ['iot:GetRetainedMessage', 'topic/a', false],
  ] as const) {
    assert.equal(allows(action, resource), expected, `${action} ${resource}`);
    assert.equal(weigh(action, resource).decision, expected ? 'ALLOWED' : 'IMPLICIT_DENY');
  }
});

test('a claim is let in where its account is meant, for five minutes, and only so many at once', async (t) => {
  const { admit, advance, authority } = await withClaim(t);
  assert.equal(await admit({ account: otherAccount }), 'unknown');
  assert.equal(await admit({ account: { ...testAccount, region: 'eu-west-1' } }), 'unknown');
  assert.equal(await admit({ account: undefined }), 'unknown', 'an SNI that names nobody');
  const first = await admit({ account: undefined, serverName: undefined });
  assert(typeof first === 'object', 'without SNI, in the default region');
  await authority();
  assert.equal(await admit(), 'CONNECTION_LIMIT');
  first.release();
  advance(299_999);
  (await authority()).release();
  advance(1);
  assert.equal(await admit(), 'PROVISIONING_CLAIM_EXPIRED');
  const strict = await withClaim(t, { requireSni: true });
  assert.equal(await strict.admit({ account: undefined, serverName: undefined }), 'unknown');
});

test('the session of a claim ends five minutes after its start, also when the claim ended before', async (t) => {
  const { authority, advance, claims } = await withClaim(t);
  advance(200_000);
  const session = await authority();
  const lost: string[] = [];
  session.onLost((reason) => lost.push(reason));
  advance(299_999);
  claims.recheck();
  assert.deepEqual(lost, []);
  advance(1);
  claims.recheck();
  claims.recheck();
  assert.deepEqual([lost, session.allows('iot:Connect', 'client/x')], [['PROVISIONING_CLAIM_EXPIRED'], false]);
});

test('claims are bounded per account, and forgotten an hour after their end', async (t) => {
  const { call, made, advance, store } = await withClaim(t);
  assert.equal(Number(made.expiration), testStartMs + 300_000);
  await call.write(async (db) => {
    for (let each = 1; each < claimsPerAccountMax; each++) {
      await db
        .insertInto('provisioning_claims')
        .values({
          ...{ account_id: testAccount.accountId, region: testAccount.region, template_name: 'fleet' },
          ...{ certificate_id: String(each), expires_at_ms: testStartMs + 300_000 },
        })
        .execute();
    }
  });
  let issued = 0;
  const services = {
    issue: async () => ({ certificateId: `d${++issued}`, pem: 'PEM', notBeforeMs: 0, notAfterMs: 0 }),
    takeKeyPair: async () => keyPair,
  };
  const more = () => createProvisioningClaim(services)({ templateName: 'fleet' }, call);
  await assert.rejects(more, { name: 'ThrottlingException' });
  advance(300_000);
  await more();
  await sweepUnclaimed(store, call.now() + 3_599_999);
  assert.equal(await count(call, 'provisioning_claims'), claimsPerAccountMax + 1);
  await sweepUnclaimed(store, call.now() + 3_600_000);
  assert.equal(await count(call, 'provisioning_claims'), 1);
});
