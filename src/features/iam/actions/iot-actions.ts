/**
 * What each operation of AWS IoT asks of IAM: resource types, condition keys and further actions. Source: service authorization reference, "Actions, resources,
 * and condition keys for AWS IoT". Where it names no resource type, the operation is asked on `*`.
 */
import {
  all,
  anywhere,
  credentialsService,
  type Demand,
  iotResource,
  keyed,
  passing,
  type Rows,
  type Scope,
  tagged,
  untagged,
} from './demand.ts';

const iot = (scope: Scope, type: string, name: string | undefined): Demand => ({
  on: [iotResource(scope, type, name)],
});

/** A certificate's or a CA's id is taken in any case, and known in one. */
const cert = (scope: Scope, certificateId: string | undefined): Demand =>
  iot(scope, 'cert', (certificateId ?? '').toLowerCase());
const cacert = (scope: Scope, certificateId: string | undefined): Demand =>
  iot(scope, 'cacert', (certificateId ?? '').toLowerCase());

/**
 * A principal or target as it was given: the ARN of a certificate or thing group, or the id of a Cognito identity, which AWS asks about as it stands
 * (Observed: aws-amplify/aws-sdk-android #640). Not given: no resource in particular.
 */
const given = (principal: string | undefined): Demand => (principal === undefined ? anywhere() : { on: [principal] });

/** A domain configuration that is there; its ARN ends in what the service chose. */
const domain = (name: string | undefined): Demand => ({ on: [{ type: 'domainconfiguration', name: name ?? '' }] });

const template = (scope: Scope, name: string | undefined): Demand => iot(scope, 'provisioningtemplate', name);
const policy = (scope: Scope, name: string | undefined): Demand => iot(scope, 'policy', name);
const thing = (scope: Scope, name: string | undefined): Demand => iot(scope, 'thing', name);

const certificates: Rows<'iot'> = {
  AcceptCertificateTransfer: ({ certificateId }, scope) => cert(scope, certificateId),
  CancelCertificateTransfer: ({ certificateId }, scope) => cert(scope, certificateId),
  CreateCertificateFromCsr: anywhere,
  CreateKeysAndCertificate: anywhere,
  DeleteCertificate: ({ certificateId }, scope) => cert(scope, certificateId),
  DescribeCertificate: ({ certificateId }, scope) => cert(scope, certificateId),
  ListCertificates: anywhere,
  ListOutgoingCertificates: anywhere,
  RegisterCertificateWithoutCA: anywhere,
  RejectCertificateTransfer: ({ certificateId }, scope) => cert(scope, certificateId),
  TransferCertificate: ({ certificateId }, scope) => cert(scope, certificateId),
  UpdateCertificate: ({ certificateId }, scope) => cert(scope, certificateId),
};

const cas: Rows<'iot'> = {
  DeleteCACertificate: ({ certificateId }, scope) => cacert(scope, certificateId),
  DeleteRegistrationCode: anywhere,
  DescribeCACertificate: ({ certificateId }, scope) => cacert(scope, certificateId),
  GetRegistrationCode: anywhere,
  ListCACertificates: anywhere,
  ListCertificatesByCA: anywhere,
  RegisterCACertificate: ({ tags, registrationConfig }) => all(tagged(tags), passing(registrationConfig?.roleArn)),
  RegisterCertificate: anywhere,
  UpdateCACertificate: ({ certificateId, registrationConfig }, scope) =>
    all(cacert(scope, certificateId), passing(registrationConfig?.roleArn)),
};

const things: Rows<'iot'> = {
  AttachThingPrincipal: ({ principal, thingName }, scope) =>
    all(given(principal), keyed({ 'iot:thingArn': iotResource(scope, 'thing', thingName) })),
  CreateThing: ({ thingName, billingGroupName }, scope) =>
    billingGroupName === undefined
      ? thing(scope, thingName)
      : all(thing(scope, thingName), iot(scope, 'billinggroup', billingGroupName)),
  DeleteThing: ({ thingName }, scope) => thing(scope, thingName),
  DescribeThing: ({ thingName }, scope) => thing(scope, thingName),
  DetachThingPrincipal: ({ principal, thingName }, scope) =>
    all(given(principal), keyed({ 'iot:thingArn': iotResource(scope, 'thing', thingName) })),
  ListPrincipalThings: ({ principal }) => given(principal),
  ListPrincipalThingsV2: ({ principal }) => given(principal),
  ListThingPrincipals: ({ thingName }, scope) => thing(scope, thingName),
  ListThingPrincipalsV2: ({ thingName }, scope) => thing(scope, thingName),
  ListThings: anywhere,
  UpdateThing: ({ thingName }, scope) => thing(scope, thingName),
};

const policies: Rows<'iot'> = {
  AttachPolicy: ({ target }) => given(target),
  AttachPrincipalPolicy: ({ principal }) => given(principal),
  CreatePolicy: ({ policyName, tags }, scope) => all(policy(scope, policyName), tagged(tags)),
  CreatePolicyVersion: ({ policyName }, scope) => policy(scope, policyName),
  DeletePolicy: ({ policyName }, scope) => policy(scope, policyName),
  DeletePolicyVersion: ({ policyName }, scope) => policy(scope, policyName),
  DetachPolicy: ({ target }) => given(target),
  DetachPrincipalPolicy: ({ principal }) => given(principal),
  GetEffectivePolicies: ({ principal }) => given(principal),
  GetPolicy: ({ policyName }, scope) => policy(scope, policyName),
  GetPolicyVersion: ({ policyName }, scope) => policy(scope, policyName),
  ListAttachedPolicies: anywhere,
  ListPolicies: anywhere,
  ListPolicyPrincipals: anywhere,
  ListPolicyVersions: ({ policyName }, scope) => policy(scope, policyName),
  ListPrincipalPolicies: anywhere,
  ListTargetsForPolicy: ({ policyName }, scope) => policy(scope, policyName),
  SetDefaultPolicyVersion: ({ policyName }, scope) => policy(scope, policyName),
  TestAuthorization: ({ principal }) => given(principal),
};

/** Whoever sets a role that the service acts in must be allowed to pass it. Source: developer guide, "Configure AWS IoT logging". */
const logging: Rows<'iot'> = {
  DeleteV2LoggingLevel: anywhere,
  GetLoggingOptions: anywhere,
  GetV2LoggingOptions: anywhere,
  ListV2LoggingLevels: anywhere,
  SetLoggingOptions: ({ loggingOptionsPayload }) => passing(loggingOptionsPayload?.roleArn),
  SetV2LoggingLevel: anywhere,
  SetV2LoggingOptions: ({ roleArn }) => passing(roleArn),
};

const provisioning: Rows<'iot'> = {
  CreateProvisioningClaim: ({ templateName }, scope) => template(scope, templateName),
  CreateProvisioningTemplate: ({ templateName, tags, provisioningRoleArn }, scope) =>
    all(template(scope, templateName), tagged(tags), passing(provisioningRoleArn)),
  CreateProvisioningTemplateVersion: ({ templateName }, scope) => template(scope, templateName),
  DeleteProvisioningTemplate: ({ templateName }, scope) => template(scope, templateName),
  DeleteProvisioningTemplateVersion: ({ templateName }, scope) => template(scope, templateName),
  DescribeProvisioningTemplate: ({ templateName }, scope) => template(scope, templateName),
  DescribeProvisioningTemplateVersion: ({ templateName }, scope) => template(scope, templateName),
  DescribeThingRegistrationTask: anywhere,
  ListProvisioningTemplates: anywhere,
  ListProvisioningTemplateVersions: ({ templateName }, scope) => template(scope, templateName),
  ListThingRegistrationTaskReports: anywhere,
  ListThingRegistrationTasks: anywhere,
  RegisterThing: anywhere,
  // Assumed: the reference names no further action here, the guide on bulk registration has the service act in the role
  StartThingRegistrationTask: ({ roleArn }) => passing(roleArn),
  StopThingRegistrationTask: anywhere,
  UpdateProvisioningTemplate: ({ templateName, provisioningRoleArn }, scope) =>
    all(template(scope, templateName), passing(provisioningRoleArn)),
};

const domains: Rows<'iot'> = {
  // Assumed: before there is one, any suffix is meant, as in certificate/* of ACM
  CreateDomainConfiguration: ({ domainConfigurationName, domainName, tags }, scope) =>
    all(
      iot(scope, 'domainconfiguration', `${domainConfigurationName ?? ''}/*`),
      keyed({ 'iot:DomainName': domainName?.toLowerCase().replace(/\.$/, '') }),
      tagged(tags),
    ),
  DeleteDomainConfiguration: ({ domainConfigurationName }) => domain(domainConfigurationName),
  DescribeDomainConfiguration: ({ domainConfigurationName }) => domain(domainConfigurationName),
  DescribeEndpoint: anywhere,
  ListDomainConfigurations: anywhere,
  UpdateDomainConfiguration: ({ domainConfigurationName }) => domain(domainConfigurationName),
};

/** Source for the service: developer guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider". */
const roleAliases: Rows<'iot'> = {
  CreateRoleAlias: ({ roleAlias, roleArn, tags }, scope) =>
    all(iot(scope, 'rolealias', roleAlias), tagged(tags), passing(roleArn, credentialsService)),
  DeleteRoleAlias: ({ roleAlias }, scope) => iot(scope, 'rolealias', roleAlias),
  DescribeRoleAlias: ({ roleAlias }, scope) => iot(scope, 'rolealias', roleAlias),
  ListRoleAliases: anywhere,
  UpdateRoleAlias: ({ roleAlias, roleArn }, scope) =>
    all(iot(scope, 'rolealias', roleAlias), passing(roleArn, credentialsService)),
};

const tagging: Rows<'iot'> = {
  ListTagsForResource: ({ resourceArn }) => given(resourceArn),
  TagResource: ({ resourceArn, tags }) => all(given(resourceArn), tagged(tags)),
  UntagResource: ({ resourceArn, tagKeys }) => all(given(resourceArn), untagged(tagKeys)),
};

export const iotRows: Rows<'iot'> = {
  ...certificates,
  ...cas,
  ...things,
  ...policies,
  ...logging,
  ...provisioning,
  ...domains,
  ...roleAliases,
  ...tagging,
};
