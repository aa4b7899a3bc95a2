import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import type { FaultName } from '../../aws/fault.ts';
import { tags } from '../tags/feature.ts';
import { listTags } from '../tags/tag.ts';
import { roles } from './feature.ts';
import { createRoleAlias, deleteRoleAlias, describeRoleAlias, listRoleAliases, updateRoleAlias } from './operations.ts';
import { roleAliasesMax } from './role-alias.ts';

const roleArn = 'arn:aws:iam::000000000000:role/devices/reader';
const roleAliasArn = 'arn:aws:iot:us-east-1:000000000000:rolealias/reader';

const makeRoles = (t: TestContext) => makeCall(t, { features: [tags({}), roles()] });

const rejectsWith = (promise: Promise<unknown>, name: FaultName, message?: RegExp) =>
  assert.rejects(promise, (error: Error) => {
    assert.equal(error.name, name);
    if (message) assert.match(error.message, message);
    return true;
  });

test('CreateRoleAlias answers name and ARN, and DescribeRoleAlias all of it, an hour being the default (API reference)', async (t) => {
  const { call } = await makeRoles(t);
  const answer = await createRoleAlias({ roleAlias: 'reader', roleArn }, call);
  assert.deepEqual(answer, { roleAlias: 'reader', roleAliasArn });
  assert.deepEqual(await describeRoleAlias({ roleAlias: 'reader' }, call), {
    roleAliasDescription: {
      ...{ roleAlias: 'reader', roleAliasArn, roleArn },
      ...{ owner: '000000000000', credentialDurationSeconds: 3600 },
      ...{ creationDate: new Date(testStartMs), lastModifiedDate: new Date(testStartMs) },
    },
  });
});

test('a role alias is found by its exact name, in its own account and region (guide: names are case sensitive)', async (t) => {
  const { call, callAs } = await makeRoles(t);
  await createRoleAlias({ roleAlias: 'reader', roleArn }, call);
  const places = [callAs(otherAccount), callAs({ ...testAccount, region: 'eu-west-1' })];
  for (const [roleAlias, of] of [['Reader', call], ...places.map((place) => ['reader', place] as const)] as const) {
    await rejectsWith(describeRoleAlias({ roleAlias }, of), 'ResourceNotFoundException', /^Role alias does not exist$/);
    await rejectsWith(updateRoleAlias({ roleAlias }, of), 'ResourceNotFoundException');
    await rejectsWith(deleteRoleAlias({ roleAlias }, of), 'ResourceNotFoundException');
    assert.deepEqual(await listRoleAliases({}, of), { roleAliases: of === call ? ['reader'] : [] });
  }
});

test('a name is taken whatever the role, and the fault says by what (spec identity 9)', async (t) => {
  const { call } = await makeRoles(t);
  await createRoleAlias({ roleAlias: 'reader', roleArn }, call);
  const again = createRoleAlias({ roleAlias: 'reader', roleArn: `${roleArn}2`, credentialDurationSeconds: 900 }, call);
  await assert.rejects(again, {
    name: 'ResourceAlreadyExistsException',
    members: { resourceId: 'reader', resourceArn: roleAliasArn },
  });
  const { roleAliasDescription } = await describeRoleAlias({ roleAlias: 'reader' }, call);
  assert.deepEqual([roleAliasDescription?.roleArn, roleAliasDescription?.credentialDurationSeconds], [roleArn, 3600]);
});

test('the role has to be one of this account by its ARN, and may be missing (asked at use)', async (t) => {
  const { call } = await makeRoles(t);
  await createRoleAlias({ roleAlias: 'reader', roleArn }, call);
  for (const wrong of [
    'arn:aws:iam::111111111111:role/reader',
    'arn:aws:iam::000000000000:user/reader',
    'reader-role-without-any-arn',
  ]) {
    await rejectsWith(
      createRoleAlias({ roleAlias: 'b', roleArn: wrong }, call),
      'InvalidRequestException',
      /^roleArn /,
    );
    await rejectsWith(updateRoleAlias({ roleAlias: 'reader', roleArn: wrong }, call), 'InvalidRequestException');
  }
  assert.deepEqual(await listRoleAliases({}, call), { roleAliases: ['reader'] });
});

test('UpdateRoleAlias changes what it names and leaves the rest', async (t) => {
  const { call, advance } = await makeRoles(t);
  await createRoleAlias({ roleAlias: 'reader', roleArn, credentialDurationSeconds: 7200 }, call);
  const described = async () => (await describeRoleAlias({ roleAlias: 'reader' }, call)).roleAliasDescription;
  advance(5000);
  const answer = await updateRoleAlias({ roleAlias: 'reader', roleArn: `${roleArn}2` }, call);
  assert.deepEqual(answer, { roleAlias: 'reader', roleAliasArn });
  const first = await described();
  assert.deepEqual([first?.roleArn, first?.credentialDurationSeconds], [`${roleArn}2`, 7200]);
  assert.deepEqual(first?.creationDate, new Date(testStartMs));
  assert.deepEqual(first?.lastModifiedDate, new Date(testStartMs + 5000));
  await updateRoleAlias({ roleAlias: 'reader', credentialDurationSeconds: 900 }, call);
  const second = await described();
  assert.deepEqual([second?.roleArn, second?.credentialDurationSeconds], [`${roleArn}2`, 900]);
});

test('ListRoleAliases pages by name, forwards and backwards, and takes no foreign marker', async (t) => {
  const { call, callAs } = await makeRoles(t);
  for (const roleAlias of ['b', 'C', 'a', '@', '_d']) await createRoleAlias({ roleAlias, roleArn }, call);
  for (const ascendingOrder of [true, false]) {
    const names: string[] = [];
    let marker: string | undefined;
    do {
      const page = await listRoleAliases({ pageSize: 2, ascendingOrder, ...(marker && { marker }) }, call);
      names.push(...(page.roleAliases ?? []));
      marker = page.nextMarker;
      assert((page.roleAliases?.length ?? 0) <= 2);
    } while (marker !== undefined);
    const expected = ['@', 'C', '_d', 'a', 'b'];
    assert.deepEqual(names, ascendingOrder ? expected : expected.toReversed());
  }
  const { nextMarker = '' } = await listRoleAliases({ pageSize: 2 }, call);
  await rejectsWith(listRoleAliases({ marker: nextMarker }, callAs(otherAccount)), 'InvalidRequestException');
});

test('an account has 100 role aliases in a region, and one fewer after a deletion (AWS quotas)', async (t) => {
  const { call, callAs } = await makeRoles(t);
  for (let n = 0; n < roleAliasesMax; n += 1) await createRoleAlias({ roleAlias: `a${n}`, roleArn }, call);
  await rejectsWith(createRoleAlias({ roleAlias: 'more', roleArn }, call), 'LimitExceededException', /100/);
  await createRoleAlias({ roleAlias: 'more', roleArn }, callAs({ ...testAccount, region: 'eu-west-1' }));
  await deleteRoleAlias({ roleAlias: 'a0' }, call);
  await createRoleAlias({ roleAlias: 'more', roleArn }, call);
});

test('a role alias has the tags that it was created with, and takes them along when it is deleted', async (t) => {
  const { call } = await makeRoles(t);
  const tagged = { roleAlias: 'reader', roleArn, tags: [{ Key: 'team', Value: 'blue' }] };
  await rejectsWith(
    createRoleAlias({ ...tagged, tags: [{ Key: 'aws:k', Value: 'v' }] }, call),
    'InvalidRequestException',
  );
  await createRoleAlias(tagged, call);
  await rejectsWith(createRoleAlias({ ...tagged, tags: [] }, call), 'ResourceAlreadyExistsException');
  const tagsOf = () => listTags(call.db, call.account, roleAliasArn);
  assert.deepEqual(await tagsOf(), tagged.tags);
  await deleteRoleAlias({ roleAlias: 'reader' }, call);
  assert.deepEqual(await tagsOf(), []);
});
