/** An owner with two of everything that an account can have, and strangers to it, for test/stories/isolation.test.ts. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import { type AccountRegion, iotArn } from '../src/aws/arn.ts';
import { endOfTask, putObject, wordyLines } from './bulk.ts';
import { authorities } from './ca.ts';
import { connectDevice, type Device } from './device.ts';
import { makeFolder } from './folder.ts';
import { type Booted, bash, bootNode, certificateIdOf, type Identity, put } from './harness.ts';
import { type Keys, keysOf, rootKeys, trusting } from './iam-scene.ts';
import {
  askedDomain,
  type Command,
  documentText,
  importOf,
  levelOf,
  type Names,
  startTask,
  templateBody,
} from './isolation-table.ts';
import { queryStoreEach, storeTables } from './stores.ts';
import { within } from './within.ts';

export const owner: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };

/** Somebody to whom the owner's things do not exist. */
export interface Stranger {
  readonly account: AccountRegion;
  readonly keys: Keys;
}

export interface Clients {
  readonly iot: iot.IoT;
  readonly iam: iam.IAM;
  readonly acm: acm.ACM;
  readonly sts: sts.STS;
  readonly iotData: iotData.IoTDataPlane;
}

/** Buckets of the first stranger in each way of being one. */
export const bulkStrangers: readonly AccountRegion[] = [
  { accountId: '222222222222', region: owner.region },
  { accountId: owner.accountId, region: 'eu-west-1' },
];

/** The same names as another account in another region would have them. */
export const ownedBy = (names: Names, { accountId, region }: AccountRegion): Names => {
  const owned = (text: string): string =>
    text
      .replace(/^(arn:aws:iam::)\d{12}/, `$1${accountId}`)
      .replace(/^(arn:aws:\w+:)[a-z0-9-]+:\d{12}/, `$1${region}:${accountId}`);
  // every member is a text
  return Object.fromEntries(
    Object.entries(names).map(([name, text]) => [name, owned(String(text))]),
  ) as unknown as Names;
};

const modules: { readonly [Service in keyof Clients]: Readonly<Record<string, unknown>> } = {
  iot,
  iam,
  acm,
  sts,
  iotData,
};
const serviceOf = (command: Command): keyof Clients => {
  const services = Object.keys(modules) as (keyof Clients)[];
  const service = services.find((name) => Object.values<unknown>(modules[name]).includes(command.constructor));
  assert(service);
  return service;
};

/** e.g. `iot-data Publish`. */
export const operationOf = (command: Command): string =>
  `${serviceOf(command).replace('D', '-d')} ${command.constructor.name.replace(/Command$/, '')}`;

/** What came of a command: `{ answer, message, output }`. */
export const outcomeOf = async (clients: Clients, command: Command) => {
  const client: { send(command: never): Promise<unknown> } = clients[serviceOf(command)];
  try {
    // the table holds commands of many types, and `send` is overloaded by them
    const { $metadata, ...output } = (await client.send(command as never)) as { $metadata: object };
    return { answer: 'success', output };
  } catch (error) {
    assert(error instanceof Error && '$metadata' in error, String(error));
    const { name, message, $metadata, $response, $fault, stack, traceId, RequestId, ...members } =
      error as never as Record<string, unknown>;
    const { httpStatusCode } = $metadata as { httpStatusCode?: number };
    return { answer: String(name), status: httpStatusCode, message: String(message), members };
  }
};

/** An outcome as text in which the asked names and all chance values stand as placeholders. */
export const withoutNames = (outcome: unknown, asked: Names): string => {
  let text = JSON.stringify(outcome);
  for (const [name, value] of Object.entries(asked))
    text = text.replaceAll(JSON.stringify(value).slice(1, -1), `<${name}>`);
  return text
    .replaceAll(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----(\\n)?/g, '<pem>')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<id>')
    .replaceAll(/\b(AIDA|AGPA|AROA|ANPA)[A-Z2-7]{17}\b/g, '<id>')
    .replaceAll(/(domainconfiguration\/<\w+>\/)[a-z0-9]{5}\b/g, '$1<suffix>')
    .replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"<time>"');
};

type Rows = Readonly<Record<string, readonly string[]>>;

const rowsWhere = async ({ folder }: Booted, where: string, ofTable: (name: string) => boolean): Promise<Rows> => {
  const data = join(folder, 'data');
  const tables = (await storeTables(data)).filter(ofTable);
  const found = await queryStoreEach(
    data,
    tables.map((name) => `select * from ${name} where ${where}`),
  );
  return Object.fromEntries(
    tables.map((name, index) => [name, (found[index] ?? []).map((row) => JSON.stringify(row)).sort()]),
  );
};
const isAccountWide = (name: string): boolean => name.startsWith('iam_');

/** Every row of the store that belongs to one account and region, by table. */
export const rowsOf = (booted: Booted, { accountId, region }: AccountRegion): Promise<Rows> =>
  rowsWhere(booted, `account_id = '${accountId}' and region = '${region}'`, (name) => !isAccountWide(name));

/** With what the account has in no region. */
export const allRowsOf = async (booted: Booted, account: AccountRegion): Promise<Rows> => ({
  ...(await rowsOf(booted, account)),
  ...(await rowsWhere(booted, `account_id = '${account.accountId}'`, isAccountWide)),
});

/** Rows that are in one of the two only. */
export const changes = (before: Rows, after: Rows): readonly string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const [were = [], are = []] = [before[name], after[name]];
    const differ = [...were.filter((row) => !are.includes(row)), ...are.filter((row) => !were.includes(row))];
    return differ.map((row) => `${name}: ${row.slice(0, 300)}`);
  });

/** Makes an account hold a CA. */
export const hold = (client: iot.IoT, caCertificate: string) =>
  client.registerCACertificate({ caCertificate, certificateMode: 'SNI_ONLY', setAsActive: true });

/** Sends a certificate of an account to one that nobody speaks for; answers its id. */
export const sendAway = async (client: iot.IoT): Promise<string> => {
  const { certificateId } = await client.createKeysAndCertificate({});
  const transferMessage = 'known-to-its-owner-alone';
  await client.transferCertificate({ certificateId, targetAwsAccount: '999999999999', transferMessage });
  return String(certificateId);
};

/** Registers a file of the account in bulk; answers the id of the task, which has come to its end. */
export const registerInBulk = async (client: iot.IoT, { accountId }: AccountRegion, key = 'lamps'): Promise<string> => {
  const { taskId = '' } = await client.send(startTask(`arn:aws:iam::${accountId}:role/r`, key));
  assert.equal((await endOfTask(client, taskId)).status, 'Completed');
  return taskId;
};

const tags = [{ Key: 'serial', Value: 'known-to-its-owner-alone' }];
const twoTags = [...tags, { Key: 'second', Value: 'known-to-its-owner-alone' }];

/** Two of everything of AWS IoT, attached to each other, so that every list has two pages. */
const furnishIot = async ({ iot: client }: Clients, names: Names, second: Names): Promise<void> => {
  await client.getRegistrationCode({});
  for (const { caCertificatePem: caCertificate } of [names, second]) await hold(client, caCertificate);
  await client.tagResource({ resourceArn: names.caCertificateArn, tags });
  for (const { certificatePem } of [names, second]) {
    await client.registerCertificate({ certificatePem, setAsActive: true });
  }
  await client.setV2LoggingOptions({ defaultLogLevel: 'ERROR' });
  for (const { policyName, thingName, templateName, roleAlias, roleArn } of [names, second]) {
    await client.send(levelOf(thingName));
    const body = { templateName, templateBody: templateBody('KnownToItsOwnerAlone3') };
    await client.createProvisioningTemplate({ ...body, provisioningRoleArn: roleArn, enabled: true, tags });
    await client.createProvisioningTemplateVersion(body);
    await client.createRoleAlias({ roleAlias, roleArn: `${roleArn}-known-to-its-owner-alone`, tags });
    await client.createPolicy({ policyName, policyDocument: documentText('KnownToItsOwnerAlone1'), tags });
    const attributes = { serial: 'known-to-its-owner-alone' };
    await client.createThing({ thingName, attributePayload: { attributes } });
  }
  await client.createProvisioningClaim({ templateName: names.templateName });
  const { policyName, thingName, certificateArn } = names;
  const policyDocument = documentText('KnownToItsOwnerAlone2');
  await client.createPolicyVersion({ policyName, policyDocument, setAsDefault: true });
  for (const { certificateArn: target } of [names, second]) {
    await client.attachPolicy({ policyName, target });
    await client.attachThingPrincipal({ thingName, principal: target });
  }
  await client.attachPolicy({ policyName: second.policyName, target: certificateArn });
  await client.attachThingPrincipal({ thingName: second.thingName, principal: certificateArn });
  await sendAway(client);
  await sendAway(client);
};

/** The same of IAM; the ids of the access keys. */
const furnishIam = async ({ iam: client }: Clients, names: Names, second: Names): Promise<readonly string[]> => {
  const both = [names, second];
  const PolicyDocument = documentText('KnownToItsOwnerAlone4');
  for (const { userName: UserName, groupName: GroupName, roleName: RoleName, managedPolicyArn: PolicyArn } of both) {
    const [PolicyName] = PolicyArn.split('/').slice(-1);
    await client.createPolicy({ PolicyName, PolicyDocument, Tags: twoTags });
    await client.createPolicyVersion({ PolicyArn, PolicyDocument });
    await client.createUser({ UserName, PermissionsBoundary: PolicyArn, Tags: twoTags });
    await client.createGroup({ GroupName });
    const AssumeRolePolicyDocument = trusting(owner.accountId);
    await client.createRole({ RoleName, AssumeRolePolicyDocument, Tags: twoTags });
  }
  const accessKeyIds: string[] = [];
  for (const { userName: UserName, groupName: GroupName, roleName: RoleName } of both) {
    for (const PolicyName of ['hidden-1', 'hidden-2']) {
      await client.putUserPolicy({ UserName, PolicyName, PolicyDocument });
      await client.putGroupPolicy({ GroupName, PolicyName, PolicyDocument });
      await client.putRolePolicy({ RoleName, PolicyName, PolicyDocument });
      const { AccessKey } = await client.createAccessKey({ UserName });
      accessKeyIds.push(String(AccessKey?.AccessKeyId));
    }
    for (const { managedPolicyArn: PolicyArn, groupName } of both) {
      await client.attachUserPolicy({ UserName, PolicyArn });
      await client.attachGroupPolicy({ GroupName, PolicyArn });
      await client.attachRolePolicy({ RoleName, PolicyArn });
      await client.addUserToGroup({ GroupName: groupName, UserName });
    }
  }
  return accessKeyIds;
};

/** Certificates of ACM in every state, and domain configurations of both types. */
const furnishDomains = async (
  clients: Clients,
  names: Names,
  second: Names,
  imported: acm.ImportCertificateCommandInput,
) => {
  const { CertificateArn: acmArn = '' } = await clients.acm.importCertificate({ ...imported, Tags: tags });
  const issued = async (DomainName: string): Promise<string> => {
    const request = { ValidationMethod: 'DNS', IdempotencyToken: 'once' } as const;
    const { CertificateArn = '' } = await clients.acm.requestCertificate({ DomainName, ...request });
    for (;;) {
      const { Certificate } = await clients.acm.describeCertificate({ CertificateArn });
      if (Certificate?.Status === 'ISSUED') return CertificateArn;
    }
  };
  const requested = Promise.all(['*.known.test', askedDomain].map(issued));
  const [CertificateArn = '', askedArn = ''] = await within(requested, 'the certificates for the domains');
  const { domainConfigurationArn = '' } = await clients.iot.createDomainConfiguration({
    ...{ domainConfigurationName: names.domainConfigurationName, domainName: 'fleet.known.test', tags },
    ...{ serverCertificateArns: [acmArn], validationCertificateArn: CertificateArn },
  });
  const { domainConfigurationName } = second;
  await clients.iot.createDomainConfiguration({ domainConfigurationName });
  const { domainName } = await clients.iot.describeDomainConfiguration({ domainConfigurationName });
  const idOf = (arn: string): string => arn.split('/').at(-1) ?? '';
  return {
    acmArn,
    acmId: idOf(acmArn),
    domainConfigurationArn,
    secrets: [idOf(CertificateArn), idOf(askedArn), String(domainName)],
  };
};

/** A device with two subscriptions, one on the topic of its client id, where it leaves a retained message. */
export const connectAs = async (
  { node }: Booted,
  { iot: client }: Clients,
  identity: Identity,
  { name, clean = true }: { readonly name: string; readonly clean?: boolean },
): Promise<Device> => {
  const { endpointAddress = '' } = await client.describeEndpoint({ endpointType: 'iot:Data-ATS' });
  const device = await connectDevice(node, identity, { clientId: name, clean, serverName: endpointAddress });
  await device.client.subscribeAsync(['#', `${name}/#`], { qos: 1 });
  await device.client.publishAsync(name, 'known-to-its-owner-alone', { retain: true, qos: 1 });
  await device.until(`${name} known-to-its-owner-alone`);
  return device;
};

export const bootIsolation = async (t: TestContext) => {
  const buckets = await makeFolder(t);
  await putObject(buckets, owner.accountId, 'fleet/lamps', wordyLines);
  for (const { accountId } of bulkStrangers) {
    await putObject(buckets, accountId, 'fleet/own', '{"Name":"own-thing"}');
  }
  const booted = await bootNode(t, { buckets });
  const { folder } = booted;
  const made: { destroy(): void }[] = [];
  t.after(() => {
    for (const client of made) client.destroy();
  });
  const clientsOf = ({ account, keys }: Stranger): Clients => {
    const settings = { endpoint: booted.node.apiUrl, region: account.region, credentials: keys, maxAttempts: 1 };
    const clients = {
      ...{ iot: new iot.IoT(settings), iam: new iam.IAM(settings), acm: new acm.ACM(settings) },
      ...{ sts: new sts.STS(settings), iotData: new iotData.IoTDataPlane(settings) },
    };
    made.push(...Object.values(clients));
    return clients;
  };
  const rootOf = (account: AccountRegion): Clients => clientsOf({ account, keys: rootKeys(account.accountId) });

  const { ca, leaf } = authorities(folder);
  await put(folder, 'leaf.ext', 'extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:own.stranger.test\n');
  const namesOf = async (name: string, issuer = name): Promise<Names & { readonly identity: Identity }> => {
    const caCertificatePem = await ca(`${name}-ca`);
    const certificatePem = await leaf(name, `${issuer}-ca`, { extras: ['-extfile', 'leaf.ext'] });
    const [certificateId, caCertificateId] = [certificateIdOf(certificatePem), certificateIdOf(caCertificatePem)];
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    const { stdout: csr } = await bash(`openssl req -new -key '${keyFile}' -subj '/CN=${name}'`);
    const acmId = randomUUID();
    const ofIam = (type: string): string => `arn:aws:iam::${owner.accountId}:${type}/${name}-${type}`;
    return {
      identity: { certFile, keyFile, certificatePem, certificateId },
      ...{ certificateId, certificatePem, csr, privateKeyPem: await readFile(keyFile, 'utf8') },
      certificateArn: iotArn(owner, 'cert', certificateId),
      ...{ caCertificateId, caCertificatePem, caCertificateArn: iotArn(owner, 'cacert', caCertificateId) },
      ...{ policyName: `${name}-policy`, policyArn: iotArn(owner, 'policy', `${name}-policy`) },
      ...{ templateName: `${name}-template`, templateArn: iotArn(owner, 'provisioningtemplate', `${name}-template`) },
      ...{ roleAlias: `${name}-alias`, roleAliasArn: iotArn(owner, 'rolealias', `${name}-alias`) },
      domainConfigurationName: `${name}-domain`,
      domainConfigurationArn: `arn:aws:iot:${owner.region}:${owner.accountId}:domainconfiguration/${name}-domain/abcde`,
      ...{ thingName: `${name}-thing`, taskId: randomUUID() },
      ...{ acmId, acmArn: `arn:aws:acm:${owner.region}:${owner.accountId}:certificate/${acmId}` },
      functionArn: `arn:aws:lambda:${owner.region}:${owner.accountId}:function:${name}-function`,
      ...{ userName: `${name}-user`, groupName: `${name}-group`, roleName: `${name}-role` },
      ...{ roleArn: ofIam('role'), managedPolicyArn: ofIam('policy'), accessKeyId: 'AKIA2222333344445555' },
    };
  };
  const { identity: knownIdentity, ...knownNames } = await namesOf('known');
  // of one CA, so that its list of certificates has two pages
  const { identity: hiddenIdentity, ...hidden } = await namesOf('hidden', 'known');
  const { identity: ownIdentity, ...own } = await namesOf('own');
  const { identity: _, ...ghost } = await namesOf('ghost');
  await put(
    folder,
    'server.ext',
    'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:fleet.known.test,DNS:*.known.test\n',
  );
  const server = await leaf('server', 'known-ca', { extras: ['-extfile', 'server.ext'] });

  const clients = rootOf(owner);
  await furnishIot(clients, knownNames, hidden);
  const accessKeyIds = await furnishIam(clients, knownNames, hidden);
  const { secrets: ofDomains, ...domains } = await furnishDomains(clients, knownNames, hidden, {
    Certificate: Buffer.from(server),
    PrivateKey: await readFile(join(folder, 'server.key')),
    CertificateChain: Buffer.from(knownNames.caCertificatePem),
  });
  const hiddenTask = await registerInBulk(clients.iot, owner);
  const [accessKeyId = '', ...otherKeys] = accessKeyIds;
  const known = { ...knownNames, ...domains, accessKeyId, taskId: await registerInBulk(clients.iot, owner) };
  const asleep = await connectAs(booted, clients, hiddenIdentity, { name: hidden.thingName, clean: false });
  await asleep.client.endAsync();
  const knownDevice = await connectAs(booted, clients, knownIdentity, { name: known.thingName });
  // leaves an ownership token
  await knownDevice.client.publishAsync('$aws/certificates/create/json', '{}', { qos: 1 });
  // waits for the one that is away
  await knownDevice.client.publishAsync(hidden.thingName, 'known-to-its-owner-alone', { qos: 1 });
  const endpoint = await clients.iot.describeEndpoint({ endpointType: 'iot:Data-ATS' });
  const thing = await clients.iot.describeThing({ thingName: known.thingName });
  const policy = await clients.iot.getPolicy({ policyName: known.policyName });
  const { registrationCode } = await clients.iot.getRegistrationCode({});
  const { User } = await clients.iam.getUser({ UserName: known.userName });
  /** What no stranger ever says, and so must never hear. */
  const secrets = [
    ...[hidden.certificateId, hidden.caCertificateId, hidden.policyName, hidden.templateName, hidden.roleAlias],
    ...[
      hidden.thingName,
      hiddenTask,
      hidden.domainConfigurationName,
      hidden.userName,
      hidden.groupName,
      hidden.roleName,
    ],
    ...['hidden-1', 'KnownToItsOwnerAlone', 'known-to-its-owner-alone', 'known.test'],
    ...[registrationCode, endpoint.endpointAddress, thing.thingId, policy.generationId, User?.UserId].map(String),
    ...[...ofDomains, ...otherKeys],
  ];

  /** What a stranger has of its own, by its root. */
  const settle = async (account: AccountRegion): Promise<Names> => {
    const root = rootOf(account);
    const names = ownedBy(own, account);
    const { certificatePem, policyName, thingName } = names;
    await root.iot.registerCertificateWithoutCA({ certificatePem });
    await root.iot.createPolicy({ policyName, policyDocument: documentText('Own') });
    await root.iot.createThing({ thingName });
    const { CertificateArn: acmArn = '' } = await root.acm.importCertificate(importOf(names));
    await root.iot.createDomainConfiguration({ domainConfigurationName: names.domainConfigurationName });
    await root.iot.createProvisioningTemplate({
      ...{ templateName: names.templateName, templateBody: templateBody('Own'), provisioningRoleArn: names.roleArn },
    });
    await root.iot.createRoleAlias({ roleAlias: names.roleAlias, roleArn: names.roleArn });
    await hold(root.iot, names.caCertificatePem);
    const settled = { ...names, acmArn };
    if (account.accountId === owner.accountId) return settled;
    const { userName: UserName, groupName: GroupName, roleName: RoleName } = names;
    await root.iam.createPolicy({ PolicyName: 'own-policy', PolicyDocument: documentText('Own') });
    await root.iam.createUser({ UserName });
    await root.iam.createGroup({ GroupName });
    await root.iam.createRole({ RoleName, AssumeRolePolicyDocument: trusting(account.accountId) });
    const { AccessKey } = await root.iam.createAccessKey({ UserName });
    return { ...settled, accessKeyId: String(AccessKey?.AccessKeyId) };
  };

  const mayDoAll = { PolicyArn: 'arn:aws:iam::aws:policy/AdministratorAccess' };
  /** A user of the account who may do everything there. */
  const administrator = async (account: AccountRegion): Promise<Stranger> => {
    const root = rootOf(account);
    await root.iam.createUser({ UserName: 'administrator' });
    await root.iam.attachUserPolicy({ UserName: 'administrator', ...mayDoAll });
    const { AccessKey } = await root.iam.createAccessKey({ UserName: 'administrator' });
    const { AccessKeyId: accessKeyId = '', SecretAccessKey: secretAccessKey = '' } = AccessKey ?? {};
    return { account, keys: { accessKeyId, secretAccessKey } };
  };
  /** A session of a role of the account that may do everything there. */
  const session = async (account: AccountRegion): Promise<Stranger> => {
    const { iam: root } = rootOf(account);
    const AssumeRolePolicyDocument = trusting(account.accountId);
    const { Role } = await root.createRole({ RoleName: 'administrators', AssumeRolePolicyDocument });
    await root.attachRolePolicy({ RoleName: 'administrators', ...mayDoAll });
    const user = clientsOf(await administrator(account));
    const { Credentials } = await user.sts.assumeRole({ RoleArn: Role?.Arn, RoleSessionName: 'session' });
    return { account, keys: keysOf(Credentials as Parameters<typeof keysOf>[0]) };
  };
  return {
    ...{ booted, known, ghost, own, ownIdentity, knownDevice, secrets },
    ...{ clients, clientsOf, rootOf, settle, administrator, session },
  };
};
