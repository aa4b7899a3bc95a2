import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import { certificateArn, insertCertificate } from '../certificates/certificate.ts';
import { deleteCertificate } from '../certificates/delete-certificate.ts';
import { migrations } from '../certificates/migrations.ts';
import { attachThingPrincipal, detachThingPrincipal } from './attach-thing-principal.ts';
import { createThing } from './create-thing.ts';
import { things } from './feature.ts';
import {
  listPrincipalThings,
  listPrincipalThingsV2,
  listThingPrincipals,
  listThingPrincipalsV2,
} from './list-attachments.ts';
import { listThings } from './list-things.ts';
import { deleteThing, describeThing } from './operations.ts';
import { updateThing } from './update-thing.ts';

const certificatesFeature = { name: 'certificates', migrations };

const makeThings = (t: TestContext) => makeCall(t, { features: [certificatesFeature, things()] });

/** Registers a certificate and returns its ARN; `digit` tells certificates apart. */
const register = async (call: Call, digit: string): Promise<string> => {
  const certificateId = digit.repeat(64);
  await call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId,
      status: 'INACTIVE',
      certificateMode: 'SNI_ONLY',
      pem: 'not looked at here',
      generationId: digit,
      createdAtMs: testStartMs,
      notBeforeMs: 0,
      notAfterMs: testStartMs * 2,
    }),
  );
  return certificateArn(call.account, certificateId);
};

const rejectsWith = (promise: Promise<unknown>, name: FaultName, message?: RegExp) =>
  assert.rejects(promise, (error: Error) => {
    assert.equal(error.name, name);
    if (message) assert.match(error.message, message);
    return true;
  });

const attributesOf = async (call: Call, thingName: string) => {
  const { attributes, version } = await describeThing({ thingName }, call);
  return { attributes, version };
};

test('CreateThing answers name, ARN and thingId; DescribeThing adds version 1 and the default client id', async (t) => {
  const { call } = await makeThings(t);
  const created = await createThing({ thingName: 'dev:1', attributePayload: { attributes: { site: 'tokyo' } } }, call);
  assert.equal(created.thingArn, 'arn:aws:iot:us-east-1:000000000000:thing/dev:1');
  assert.match(created.thingId ?? '', /^[0-9a-f-]{36}$/);
  assert.deepEqual(await describeThing({ thingName: 'dev:1' }, call), {
    defaultClientId: 'dev:1',
    thingName: 'dev:1',
    thingArn: created.thingArn,
    thingId: created.thingId,
    attributes: { site: 'tokyo' },
    version: 1,
  });
});

test('CreateThing again with the same attributes, in any order, succeeds with the first thingId (identity 6)', async (t) => {
  const { call } = await makeThings(t);
  const first = await createThing({ thingName: 'a', attributePayload: { attributes: { x: '1', y: '2' } } }, call);
  const again = await createThing({ thingName: 'a', attributePayload: { attributes: { y: '2', x: '1' } } }, call);
  assert.deepEqual(again, first);
});

test("CreateThing with other attributes is refused with AWS's message and both members (identity 6)", async (t) => {
  const { call } = await makeThings(t);
  const { thingId } = await createThing({ thingName: 'a' }, call);
  await assert.rejects(createThing({ thingName: 'a', attributePayload: { attributes: { x: '1' } } }, call), {
    name: 'ResourceAlreadyExistsException',
    message: 'Thing a already exists in account with different attributes',
    members: { resourceId: thingId, resourceArn: iotArn(testAccount, 'thing', 'a') },
  });
  assert.deepEqual(await attributesOf(call, 'a'), { attributes: {}, version: 1 });
});

test('what does not exist in this version cannot be named: thing types and billing groups are not found', async (t) => {
  const { call } = await makeThings(t);
  await rejectsWith(
    createThing({ thingName: 'a', thingTypeName: 'Bulb' }, call),
    'ResourceNotFoundException',
    /Thing type Bulb does not exist/,
  );
  await rejectsWith(createThing({ thingName: 'a', billingGroupName: 'b' }, call), 'ResourceNotFoundException');
  await rejectsWith(describeThing({ thingName: 'a' }, call), 'ResourceNotFoundException');
});

test('a thing without a type has at most three attributes, created or merged (guide, thing types)', async (t) => {
  const { call } = await makeThings(t);
  const four = { a: '1', b: '2', c: '3', d: '4' };
  await rejectsWith(
    createThing({ thingName: 'a', attributePayload: { attributes: four } }, call),
    'InvalidRequestException',
  );
  await createThing({ thingName: 'a', attributePayload: { attributes: { a: '1', b: '2', c: '3' } } }, call);
  const merge = { thingName: 'a', attributePayload: { attributes: { d: '4' }, merge: true } };
  await rejectsWith(updateThing(merge, call), 'InvalidRequestException');
  assert.deepEqual(await attributesOf(call, 'a'), { attributes: { a: '1', b: '2', c: '3' }, version: 1 });
});

test('an attribute may be named like a property of every object', async (t) => {
  const { call } = await makeThings(t);
  const attributes = JSON.parse('{"__proto__":"x","constructor":"y"}');
  await createThing({ thingName: 'a', attributePayload: { attributes } }, call);
  const read = (await describeThing({ thingName: 'a' }, call)).attributes ?? {};
  assert.deepEqual(Object.entries(read).sort(), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
  const found = await listThings(
    { attributeName: 'toString', attributeValue: '', usePrefixAttributeValue: true },
    call,
  );
  assert.deepEqual(found.things, []);
});

const updates: [
  given: Record<string, string> | undefined,
  merge: boolean,
  after: Record<string, string>,
  rule: string,
][] = [
  [{ c: '3' }, false, { c: '3' }, 'without merge all attributes are replaced'],
  [{ c: '3' }, true, { a: '1', b: '2', c: '3' }, 'with merge the others stay'],
  [{ a: '' }, true, { b: '2' }, 'an empty value removes'],
  [{ a: '', c: '3' }, false, { c: '3' }, 'an empty value never adds'],
  [{}, false, {}, 'replacing by nothing clears'],
  [undefined, false, { a: '1', b: '2' }, 'no attributes in the request: they stay'],
];
for (const [given, merge, after, rule] of updates) {
  test(`UpdateThing: ${rule} (identity 6)`, async (t) => {
    const { call, changes } = await makeThings(t);
    await createThing({ thingName: 'a', attributePayload: { attributes: { a: '1', b: '2' } } }, call);
    await updateThing({ thingName: 'a', attributePayload: { ...(given && { attributes: given }), merge } }, call);
    assert.deepEqual(await attributesOf(call, 'a'), { attributes: after, version: 2 });
    assert.deepEqual(changes, [{ account: testAccount, kind: 'thing', id: 'a' }]);
  });
}

test('a version that is not the present one is refused, by UpdateThing and DeleteThing (API reference)', async (t) => {
  const { call } = await makeThings(t);
  await createThing({ thingName: 'a' }, call);
  await updateThing({ thingName: 'a', expectedVersion: 1 }, call);
  await rejectsWith(updateThing({ thingName: 'a', expectedVersion: 1 }, call), 'VersionConflictException');
  await rejectsWith(deleteThing({ thingName: 'a', expectedVersion: 1 }, call), 'VersionConflictException');
  await deleteThing({ thingName: 'a', expectedVersion: 2 }, call);
  await rejectsWith(describeThing({ thingName: 'a' }, call), 'ResourceNotFoundException');
});

test('UpdateThing refuses to set and remove the type at once, and a thing that is not there', async (t) => {
  const { call } = await makeThings(t);
  const both = { thingName: 'a', thingTypeName: 'Bulb', removeThingType: true };
  await rejectsWith(updateThing(both, call), 'InvalidRequestException');
  await rejectsWith(updateThing({ thingName: 'a' }, call), 'ResourceNotFoundException');
});

test('DeleteThing of an unknown thing is a success and tells nobody (identity.md check 37)', async (t) => {
  const { call, changes } = await makeThings(t);
  assert.deepEqual(await deleteThing({ thingName: 'never' }, call), {});
  assert.deepEqual(changes, []);
});

test("DeleteThing is refused while a principal is attached, in AWS's words (identity 6)", async (t) => {
  const { call } = await makeThings(t);
  const principal = await register(call, 'a');
  await createThing({ thingName: 'a' }, call);
  await attachThingPrincipal({ thingName: 'a', principal }, call);
  await assert.rejects(deleteThing({ thingName: 'a' }, call), {
    name: 'InvalidRequestException',
    message: 'Cannot delete. Thing a is still attached to one or more principals',
  });
  await detachThingPrincipal({ thingName: 'a', principal }, call);
  await deleteThing({ thingName: 'a' }, call);
});

test('ListThings pages in name order, 25 without maxResults (identity 1.2)', async (t) => {
  const { call } = await makeThings(t);
  const names = Array.from({ length: 30 }, (_, index) => `t${String(index).padStart(2, '0')}`);
  for (const thingName of names) await createThing({ thingName }, call);
  const first = await listThings({}, call);
  assert.deepEqual(
    first.things?.map(({ thingName }) => thingName),
    names.slice(0, 25),
  );
  const second = await listThings({ nextToken: first.nextToken }, call);
  assert.deepEqual(
    second.things?.map(({ thingName }) => thingName),
    names.slice(25),
  );
  assert.equal(second.nextToken, undefined);
  assert.equal((await listThings({ maxResults: 30 }, call)).nextToken, undefined, 'a full last page has no token');
  await rejectsWith(listThings({ nextToken: 'AAAA' }, call), 'InvalidRequestException');
});

test('ListThings filters by the whole value of an attribute, or by its beginning, across pages (identity 6)', async (t) => {
  const { call } = await makeThings(t);
  for (const [thingName, site] of [
    ['a', 'tok'],
    ['b', 'tokyo'],
    ['c', 'osaka'],
    ['d', 'tok'],
  ] as const) {
    await createThing({ thingName, attributePayload: { attributes: { site } } }, call);
  }
  const namesOf = async (filter: Parameters<typeof listThings>[0]) => {
    const { things: found, nextToken } = await listThings(filter, call);
    return [...(found ?? []).map(({ thingName }) => thingName), ...(nextToken ? ['more'] : [])];
  };
  const tok = { attributeName: 'site', attributeValue: 'tok' };
  assert.deepEqual(await namesOf(tok), ['a', 'd']);
  assert.deepEqual(await namesOf({ ...tok, usePrefixAttributeValue: true }), ['a', 'b', 'd']);
  assert.deepEqual(await namesOf({ thingTypeName: 'Bulb' }), []);
  const first = await listThings({ ...tok, maxResults: 1 }, call);
  assert.deepEqual(await namesOf({ ...tok, maxResults: 1, nextToken: first.nextToken }), ['d']);
  await rejectsWith(listThings({ attributeName: 'site' }, call), 'InvalidRequestException');
  await rejectsWith(listThings({ attributeValue: 'tok' }, call), 'InvalidRequestException');
});

test('attaching the same pair again succeeds and tells nobody a second time (identity 4.2)', async (t) => {
  const { call, changes } = await makeThings(t);
  const principal = await register(call, 'a');
  await createThing({ thingName: 'a' }, call);
  await attachThingPrincipal({ thingName: 'a', principal }, call);
  await attachThingPrincipal({ thingName: 'a', principal, thingPrincipalType: 'NON_EXCLUSIVE_THING' }, call);
  assert.deepEqual(changes, [{ account: testAccount, kind: 'principal', id: 'a'.repeat(64) }]);
  assert.deepEqual(await listThingPrincipalsV2({ thingName: 'a' }, call), {
    thingPrincipalObjects: [{ principal, thingPrincipalType: 'NON_EXCLUSIVE_THING' }],
  });
});

type Attach = [thingName: string, type: 'EXCLUSIVE_THING' | 'NON_EXCLUSIVE_THING'];
const exclusiveRules: [before: Attach, then: Attach, refused: boolean, rule: string][] = [
  [['a', 'NON_EXCLUSIVE_THING'], ['b', 'NON_EXCLUSIVE_THING'], false, 'a principal may have several things'],
  [['a', 'EXCLUSIVE_THING'], ['a', 'EXCLUSIVE_THING'], false, 'the same exclusive pair again is a success'],
  [['a', 'NON_EXCLUSIVE_THING'], ['b', 'EXCLUSIVE_THING'], true, 'exclusive needs that there is no other thing'],
  [
    ['a', 'EXCLUSIVE_THING'],
    ['b', 'NON_EXCLUSIVE_THING'],
    true,
    'an exclusive principal takes no second thing (identity.md check 38)',
  ],
  [['a', 'EXCLUSIVE_THING'], ['b', 'EXCLUSIVE_THING'], true, 'nor a second exclusive one'],
  [['a', 'EXCLUSIVE_THING'], ['a', 'NON_EXCLUSIVE_THING'], true, 'the type of a pair is not changed by attaching'],
  [['a', 'NON_EXCLUSIVE_THING'], ['a', 'EXCLUSIVE_THING'], true, 'in neither direction'],
];
for (const [before, then, refused, rule] of exclusiveRules) {
  test(`attach ${before.join(' ')} then ${then.join(' ')}: ${rule} (identity 4.2)`, async (t) => {
    const { call } = await makeThings(t);
    const principal = await register(call, 'a');
    await createThing({ thingName: 'a' }, call);
    await createThing({ thingName: 'b' }, call);
    await attachThingPrincipal({ thingName: before[0], principal, thingPrincipalType: before[1] }, call);
    const second = attachThingPrincipal({ thingName: then[0], principal, thingPrincipalType: then[1] }, call);
    await (refused ? rejectsWith(second, 'InvalidRequestException') : second);
    const count = (await listPrincipalThings({ principal }, call)).things?.length;
    assert.equal(count, !refused && before[0] !== then[0] ? 2 : 1);
  });
}

test('a thing may have several principals, also when it is exclusive to one of them (identity 4.2)', async (t) => {
  const { call } = await makeThings(t);
  const [one, two] = [await register(call, 'a'), await register(call, 'b')];
  await createThing({ thingName: 'a' }, call);
  await attachThingPrincipal({ thingName: 'a', principal: one, thingPrincipalType: 'EXCLUSIVE_THING' }, call);
  await attachThingPrincipal({ thingName: 'a', principal: two }, call);
  assert.deepEqual((await listThingPrincipals({ thingName: 'a' }, call)).principals, [one, two]);
});

const foreignArn = certificateArn(otherAccount, 'a'.repeat(64));
const otherRegion: AccountRegion = { ...testAccount, region: 'eu-central-1' };
const principals: [principal: string, fault: FaultName, rule: string][] = [
  [certificateArn(testAccount, 'f'.repeat(64)), 'ResourceNotFoundException', 'a certificate that is not registered'],
  [foreignArn, 'ResourceNotFoundException', "another account's certificate is as good as unknown"],
  [certificateArn(otherRegion, 'a'.repeat(64)), 'ResourceNotFoundException', "another region's likewise"],
  [certificateArn(testAccount, 'A'.repeat(64)), 'ResourceNotFoundException', 'an id in upper case is another id'],
  [
    'us-east-1:01234567-89ab-cdef-0123-456789abcdef',
    'InvalidRequestException',
    'a Cognito identity, not in this version',
  ],
  [iotArn(testAccount, 'thinggroup', 'g'), 'InvalidRequestException', 'a thing group is no principal'],
  [`arn:aws-cn:iot:us-east-1:000000000000:cert/${'a'.repeat(64)}`, 'InvalidRequestException', 'another partition'],
  [
    `arn:aws:iot:us-east-1:000000000000:cert:${'a'.repeat(64)}`,
    'InvalidRequestException',
    'a second spelling of an ARN',
  ],
  ['arn:aws:iam::000000000000:role/x', 'InvalidRequestException', 'an ARN of another service'],
  ['', 'InvalidRequestException', 'nothing'],
  ['x'.repeat(100_000), 'InvalidRequestException', 'a long nothing'],
];
for (const [principal, fault, rule] of principals) {
  test(`a principal that cannot be attached, detached or asked for: ${rule}`, async (t) => {
    const { call, callAs } = await makeThings(t);
    for (const account of [testAccount, otherAccount, otherRegion]) await register(callAs(account), 'a');
    await createThing({ thingName: 'a' }, call);
    const attempts = [
      attachThingPrincipal({ thingName: 'a', principal }, call),
      detachThingPrincipal({ thingName: 'a', principal }, call),
      listPrincipalThings({ principal }, call),
      listPrincipalThingsV2({ principal }, call),
    ];
    for (const attempt of await Promise.allSettled(attempts)) {
      assert.equal(attempt.status === 'rejected' && attempt.reason.name, fault);
      assert.ok(attempt.status === 'rejected' && attempt.reason.message.length < 500);
    }
  });
}

test('an unknown thing is not found by attach, detach and its listings, before the principal is looked at', async (t) => {
  const { call } = await makeThings(t);
  const asked = { thingName: 'x', principal: 'none' };
  for (const operation of [attachThingPrincipal, detachThingPrincipal, listThingPrincipals, listThingPrincipalsV2]) {
    await rejectsWith(operation(asked, call), 'ResourceNotFoundException', /Thing x/);
  }
});

test('detaching a pair that is not attached is not found (identity 4.2)', async (t) => {
  const { call, changes } = await makeThings(t);
  const principal = await register(call, 'a');
  await createThing({ thingName: 'a' }, call);
  await rejectsWith(
    detachThingPrincipal({ thingName: 'a', principal }, call),
    'ResourceNotFoundException',
    /not attached/,
  );
  assert.deepEqual(changes, []);
});

test('the second listings filter by type, and all four page by their key (identity 4.2)', async (t) => {
  const { call } = await makeThings(t);
  const [one, two] = [await register(call, 'a'), await register(call, 'b')];
  for (const thingName of ['a', 'b', 'c']) await createThing({ thingName }, call);
  for (const thingName of ['a', 'b', 'c']) await attachThingPrincipal({ thingName, principal: one }, call);
  await attachThingPrincipal({ thingName: 'a', principal: two, thingPrincipalType: 'EXCLUSIVE_THING' }, call);

  const byType = await listThingPrincipalsV2({ thingName: 'a', thingPrincipalType: 'EXCLUSIVE_THING' }, call);
  assert.deepEqual(byType.thingPrincipalObjects, [{ principal: two, thingPrincipalType: 'EXCLUSIVE_THING' }]);
  const none = await listPrincipalThingsV2({ principal: two, thingPrincipalType: 'NON_EXCLUSIVE_THING' }, call);
  assert.deepEqual(none.principalThingObjects, []);

  const first = await listPrincipalThings({ principal: one, maxResults: 2 }, call);
  assert.deepEqual(first.things, ['a', 'b']);
  const last = await listPrincipalThings({ principal: one, maxResults: 2, nextToken: first.nextToken }, call);
  assert.deepEqual(last, { things: ['c'] });
  const principalsPage = await listThingPrincipals({ thingName: 'a', maxResults: 1 }, call);
  assert.deepEqual(principalsPage.principals, [one]);
  const rest = await listThingPrincipals({ thingName: 'a', maxResults: 1, nextToken: principalsPage.nextToken }, call);
  assert.deepEqual(rest, { principals: [two] });
});

test('a certificate with a thing cannot be deleted, not even by force (identity.md check 25)', async (t) => {
  const { call } = await makeThings(t);
  const principal = await register(call, 'a');
  await createThing({ thingName: 'a' }, call);
  await attachThingPrincipal({ thingName: 'a', principal }, call);
  await rejectsWith(
    deleteCertificate({ certificateId: 'a'.repeat(64), forceDelete: true }, call),
    'DeleteConflictException',
    /Things must be detached/,
  );
  await detachThingPrincipal({ thingName: 'a', principal }, call);
  await deleteCertificate({ certificateId: 'a'.repeat(64) }, call);
});

test('accounts and regions do not see each other: same names, same certificate, separate things', async (t) => {
  const { call, callAs } = await makeThings(t);
  const mine = await register(call, 'a');
  for (const account of [otherAccount, otherRegion]) {
    const other = callAs(account);
    const theirs = await register(other, 'a');
    await createThing({ thingName: 'a', attributePayload: { attributes: { who: account.region } } }, other);
    await attachThingPrincipal({ thingName: 'a', principal: theirs }, other);
  }
  await rejectsWith(describeThing({ thingName: 'a' }, call), 'ResourceNotFoundException');
  assert.deepEqual((await listThings({}, call)).things, []);
  assert.deepEqual(await listPrincipalThings({ principal: mine }, call), { things: [] });
  await deleteThing({ thingName: 'a' }, call);
  assert.equal((await describeThing({ thingName: 'a' }, callAs(otherAccount))).version, 1);
});
