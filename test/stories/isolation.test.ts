/**
 * One account's certificates, policies and things do not exist for another, nor for the same account in another region (design 5; acceptance 5 of
 * the first part). A table over every handled operation: an operation without a row fails the test.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  AcceptCertificateTransferCommand,
  AttachPolicyCommand,
  AttachPrincipalPolicyCommand,
  AttachThingPrincipalCommand,
  CancelCertificateTransferCommand,
  CreateCertificateFromCsrCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  CreateProvisioningClaimCommand,
  CreateProvisioningTemplateCommand,
  CreateProvisioningTemplateVersionCommand,
  CreateRoleAliasCommand,
  CreateThingCommand,
  DeleteCACertificateCommand,
  DeleteCertificateCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DeleteProvisioningTemplateCommand,
  DeleteProvisioningTemplateVersionCommand,
  DeleteRegistrationCodeCommand,
  DeleteRoleAliasCommand,
  DeleteThingCommand,
  DeleteV2LoggingLevelCommand,
  DescribeCACertificateCommand,
  DescribeCertificateCommand,
  DescribeEndpointCommand,
  DescribeProvisioningTemplateCommand,
  DescribeProvisioningTemplateVersionCommand,
  DescribeRoleAliasCommand,
  DescribeThingCommand,
  DescribeThingRegistrationTaskCommand,
  DetachPolicyCommand,
  DetachPrincipalPolicyCommand,
  DetachThingPrincipalCommand,
  GetEffectivePoliciesCommand,
  GetLoggingOptionsCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRegistrationCodeCommand,
  GetV2LoggingOptionsCommand,
  type IoTClient,
  ListAttachedPoliciesCommand,
  ListCACertificatesCommand,
  ListCertificatesByCACommand,
  ListCertificatesCommand,
  ListOutgoingCertificatesCommand,
  ListPoliciesCommand,
  ListPolicyPrincipalsCommand,
  ListPolicyVersionsCommand,
  ListPrincipalPoliciesCommand,
  ListPrincipalThingsCommand,
  ListPrincipalThingsV2Command,
  ListProvisioningTemplatesCommand,
  ListProvisioningTemplateVersionsCommand,
  ListRoleAliasesCommand,
  ListTagsForResourceCommand,
  ListTargetsForPolicyCommand,
  ListThingPrincipalsCommand,
  ListThingPrincipalsV2Command,
  ListThingRegistrationTaskReportsCommand,
  ListThingRegistrationTasksCommand,
  ListThingsCommand,
  ListV2LoggingLevelsCommand,
  RegisterCACertificateCommand,
  RegisterCertificateCommand,
  RegisterCertificateWithoutCACommand,
  RegisterThingCommand,
  RejectCertificateTransferCommand,
  SetDefaultPolicyVersionCommand,
  SetLoggingOptionsCommand,
  SetV2LoggingLevelCommand,
  SetV2LoggingOptionsCommand,
  StartThingRegistrationTaskCommand,
  StopThingRegistrationTaskCommand,
  type Tag,
  TagResourceCommand,
  TestAuthorizationCommand,
  TransferCertificateCommand,
  UntagResourceCommand,
  UpdateCACertificateCommand,
  UpdateCertificateCommand,
  UpdateProvisioningTemplateCommand,
  UpdateRoleAliasCommand,
  UpdateThingCommand,
} from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import {
  DeleteConnectionCommand,
  GetConnectionCommand,
  GetRetainedMessageCommand,
  ListRetainedMessagesCommand,
  ListSubscriptionsCommand,
  PublishCommand,
  SendDirectMessageCommand,
} from '@aws-sdk/client-iot-data-plane';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { operations } from '../../src/api/operations.ts';
import { type AccountRegion, iotArn, parseArn } from '../../src/aws/arn.ts';
import { endOfTask, putObject, wordyLines, wordyTemplate } from '../bulk.ts';
import { authorities } from '../ca.ts';
import { connectDevice, type Device } from '../device.ts';
import { makeFolder } from '../folder.ts';
import { domainOperations, handledOperations, isIamOperation } from '../handled.ts';
import { type Booted, bash, bootNode, certificateIdOf, type Identity } from '../harness.ts';
import { queryStore, storeTables } from '../stores.ts';

/** What operations name. */
interface Names {
  readonly certificateId: string;
  readonly certificateArn: string;
  readonly certificatePem: string;
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
  /** Also the client id of a device, and the topic of a retained message. */
  readonly thingName: string;
  /** Of a bulk registration. */
  readonly taskId: string;
}

interface Command {
  readonly input: object;
}

interface Row {
  /** The fault's name, or `success`. */
  readonly answer: string;
  /** What a stranger asks; `own` is their own holding, for operations that name two things. */
  readonly asks: (foreign: Names, own: Names) => readonly Command[];
}

const documentText = (sid: string): string =>
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
const missing = 'ResourceNotFoundException';
const tag = { Key: 'owner', Value: 'stranger' };

/** What a simulated device asks for. */
const authInfos = [{ actionType: 'PUBLISH' as const, resources: ['arn:aws:iot:us-east-1:111111111111:topic/a'] }];

const table: readonly Row[] = [
  {
    answer: 'NotConfiguredException',
    asks: ({ thingName }) => [
      new GetV2LoggingOptionsCommand({}),
      new ListV2LoggingLevelsCommand({}),
      levelOf(thingName),
    ],
  },
  {
    answer: 'success',
    asks: ({ thingName }) => [
      new GetLoggingOptionsCommand({}),
      new DeleteV2LoggingLevelCommand({ targetType: 'CLIENT_ID', targetName: thingName }),
      new SetV2LoggingOptionsCommand({ defaultLogLevel: 'ERROR' }),
      new SetLoggingOptionsCommand({
        loggingOptionsPayload: { roleArn: 'arn:aws:iam::222222222222:role/r', logLevel: 'WARN' },
      }),
    ],
  },
  {
    answer: missing,
    asks: ({ certificateId }) => [
      new DescribeCertificateCommand({ certificateId }),
      new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }),
      new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }),
      new DeleteCertificateCommand({ certificateId }),
      new DeleteCertificateCommand({ certificateId, forceDelete: true }),
      new TransferCertificateCommand({ certificateId, targetAwsAccount: '999999999999' }),
      new AcceptCertificateTransferCommand({ certificateId, setAsActive: true }),
      new RejectCertificateTransferCommand({ certificateId, rejectReason: 'stranger' }),
      new CancelCertificateTransferCommand({ certificateId }),
    ],
  },
  {
    answer: missing,
    asks: ({ policyName }) => [
      new GetPolicyCommand({ policyName }),
      new GetPolicyVersionCommand({ policyName, policyVersionId: '1' }),
      new ListPolicyVersionsCommand({ policyName }),
      new ListTargetsForPolicyCommand({ policyName }),
      new ListPolicyPrincipalsCommand({ policyName }),
      new CreatePolicyVersionCommand({ policyName, policyDocument: documentText('Stranger'), setAsDefault: true }),
      new SetDefaultPolicyVersionCommand({ policyName, policyVersionId: '1' }),
      new DeletePolicyVersionCommand({ policyName, policyVersionId: '1' }),
      new DeletePolicyCommand({ policyName }),
    ],
  },
  {
    answer: missing,
    asks: ({ policyArn, caCertificateArn, templateArn, roleAliasArn }) =>
      [policyArn, caCertificateArn, templateArn, roleAliasArn].flatMap((resourceArn) => [
        new ListTagsForResourceCommand({ resourceArn }),
        new TagResourceCommand({ resourceArn, tags: [tag] }),
        new UntagResourceCommand({ resourceArn, tagKeys: ['serial'] }),
      ]),
  },
  {
    answer: missing,
    asks: ({ caCertificateId: certificateId }) => [
      new DescribeCACertificateCommand({ certificateId }),
      new UpdateCACertificateCommand({ certificateId, newStatus: 'INACTIVE' }),
      new UpdateCACertificateCommand({ certificateId, removeAutoRegistration: true }),
      new DeleteCACertificateCommand({ certificateId }),
      new DeleteRegistrationCodeCommand({}),
    ],
  },
  {
    answer: missing,
    asks: ({ templateName }) => [
      new CreateProvisioningClaimCommand({ templateName }),
      new DescribeProvisioningTemplateCommand({ templateName }),
      new DescribeProvisioningTemplateVersionCommand({ templateName, versionId: 1 }),
      new ListProvisioningTemplateVersionsCommand({ templateName }),
      new CreateProvisioningTemplateVersionCommand({ templateName, templateBody: templateBody('Stranger') }),
      new UpdateProvisioningTemplateCommand({ templateName, enabled: false }),
      new DeleteProvisioningTemplateVersionCommand({ templateName, versionId: 2 }),
      new DeleteProvisioningTemplateCommand({ templateName }),
    ],
  },
  {
    answer: missing,
    asks: ({ roleAlias }) => [
      new DescribeRoleAliasCommand({ roleAlias }),
      new UpdateRoleAliasCommand({ roleAlias, credentialDurationSeconds: 900 }),
      new DeleteRoleAliasCommand({ roleAlias }),
    ],
  },
  {
    // the name is the stranger's to give as well
    answer: 'success',
    asks: ({ roleAlias }, { certificateArn }) => [
      new CreateRoleAliasCommand({
        roleAlias,
        roleArn: `arn:aws:iam::${parseArn(certificateArn)?.accountId}:role/devices`,
      }),
      new DeleteRoleAliasCommand({ roleAlias }),
    ],
  },
  {
    answer: missing,
    asks: ({ taskId }) => [
      new DescribeThingRegistrationTaskCommand({ taskId }),
      new StopThingRegistrationTaskCommand({ taskId }),
    ],
  },
  {
    // this operation has no other fault for it; what a task may read, and no more, is told in bulk-registration.test.ts
    answer: 'InvalidRequestException',
    asks: ({ taskId }) => [
      new ListThingRegistrationTaskReportsCommand({ taskId, reportType: 'ERRORS' }),
      new ListThingRegistrationTaskReportsCommand({ taskId, reportType: 'RESULTS' }),
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
    asks: ({ thingName, templateName }, { certificateId, certificateArn, policyName }) => [
      singleThing({ certificateId, policyName, thingName }),
      new CreateProvisioningTemplateCommand({
        templateName,
        templateBody: templateBody('Stranger'),
        provisioningRoleArn: `arn:aws:iam::${parseArn(certificateArn)?.accountId}:role/r`,
      }),
      // the stranger's own by now
      new DeleteProvisioningTemplateCommand({ templateName }),
    ],
  },
  {
    // a CA of the owner's is none of the stranger's
    answer: 'CertificateStateException',
    asks: ({ certificatePem, caCertificatePem }) => [
      new RegisterCertificateCommand({ certificatePem, setAsActive: true }),
      new RegisterCertificateCommand({ certificatePem, caCertificatePem }),
    ],
  },
  {
    // and may be the stranger's own as well, without the proof of having its key
    answer: 'success',
    asks: ({ caCertificateId, caCertificatePem: caCertificate }) => [
      new ListCertificatesByCACommand({ caCertificateId }),
      new RegisterCACertificateCommand({ caCertificate, certificateMode: 'SNI_ONLY', allowAutoRegistration: true }),
      new ListCertificatesByCACommand({ caCertificateId }),
    ],
  },
  {
    answer: missing,
    asks: ({ thingName }) => [
      new DescribeThingCommand({ thingName }),
      new ListThingPrincipalsCommand({ thingName }),
      new ListThingPrincipalsV2Command({ thingName }),
      new UpdateThingCommand({ thingName, attributePayload: { attributes: { owner: 'stranger' } } }),
    ],
  },
  {
    answer: missing,
    asks: ({ thingName: clientId }) => [
      new GetConnectionCommand({ clientId, includeSocketInformation: true }),
      new ListSubscriptionsCommand({ clientId }),
      new SendDirectMessageCommand({ clientId, topic: 'orders', payload: 'stranger' }),
      new DeleteConnectionCommand({ clientId }),
      new DeleteConnectionCommand({ clientId, cleanSession: true, preventWillMessage: true }),
      new GetRetainedMessageCommand({ topic: clientId }),
    ],
  },
  {
    // the topic of the same name is the stranger's own
    answer: 'success',
    asks: ({ thingName: topic }) => [
      new PublishCommand({ topic, payload: 'stranger', qos: 1 }),
      new PublishCommand({ topic, payload: 'stranger', retain: true }),
      new PublishCommand({ topic, retain: true }),
    ],
  },
  {
    answer: missing,
    asks: ({ certificateArn }) => [
      new ListAttachedPoliciesCommand({ target: certificateArn }),
      new ListPrincipalPoliciesCommand({ principal: certificateArn }),
      new ListPrincipalThingsCommand({ principal: certificateArn }),
      new ListPrincipalThingsV2Command({ principal: certificateArn }),
    ],
  },
  {
    answer: missing,
    asks: (foreign, own) =>
      pairs(foreign, own).flatMap(({ policyName, thingName, target }) => [
        new AttachPolicyCommand({ policyName, target }),
        new AttachPrincipalPolicyCommand({ policyName, principal: target }),
        new DetachPrincipalPolicyCommand({ policyName, principal: target }),
        new AttachThingPrincipalCommand({ thingName, principal: target }),
        new AttachThingPrincipalCommand({ thingName, principal: target, thingPrincipalType: 'EXCLUSIVE_THING' }),
        new DetachThingPrincipalCommand({ thingName, principal: target }),
      ]),
  },
  {
    answer: missing,
    asks: ({ certificateArn, policyName, thingName }, own) => [
      new GetEffectivePoliciesCommand({ principal: certificateArn }),
      new GetEffectivePoliciesCommand({ thingName }),
      new GetEffectivePoliciesCommand({ principal: own.certificateArn, thingName }),
      new TestAuthorizationCommand({ principal: certificateArn, authInfos }),
      new TestAuthorizationCommand({ principal: own.certificateArn, authInfos, policyNamesToAdd: [policyName] }),
      new TestAuthorizationCommand({ principal: own.certificateArn, authInfos, policyNamesToSkip: [policyName] }),
    ],
  },
  {
    // a client id is a name and nothing more: whose thing it may be elsewhere plays no part
    answer: 'success',
    asks: ({ thingName }, own) => [
      new TestAuthorizationCommand({ principal: own.certificateArn, authInfos, clientId: thingName }),
    ],
  },
  {
    answer: 'InvalidRequestException',
    asks: ({ certificateArn, policyName }, own) => [
      new DetachPolicyCommand({ policyName: own.policyName, target: certificateArn }),
      new DetachPolicyCommand({ policyName, target: certificateArn }),
    ],
  },
  {
    // what does not exist is deleted and detached with success (spec identity 4.1, 6)
    answer: 'success',
    asks: ({ policyName, thingName }, own) => [
      new DetachPolicyCommand({ policyName, target: own.certificateArn }),
      new DeleteThingCommand({ thingName }),
    ],
  },
  {
    answer: 'success',
    asks: ({ certificatePem, csr, policyName, thingName }) => [
      new RegisterCertificateWithoutCACommand({ certificatePem, status: 'REVOKED' }),
      new CreateCertificateFromCsrCommand({ certificateSigningRequest: csr, setAsActive: true }),
      new CreatePolicyCommand({ policyName, policyDocument: documentText('Stranger') }),
      new CreateThingCommand({ thingName, attributePayload: { attributes: { owner: 'stranger' } } }),
    ],
  },
  {
    answer: 'success',
    asks: () => [
      new CreateKeysAndCertificateCommand({}),
      new GetRegistrationCodeCommand({}),
      new ListCACertificatesCommand({}),
      new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
      new GetCallerIdentityCommand({}),
      new ListCertificatesCommand({}),
      new ListOutgoingCertificatesCommand({}),
      new ListPoliciesCommand({}),
      new ListRetainedMessagesCommand({}),
      new ListRoleAliasesCommand({}),
      new ListProvisioningTemplatesCommand({}),
      new ListThingRegistrationTasksCommand({}),
      new ListThingsCommand({}),
    ],
  },
];

const pseudoId = { Ref: 'AWS::IoT::Certificate::Id' };

const templateBody = (policyName: string): string =>
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
  new RegisterThingCommand({
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
const startTask = (roleArn: string, inputFileKey = 'lamps') =>
  new StartThingRegistrationTaskCommand({
    templateBody: wordyTemplate,
    inputFileBucket: 'fleet',
    inputFileKey,
    roleArn,
  });

/** A level for the client that bears a thing's name. */
const levelOf = (thingName: string) =>
  new SetV2LoggingLevelCommand({
    logTarget: { targetType: 'CLIENT_ID', targetName: thingName },
    logLevel: 'DEBUG',
  });

/** Lists in pages, as their owner asks for them. */
const pagedLists = (own: Names, marker?: string): readonly Command[] => {
  const byMarker = { pageSize: 1, ...(marker !== undefined && { marker }) };
  const byToken = { maxResults: 1, ...(marker !== undefined && { nextToken: marker }) };
  const { certificateArn, policyName, thingName } = own;
  return [
    new ListCACertificatesCommand(byMarker),
    new ListCertificatesByCACommand({ ...byMarker, caCertificateId: own.caCertificateId }),
    new ListCertificatesCommand(byMarker),
    new ListPoliciesCommand(byMarker),
    new ListRoleAliasesCommand(byMarker),
    new ListAttachedPoliciesCommand({ ...byMarker, target: certificateArn }),
    new ListPrincipalPoliciesCommand({ ...byMarker, principal: certificateArn }),
    new ListTargetsForPolicyCommand({ ...byMarker, policyName }),
    new ListPolicyPrincipalsCommand({ ...byMarker, policyName }),
    new ListProvisioningTemplatesCommand(byToken),
    new ListProvisioningTemplateVersionsCommand({ ...byToken, templateName: own.templateName }),
    new ListThingRegistrationTasksCommand(byToken),
    new ListThingRegistrationTaskReportsCommand({ ...byToken, taskId: own.taskId, reportType: 'RESULTS' }),
    new ListThingsCommand(byToken),
    new ListV2LoggingLevelsCommand({ ...byToken, targetType: 'CLIENT_ID' }),
    new ListThingPrincipalsCommand({ ...byToken, thingName }),
    new ListThingPrincipalsV2Command({ ...byToken, thingName }),
    new ListPrincipalThingsCommand({ ...byToken, principal: certificateArn }),
    new ListPrincipalThingsV2Command({ ...byToken, principal: certificateArn }),
    new ListRetainedMessagesCommand(byToken),
    new ListSubscriptionsCommand({ ...byToken, clientId: thingName }),
  ];
};

/** Sends a certificate of an account to one that nobody speaks for; answers its id. */
const sendAway = async (iot: IoTClient): Promise<string> => {
  const { certificateId } = await iot.send(new CreateKeysAndCertificateCommand({}));
  const transferMessage = 'known-to-its-owner-alone';
  await iot.send(new TransferCertificateCommand({ certificateId, targetAwsAccount: '999999999999', transferMessage }));
  return String(certificateId);
};

const operationOf = (command: Command): string => command.constructor.name.replace(/Command$/, '');

/** Every operation that this version handles, but for those that have tables of their own: {acm,iam}-isolation.test.ts, domain-operations.test.ts. */
const handled = (): readonly string[] =>
  handledOperations()
    .filter((each) => each.service !== 'acm' && !isIamOperation(each) && !domainOperations.includes(each.operation))
    .map(({ operation }) => operation);

const owner: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };
/** A fresh stranger for each number: another account, or the owner's own account in another region. */
const strangers: Readonly<Record<string, (number: number) => AccountRegion>> = {
  'another account': (number) => ({ accountId: String(222_222_222_000 + number), region: owner.region }),
  'the same account in another region': (number) => ({ accountId: owner.accountId, region: `eu-west-${number + 1}` }),
};

const clientOf = ({ iot }: Booted, { accountId, region }: AccountRegion): IoTClient => iot(accountId, region);

/** What came of a command: `{ answer, message, output }`, with everything that differs by chance made equal. */
const outcomeOf = async (booted: Booted, who: AccountRegion, command: Command) => {
  const { accountId } = who;
  const ofDataPlane = Object.values<unknown>(iotData).includes(command.constructor);
  const client: { send(command: never): Promise<unknown> } =
    command instanceof GetCallerIdentityCommand
      ? booted.sts(accountId)
      : ofDataPlane
        ? booted.iotData(accountId, who.region)
        : clientOf(booted, who);
  try {
    // the table holds commands of many types, and `send` is overloaded by them
    const { $metadata, ...output } = (await client.send(command as never)) as { $metadata: object };
    return { answer: 'success', output };
  } catch (error) {
    assert(error instanceof Error && '$metadata' in error, String(error));
    const { name, message, $metadata, $response, $fault, stack, traceId, ...members } = error as never as Record<
      string,
      unknown
    >;
    const { httpStatusCode } = $metadata as { httpStatusCode?: number };
    return { answer: String(name), status: httpStatusCode, message: String(message), members };
  }
};

/** An outcome as text in which the asked names and all chance values stand as placeholders. */
const withoutNames = (outcome: unknown, asked: Names): string => {
  let text = JSON.stringify(outcome);
  for (const [name, value] of Object.entries(asked))
    text = text.replaceAll(JSON.stringify(value).slice(1, -1), `<${name}>`);
  return text
    .replaceAll(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----(\\n)?/g, '<pem>')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<id>')
    .replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"<time>"');
};

/** Every row of the store that belongs to one account and region, by table. */
const rowsOf = async ({ folder }: Booted, { accountId, region }: AccountRegion): Promise<Record<string, unknown[]>> => {
  const data = join(folder, 'data');
  const rows: Record<string, unknown[]> = {};
  for (const name of await storeTables(data)) {
    if (name.startsWith('iam_')) continue; // no region
    const query = `select * from ${name} where account_id = '${accountId}' and region = '${region}'`;
    rows[name] = (await queryStore(data, query)).map((row) => JSON.stringify(row)).sort();
  }
  return rows;
};

/** Makes an account hold a CA. */
const hold = (iot: IoTClient, caCertificate: string) =>
  iot.send(new RegisterCACertificateCommand({ caCertificate, certificateMode: 'SNI_ONLY', setAsActive: true }));

/** Makes a template of two versions. */
const furnishTemplate = async (iot: IoTClient, who: AccountRegion, templateName: string, tags: Tag[] = []) => {
  const body = { templateName, templateBody: templateBody('KnownToItsOwnerAlone3') };
  const provisioningRoleArn = `arn:aws:iam::${who.accountId}:role/r`;
  await iot.send(new CreateProvisioningTemplateCommand({ ...body, provisioningRoleArn, enabled: true, tags }));
  await iot.send(new CreateProvisioningTemplateVersionCommand(body));
};

/** Two of everything, attached to each other, so that every list has two pages. */
const furnish = async (iot: IoTClient, who: AccountRegion, names: Names, second: Names): Promise<void> => {
  const tags = [{ Key: 'serial', Value: 'known-to-its-owner-alone' }];
  await iot.send(new GetRegistrationCodeCommand({}));
  for (const { caCertificatePem: caCertificate } of [names, second]) await hold(iot, caCertificate);
  await iot.send(new TagResourceCommand({ resourceArn: iotArn(who, 'cacert', names.caCertificateId), tags }));
  for (const { certificatePem } of [names, second]) {
    await iot.send(new RegisterCertificateCommand({ certificatePem, setAsActive: true }));
  }
  await iot.send(new SetV2LoggingOptionsCommand({ defaultLogLevel: 'ERROR' }));
  for (const { policyName, thingName, templateName, roleAlias } of [names, second]) {
    await iot.send(levelOf(thingName));
    await furnishTemplate(iot, who, templateName, tags);
    const roleArn = `arn:aws:iam::${who.accountId}:role/known-to-its-owner-alone`;
    await iot.send(new CreateRoleAliasCommand({ roleAlias, roleArn, tags }));
    await iot.send(
      new CreatePolicyCommand({ policyName, policyDocument: documentText('KnownToItsOwnerAlone1'), tags }),
    );
    await iot.send(
      new CreateThingCommand({ thingName, attributePayload: { attributes: { serial: 'known-to-its-owner-alone' } } }),
    );
  }
  await iot.send(new CreateProvisioningClaimCommand({ templateName: names.templateName }));
  const { policyName, thingName } = names;
  const policyDocument = documentText('KnownToItsOwnerAlone2');
  await iot.send(new CreatePolicyVersionCommand({ policyName, policyDocument, setAsDefault: true }));
  for (const { certificateId } of [names, second]) {
    const target = iotArn(who, 'cert', certificateId);
    await iot.send(new AttachPolicyCommand({ policyName, target }));
    await iot.send(new AttachThingPrincipalCommand({ thingName, principal: target }));
  }
  const target = iotArn(who, 'cert', names.certificateId);
  await iot.send(new AttachPolicyCommand({ policyName: second.policyName, target }));
  await iot.send(new AttachThingPrincipalCommand({ thingName: second.thingName, principal: target }));
  await sendAway(iot);
  await sendAway(iot);
};

/** Registers a file of the account in bulk; answers the id of the task, which has come to its end. */
const registerInBulk = async (iot: IoTClient, { accountId }: AccountRegion, key = 'lamps'): Promise<string> => {
  const { taskId = '' } = await iot.send(startTask(`arn:aws:iam::${accountId}:role/r`, key));
  assert.equal((await endOfTask(iot, taskId)).status, 'Completed');
  return taskId;
};

/** A device with two subscriptions, one on the topic of its client id, where it leaves a retained message. */
const connectAs = async (
  booted: Booted,
  who: AccountRegion,
  identity: Identity,
  { name, clean = true }: { readonly name: string; readonly clean?: boolean },
): Promise<Device> => {
  const { endpointAddress = '' } = await clientOf(booted, who).send(
    new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
  );
  const device = await connectDevice(booted.node, identity, { clientId: name, clean, serverName: endpointAddress });
  await device.client.subscribeAsync(['#', `${name}/#`], { qos: 1 });
  await device.client.publishAsync(name, 'known-to-its-owner-alone', { retain: true, qos: 1 });
  await device.until(`${name} known-to-its-owner-alone`);
  return device;
};

const setUp = async (t: TestContext) => {
  const buckets = await makeFolder(t);
  await putObject(buckets, owner.accountId, 'fleet/lamps', wordyLines);
  for (const nameStranger of Object.values(strangers)) {
    await putObject(buckets, nameStranger(0).accountId, 'fleet/own', '{"Name":"own-thing"}');
  }
  const booted = await bootNode(t, { buckets });
  const { folder } = booted;
  const identities: Record<string, Identity> = {};
  const { ca, leaf } = authorities(folder);
  const namesOf = async (name: string, issuer = name): Promise<Names> => {
    const caCertificatePem = await ca(`${name}-ca`);
    const certificatePem = await leaf(name, `${issuer}-ca`);
    const [certificateId, caCertificateId] = [certificateIdOf(certificatePem), certificateIdOf(caCertificatePem)];
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    identities[name] = { certFile, keyFile, certificatePem, certificateId };
    const { stdout: csr } = await bash(`openssl req -new -key '${keyFile}' -subj '/CN=${name}'`);
    return {
      certificateArn: iotArn(owner, 'cert', certificateId),
      certificateId,
      certificatePem,
      csr,
      caCertificateArn: iotArn(owner, 'cacert', caCertificateId),
      caCertificateId,
      caCertificatePem,
      policyName: `${name}-policy`,
      policyArn: iotArn(owner, 'policy', `${name}-policy`),
      templateName: `${name}-template`,
      templateArn: iotArn(owner, 'provisioningtemplate', `${name}-template`),
      roleAlias: `${name}-alias`,
      roleAliasArn: iotArn(owner, 'rolealias', `${name}-alias`),
      thingName: `${name}-thing`,
      taskId: randomUUID(),
    };
  };
  const knownNames = await namesOf('known');
  // of one CA, so that its list of certificates has two pages
  const hidden = await namesOf('hidden', 'known');
  const [own, ghost] = [await namesOf('own'), await namesOf('ghost')];
  const ownerClient = clientOf(booted, owner);
  await furnish(ownerClient, owner, knownNames, hidden);
  const hiddenTask = await registerInBulk(ownerClient, owner);
  const known = { ...knownNames, taskId: await registerInBulk(ownerClient, owner) };
  assert(identities['hidden'] && identities['known'] && identities['own']);
  const asleep = await connectAs(booted, owner, identities['hidden'], { name: hidden.thingName, clean: false });
  await asleep.client.endAsync();
  const knownDevice = await connectAs(booted, owner, identities['known'], { name: known.thingName });
  // leaves an ownership token
  await knownDevice.client.publishAsync('$aws/certificates/create/json', '{}', { qos: 1 });
  // waits for the one that is away
  await knownDevice.client.publishAsync(hidden.thingName, 'known-to-its-owner-alone', { qos: 1 });
  const endpoint = await ownerClient.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
  const thing = await ownerClient.send(new DescribeThingCommand({ thingName: known.thingName }));
  const policy = await ownerClient.send(new GetPolicyCommand({ policyName: known.policyName }));
  const { registrationCode } = await ownerClient.send(new GetRegistrationCodeCommand({}));
  /** What no stranger ever says, and so must never hear. */
  const secrets = [
    hidden.certificateId,
    hidden.caCertificateId,
    String(registrationCode),
    hidden.policyName,
    hidden.templateName,
    hidden.roleAlias,
    hidden.thingName,
    hiddenTask,
    'KnownToItsOwnerAlone',
    'known-to-its-owner-alone',
    String(endpoint.endpointAddress),
    String(thing.thingId),
    String(policy.generationId),
  ];
  return { booted, known, ghost, own, ownIdentity: identities['own'], knownDevice, secrets };
};

test('no operation reaches into another account or region: what is there answers like what is not (design 5)', async (t) => {
  const { booted, known, ghost, own: ownNames, knownDevice, secrets } = await setUp(t);
  const before = await rowsOf(booted, owner);
  const empty = Object.keys(before).filter((name) => before[name]?.length === 0);
  // QoS 2 is for `--limits open` only; acm and domains have stories of their own
  assert.deepEqual(
    empty,
    ['acm_certificates', 'domain_configurations', 'domain_wildcards', 'mqtt_receipts'],
    'the owner has rows in every table',
  );
  const rowed = new Set(table.flatMap(({ asks }) => asks(known, ownNames)).map(operationOf));
  assert.deepEqual([...rowed].sort(), [...handled()].sort(), 'every handled operation has a row');

  let asked = 0;
  for (const [kind, nameStranger] of Object.entries(strangers)) {
    for (const [number, { answer, asks }] of table.entries()) {
      const stranger = nameStranger(number);
      const own = { ...ownNames, certificateArn: iotArn(stranger, 'cert', ownNames.certificateId) };
      const client = clientOf(booted, stranger);
      await client.send(new RegisterCertificateWithoutCACommand({ certificatePem: own.certificatePem }));
      await client.send(new CreatePolicyCommand({ policyName: own.policyName, policyDocument: documentText('Own') }));
      await client.send(new CreateThingCommand({ thingName: own.thingName }));
      // the owner's ARNs as they are, and with the stranger's account and region in them
      for (const arnOf of [owner, stranger]) {
        const named = (names: Names): Names => ({
          ...names,
          certificateArn: iotArn(arnOf, 'cert', names.certificateId),
          caCertificateArn: iotArn(arnOf, 'cacert', names.caCertificateId),
          policyArn: iotArn(arnOf, 'policy', names.policyName),
          templateArn: iotArn(arnOf, 'provisioningtemplate', names.templateName),
          roleAliasArn: iotArn(arnOf, 'rolealias', names.roleAlias),
        });
        const [real, unreal] = [named(known), named(ghost)];
        const unrealCommands = asks(unreal, own);
        for (const [index, command] of asks(real, own).entries()) {
          const unrealCommand = unrealCommands[index];
          assert(unrealCommand);
          const what = `${operationOf(command)} ${JSON.stringify(command.input)} by ${kind}`;
          if (arnOf !== owner && !JSON.stringify(command.input).includes('arn:')) continue;
          const outcome = await outcomeOf(booted, stranger, command);
          const unrealOutcome = await outcomeOf(booted, stranger, unrealCommand);
          assert.equal(outcome.answer, answer, `${what}: ${JSON.stringify(outcome)}`);
          if (JSON.stringify(command.input) !== JSON.stringify(unrealCommand.input)) {
            assert.equal(
              withoutNames(outcome, real),
              withoutNames(unrealOutcome, unreal),
              `${what} tells a difference`,
            );
          }
          const heard = JSON.stringify(outcome);
          for (const secret of secrets) assert.ok(!heard.includes(secret), `${what} tells ${secret}`);
          asked += 1;
        }
      }
      assert.deepEqual(
        await rowsOf(booted, owner),
        before,
        `row ${number} by ${kind} changed something of the owner's`,
      );
      const strangersRows = JSON.stringify(await rowsOf(booted, stranger));
      assert.ok(
        !strangersRows.includes(`${owner.region}:${owner.accountId}:`),
        'nothing of the stranger names the owner',
      );
    }
  }
  assert.ok(knownDevice.client.connected, 'no stranger has ended a connection');
  assert.ok(!knownDevice.received.some((message) => message.endsWith('stranger')), 'nor sent it anything');
  t.diagnostic(`${asked} attempts of strangers over ${rowed.size} operations`);
});

test("no list shows another account's, and no page marker of another account or region is taken", async (t) => {
  const { booted, known, own: ownNames, ownIdentity } = await setUp(t);
  const paged = operations
    .filter(
      ({ name, input }) =>
        handled().includes(name) &&
        // has one page, and takes no token
        name !== 'ListTagsForResource' &&
        input?.members.some(({ name: member }) => /^(marker|nextToken)$/.test(member)),
    )
    .map(({ name }) => name);
  const rowed = [...pagedLists(known), new ListOutgoingCertificatesCommand({})].map(operationOf);
  assert.deepEqual(rowed.sort(), [...paged].sort(), 'every paged list has a row');

  for (const [kind, nameStranger] of Object.entries(strangers)) {
    const stranger = nameStranger(0);
    const client = clientOf(booted, stranger);
    const taskId = await registerInBulk(client, stranger, 'own');
    const own = { ...ownNames, certificateArn: iotArn(stranger, 'cert', ownNames.certificateId), taskId };
    const { certificatePem, certificateArn, policyName, thingName } = own;
    await hold(client, own.caCertificatePem);
    await client.send(new RegisterCertificateCommand({ certificatePem, setAsActive: true }));
    await client.send(new CreatePolicyCommand({ policyName, policyDocument: documentText('Own') }));
    await client.send(new CreateThingCommand({ thingName }));
    await client.send(
      new CreateProvisioningTemplateCommand({
        templateName: own.templateName,
        templateBody: templateBody('Own'),
        provisioningRoleArn: `arn:aws:iam::${stranger.accountId}:role/r`,
      }),
    );
    const roleArn = `arn:aws:iam::${stranger.accountId}:role/devices`;
    await client.send(new CreateRoleAliasCommand({ roleAlias: own.roleAlias, roleArn }));
    await client.send(new AttachPolicyCommand({ policyName, target: certificateArn }));
    await client.send(new AttachThingPrincipalCommand({ thingName, principal: certificateArn }));
    const device = await connectAs(booted, stranger, ownIdentity, { name: thingName });
    await device.client.unsubscribeAsync('#');
    await client.send(new SetV2LoggingOptionsCommand({ defaultLogLevel: 'ERROR' }));
    await client.send(levelOf(thingName));

    for (const [index, command] of pagedLists(known).entries()) {
      const name = `${operationOf(command)} by ${kind}`;
      const first = await outcomeOf(booted, owner, command);
      const { nextMarker, nextToken } = first.output as { nextMarker?: string; nextToken?: string };
      const marker = nextMarker ?? nextToken;
      assert.ok(marker, `${name}: the owner has a second page`);
      const ask = async (given?: string) => {
        const asked = pagedLists(own, given)[index];
        assert(asked);
        return outcomeOf(booted, stranger, asked);
      };
      const forged = await ask(Buffer.from(marker, 'base64').fill(1).toString('base64'));
      assert.equal(forged.answer, 'InvalidRequestException', name);
      assert.deepEqual(await ask(marker), forged, `${name}: the owner's marker is refused like a made-up one`);
      const listed = JSON.stringify(await ask());
      assert.match(listed, /"success"/);
      assert.doesNotMatch(listed, /next(Marker|Token)/, `${name}: one own item, one page`);
      assert.match(
        listed,
        new RegExp(
          `own-policy|own-thing|own-template|own-alias|"versionId":1|${taskId}|${own.certificateId}|${own.caCertificateId}`,
        ),
        name,
      );
      assert.ok(!/known|hidden/.test(listed), `${name}: ${listed}`);
    }
  }
});

test('no transfer is listed or taken up by an account that has no part in it', async (t) => {
  const { booted } = await setUp(t);
  const ownerClient = clientOf(booted, owner);
  const { nextMarker = '', outgoingCertificates: [known] = [] } = await ownerClient.send(
    new ListOutgoingCertificatesCommand({ pageSize: 1 }),
  );
  const certificateId = String(known?.certificateId);
  for (const nameStranger of Object.values(strangers)) {
    const client = clientOf(booted, nameStranger(0));
    const own = await sendAway(client);
    const listed = await client.send(new ListOutgoingCertificatesCommand({ pageSize: 1 }));
    assert.deepEqual(
      [listed.outgoingCertificates?.map((each) => each.certificateId), listed.nextMarker],
      [[own], undefined],
    );
    const foreign = new ListOutgoingCertificatesCommand({ pageSize: 1, marker: nextMarker });
    await assert.rejects(client.send(foreign), { name: 'InvalidRequestException' });
    for (const command of [
      new DescribeCertificateCommand({ certificateId }),
      new AcceptCertificateTransferCommand({ certificateId }),
      new RejectCertificateTransferCommand({ certificateId }),
      new CancelCertificateTransferCommand({ certificateId }),
    ]) {
      await assert.rejects(client.send(command as never), { name: missing });
    }
  }
  const { certificateDescription } = await ownerClient.send(new DescribeCertificateCommand({ certificateId }));
  assert.equal(certificateDescription?.status, 'PENDING_TRANSFER');
});

test('the same names in two accounts and two regions are different things, and each holds its own status of one certificate', async (t) => {
  const { booted, known } = await setUp(t);
  const { certificateId, certificatePem, policyName, thingName } = known;
  for (const nameStranger of Object.values(strangers)) {
    const stranger = nameStranger(0);
    const before = await rowsOf(booted, owner);
    const client = clientOf(booted, stranger);
    const target = iotArn(stranger, 'cert', certificateId);
    await client.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'INACTIVE' }));
    await client.send(new CreatePolicyCommand({ policyName, policyDocument: documentText('Namesake') }));
    await client.send(new CreateThingCommand({ thingName, attributePayload: { attributes: { serial: 'namesake' } } }));
    await client.send(new AttachPolicyCommand({ policyName, target }));
    await client.send(new AttachThingPrincipalCommand({ thingName, principal: target }));

    const policy = await client.send(new GetPolicyCommand({ policyName }));
    assert.equal(policy.policyDocument, documentText('Namesake'));
    assert.equal(policy.policyArn, iotArn(stranger, 'policy', policyName));
    const thing = await client.send(new DescribeThingCommand({ thingName }));
    assert.deepEqual(thing.attributes, { serial: 'namesake' });
    assert.equal(thing.version, 1);
    const certificate = await client.send(new DescribeCertificateCommand({ certificateId }));
    assert.equal(certificate.certificateDescription?.status, 'INACTIVE');
    assert.equal(certificate.certificateDescription?.ownedBy, stranger.accountId);
    assert.equal(certificate.certificateDescription?.customerVersion, 1);

    await hold(client, known.caCertificatePem);
    const ofCa = { certificateId: known.caCertificateId };
    const { certificateDescription: ca } = await client.send(new DescribeCACertificateCommand(ofCa));
    assert.deepEqual([ca?.ownedBy, ca?.customerVersion], [stranger.accountId, 1]);

    // everything of the namesakes is changed and taken away again
    await client.send(new UpdateCACertificateCommand({ ...ofCa, newStatus: 'INACTIVE' }));
    await client.send(new DeleteCACertificateCommand(ofCa));
    const policyDocument = documentText('Changed');
    await client.send(new CreatePolicyVersionCommand({ policyName, policyDocument, setAsDefault: true }));
    await client.send(new DeletePolicyVersionCommand({ policyName, policyVersionId: '1' }));
    await client.send(new UpdateThingCommand({ thingName, attributePayload: { attributes: { serial: 'changed' } } }));
    await client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));
    const revoked = await client.send(new DescribeCertificateCommand({ certificateId }));
    assert.equal(revoked.certificateDescription?.status, 'REVOKED');
    await client.send(new DetachThingPrincipalCommand({ thingName, principal: target }));
    await client.send(new DeleteThingCommand({ thingName }));
    await client.send(new DeleteCertificateCommand({ certificateId, forceDelete: true }));
    await client.send(new DeletePolicyCommand({ policyName }));

    assert.deepEqual(await rowsOf(booted, owner), before, 'the owner has what it had');
    const left = await rowsOf(booted, stranger);
    for (const [name, rows] of Object.entries(left)) {
      if (name !== 'accounts') assert.deepEqual(rows, [], `nothing is left in ${name}`);
    }
  }
});
