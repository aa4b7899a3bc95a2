import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceName } from '../../../aws/operations.ts';
import type { Question, Scope } from './demand.ts';
import { questionsOf } from './table.ts';

const scope: Scope = {
  account: { accountId: '000000000000', region: 'eu-west-1' },
  callerArn: 'arn:aws:iam::000000000000:user/alice',
};
const iotArn = (resource: string): string => `arn:aws:iot:eu-west-1:000000000000:${resource}`;
const role = 'arn:aws:iam::000000000000:role/R';
const certificateArn = iotArn(`cert/${'ab'.repeat(32)}`);
const acmArn = 'arn:aws:acm:eu-west-1:000000000000:certificate/1';
const tags = [{ Key: 'team', Value: 'blue' }];
const passes = (service = 'iot.amazonaws.com'): Question => ({
  action: 'iam:PassRole',
  resource: role,
  keys: { 'iam:PassedToService': service },
});

test('what stands in no table has no questions, not even of names that every object has', () => {
  for (const name of ['StartAudit', 'constructor', '__proto__', 'toString']) {
    assert.equal(questionsOf('iot', name, {}, scope), undefined);
  }
});

const cases: [service: ServiceName, operation: string, input: object, expected: readonly Question[], rule: string][] = [
  ['iot', 'ListThings', {}, [{ action: 'iot:ListThings', resource: '*' }], 'no resource type: *'],
  [
    'iot',
    'UpdateCertificate',
    { certificateId: 'AB'.repeat(32), newStatus: 'REVOKED' },
    [{ action: 'iot:UpdateCertificate', resource: certificateArn }],
    'an id has one spelling, so that a Deny cannot be stepped round',
  ],
  [
    'iot',
    'CreateDomainConfiguration',
    { domainConfigurationName: 'd', domainName: 'IoT.Example.com.' },
    [
      {
        action: 'iot:CreateDomainConfiguration',
        resource: iotArn('domainconfiguration/d/*'),
        keys: { 'iot:DomainName': 'iot.example.com' },
      },
    ],
    'a domain has one spelling, too',
  ],
  [
    'acm',
    'RequestCertificate',
    { DomainName: 'Prod.Example.com', SubjectAlternativeNames: ['*.EXAMPLE.com'], ValidationMethod: 'DNS' },
    [
      {
        action: 'acm:RequestCertificate',
        resource: 'arn:aws:acm:eu-west-1:000000000000:certificate/*',
        keys: {
          'acm:DomainNames': ['prod.example.com', '*.example.com'],
          'acm:ValidationMethod': 'DNS',
          'acm:CertificateTransparencyLogging': 'ENABLED',
        },
      },
    ],
    'names as they are issued',
  ],
  [
    'iot',
    'AttachPolicy',
    { policyName: 'p', target: certificateArn },
    [{ action: 'iot:AttachPolicy', resource: certificateArn }],
    'the target, not the policy',
  ],
  [
    'iot',
    'AttachPolicy',
    { policyName: 'p', target: 'eu-west-1:1-2' },
    [{ action: 'iot:AttachPolicy', resource: 'eu-west-1:1-2' }],
    'a Cognito identity as it stands',
  ],
  [
    'iot',
    'AttachThingPrincipal',
    { thingName: 'lamp', principal: certificateArn },
    [{ action: 'iot:AttachThingPrincipal', resource: certificateArn, keys: { 'iot:thingArn': iotArn('thing/lamp') } }],
    'the certificate, with the thing as a condition key',
  ],
  [
    'iot',
    'CreateThing',
    { thingName: 'lamp', billingGroupName: 'b' },
    [
      { action: 'iot:CreateThing', resource: iotArn('thing/lamp') },
      { action: 'iot:CreateThing', resource: iotArn('billinggroup/b') },
    ],
    'both resources',
  ],
  [
    'iot',
    'RegisterCACertificate',
    { caCertificate: '-', tags, registrationConfig: { roleArn: role } },
    [
      {
        action: 'iot:RegisterCACertificate',
        resource: '*',
        keys: { 'aws:RequestTag/team': 'blue', 'aws:TagKeys': ['team'] },
      },
      passes(),
    ],
    'tags and the role that is passed',
  ],
  [
    'iot',
    'UpdateCACertificate',
    { certificateId: 'cd'.repeat(32), registrationConfig: { roleArn: role } },
    [{ action: 'iot:UpdateCACertificate', resource: iotArn(`cacert/${'cd'.repeat(32)}`) }, passes()],
    'the role that is passed',
  ],
  [
    'iot',
    'CreateProvisioningTemplate',
    { templateName: 't', provisioningRoleArn: role },
    [{ action: 'iot:CreateProvisioningTemplate', resource: iotArn('provisioningtemplate/t') }, passes()],
    'the role that is passed',
  ],
  [
    'iot',
    'UpdateProvisioningTemplate',
    { templateName: 't' },
    [{ action: 'iot:UpdateProvisioningTemplate', resource: iotArn('provisioningtemplate/t') }],
    'no role is passed where none is given',
  ],
  [
    'iot',
    'StartThingRegistrationTask',
    { roleArn: role },
    [{ action: 'iot:StartThingRegistrationTask', resource: '*' }, passes()],
    'the role that is passed',
  ],
  [
    'iot',
    'SetV2LoggingOptions',
    { roleArn: role },
    [{ action: 'iot:SetV2LoggingOptions', resource: '*' }, passes()],
    'the role that is passed',
  ],
  [
    'iot',
    'CreateRoleAlias',
    { roleAlias: 'a', roleArn: role },
    [{ action: 'iot:CreateRoleAlias', resource: iotArn('rolealias/a') }, passes('credentials.iot.amazonaws.com')],
    'passed to the credentials provider',
  ],
  [
    'iot',
    'DescribeDomainConfiguration',
    { domainConfigurationName: 'd' },
    [{ action: 'iot:DescribeDomainConfiguration', resource: { type: 'domainconfiguration', name: 'd' } }],
    'its ARN is looked up',
  ],
  [
    'iot',
    'UntagResource',
    { resourceArn: iotArn('policy/p'), tagKeys: ['team'] },
    [{ action: 'iot:UntagResource', resource: iotArn('policy/p'), keys: { 'aws:TagKeys': ['team'] } }],
    'the ARN as given',
  ],
  [
    'iot-data',
    'Publish',
    { topic: 'a/b', retain: true },
    [
      { action: 'iot:Publish', resource: iotArn('topic/a/b') },
      { action: 'iot:RetainPublish', resource: iotArn('topic/a/b') },
    ],
    'RetainPublish beside Publish',
  ],
  [
    'iot-data',
    'SendDirectMessage',
    { clientId: 'c', topic: 't' },
    [{ action: 'iot:SendDirectMessage', resource: iotArn('client/c'), keys: { 'iot:Topic': 't' } }],
    'the client, with the topic as a condition key',
  ],
  [
    'acm',
    'ImportCertificate',
    { Certificate: new Uint8Array() },
    [{ action: 'acm:ImportCertificate', resource: 'arn:aws:acm:eu-west-1:000000000000:certificate/*' }],
    'a new certificate has no ARN yet',
  ],
  [
    'acm',
    'ImportCertificate',
    { CertificateArn: acmArn },
    [{ action: 'acm:ImportCertificate', resource: acmArn }],
    'imported again',
  ],
  [
    'iam',
    'CreateUser',
    { UserName: 'bob', Path: '/team/', PermissionsBoundary: 'arn:aws:iam::000000000000:policy/b' },
    [
      {
        action: 'iam:CreateUser',
        resource: 'arn:aws:iam::000000000000:user/team/bob',
        keys: { 'iam:PermissionsBoundary': 'arn:aws:iam::000000000000:policy/b' },
      },
    ],
    'the path comes with the request',
  ],
  [
    'iam',
    'PutUserPolicy',
    { UserName: 'bob' },
    [{ action: 'iam:PutUserPolicy', resource: { type: 'user', name: 'bob' } }],
    'the path is looked up',
  ],
  [
    'iam',
    'CreateAccessKey',
    {},
    [{ action: 'iam:CreateAccessKey', resource: scope.callerArn }],
    'no name: whoever asks',
  ],
  [
    'iam',
    'ListUsers',
    {},
    [{ action: 'iam:ListUsers', resource: 'arn:aws:iam::000000000000:user/' }],
    'the path that is listed',
  ],
  [
    'sts',
    'AssumeRole',
    { RoleArn: role, RoleSessionName: 's', ExternalId: 'x' },
    [
      {
        action: 'sts:AssumeRole',
        resource: role,
        keys: { 'sts:RoleSessionName': 's', 'sts:ExternalId': 'x' },
      },
    ],
    'the role',
  ],
  ['sts', 'GetCallerIdentity', {}, [], 'needs no permission'],
];
for (const [service, operation, input, expected, rule] of cases) {
  test(`${service} ${operation}: ${rule}`, () =>
    assert.deepEqual(questionsOf(service, operation, input, scope), expected));
}
