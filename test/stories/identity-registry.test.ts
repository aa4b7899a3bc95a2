/** The acceptance checks of identity.md 11 about policies, things and endpoints, as an SDK client sees them: names of faults, HTTP statuses, members. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IoT } from '@aws-sdk/client-iot';
import { bootIdentity } from '../identity-scene.ts';
import { fails } from '../sdk-fault.ts';

/** A document of so many characters that are not white space. */
const documentOf = (characters: number): string => {
  const text = (id: string) =>
    JSON.stringify({ Version: '2012-10-17', Id: id, Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }] });
  return text('x'.repeat(characters - text('').length));
};

test('policies, things and endpoints, over HTTP', async (t) => {
  const { account, hold, leaf } = await bootIdentity(t);
  const check = (rule: string, run: (mine: IoT) => Promise<void>) => t.test(rule, () => run(account()));
  await hold(account(), 'maker');
  const certificatePem = await leaf('device', 'maker');
  /** The ARN of a certificate of the account. */
  const hasCertificate = async (iot: IoT): Promise<string> =>
    String((await iot.registerCertificateWithoutCA({ certificatePem })).certificateArn);
  const createPolicy = (iot: IoT, policyName: string, policyDocument = documentOf(200)) =>
    iot.createPolicy({ policyName, policyDocument });

  await check(
    'identity.md check 32: DetachPolicy of what is not attached: 200; of an unknown certificate 400 "Invalid Target"',
    async (mine) => {
      const target = await hasCertificate(mine);
      await createPolicy(mine, 'p');
      await mine.detachPolicy({ policyName: 'p', target });
      const unknown = mine.detachPolicy({ policyName: 'p', target: target.replace(/.{64}$/, 'f'.repeat(64)) });
      await assert.rejects(unknown, (error: Error) => {
        assert.match(error.message, /Invalid Target/);
        return fails('InvalidRequestException', 400)(error);
      });
    },
  );

  await check('identity.md check 33: an eleventh policy on a certificate: 410', async (mine) => {
    const target = await hasCertificate(mine);
    const attach = async (number: number) => {
      await createPolicy(mine, `p${number}`);
      await mine.attachPolicy({ policyName: `p${number}`, target });
    };
    for (let number = 1; number <= 10; number++) await attach(number);
    await assert.rejects(attach(11), fails('LimitExceededException', 410));
  });

  await check('identity.md check 34: a sixth version: 409; after one is deleted it is number 6', async (mine) => {
    await createPolicy(mine, 'p');
    const addVersion = () => mine.createPolicyVersion({ policyName: 'p', policyDocument: documentOf(200) });
    for (let version = 2; version <= 5; version++) await addVersion();
    await assert.rejects(addVersion(), fails('VersionsLimitExceededException', 409));
    await mine.deletePolicyVersion({ policyName: 'p', policyVersionId: '5' });
    assert.equal((await addVersion()).policyVersionId, '6');
  });

  await check('identity.md check 35: 2049 characters: 400; 2048 and much white space: 200', async (mine) => {
    await assert.rejects(createPolicy(mine, 'long', documentOf(2049)), fails('MalformedPolicyException', 400));
    await createPolicy(mine, 'airy', documentOf(2048).replaceAll(/[,{]/g, `$&${' \n\t'.repeat(500)}`));
  });

  await check('identity.md check 37: DeleteThing of an unknown thing: 200', async (mine) => {
    const { $metadata } = await mine.deleteThing({ thingName: 'never' });
    assert.equal($metadata.httpStatusCode, 200);
  });

  await check(
    'identity.md check 38: a certificate that is EXCLUSIVE_THING to one thing has no second: 400',
    async (mine) => {
      const principal = await hasCertificate(mine);
      for (const thingName of ['one', 'two']) await mine.createThing({ thingName });
      await mine.attachThingPrincipal({ thingName: 'one', principal, thingPrincipalType: 'EXCLUSIVE_THING' });
      const second = mine.attachThingPrincipal({ thingName: 'two', principal });
      await assert.rejects(second, fails('InvalidRequestException', 400));
    },
  );

  await check(
    'identity.md check 40: IoT:Data-ATS and iot:Data-ATS are one host, at every call, and not that of another account',
    async (mine) => {
      const hostOf = async (iot: IoT, endpointType: string) =>
        (await iot.describeEndpoint({ endpointType })).endpointAddress;
      const first = await hostOf(mine, 'IoT:Data-ATS');
      assert.match(first ?? '', /^[a-z0-9]+-ats\.iot\./);
      for (const type of ['iot:Data-ATS', 'IoT:Data-ATS']) assert.equal(await hostOf(mine, type), first);
      assert.notEqual(await hostOf(account(), 'iot:Data-ATS'), first);
    },
  );
});
