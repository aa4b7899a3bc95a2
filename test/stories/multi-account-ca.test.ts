/**
 * One CA in two accounts, in DEFAULT mode and in SNI_ONLY mode, and a device that gets into both with one certificate by just-in-time provisioning: the example runs
 * as it is written, without root, and each of its steps done wrong is refused as AWS refuses it.
 * Source: seed "multi-account CA registration"; spec identity 3.2, 3.3, 3.4, provisioning 2, 3.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  CreateProvisioningTemplateCommand,
  DeleteCACertificateCommand,
  DeleteProvisioningTemplateCommand,
  DescribeCACertificateCommand,
  DescribeEndpointCommand,
  GetRegistrationCodeCommand,
  type IoTClient,
  ListCACertificatesCommand,
  ListCertificatesCommand,
  ListPoliciesCommand,
  ListProvisioningTemplatesCommand,
  ListThingsCommand,
  RegisterCACertificateCommand,
  type RegisterCACertificateCommandInput,
  UpdateCACertificateCommand,
  type UpdateCACertificateCommandInput,
} from '@aws-sdk/client-iot';
import { authorities } from '../ca.ts';
import { connectDevice } from '../device.ts';
import { bash, bootNode, certificateIdOf, type Identity } from '../harness.ts';
import { fails } from '../sdk-fault.ts';
import { waitMsMax } from '../within.ts';

const example = fileURLToPath(new URL('../../examples/multi-account-ca.sh', import.meta.url));
const accountIds = ['111111111111', '222222222222'] as const;

/** The members that the seed's describe-ca-certificate prints, in both accounts. */
const describedMembers = [
  ...['certificateArn', 'certificateId', 'status', 'certificatePem', 'ownedBy', 'creationDate'],
  ...['autoRegistrationStatus', 'lastModifiedDate', 'customerVersion', 'generationId', 'validity', 'certificateMode'],
];

/** What is left in an account. */
const leftBehind = async (client: IoTClient) => {
  const [cas, certificates, policies, things, templates] = await Promise.all([
    client.send(new ListCACertificatesCommand({})),
    client.send(new ListCertificatesCommand({})),
    client.send(new ListPoliciesCommand({})),
    client.send(new ListThingsCommand({})),
    client.send(new ListProvisioningTemplatesCommand({})),
  ]);
  return [cas.certificates, certificates.certificates, policies.policies, things.things, templates.templates];
};

test('two accounts hold one CA, and one device is provisioned in each, told apart by SNI', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort) },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const described = stdout.match(/^\{\n {4}"certificateDescription".*?^\}$/gms) ?? [];
  const descriptions = described.map((text) => JSON.parse(text).certificateDescription);
  const facts = descriptions.map(({ ownedBy, certificateMode, status, autoRegistrationStatus, customerVersion }) => [
    ...[ownedBy, certificateMode, status, autoRegistrationStatus, customerVersion],
  ]);
  assert.deepEqual(facts, [
    [accountIds[0], 'DEFAULT', 'ACTIVE', 'ENABLE', 1],
    [accountIds[1], 'SNI_ONLY', 'ACTIVE', 'ENABLE', 1],
  ]);
  for (const description of descriptions) assert.deepEqual(Object.keys(description), describedMembers);
  const [first, second] = descriptions;
  for (const name of ['certificateId', 'certificatePem', 'validity']) assert.deepEqual(first[name], second[name], name);
  for (const name of ['certificateArn', 'generationId']) assert.notEqual(first[name], second[name], name);

  for (const number of [1, 2]) {
    assert.match(stdout, new RegExp(`^account ${number}: let in at attempt ([2-9]|[1-9][0-9])$`, 'm'));
    assert.match(stdout, new RegExp(`^hello from account ${number}$`, 'm'));
  }
  assert.match(stdout, /^account 1: ACTIVE\tDEFAULT\t111111111111\nTHINGS\trobot$/m);
  assert.match(stdout, /^account 2: ACTIVE\tSNI_ONLY\t222222222222\nTHINGS\trobot$/m);
  assert.match(stdout, /^done: /m);
  for (const accountId of accountIds) assert.deepEqual(await leftBehind(iot(accountId)), [[], [], [], [], []]);
});

/** A node, the two accounts, and a CA that nobody has registered yet. */
const begin = async (t: TestContext) => {
  const booted = await bootNode(t);
  const maker = authorities(booted.folder);
  const [first, second] = [booted.iot(accountIds[0]), booted.iot(accountIds[1])];
  const caCertificate = await maker.ca('rootCA', { subject: '/O=Example Robots/CN=Root CA' });
  let proofs = 0;
  return {
    ...booted,
    ...maker,
    first,
    second,
    caCertificate,
    caId: certificateIdOf(caCertificate),
    register: (client: IoTClient, more: Omit<RegisterCACertificateCommandInput, 'caCertificate'>) =>
      client.send(
        new RegisterCACertificateCommand({ caCertificate, setAsActive: true, allowAutoRegistration: true, ...more }),
      ),
    /** A verification certificate for an account. */
    async proofFor(client: IoTClient): Promise<string> {
      const { registrationCode } = await client.send(new GetRegistrationCodeCommand({}));
      return maker.leaf(`proof${proofs++}`, 'rootCA', { subject: `/CN=${registrationCode}` });
    },
  };
};

const sniOnly = { certificateMode: 'SNI_ONLY' } as const;

test('which account may hold the CA how: what is not allowed is refused, and changes nothing', async (t) => {
  const { first, second, register, proofFor, caId } = await begin(t);
  const verificationCertificate = await proofFor(first);
  const proofOfSecond = await proofFor(second);

  await assert.rejects(register(first, {}), fails('InvalidRequestException', 400), 'DEFAULT without proof');
  const foreignCode = register(first, { verificationCertificate: proofOfSecond });
  await assert.rejects(foreignCode, fails('RegistrationCodeValidationException', 400), 'the code of another account');
  const { certificateArn: resourceArn } = await register(first, { verificationCertificate });

  const alsoDefault = register(second, { verificationCertificate: proofOfSecond });
  const held = fails('InvalidRequestException', 400, { message: 'Cannot accept this CACertificate' });
  await assert.rejects(alsoDefault, held, 'DEFAULT is for one account');
  const proven = register(second, { ...sniOnly, verificationCertificate: proofOfSecond });
  await assert.rejects(proven, fails('InvalidRequestException', 400), 'SNI_ONLY with a proof');
  await assert.rejects(
    second.send(new DescribeCACertificateCommand({ certificateId: caId })),
    fails('ResourceNotFoundException', 404),
    "the first account's CA is not the second's",
  );
  await register(second, sniOnly);

  const taken = fails('ResourceAlreadyExistsException', 409, { resourceId: caId, resourceArn });
  await assert.rejects(register(first, sniOnly), taken, 'one mode in one account');
  const certificateId = caId;
  const remove = () => first.send(new DeleteCACertificateCommand({ certificateId }));
  await assert.rejects(remove(), fails('CertificateStateException', 406), 'ACTIVE');
  await first.send(new UpdateCACertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  await remove();
  await register(first, sniOnly); // the way to another mode
  const modes = [first, second].map(async (client) => {
    const { certificateDescription } = await client.send(new DescribeCACertificateCommand({ certificateId }));
    return [certificateDescription?.ownedBy, certificateDescription?.certificateMode];
  });
  assert.deepEqual(
    await Promise.all(modes),
    accountIds.map((accountId) => [accountId, 'SNI_ONLY']),
  );
});

/** What the example's template makes, but that its policy allows everything. */
const templateBody = JSON.stringify({
  Parameters: {
    'AWS::IoT::Certificate::CommonName': { Type: 'String' },
    'AWS::IoT::Certificate::Id': { Type: 'String' },
  },
  Resources: {
    thing: { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'AWS::IoT::Certificate::CommonName' } } },
    certificate: {
      Type: 'AWS::IoT::Certificate',
      Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
    },
    policy: {
      Type: 'AWS::IoT::Policy',
      Properties: {
        PolicyDocument: JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
        }),
      },
    },
  },
});
const roleOf = (accountId: string) => `arn:aws:iam::${accountId}:role/provisioning`;

const createTemplate = (client: IoTClient, templateName: string, type: 'JITP' | 'FLEET_PROVISIONING', more = {}) =>
  client.send(
    new CreateProvisioningTemplateCommand({
      ...{ templateName, type, templateBody, enabled: true, provisioningRoleArn: roleOf(accountIds[0]), ...more },
    }),
  );

test('a CA takes a template only if it is there and of type JITP, and the template stays while the CA has it', async (t) => {
  const { first, second, register, caId: certificateId } = await begin(t);
  await register(first, sniOnly);
  const take = (templateName: string) =>
    first.send(new UpdateCACertificateCommand({ certificateId, registrationConfig: { templateName } }));

  await assert.rejects(createTemplate(second, 'robots', 'JITP'), fails('InvalidRequestException', 400), 'foreign role');
  await createTemplate(second, 'robots', 'JITP', { provisioningRoleArn: roleOf(accountIds[1]) });
  await assert.rejects(take('robots'), fails('ResourceNotFoundException', 404), "another account's");
  await createTemplate(first, 'fleet', 'FLEET_PROVISIONING');
  await assert.rejects(take('fleet'), fails('InvalidRequestException', 400), 'another type');
  await createTemplate(first, 'robots', 'JITP');
  await take('robots');
  const remove = () => first.send(new DeleteProvisioningTemplateCommand({ templateName: 'robots' }));
  await assert.rejects(remove(), fails('DeleteConflictException', 409), 'the CA has it');
  await first.send(new UpdateCACertificateCommand({ certificateId, removeAutoRegistration: true }));
  await remove();
});

test('a device that comes first is let in where an account trusts its CA, and nowhere else', async (t) => {
  const { node, folder, first, second, register, proofFor, caId: certificateId, ca, leaf, iot } = await begin(t);
  await register(first, { verificationCertificate: await proofFor(first) });
  await register(second, sniOnly);
  for (const [index, client] of [first, second].entries()) {
    await createTemplate(client, 'robots', 'JITP', { provisioningRoleArn: roleOf(accountIds[index] ?? '') });
    await client.send(
      new UpdateCACertificateCommand({ certificateId, registrationConfig: { templateName: 'robots' } }),
    );
  }
  const third = iot('333333333333');
  const nameOf = async (client: IoTClient): Promise<string> =>
    (await client.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }))).endpointAddress ?? '';
  const [firstName, secondName, thirdName] = await Promise.all([first, second, third].map(nameOf));
  const make = async (name: string, ca: string): Promise<Identity> => {
    const certificatePem = await leaf(name, ca);
    const files = { certFile: `${folder}/${name}.crt`, keyFile: `${folder}/${name}.key` };
    return { ...files, certificatePem, certificateId: certificateIdOf(certificatePem) };
  };
  const robot = await make('robot', 'rootCA');
  const connect = (identity: Identity, serverName = '') =>
    connectDevice(node, identity, { clientId: 'robot', serverName });
  /** The certificates and things of an account. */
  const heldBy = async (client: IoTClient) => {
    const { certificates = [] } = await client.send(new ListCertificatesCommand({}));
    const { things = [] } = await client.send(new ListThingsCommand({}));
    return [certificates.map(({ status, certificateMode }) => [status, certificateMode]), things.length];
  };
  const nothing = [[], 0];
  const isRefused = async (why: string, client: IoTClient, identity: Identity, serverName?: string): Promise<void> => {
    await assert.rejects(connect(identity, serverName), /not let in/, why);
    assert.deepEqual(await heldBy(client), nothing, why);
  };
  const setCa = (more: Omit<UpdateCACertificateCommandInput, 'certificateId'>) =>
    second.send(new UpdateCACertificateCommand({ certificateId, ...more }));

  await isRefused('the account has no CA, whoever else has', third, robot, thirdName);
  await ca('impostor', { subject: '/O=Example Robots/CN=Root CA' });
  await isRefused('a CA of the same name signed it', second, await make('fake', 'impostor'), secondName);
  await setCa({ newAutoRegistrationStatus: 'DISABLE' });
  await isRefused('the CA registers nobody', second, robot, secondName);
  await setCa({ newAutoRegistrationStatus: 'ENABLE', newStatus: 'INACTIVE' });
  await isRefused('the CA is INACTIVE', second, robot, secondName);
  await setCa({ newStatus: 'ACTIVE' });

  /** Tries until it is let in, as a device does; at first it never is. */
  const letIn = async (identity: Identity, serverName?: string) => {
    await assert.rejects(connect(identity, serverName), /not let in/, 'at first');
    const endMs = performance.now() + waitMsMax;
    for (;;) {
      const device = await connect(identity, serverName).catch((error: Error) => error);
      if (!(device instanceof Error)) return device;
      assert.ok(performance.now() < endMs, device.message);
    }
  };
  const inSecond = await letIn(robot, secondName);
  assert.deepEqual(await heldBy(second), [[['ACTIVE', 'SNI_ONLY']], 1]);
  assert.deepEqual(await heldBy(first), nothing, 'what it is in one account it is not in the other');
  const inFirst = await letIn(robot, firstName);
  assert.deepEqual(await heldBy(first), [[['ACTIVE', 'DEFAULT']], 1]);
  assert.deepEqual([inFirst.socket.destroyed, inSecond.socket.destroyed], [false, false], 'no takeover');
  for (const { client } of [inFirst, inSecond]) client.end(true);
});
