/** The acceptance checks of provisioning.md 13 that need no device, as an SDK client sees them: names of faults, HTTP statuses, members. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { bootNode, certificateIdOf } from '../harness.ts';
import { openssl } from '../openssl.ts';
import { fails } from '../sdk-fault.ts';

const accountId = '300000000001';
const provisioningRoleArn = `arn:aws:iam::${accountId}:role/provisioning`;
const arnOf = (kind: string, id: string): string => `arn:aws:iot:us-east-1:${accountId}:${kind}/${id}`;
const certificateId = { Ref: 'AWS::IoT::Certificate::Id' };
const templateBody = JSON.stringify({
  Parameters: { [certificateId.Ref]: { Type: 'String' } },
  Resources: { certificate: { Type: 'AWS::IoT::Certificate', Properties: { CertificateId: certificateId } } },
});

test('templates and RegisterThing, over HTTP', async (t) => {
  const { iot, folder } = await bootNode(t);
  const mine = iot(accountId);
  const create = (templateName: string, more = {}) =>
    mine.createProvisioningTemplate({ templateName, templateBody, provisioningRoleArn, ...more });
  const addVersion = (templateName: string) => mine.createProvisioningTemplateVersion({ templateName, templateBody });

  await t.test('provisioning.md check 40: a sixth version: 409', async () => {
    await create('five');
    for (let versionId = 2; versionId <= 5; versionId++) {
      assert.equal((await addVersion('five')).versionId, versionId);
    }
    await assert.rejects(addVersion('five'), fails('VersionsLimitExceededException', 409));
  });

  await t.test('provisioning.md check 41: a template goes with its three versions: 200', async () => {
    await create('three');
    for (let count = 2; count <= 3; count++) await addVersion('three');
    const { $metadata } = await mine.deleteProvisioningTemplate({ templateName: 'three' });
    assert.equal($metadata.httpStatusCode, 200);
    const versions = mine.listProvisioningTemplateVersions({ templateName: 'three' });
    await assert.rejects(versions, fails('ResourceNotFoundException', 404));
  });

  await t.test('provisioning.md check 42: the default version is not deleted: 409', async () => {
    await create('two');
    await addVersion('two');
    const remove = (versionId: number) => mine.deleteProvisioningTemplateVersion({ templateName: 'two', versionId });
    await assert.rejects(remove(1), fails('DeleteConflictException', 409));
    await remove(2);
  });

  await t.test(
    'provisioning.md check 43: RegisterThing with a CSR: the certificate, and an ARN for each logical name',
    async () => {
      await openssl(folder, 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'd.key');
      await openssl(folder, 'req', '-new', '-key', 'd.key', '-subj', '/CN=d', '-out', 'd.csr');
      const policyDocument =
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}';
      const body = {
        Parameters: { Csr: { Type: 'String' }, Serial: { Type: 'String' } },
        Resources: {
          device: { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'Serial' } } },
          paper: { Type: 'AWS::IoT::Certificate', Properties: { CertificateSigningRequest: { Ref: 'Csr' } } },
          rights: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'p' } },
        },
      };
      const register = async () =>
        mine.registerThing({
          templateBody: JSON.stringify(body),
          parameters: { Csr: await readFile(`${folder}/d.csr`, 'utf8'), Serial: 'lamp' },
        });
      await assert.rejects(register(), fails('ResourceRegistrationFailureException', 400), 'there is no such policy');
      assert.deepEqual((await mine.listThings({})).things, []);
      await mine.createPolicy({ policyName: 'p', policyDocument });
      const { certificatePem = '', resourceArns } = await register();
      assert.deepEqual(resourceArns, {
        device: arnOf('thing', 'lamp'),
        paper: arnOf('cert', certificateIdOf(certificatePem)),
        rights: arnOf('policy', 'p'),
      });
    },
  );

  await t.test('provisioning.md check 46: a preProvisioningHook with type JITP: 400', async () => {
    const preProvisioningHook = { targetArn: `arn:aws:lambda:us-east-1:${accountId}:function:hook` };
    await assert.rejects(create('jitp', { type: 'JITP', preProvisioningHook }), fails('InvalidRequestException', 400));
    await create('jitp', { type: 'JITP' });
  });
});
