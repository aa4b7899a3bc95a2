/**
 * What a stranger asks of another account's, or another region's: a row for every handled operation, for test/stories/isolation.test.ts. Commands name what the
 * owner has, what nobody has, or what is the stranger's own.
 */
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import { operations } from '../src/api/operations.ts';
import { wordyTemplate } from './bulk.ts';
import { handledOperations } from './handled.ts';
import { allowing, trusting } from './iam-scene.ts';
import { commandFor, inputFor } from './sample-input.ts';

/** What operations name. */
export interface Names {
  readonly certificateId: string;
  readonly certificateArn: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly csr: string;
  readonly caCertificateId: string;
  readonly caCertificateArn: string;
  readonly caCertificatePem: string;
  readonly policyName: string;
  readonly policyArn: string;
  readonly templateName: string;
  readonly templateArn: string;
  readonly roleAlias: string;
  readonly roleAliasArn: string;
  readonly domainConfigurationName: string;
  readonly domainConfigurationArn: string;
  /** Also the client id of a device, and the topic of a retained message. */
  readonly thingName: string;
  /** Of a bulk registration. */
  readonly taskId: string;
  /** A certificate of ACM. */
  readonly acmId: string;
  readonly acmArn: string;
  /** Of Lambda. */
  readonly functionArn: string;
  /** Of IAM, as are all below. */
  readonly userName: string;
  readonly groupName: string;
  readonly roleName: string;
  readonly roleArn: string;
  readonly managedPolicyArn: string;
  readonly accessKeyId: string;
}

export interface Command {
  readonly input: object;
}

export interface Row {
  /** The fault's name, or `success`. */
  readonly answer: string;
  /** Where it is another one for a session of a role. */
  readonly bySession?: string;
  /** What IAM and STS are about is the account's in every region: in another one the same account is no stranger. */
  readonly accountWide?: true;
  /** What a stranger asks; `own` is their own holding, for operations that name two things. */
  readonly asks: (foreign: Names, own: Names) => readonly Command[];
}

export const documentText = (sid: string): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Sid: sid, Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
  });

/** Both names foreign, and each beside an own one. */
const pairs = (foreign: Names, own: Names) => [
  { policyName: foreign.policyName, thingName: foreign.thingName, target: own.certificateArn },
  { policyName: own.policyName, thingName: own.thingName, target: foreign.certificateArn },
  { policyName: foreign.policyName, thingName: foreign.thingName, target: foreign.certificateArn },
];
export const missing = 'ResourceNotFoundException';
const tag = { Key: 'owner', Value: 'stranger' };

/** What a simulated device asks for. */
export const authInfos = [
  { actionType: 'PUBLISH' as const, resources: ['arn:aws:iot:us-east-1:111111111111:topic/a'] },
];

/** A certificate of somebody's as ACM takes it. */
export const importOf = ({ certificatePem, privateKeyPem, caCertificatePem }: Names) => ({
  ...{ Certificate: Buffer.from(certificatePem), PrivateKey: Buffer.from(privateKeyPem) },
  CertificateChain: Buffer.from(caCertificatePem),
});

/** A domain that the owner has asked ACM for, too. */
export const askedDomain = 'asked.test';

/** What stands in the places of IAM that are about nothing of anybody's. */
const iamValues = {
  ...{ PolicyDocument: allowing('iot:*'), AssumeRolePolicyDocument: trusting('222222222222') },
  ...{ PolicyName: 'own', VersionId: 'v1', NewUserName: 'stranger', NewGroupName: 'stranger', AllUsers: false },
};

/** Every non-empty selection of some names. */
const selections = (names: readonly string[]): readonly (readonly string[])[] =>
  names
    .reduce<readonly (readonly string[])[]>((all, name) => all.flatMap((each) => [each, [...each, name]]), [[]])
    .slice(1);

/** Every handled operation of iam with the owner's in each of the places that name something, and in all of them; the others are the stranger's own. */
const iamNaming = (foreign: Names, own: Names): readonly Command[] =>
  handledOperations().flatMap(({ service, operation: name }) => {
    const operation = operations.find((each) => each.service === service && each.name === name);
    if (service !== 'iam' || !operation?.input) return [];
    const namedBy = (member: string, { userName, groupName, roleName, managedPolicyArn, accessKeyId }: Names) =>
      ({
        ...{ UserName: userName, GroupName: groupName, RoleName: roleName, AccessKeyId: accessKeyId },
        ...{ PolicyArn: managedPolicyArn, PermissionsBoundary: managedPolicyArn },
      })[member];
    const { Marker, MaxItems, ...sample } = inputFor(operation);
    const places = operation.input.members
      .map((member) => member.name)
      .filter((member) => namedBy(member, own) !== undefined)
      // a new name is nobody's
      .filter((member) => !(/^Create(User|Group|Role)$/.test(name) && `Create${member}` === `${name}Name`));
    return selections(places).map((chosen) => {
      const named = places.map((member) => [member, namedBy(member, chosen.includes(member) ? foreign : own)]);
      const given: Record<string, unknown> = Object.fromEntries(
        Object.entries(iamValues).filter(([member]) => member in sample),
      );
      if (name === 'UpdateAssumeRolePolicy') given['PolicyDocument'] = iamValues.AssumeRolePolicyDocument;
      return commandFor(operation, { ...sample, ...given, ...Object.fromEntries(named) }) as Command;
    });
  });

/**
 * Every handled operation, with what a stranger asks of it. The rows are asked in this order, refusals before what a stranger makes its own by the same name.
 */
export const table: readonly Row[] = [
  {
    // what does not exist is deleted and detached with success (spec identity 4.1, 6)
    answer: 'success',
    asks: ({ policyName, thingName }, own) => [
      new iot.DetachPolicyCommand({ policyName, target: own.certificateArn }),
      new iot.DeleteThingCommand({ thingName }),
    ],
  },
  {
    answer: 'NotConfiguredException',
    asks: ({ thingName }) => [
      new iot.GetV2LoggingOptionsCommand({}),
      new iot.ListV2LoggingLevelsCommand({}),
      levelOf(thingName),
    ],
  },
  {
    answer: 'success',
    asks: ({ thingName }, own) => [
      new iot.GetLoggingOptionsCommand({}),
      new iot.DeleteV2LoggingLevelCommand({ targetType: 'CLIENT_ID', targetName: thingName }),
      new iot.SetV2LoggingOptionsCommand({ defaultLogLevel: 'ERROR' }),
      new iot.SetLoggingOptionsCommand({ loggingOptionsPayload: { roleArn: own.roleArn, logLevel: 'WARN' } }),
    ],
  },
  {
    answer: missing,
    asks: ({ certificateId }) => [
      new iot.DescribeCertificateCommand({ certificateId }),
      new iot.UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }),
      new iot.UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }),
      new iot.DeleteCertificateCommand({ certificateId }),
      new iot.DeleteCertificateCommand({ certificateId, forceDelete: true }),
      new iot.TransferCertificateCommand({ certificateId, targetAwsAccount: '999999999999' }),
      new iot.AcceptCertificateTransferCommand({ certificateId, setAsActive: true }),
      new iot.RejectCertificateTransferCommand({ certificateId, rejectReason: 'stranger' }),
      new iot.CancelCertificateTransferCommand({ certificateId }),
    ],
  },
  {
    answer: missing,
    asks: ({ policyName }) => [
      new iot.GetPolicyCommand({ policyName }),
      new iot.GetPolicyVersionCommand({ policyName, policyVersionId: '1' }),
      new iot.ListPolicyVersionsCommand({ policyName }),
      new iot.ListTargetsForPolicyCommand({ policyName }),
      new iot.ListPolicyPrincipalsCommand({ policyName }),
      new iot.CreatePolicyVersionCommand({ policyName, policyDocument: documentText('Stranger'), setAsDefault: true }),
      new iot.SetDefaultPolicyVersionCommand({ policyName, policyVersionId: '1' }),
      new iot.DeletePolicyVersionCommand({ policyName, policyVersionId: '1' }),
      new iot.DeletePolicyCommand({ policyName }),
    ],
  },
  {
    answer: missing,
    asks: ({ policyArn, caCertificateArn, templateArn, roleAliasArn, domainConfigurationArn }) =>
      [policyArn, caCertificateArn, templateArn, roleAliasArn, domainConfigurationArn].flatMap((resourceArn) => [
        new iot.ListTagsForResourceCommand({ resourceArn }),
        new iot.TagResourceCommand({ resourceArn, tags: [tag] }),
        new iot.UntagResourceCommand({ resourceArn, tagKeys: ['serial'] }),
      ]),
  },
  {
    answer: missing,
    asks: ({ caCertificateId: certificateId }) => [
      new iot.DescribeCACertificateCommand({ certificateId }),
      new iot.UpdateCACertificateCommand({ certificateId, newStatus: 'INACTIVE' }),
      new iot.UpdateCACertificateCommand({ certificateId, removeAutoRegistration: true }),
      new iot.DeleteCACertificateCommand({ certificateId }),
      new iot.DeleteRegistrationCodeCommand({}),
    ],
  },
  {
    answer: missing,
    asks: ({ templateName }) => [
      new iot.CreateProvisioningClaimCommand({ templateName }),
      new iot.DescribeProvisioningTemplateCommand({ templateName }),
      new iot.DescribeProvisioningTemplateVersionCommand({ templateName, versionId: 1 }),
      new iot.ListProvisioningTemplateVersionsCommand({ templateName }),
      new iot.CreateProvisioningTemplateVersionCommand({ templateName, templateBody: templateBody('Stranger') }),
      new iot.UpdateProvisioningTemplateCommand({ templateName, enabled: false }),
      new iot.DeleteProvisioningTemplateVersionCommand({ templateName, versionId: 2 }),
      new iot.DeleteProvisioningTemplateCommand({ templateName }),
    ],
  },
  {
    answer: missing,
    asks: ({ roleAlias }) => [
      new iot.DescribeRoleAliasCommand({ roleAlias }),
      new iot.UpdateRoleAliasCommand({ roleAlias, credentialDurationSeconds: 900 }),
      new iot.DeleteRoleAliasCommand({ roleAlias }),
    ],
  },
  {
    // the name is the stranger's to give as well
    answer: 'success',
    asks: ({ roleAlias }, { roleArn }) => [
      new iot.CreateRoleAliasCommand({ roleAlias, roleArn }),
      new iot.DeleteRoleAliasCommand({ roleAlias }),
    ],
  },
  {
    answer: missing,
    asks: ({ taskId }) => [
      new iot.DescribeThingRegistrationTaskCommand({ taskId }),
      new iot.StopThingRegistrationTaskCommand({ taskId }),
    ],
  },
  {
    // this operation has no other fault for it; what a task may read, and no more, is told in bulk-registration.test.ts
    answer: 'InvalidRequestException',
    asks: ({ taskId }) => [
      new iot.ListThingRegistrationTaskReportsCommand({ taskId, reportType: 'ERRORS' }),
      new iot.ListThingRegistrationTaskReportsCommand({ taskId, reportType: 'RESULTS' }),
      startTask('arn:aws:iam::999999999999:role/r'),
    ],
  },
  {
    // a template cannot attach a policy, or have a certificate, of another account
    answer: 'ResourceRegistrationFailureException',
    asks: ({ certificateId, policyName }, own) => [
      singleThing({ certificateId, policyName, thingName: own.thingName }),
      singleThing({ certificateId, policyName: own.policyName, thingName: own.thingName }),
      singleThing({ certificateId: own.certificateId, policyName, thingName: own.thingName }),
    ],
  },
  {
    // nor its thing: the one of the same name is the stranger's own
    answer: 'success',
    asks: ({ thingName, templateName }, { certificateId, policyName, roleArn }) => [
      singleThing({ certificateId, policyName, thingName }),
      new iot.CreateProvisioningTemplateCommand({
        templateName,
        templateBody: templateBody('Stranger'),
        provisioningRoleArn: roleArn,
      }),
      // the stranger's own by now
      new iot.DeleteProvisioningTemplateCommand({ templateName }),
    ],
  },
  {
    // a CA of the owner's is none of the stranger's
    answer: 'CertificateStateException',
    asks: ({ certificatePem, caCertificatePem }) => [
      new iot.RegisterCertificateCommand({ certificatePem, setAsActive: true }),
      new iot.RegisterCertificateCommand({ certificatePem, caCertificatePem }),
    ],
  },
  {
    // and may be the stranger's own as well, without the proof of having its key
    answer: 'success',
    asks: ({ caCertificateId, caCertificatePem: caCertificate }) => [
      new iot.ListCertificatesByCACommand({ caCertificateId }),
      new iot.RegisterCACertificateCommand({ caCertificate, certificateMode: 'SNI_ONLY', allowAutoRegistration: true }),
      new iot.ListCertificatesByCACommand({ caCertificateId }),
    ],
  },
  {
    answer: missing,
    asks: ({ thingName }) => [
      new iot.DescribeThingCommand({ thingName }),
      new iot.ListThingPrincipalsCommand({ thingName }),
      new iot.ListThingPrincipalsV2Command({ thingName }),
      new iot.UpdateThingCommand({ thingName, attributePayload: { attributes: { owner: 'stranger' } } }),
    ],
  },
  {
    answer: missing,
    asks: ({ thingName: clientId }) => [
      new iotData.GetConnectionCommand({ clientId, includeSocketInformation: true }),
      new iotData.ListSubscriptionsCommand({ clientId }),
      new iotData.SendDirectMessageCommand({ clientId, topic: 'orders', payload: 'stranger' }),
      new iotData.DeleteConnectionCommand({ clientId }),
      new iotData.DeleteConnectionCommand({ clientId, cleanSession: true, preventWillMessage: true }),
      new iotData.GetRetainedMessageCommand({ topic: clientId }),
    ],
  },
  {
    // the topic of the same name is the stranger's own
    answer: 'success',
    asks: ({ thingName: topic }) => [
      new iotData.PublishCommand({ topic, payload: 'stranger', qos: 1 }),
      new iotData.PublishCommand({ topic, payload: 'stranger', retain: true }),
      new iotData.PublishCommand({ topic, retain: true }),
    ],
  },
  {
    answer: missing,
    asks: ({ certificateArn }) => [
      new iot.ListAttachedPoliciesCommand({ target: certificateArn }),
      new iot.ListPrincipalPoliciesCommand({ principal: certificateArn }),
      new iot.ListPrincipalThingsCommand({ principal: certificateArn }),
      new iot.ListPrincipalThingsV2Command({ principal: certificateArn }),
    ],
  },
  {
    answer: missing,
    asks: (foreign, own) =>
      pairs(foreign, own).flatMap(({ policyName, thingName, target }) => [
        new iot.AttachPolicyCommand({ policyName, target }),
        new iot.AttachPrincipalPolicyCommand({ policyName, principal: target }),
        new iot.DetachPrincipalPolicyCommand({ policyName, principal: target }),
        new iot.AttachThingPrincipalCommand({ thingName, principal: target }),
        new iot.AttachThingPrincipalCommand({ thingName, principal: target, thingPrincipalType: 'EXCLUSIVE_THING' }),
        new iot.DetachThingPrincipalCommand({ thingName, principal: target }),
      ]),
  },
  {
    answer: missing,
    asks: ({ certificateArn, policyName, thingName }, own) => [
      new iot.GetEffectivePoliciesCommand({ principal: certificateArn }),
      new iot.GetEffectivePoliciesCommand({ thingName }),
      new iot.GetEffectivePoliciesCommand({ principal: own.certificateArn, thingName }),
      new iot.TestAuthorizationCommand({ principal: certificateArn, authInfos }),
      new iot.TestAuthorizationCommand({ principal: own.certificateArn, authInfos, policyNamesToAdd: [policyName] }),
      new iot.TestAuthorizationCommand({ principal: own.certificateArn, authInfos, policyNamesToSkip: [policyName] }),
    ],
  },
  {
    // a client id is a name and nothing more: whose thing it may be elsewhere plays no part
    answer: 'success',
    asks: ({ thingName }, own) => [
      new iot.TestAuthorizationCommand({ principal: own.certificateArn, authInfos, clientId: thingName }),
    ],
  },
  {
    answer: 'InvalidRequestException',
    asks: ({ certificateArn, policyName }, own) => [
      new iot.DetachPolicyCommand({ policyName: own.policyName, target: certificateArn }),
      new iot.DetachPolicyCommand({ policyName, target: certificateArn }),
    ],
  },
  {
    answer: 'success',
    asks: ({ certificatePem, csr, policyName, thingName }) => [
      new iot.RegisterCertificateWithoutCACommand({ certificatePem, status: 'REVOKED' }),
      new iot.CreateCertificateFromCsrCommand({ certificateSigningRequest: csr, setAsActive: true }),
      new iot.CreatePolicyCommand({ policyName, policyDocument: documentText('Stranger') }),
      new iot.CreateThingCommand({ thingName, attributePayload: { attributes: { owner: 'stranger' } } }),
    ],
  },
  {
    answer: 'success',
    asks: () => [
      new iot.CreateKeysAndCertificateCommand({}),
      new iot.GetRegistrationCodeCommand({}),
      new iot.ListCACertificatesCommand({}),
      new iot.DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
      new sts.GetCallerIdentityCommand({}),
      new iot.ListCertificatesCommand({}),
      new iot.ListOutgoingCertificatesCommand({}),
      new iot.ListPoliciesCommand({}),
      new iotData.ListRetainedMessagesCommand({}),
      new iot.ListRoleAliasesCommand({}),
      new iot.ListProvisioningTemplatesCommand({}),
      new iot.ListThingRegistrationTasksCommand({}),
      new iot.ListThingsCommand({}),
    ],
  },
  {
    answer: missing,
    asks: ({ domainConfigurationName }) => [
      new iot.DescribeDomainConfigurationCommand({ domainConfigurationName }),
      new iot.UpdateDomainConfigurationCommand({ domainConfigurationName, domainConfigurationStatus: 'DISABLED' }),
      new iot.DeleteDomainConfigurationCommand({ domainConfigurationName }),
    ],
  },
  {
    // a certificate of the owner's serves no domain of the stranger's, and vouches for none
    answer: 'InvalidRequestException',
    asks: ({ domainConfigurationName, acmArn }, own) =>
      [
        { serverCertificateArns: [acmArn] },
        { serverCertificateArns: [own.acmArn], validationCertificateArn: acmArn },
      ].map(
        (certificates) =>
          new iot.CreateDomainConfigurationCommand({
            ...{ domainConfigurationName, domainName: 'own.stranger.test', ...certificates },
          }),
      ),
  },
  {
    answer: 'success',
    asks: ({ domainConfigurationName }) => [
      new iot.CreateDomainConfigurationCommand({ domainConfigurationName }),
      new iot.ListDomainConfigurationsCommand({}),
    ],
  },
  {
    answer: missing,
    asks: ({ acmArn: CertificateArn }, own) => {
      const given = importOf(own);
      const Tags = [{ Key: 'serial', Value: 'stranger' }];
      const domain = { Domain: 'a.test', ValidationDomain: 'a.test' };
      return [
        new acm.DescribeCertificateCommand({ CertificateArn }),
        new acm.GetCertificateCommand({ CertificateArn }),
        new acm.ImportCertificateCommand({ ...given, CertificateArn }),
        new acm.AddTagsToCertificateCommand({ CertificateArn, Tags }),
        new acm.RemoveTagsFromCertificateCommand({ CertificateArn, Tags: [{ Key: 'serial' }] }),
        new acm.ListTagsForCertificateCommand({ CertificateArn }),
        new acm.DeleteCertificateCommand({ CertificateArn }),
        new acm.RenewCertificateCommand({ CertificateArn }),
        new acm.UpdateCertificateOptionsCommand({ CertificateArn, Options: { Export: 'DISABLED' } }),
        new acm.ExportCertificateCommand({ CertificateArn, Passphrase: Buffer.from('pass') }),
        new acm.ResendValidationEmailCommand({ CertificateArn, ...domain }),
        new acm.RevokeCertificateCommand({ CertificateArn, RevocationReason: 'KEY_COMPROMISE' }),
      ];
    },
  },
  {
    // a name is whose it can be proven to be: a request takes nothing from whoever has requested it before
    answer: 'success',
    asks: () => [
      new acm.RequestCertificateCommand({ DomainName: askedDomain, ValidationMethod: 'DNS', IdempotencyToken: 'once' }),
      new acm.ListCertificatesCommand({ Includes: { keyTypes: ['EC_prime256v1', 'RSA_2048'] } }),
    ],
  },
  { answer: 'NoSuchEntityException', asks: iamNaming, accountWide: true },
  {
    // nobody learns whether there is such a role
    answer: 'AccessDenied',
    accountWide: true,
    asks: ({ roleArn: RoleArn }) => [new sts.AssumeRoleCommand({ RoleArn, RoleSessionName: 'stranger' })],
  },
  {
    answer: 'success',
    bySession: 'AccessDenied',
    accountWide: true,
    asks: () => [new sts.GetSessionTokenCommand({})],
  },
  {
    // each of these names is the stranger's to give as well
    answer: 'success',
    accountWide: true,
    asks: ({ userName, groupName, roleName }) => [
      new iam.CreateUserCommand({ UserName: userName }),
      new iam.CreateGroupCommand({ GroupName: groupName }),
      new iam.CreateRoleCommand({ RoleName: roleName, AssumeRolePolicyDocument: trusting('222222222222') }),
      new iam.CreatePolicyCommand({ PolicyName: userName, PolicyDocument: allowing('iot:*') }),
      new iam.ListUsersCommand({}),
      new iam.ListGroupsCommand({}),
      new iam.ListRolesCommand({}),
      new iam.ListPoliciesCommand({ Scope: 'Local' }),
      new iam.ListVirtualMFADevicesCommand({}),
    ],
  },
];

const pseudoId = { Ref: 'AWS::IoT::Certificate::Id' };

export const templateBody = (policyName: string): string =>
  JSON.stringify({
    Resources: {
      policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: policyName } },
      certificate: { Type: 'AWS::IoT::Certificate', Properties: { CertificateId: pseudoId } },
    },
  });

/** RegisterThing with names of whatever owner. */
const singleThing = ({
  certificateId,
  policyName,
  thingName,
}: Pick<Names, 'certificateId' | 'policyName' | 'thingName'>) =>
  new iot.RegisterThingCommand({
    templateBody: JSON.stringify({
      Resources: {
        thing: {
          Type: 'AWS::IoT::Thing',
          Properties: { ThingName: thingName, AttributePayload: { owner: 'stranger' } },
          OverrideSettings: { AttributePayload: 'REPLACE' },
        },
        certificate: {
          Type: 'AWS::IoT::Certificate',
          Properties: { CertificateId: certificateId, Status: 'INACTIVE' },
          OverrideSettings: { Status: 'REPLACE' },
        },
        policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: policyName } },
      },
    }),
  });

/** Starts a bulk registration of the file that the owner has. */
export const startTask = (roleArn: string, inputFileKey = 'lamps') =>
  new iot.StartThingRegistrationTaskCommand({
    templateBody: wordyTemplate,
    inputFileBucket: 'fleet',
    inputFileKey,
    roleArn,
  });

/** A level for the client that bears a thing's name. */
export const levelOf = (thingName: string) =>
  new iot.SetV2LoggingLevelCommand({
    logTarget: { targetType: 'CLIENT_ID', targetName: thingName },
    logLevel: 'DEBUG',
  });

/** Lists in pages of one, as their owner asks for them. */
export const pagedLists = (own: Names, marker?: string): readonly Command[] => {
  const byMarker = { pageSize: 1, ...(marker !== undefined && { marker }) };
  const byToken = { maxResults: 1, ...(marker !== undefined && { nextToken: marker }) };
  const { certificateArn, policyName, thingName } = own;
  return [
    new iot.ListCACertificatesCommand(byMarker),
    new iot.ListCertificatesByCACommand({ ...byMarker, caCertificateId: own.caCertificateId }),
    new iot.ListCertificatesCommand(byMarker),
    new iot.ListPoliciesCommand(byMarker),
    new iot.ListRoleAliasesCommand(byMarker),
    new iot.ListAttachedPoliciesCommand({ ...byMarker, target: certificateArn }),
    new iot.ListPrincipalPoliciesCommand({ ...byMarker, principal: certificateArn }),
    new iot.ListTargetsForPolicyCommand({ ...byMarker, policyName }),
    new iot.ListPolicyPrincipalsCommand({ ...byMarker, policyName }),
    new iot.ListProvisioningTemplatesCommand(byToken),
    new iot.ListProvisioningTemplateVersionsCommand({ ...byToken, templateName: own.templateName }),
    new iot.ListThingRegistrationTasksCommand(byToken),
    new iot.ListThingRegistrationTaskReportsCommand({ ...byToken, taskId: own.taskId, reportType: 'RESULTS' }),
    new iot.ListThingsCommand(byToken),
    new iot.ListV2LoggingLevelsCommand({ ...byToken, targetType: 'CLIENT_ID' }),
    new iot.ListThingPrincipalsCommand({ ...byToken, thingName }),
    new iot.ListThingPrincipalsV2Command({ ...byToken, thingName }),
    new iot.ListPrincipalThingsCommand({ ...byToken, principal: certificateArn }),
    new iot.ListPrincipalThingsV2Command({ ...byToken, principal: certificateArn }),
    new iotData.ListRetainedMessagesCommand(byToken),
    new iotData.ListSubscriptionsCommand({ ...byToken, clientId: thingName }),
  ];
};

/** The lists in which a stranger has more than one item of its own. */
export const otherPages = (marker?: string): readonly Command[] => [
  new acm.ListCertificatesCommand({
    ...{ MaxItems: 1, Includes: { keyTypes: ['EC_prime256v1', 'RSA_2048'] } },
    ...(marker !== undefined && { NextToken: marker }),
  }),
  new iot.ListDomainConfigurationsCommand({ pageSize: 1, ...(marker !== undefined && { marker }) }),
];

/** Lists of what this version never has. */
export const emptyLists =
  /^List(InstanceProfilesForRole|MFADevices|SSHPublicKeys|ServiceSpecificCredentials|SigningCertificates|VirtualMFADevices)$/;

/** The lists of IAM, which are the account's in all its regions. */
export const accountWidePages = (own: Names, page: object = { MaxItems: 1 }): readonly Command[] =>
  operations
    .filter(({ service, input }) => service === 'iam' && input?.members.some(({ name }) => name === 'Marker'))
    .filter(({ name }) => handledOperations().some((each) => each.service === 'iam' && each.operation === name))
    .filter(({ name }) => !emptyLists.test(name))
    .map((operation) => {
      const { userName: UserName, groupName: GroupName, roleName: RoleName, managedPolicyArn: PolicyArn } = own;
      const names = { UserName, GroupName, RoleName, PolicyArn, Scope: 'Local' };
      const members = new Set(operation.input?.members.map(({ name }) => name));
      const named = Object.entries(names).filter(([name]) => members.has(name));
      return commandFor(operation, { ...Object.fromEntries(named), ...page }) as Command;
    });
