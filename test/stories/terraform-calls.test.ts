/**
 * What the AWS provider of Terraform asks for its resources of IAM, ACM and IoT, from their creation over each reading and change to their end, in its order: the
 * provider itself is in no registry that tests may ask. A call that it makes and that is not answered stops `terraform apply`.
 * Source: github.com/hashicorp/terraform-provider-aws, internal/service/{iam,acm,iot}.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import { allowing, bootIam } from '../iam-scene.ts';

const Tags = [{ Key: 'Name', Value: 'made by terraform' }];
const TagKeys = ['Name'];
const PolicyDocument = allowing('iot:*');
const full = 'arn:aws:iam::aws:policy/AWSIoTFullAccess';
const trust = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'credentials.iot.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});

const boot = async (t: TestContext) => {
  const scene = await bootIam(t);
  return { iamClient: scene.iam(), iotClient: scene.iot(), acmClient: scene.acm() };
};

const gone = (name: string) => (error: unknown) => error instanceof Error && error.name === name;

test('aws_iam_user, aws_iam_access_key, aws_iam_group and what is attached to them, with force_destroy', async (t) => {
  const { iamClient: client } = await boot(t);
  const UserName = 'maker';
  const GroupName = 'makers';
  await client.send(new iam.CreateUserCommand({ UserName: 'u', Path: '/', Tags }));
  await client.send(new iam.GetUserCommand({ UserName: 'u' }));
  await client.send(new iam.UpdateUserCommand({ UserName: 'u', NewUserName: UserName, NewPath: '/team/' }));
  await client.send(new iam.TagUserCommand({ UserName, Tags }));
  await client.send(new iam.UntagUserCommand({ UserName, TagKeys }));
  const { AccessKey } = await client.send(new iam.CreateAccessKeyCommand({ UserName }));
  const key = { UserName, AccessKeyId: AccessKey?.AccessKeyId };
  await client.send(new iam.UpdateAccessKeyCommand({ ...key, Status: 'Inactive' }));
  assert.equal((await client.send(new iam.ListAccessKeysCommand({ UserName }))).AccessKeyMetadata?.length, 1);
  await client.send(new iam.PutUserPolicyCommand({ UserName, PolicyName: 'own', PolicyDocument }));
  const kept = (await client.send(new iam.GetUserPolicyCommand({ UserName, PolicyName: 'own' }))).PolicyDocument;
  assert.equal(decodeURIComponent(kept ?? ''), PolicyDocument, 'a document that comes back otherwise is a change');
  await client.send(new iam.AttachUserPolicyCommand({ UserName, PolicyArn: full }));
  await client.send(new iam.ListAttachedUserPoliciesCommand({ UserName }));
  await client.send(new iam.CreateGroupCommand({ GroupName, Path: '/' }));
  await client.send(new iam.AddUserToGroupCommand({ GroupName, UserName }));
  assert.equal((await client.send(new iam.GetGroupCommand({ GroupName }))).Users?.[0]?.UserName, UserName);
  await client.send(new iam.PutGroupPolicyCommand({ GroupName, PolicyName: 'own', PolicyDocument }));
  await client.send(new iam.GetGroupPolicyCommand({ GroupName, PolicyName: 'own' }));
  await client.send(new iam.AttachGroupPolicyCommand({ GroupName, PolicyArn: full }));
  await client.send(new iam.ListAttachedGroupPoliciesCommand({ GroupName }));

  for (const group of (await client.send(new iam.ListGroupsForUserCommand({ UserName }))).Groups ?? []) {
    await client.send(new iam.RemoveUserFromGroupCommand({ GroupName: group.GroupName, UserName }));
  }
  await client.send(new iam.DetachGroupPolicyCommand({ GroupName, PolicyArn: full }));
  await client.send(new iam.DeleteGroupPolicyCommand({ GroupName, PolicyName: 'own' }));
  await client.send(new iam.DeleteGroupCommand({ GroupName }));
  await assert.rejects(client.send(new iam.GetGroupCommand({ GroupName })), gone('NoSuchEntityException'));
  await client.send(new iam.DetachUserPolicyCommand({ UserName, PolicyArn: full }));
  await client.send(new iam.DeleteUserPolicyCommand({ UserName, PolicyName: 'own' }));
  await client.send(new iam.DeleteAccessKeyCommand(key));
  await client.send(new iam.ListSSHPublicKeysCommand({ UserName }));
  await client.send(new iam.ListVirtualMFADevicesCommand({ AssignmentStatus: 'Assigned' }));
  await client.send(new iam.ListMFADevicesCommand({ UserName }));
  const noPassword = client.send(new iam.DeleteLoginProfileCommand({ UserName }));
  await assert.rejects(noPassword, gone('NoSuchEntityException'), 'which the provider takes for done');
  await client.send(new iam.ListSigningCertificatesCommand({ UserName }));
  await client.send(new iam.ListServiceSpecificCredentialsCommand({ UserName }));
  await client.send(new iam.DeleteUserCommand({ UserName }));
  await assert.rejects(client.send(new iam.GetUserCommand({ UserName })), gone('NoSuchEntityException'));
});

test('aws_iam_policy, changed more often than it may have versions; aws_iam_role with its attachments; aws_iot_role_alias', async (t) => {
  const { iamClient: client, iotClient } = await boot(t);
  const RoleName = 'lamps';
  const made = await client.send(new iam.CreatePolicyCommand({ PolicyName: 'p', Path: '/', PolicyDocument, Tags }));
  const PolicyArn = made.Policy?.Arn ?? '';
  const versionsOf = async () => {
    const { Versions = [] } = await client.send(new iam.ListPolicyVersionsCommand({ PolicyArn }));
    return Versions.filter(({ IsDefaultVersion }) => !IsDefaultVersion).map(({ VersionId }) => VersionId);
  };
  for (let change = 1; change <= 6; change++) {
    const others = await versionsOf();
    if (others.length === 4) {
      await client.send(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId: others.at(-1) }));
    }
    const next = { PolicyArn, PolicyDocument: allowing(`iot:Get${'*'.repeat(change)}`), SetAsDefault: true };
    await client.send(new iam.CreatePolicyVersionCommand(next));
  }
  const { Policy } = await client.send(new iam.GetPolicyCommand({ PolicyArn }));
  assert.equal(Policy?.DefaultVersionId, 'v7');
  await client.send(new iam.GetPolicyVersionCommand({ PolicyArn, VersionId: Policy.DefaultVersionId }));

  await client.send(new iam.CreateRoleCommand({ RoleName, Path: '/', AssumeRolePolicyDocument: trust, Tags }));
  const { Role } = await client.send(new iam.GetRoleCommand({ RoleName }));
  assert.equal(Role?.Arn, 'arn:aws:iam::000000000000:role/lamps', 'at once by its name, not by its id');
  assert.equal(decodeURIComponent(Role.AssumeRolePolicyDocument ?? ''), trust);
  await client.send(new iam.AttachRolePolicyCommand({ RoleName, PolicyArn }));
  await client.send(new iam.PutRolePolicyCommand({ RoleName, PolicyName: 'own', PolicyDocument }));
  await client.send(new iam.ListRolePoliciesCommand({ RoleName }));
  await client.send(new iam.ListAttachedRolePoliciesCommand({ RoleName }));
  await client.send(new iam.UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }));
  await client.send(new iam.UpdateRoleDescriptionCommand({ RoleName, Description: 'of lamps' }));
  await client.send(new iam.UpdateRoleCommand({ RoleName, MaxSessionDuration: 7200 }));
  await client.send(new iam.TagRoleCommand({ RoleName, Tags }));
  await client.send(new iam.UntagRoleCommand({ RoleName, TagKeys }));

  const roleAlias = 'lamps';
  const { roleAliasArn: resourceArn } = await iotClient.send(
    new iot.CreateRoleAliasCommand({ roleAlias, roleArn: Role.Arn, credentialDurationSeconds: 3600, tags: Tags }),
  );
  await iotClient.send(new iot.DescribeRoleAliasCommand({ roleAlias }));
  await iotClient.send(new iot.ListTagsForResourceCommand({ resourceArn }));
  await iotClient.send(
    new iot.UpdateRoleAliasCommand({ roleAlias, roleArn: Role.Arn, credentialDurationSeconds: 900 }),
  );
  await iotClient.send(new iot.DeleteRoleAliasCommand({ roleAlias }));
  const noAlias = iotClient.send(new iot.DescribeRoleAliasCommand({ roleAlias }));
  await assert.rejects(noAlias, gone('ResourceNotFoundException'));

  await client.send(new iam.DetachRolePolicyCommand({ RoleName, PolicyArn }));
  await client.send(new iam.DeleteRolePolicyCommand({ RoleName, PolicyName: 'own' }));
  assert.deepEqual((await client.send(new iam.ListInstanceProfilesForRoleCommand({ RoleName }))).InstanceProfiles, []);
  await client.send(new iam.DeleteRoleCommand({ RoleName }));
  await assert.rejects(client.send(new iam.GetRoleCommand({ RoleName })), gone('NoSuchEntityException'));
  for (const VersionId of await versionsOf()) {
    await client.send(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId }));
  }
  await client.send(new iam.DeletePolicyCommand({ PolicyArn }));
  await assert.rejects(client.send(new iam.GetPolicyCommand({ PolicyArn })), gone('NoSuchEntityException'));
});

test('aws_acm_certificate with its validation, and aws_iot_domain_configuration on it', async (t) => {
  const { acmClient: client, iotClient } = await boot(t);
  const { CertificateArn = '' } = await client.send(
    new acm.RequestCertificateCommand({
      ...{ DomainName: 'mqtt.example', SubjectAlternativeNames: ['a.mqtt.example'], ValidationMethod: 'DNS' },
      ...{ IdempotencyToken: 'tf2026', KeyAlgorithm: 'EC_prime256v1', Tags },
      Options: { CertificateTransparencyLoggingPreference: 'ENABLED' },
    }),
  );
  const { Certificate } = await client.send(new acm.DescribeCertificateCommand({ CertificateArn }));
  assert.equal(Certificate?.Status, 'ISSUED');
  const records = Certificate.DomainValidationOptions?.map(({ ResourceRecord }) => ResourceRecord?.Type);
  assert.deepEqual(records, ['CNAME', 'CNAME'], 'which the provider waits for');
  await client.send(new acm.ListTagsForCertificateCommand({ CertificateArn }));
  const Options = { CertificateTransparencyLoggingPreference: 'DISABLED' } as const;
  await client.send(new acm.UpdateCertificateOptionsCommand({ CertificateArn, Options }));

  const domainConfigurationName = 'mqtt';
  const configuration = {
    domainConfigurationName,
    domainName: 'mqtt.example',
    serverCertificateArns: [CertificateArn],
  };
  const { domainConfigurationArn: resourceArn } = await iotClient.send(
    new iot.CreateDomainConfigurationCommand({ ...configuration, serviceType: 'DATA', tags: Tags }),
  );
  const described = await iotClient.send(new iot.DescribeDomainConfigurationCommand({ domainConfigurationName }));
  assert.equal(described.serverCertificates?.[0]?.serverCertificateArn, CertificateArn);
  assert.deepEqual((await iotClient.send(new iot.ListTagsForResourceCommand({ resourceArn }))).tags, Tags);
  const off = { domainConfigurationName, domainConfigurationStatus: 'DISABLED' } as const;
  await iotClient.send(new iot.UpdateDomainConfigurationCommand(off));
  await iotClient.send(new iot.DeleteDomainConfigurationCommand({ domainConfigurationName }));
  const noDomain = iotClient.send(new iot.DescribeDomainConfigurationCommand({ domainConfigurationName }));
  await assert.rejects(noDomain, gone('ResourceNotFoundException'));
  await client.send(new acm.DeleteCertificateCommand({ CertificateArn }));
  const noCertificate = client.send(new acm.DescribeCertificateCommand({ CertificateArn }));
  await assert.rejects(noCertificate, gone('ResourceNotFoundException'));
});
