import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import { certificateArn, insertCertificate } from '../certificates/certificate.ts';
import { deleteCertificate } from '../certificates/delete-certificate.ts';
import { migrations } from '../certificates/migrations.ts';
import { tags } from '../tags/feature.ts';
import { listTags } from '../tags/tag.ts';
import { things } from '../things/feature.ts';
import { attachPolicy, attachPrincipalPolicy, detachPolicy, detachPrincipalPolicy } from './attach-policy.ts';
import { createPolicy, createPolicyVersion } from './create-policy.ts';
import { policies } from './feature.ts';
import {
  listAttachedPolicies,
  listPolicyPrincipals,
  listPrincipalPolicies,
  listTargetsForPolicy,
} from './list-attachments.ts';
import {
  deletePolicy,
  deletePolicyVersion,
  getPolicy,
  getPolicyVersion,
  listPolicies,
  listPolicyVersions,
  setDefaultPolicyVersion,
} from './operations.ts';

const makePolicies = (t: TestContext) =>
  makeCall(t, { features: [tags({}), { name: 'certificates', migrations }, things(), policies()] });

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

const allowAll = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
const spacedOut = `{\r\n  "Version": "2012-10-17",\n\t"Statement": [ {"Effect":"Allow", "Action":"iot:Connect","Resource":"*"} ] \n}\n`;

test('CreatePolicy answers the document byte for byte as version 1, and GetPolicy the same (identity 5, policy 1)', async (t) => {
  const { call } = await makePolicies(t);
  const policyArn = 'arn:aws:iot:us-east-1:000000000000:policy/p';
  assert.deepEqual(await createPolicy({ policyName: 'p', policyDocument: spacedOut }, call), {
    policyName: 'p',
    policyArn,
    policyDocument: spacedOut,
    policyVersionId: '1',
  });
  const { generationId, ...read } = await getPolicy({ policyName: 'p' }, call);
  assert.match(generationId ?? '', /^[0-9a-f-]{36}$/);
  assert.deepEqual(read, {
    policyName: 'p',
    policyArn,
    policyDocument: spacedOut,
    defaultVersionId: '1',
    creationDate: new Date(testStartMs),
    lastModifiedDate: new Date(testStartMs),
  });
});

test('a policy name is taken even for the same document, with both members (identity 5)', async (t) => {
  const { call } = await makePolicies(t);
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  await assert.rejects(createPolicy({ policyName: 'p', policyDocument: allowAll }, call), {
    name: 'ResourceAlreadyExistsException',
    message: 'Policy cannot be created - name already exists (name=p)',
    members: { resourceId: 'p', resourceArn: iotArn(testAccount, 'policy', 'p') },
  });
});

test('a malformed document is refused with the place of the mistake, by both creating operations, and nothing is kept', async (t) => {
  const { call } = await makePolicies(t);
  const lowerEffect = allowAll.replace('Allow', 'allow');
  await rejectsWith(
    createPolicy({ policyName: 'p', policyDocument: lowerEffect }, call),
    'MalformedPolicyException',
    /Effect/,
  );
  await rejectsWith(getPolicy({ policyName: 'p' }, call), 'ResourceNotFoundException');
  const version = createPolicyVersion({ policyName: 'p', policyDocument: '{' }, call);
  await rejectsWith(version, 'MalformedPolicyException');
});

test('white space does not count towards the 2048 characters of a document (identity.md check 35; policy checks 29 and 30)', async (t) => {
  const { call } = await makePolicies(t);
  const documentOf = (characters: number, blanks: number): string => {
    const frame = allowAll.replace('"Statement"', '"Id":"","Statement"');
    return frame.replace('"Id":""', `"Id":"${'x'.repeat(characters - frame.length)}"`) + ' '.repeat(blanks);
  };
  await createPolicy({ policyName: 'p', policyDocument: documentOf(2048, 1000) }, call);
  assert.equal((await getPolicy({ policyName: 'p' }, call)).policyDocument?.length, 3048);
  const long = createPolicy({ policyName: 'q', policyDocument: documentOf(2049, 0) }, call);
  await rejectsWith(long, 'MalformedPolicyException');
});

test('a policy has the tags that it was created with, and takes them along when it is deleted (API reference, CreatePolicy)', async (t) => {
  const { call } = await makePolicies(t);
  const tagged = { policyName: 'p', policyDocument: allowAll, tags: [{ Key: 'k', Value: 'v' }] };
  const tagsOf = () => listTags(call.db, call.account, iotArn(testAccount, 'policy', 'p'));
  const reserved = { ...tagged, tags: [{ Key: 'aws:k', Value: 'v' }] };
  await rejectsWith(createPolicy(reserved, call), 'InvalidRequestException', /reserved/);
  await createPolicy(tagged, call);
  const again = createPolicy({ ...tagged, tags: [{ Key: 'other', Value: 'v' }] }, call);
  await rejectsWith(again, 'ResourceAlreadyExistsException');
  assert.deepEqual(await tagsOf(), tagged.tags);
  await deletePolicy({ policyName: 'p' }, call);
  assert.deepEqual(await tagsOf(), []);
});

test('five versions at most; the id of a deleted one is never given again (identity.md check 34; policy 1)', async (t) => {
  const { call } = await makePolicies(t);
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  const add = () => createPolicyVersion({ policyName: 'p', policyDocument: allowAll }, call);
  for (const id of ['2', '3', '4', '5']) assert.equal((await add()).policyVersionId, id);
  await rejectsWith(
    add(),
    'VersionsLimitExceededException',
    /^The policy p already has the maximum number of versions \(5\)$/,
  );
  await deletePolicyVersion({ policyName: 'p', policyVersionId: '5' }, call);
  assert.equal((await add()).policyVersionId, '6');
});

test('the default version is version 1 until it is set, at creation of a version or later (identity 5)', async (t) => {
  const { call, changes, advance } = await makePolicies(t);
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  advance(1000);
  const second = await createPolicyVersion({ policyName: 'p', policyDocument: spacedOut }, call);
  assert.equal(second.isDefaultVersion, false);
  assert.deepEqual(changes, [], 'a version that does not operate changes nothing');
  const third = await createPolicyVersion({ policyName: 'p', policyDocument: spacedOut, setAsDefault: true }, call);
  assert.deepEqual(third, {
    policyArn: iotArn(testAccount, 'policy', 'p'),
    policyDocument: spacedOut,
    policyVersionId: '3',
    isDefaultVersion: true,
  });
  assert.equal((await getPolicy({ policyName: 'p' }, call)).policyDocument, spacedOut);
  await setDefaultPolicyVersion({ policyName: 'p', policyVersionId: '1' }, call);
  assert.deepEqual((await listPolicyVersions({ policyName: 'p' }, call)).policyVersions, [
    { versionId: '3', isDefaultVersion: false, createDate: new Date(testStartMs + 1000) },
    { versionId: '2', isDefaultVersion: false, createDate: new Date(testStartMs + 1000) },
    { versionId: '1', isDefaultVersion: true, createDate: new Date(testStartMs) },
  ]);
  const { policyDocument, isDefaultVersion, policyVersionId } = await getPolicyVersion(
    { policyName: 'p', policyVersionId: '2' },
    call,
  );
  assert.deepEqual([policyDocument, isDefaultVersion, policyVersionId], [spacedOut, false, '2']);
  const notice = { account: testAccount, kind: 'policy', id: 'p' };
  assert.deepEqual(changes, [notice, notice]);
  await setDefaultPolicyVersion({ policyName: 'p', policyVersionId: '1' }, call);
  assert.equal(changes.length, 2, 'setting what is set tells nobody');
});

for (const policyVersionId of ['2', '01', '0', '1e0', '9'.repeat(400)]) {
  test(`version ${policyVersionId.slice(0, 8)} of a policy with one version is not found by any operation`, async (t) => {
    const { call } = await makePolicies(t);
    await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
    for (const operation of [getPolicyVersion, deletePolicyVersion, setDefaultPolicyVersion]) {
      await rejectsWith(operation({ policyName: 'p', policyVersionId }, call), 'ResourceNotFoundException');
      await rejectsWith(operation({ policyName: 'q', policyVersionId }, call), 'ResourceNotFoundException', /name=q\)/);
    }
  });
}

test('the default version cannot be deleted (identity 5)', async (t) => {
  const { call } = await makePolicies(t);
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  const deletion = deletePolicyVersion({ policyName: 'p', policyVersionId: '1' }, call);
  await rejectsWith(deletion, 'DeleteConflictException');
  assert.equal((await getPolicy({ policyName: 'p' }, call)).policyDocument, allowAll);
});

test('DeletePolicy is refused while attached, then while there are more versions, and is final (identity 5)', async (t) => {
  const { call } = await makePolicies(t);
  const target = await register(call, 'a');
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  await createPolicyVersion({ policyName: 'p', policyDocument: allowAll }, call);
  await attachPolicy({ policyName: 'p', target }, call);
  await rejectsWith(
    deletePolicy({ policyName: 'p' }, call),
    'DeleteConflictException',
    /^The policy cannot be deleted as the policy is attached to one or more principals \(name=p\)$/,
  );
  await detachPolicy({ policyName: 'p', target }, call);
  await rejectsWith(
    deletePolicy({ policyName: 'p' }, call),
    'DeleteConflictException',
    /^Cannot delete the policy because it has one or more policy versions attached to it \(name=p\)$/,
  );
  await deletePolicyVersion({ policyName: 'p', policyVersionId: '2' }, call);
  await deletePolicy({ policyName: 'p' }, call);
  await rejectsWith(deletePolicy({ policyName: 'p' }, call), 'ResourceNotFoundException');
  const again = await createPolicy({ policyName: 'p', policyDocument: spacedOut }, call);
  assert.equal(again.policyVersionId, '1', 'a new policy of the name begins anew');
});

test('an operation on an unknown policy is not found', async (t) => {
  const { call } = await makePolicies(t);
  const target = await register(call, 'a');
  const named = { policyName: 'nope', policyDocument: allowAll, target, principal: target };
  for (const operation of [
    getPolicy,
    deletePolicy,
    createPolicyVersion,
    listPolicyVersions,
    attachPolicy,
    attachPrincipalPolicy,
    detachPrincipalPolicy,
    listTargetsForPolicy,
    listPolicyPrincipals,
  ]) {
    await rejectsWith(operation(named, call), 'ResourceNotFoundException', /nope/);
  }
});

test('ListPolicies is newest first, or oldest first when asked, and pages by creation (identity 1.2)', async (t) => {
  const { call, advance } = await makePolicies(t);
  const names = Array.from({ length: 30 }, (_, index) => `p${String(index).padStart(2, '0')}`);
  for (const [index, policyName] of names.entries()) {
    if (index % 2 === 0) advance(1); // pairs share a millisecond
    await createPolicy({ policyName, policyDocument: allowAll }, call);
  }
  for (const ascendingOrder of [false, true]) {
    const read: (string | undefined)[] = [];
    let marker: string | undefined;
    const sizes: number[] = [];
    do {
      const page: Awaited<ReturnType<typeof listPolicies>> = await listPolicies(
        { ascendingOrder, ...(marker !== undefined && { marker }), ...(sizes.length > 0 && { pageSize: 3 }) },
        call,
      );
      read.push(...(page.policies ?? []).map(({ policyName }) => policyName));
      sizes.push(page.policies?.length ?? 0);
      marker = page.nextMarker;
      if (marker) assert.match(marker, /^[A-Za-z0-9+/]+={0,2}$/);
    } while (marker);
    assert.deepEqual(read, ascendingOrder ? names : names.toReversed());
    assert.deepEqual(sizes, [25, 3, 2]);
  }
  await rejectsWith(listPolicies({ marker: 'AAAA' }, call), 'InvalidRequestException');
});

test('attaching twice is a success and tells nobody a second time (policy 1)', async (t) => {
  const { call, changes } = await makePolicies(t);
  const target = await register(call, 'a');
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  await attachPolicy({ policyName: 'p', target }, call);
  await attachPrincipalPolicy({ policyName: 'p', principal: target }, call);
  assert.deepEqual(changes, [{ account: testAccount, kind: 'principal', id: 'a'.repeat(64) }]);
});

test('ten policies fit on a certificate; an eleventh is refused, one of the ten again is not (identity.md check 33)', async (t) => {
  const { call } = await makePolicies(t);
  const target = await register(call, 'a');
  for (let index = 0; index <= 10; index++) {
    await createPolicy({ policyName: `p${index}`, policyDocument: allowAll }, call);
  }
  for (let index = 0; index < 10; index++) await attachPolicy({ policyName: `p${index}`, target }, call);
  await rejectsWith(attachPolicy({ policyName: 'p10', target }, call), 'LimitExceededException');
  await rejectsWith(attachPrincipalPolicy({ policyName: 'p10', principal: target }, call), 'LimitExceededException');
  await attachPolicy({ policyName: 'p0', target }, call);
  assert.equal((await listAttachedPolicies({ target }, call)).policies?.length, 10);
});

const otherRegion: AccountRegion = { ...testAccount, region: 'eu-central-1' };
const certificate = 'a'.repeat(64);
const targets: [target: string, attach: FaultName, rule: string][] = [
  [certificateArn(testAccount, 'f'.repeat(64)), 'ResourceNotFoundException', 'a certificate that is not registered'],
  [certificateArn(otherAccount, certificate), 'ResourceNotFoundException', "another account's certificate"],
  [certificateArn(otherRegion, certificate), 'ResourceNotFoundException', "another region's certificate"],
  [
    iotArn(testAccount, 'thinggroup', 'g'),
    'ResourceNotFoundException',
    'a thing group: there are none in this version',
  ],
  [
    'us-east-1:01234567-89ab-cdef-0123-456789abcdef',
    'InvalidRequestException',
    'a Cognito identity, not in this version',
  ],
  [iotArn(testAccount, 'thing', 'a'), 'InvalidRequestException', 'a thing is no target'],
  ['nonsense', 'InvalidRequestException', 'no ARN'],
];
for (const [target, fault, rule] of targets) {
  test(`a target without policies: ${rule} (identity.md check 32; 4.1)`, async (t) => {
    const { call, callAs } = await makePolicies(t);
    for (const account of [testAccount, otherAccount, otherRegion]) {
      await register(callAs(account), 'a');
      await createPolicy({ policyName: 'p', policyDocument: allowAll }, callAs(account));
    }
    const named = { policyName: 'p', target, principal: target };
    for (const operation of [
      attachPolicy,
      attachPrincipalPolicy,
      detachPrincipalPolicy,
      listAttachedPolicies,
      listPrincipalPolicies,
    ]) {
      await rejectsWith(operation(named, call), fault);
    }
    // DetachPolicy declares no ResourceNotFoundException; Terraform looks for these words
    await rejectsWith(detachPolicy(named, call), 'InvalidRequestException', /Invalid Target/);
    for (const account of [testAccount, otherAccount, otherRegion]) {
      assert.deepEqual(await listTargetsForPolicy({ policyName: 'p' }, callAs(account)), { targets: [] });
    }
  });
}

test('DetachPolicy of what is not attached, or not a policy, succeeds; the older form tells (identity.md check 32; 4.1)', async (t) => {
  const { call, changes } = await makePolicies(t);
  const target = await register(call, 'a');
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  assert.deepEqual(await detachPolicy({ policyName: 'p', target }, call), {});
  assert.deepEqual(await detachPolicy({ policyName: 'never', target }, call), {});
  const older = detachPrincipalPolicy({ policyName: 'p', principal: target }, call);
  await rejectsWith(older, 'ResourceNotFoundException', /not attached/);
  assert.deepEqual(changes, []);
});

test('both ways of attaching write the same, and detaching tells every node', async (t) => {
  const { call, changes } = await makePolicies(t);
  const target = await register(call, 'a');
  for (const policyName of ['p', 'q']) await createPolicy({ policyName, policyDocument: allowAll }, call);
  await attachPolicy({ policyName: 'p', target }, call);
  await attachPrincipalPolicy({ policyName: 'q', principal: target }, call);
  const p = { policyName: 'p', policyArn: iotArn(testAccount, 'policy', 'p') };
  const q = { policyName: 'q', policyArn: iotArn(testAccount, 'policy', 'q') };
  assert.deepEqual(await listAttachedPolicies({ target }, call), { policies: [q, p] });
  assert.deepEqual(await listPrincipalPolicies({ principal: target, ascendingOrder: true }, call), {
    policies: [p, q],
  });
  assert.deepEqual(await listTargetsForPolicy({ policyName: 'p' }, call), { targets: [target] });
  assert.deepEqual(await listPolicyPrincipals({ policyName: 'q' }, call), { principals: [target] });
  await detachPrincipalPolicy({ policyName: 'p', principal: target }, call);
  await detachPolicy({ policyName: 'q', target }, call);
  assert.deepEqual(await listAttachedPolicies({ target }, call), { policies: [] });
  assert.equal(changes.length, 4);
  assert.ok(changes.every(({ kind, id }) => kind === 'principal' && id === certificate));
});

test('the listings of attachments page by the time of attaching (identity 1.2)', async (t) => {
  const { call, advance } = await makePolicies(t);
  const arns = [await register(call, 'a'), await register(call, 'b'), await register(call, 'c')];
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  for (const target of arns) {
    advance(1);
    await attachPolicy({ policyName: 'p', target }, call);
  }
  const newest = await listTargetsForPolicy({ policyName: 'p', pageSize: 2 }, call);
  assert.deepEqual(newest.targets, [arns[2], arns[1]]);
  const rest = await listTargetsForPolicy({ policyName: 'p', pageSize: 2, marker: newest.nextMarker }, call);
  assert.deepEqual(rest, { targets: [arns[0]] });
  const oldest = await listPolicyPrincipals({ policyName: 'p', pageSize: 1, ascendingOrder: true }, call);
  assert.deepEqual(oldest.principals, [arns[0]]);
});

test('a certificate with policies is deleted only by force, which detaches them (identity.md check 26)', async (t) => {
  const { call } = await makePolicies(t);
  const target = await register(call, 'a');
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  await attachPolicy({ policyName: 'p', target }, call);
  const plain = deleteCertificate({ certificateId: certificate }, call);
  await rejectsWith(plain, 'DeleteConflictException', /policies must be detached/);
  await deleteCertificate({ certificateId: certificate, forceDelete: true }, call);
  assert.deepEqual(await listTargetsForPolicy({ policyName: 'p' }, call), { targets: [] });
  await deletePolicy({ policyName: 'p' }, call);
});

test('accounts and regions do not see each other: same policy name, same certificate, separate attachments', async (t) => {
  const { call, callAs } = await makePolicies(t);
  const mine = await register(call, 'a');
  for (const account of [otherAccount, otherRegion]) {
    const other = callAs(account);
    const theirs = await register(other, 'a');
    await createPolicy({ policyName: 'p', policyDocument: spacedOut }, other);
    await attachPolicy({ policyName: 'p', target: theirs }, other);
  }
  await rejectsWith(getPolicy({ policyName: 'p' }, call), 'ResourceNotFoundException');
  await rejectsWith(attachPolicy({ policyName: 'p', target: mine }, call), 'ResourceNotFoundException');
  await rejectsWith(deletePolicy({ policyName: 'p' }, call), 'ResourceNotFoundException');
  assert.deepEqual(await listPolicies({}, call), { policies: [] });
  await createPolicy({ policyName: 'p', policyDocument: allowAll }, call);
  assert.deepEqual(await listTargetsForPolicy({ policyName: 'p' }, call), { targets: [] });
  await deletePolicy({ policyName: 'p' }, call);
  assert.equal((await getPolicy({ policyName: 'p' }, callAs(otherAccount))).policyDocument, spacedOut);
});
