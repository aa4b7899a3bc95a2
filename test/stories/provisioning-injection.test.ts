/**
 * What a device says of itself, and what an account writes into its templates, stays in its place: it names nothing of another account, and in a policy document
 * it is a text and nothing else. Over real TLS and the API. Source: issue "Provisioning", build 3 and acceptance 5; spec provisioning.md 7.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  CreateThingCommand,
  DescribeThingCommand,
  GetPolicyCommand,
  type IoTClient,
  ListAttachedPoliciesCommand,
  ListCertificatesCommand,
  ListPoliciesCommand,
  ListPrincipalThingsCommand,
  ListProvisioningTemplatesCommand,
  ListThingPrincipalsCommand,
  ListThingsCommand,
  RegisterThingCommand,
} from '@aws-sdk/client-iot';
import { openAttack } from '../attack-scene.ts';
import { csrTopic, fleetTemplate, provisionTopic, withThing } from '../fleet.ts';
import { accountId, devicePolicy, identityOf, issued, newCsr, provisioningRoleArn, refused } from '../fleet-scene.ts';
import { publish } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';

const otherId = '111111111111';
const arnOf = (account: string, resource: string): string => `arn:aws:iot:us-east-1:${account}:${resource}`;

/** All that an account has, for a look before and after. */
const inventory = async (client: IoTClient): Promise<unknown> => {
  const { things = [] } = await client.send(new ListThingsCommand({}));
  const { certificates = [] } = await client.send(new ListCertificatesCommand({ pageSize: 250 }));
  const { policies = [] } = await client.send(new ListPoliciesCommand({ pageSize: 250 }));
  const { templates = [] } = await client.send(new ListProvisioningTemplatesCommand({}));
  const principals = await Promise.all(
    things.map(async ({ thingName }) => (await client.send(new ListThingPrincipalsCommand({ thingName }))).principals),
  );
  const attached = await Promise.all(
    certificates.map(async ({ certificateArn: target }) => {
      return (await client.send(new ListAttachedPoliciesCommand({ target }))).policies;
    }),
  );
  const statuses = certificates.map(({ certificateId, status }) => [certificateId, status]);
  return JSON.parse(JSON.stringify({ things, statuses, policies, templates, principals, attached }));
};

test('a template touches nothing of another account, whatever names and parameters say', async (t) => {
  /** What the hook answers. */
  let parameterOverrides: Readonly<Record<string, string>> = {};
  const functions = createServer((_, response) => {
    response.end(JSON.stringify({ allowProvisioning: true, parameterOverrides }));
  }).listen(0, '127.0.0.1');
  t.after(() => functions.close());
  await new Promise((resolve) => functions.once('listening', resolve));
  const address = functions.address();
  assert(typeof address === 'object' && address !== null);
  const scene = await openAttack(t, { functionsEndpoint: `http://127.0.0.1:${address.port}` });
  const { device, template, folder } = scene;
  const [own, other] = [scene.iot(), scene.iot(otherId)];

  await other.send(new CreatePolicyCommand({ policyName: 'foreign', policyDocument: devicePolicy }));
  const theirs = await other.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  await other.send(new AttachPolicyCommand({ policyName: 'foreign', target: theirs.certificateArn }));
  await other.send(new CreateThingCommand({ thingName: 'victim', attributePayload: { attributes: { of: 'other' } } }));
  const attachment = { thingName: 'victim', principal: theirs.certificateArn };
  await other.send(new AttachThingPrincipalCommand(attachment));
  await other.send(
    new CreateProvisioningTemplateCommand({
      templateName: 'foreign',
      templateBody: JSON.stringify(fleetTemplate('foreign', '')),
      provisioningRoleArn: `arn:aws:iam::${otherId}:role/provisioning`,
      enabled: true,
    }),
  );
  const before = await inventory(other);

  const asking = await device('attacker');
  const { certificateSigningRequest } = await newCsr(folder, 'attacker');
  const newToken = async () => issued(await asking.request(csrTopic, { certificateSigningRequest }));
  const { certificateOwnershipToken, certificateId } = await newToken();
  const register = (templateName: string, parameters: object) =>
    asking.request(provisionTopic(templateName), { certificateOwnershipToken, parameters });

  await t.test('roles and hooks of another account or region are no part of a template', async () => {
    const invalid = fails('InvalidRequestException', 400);
    const body = { templateName: 'greedy', templateBody: JSON.stringify(fleetTemplate('device', '')) };
    const created = (more: { provisioningRoleArn?: string; preProvisioningHook?: { targetArn: string } }) =>
      own.send(new CreateProvisioningTemplateCommand({ provisioningRoleArn, ...body, ...more }));
    await assert.rejects(created({ provisioningRoleArn: `arn:aws:iam::${otherId}:role/provisioning` }), invalid);
    for (const place of [`us-east-1:${otherId}`, `eu-west-1:${accountId}`]) {
      const targetArn = `arn:aws:lambda:${place}:function:hook`;
      await assert.rejects(created({ preProvisioningHook: { targetArn } }), invalid, targetArn);
    }
  });

  const foreignNames = (kind: string, name: string): string[] => [
    arnOf(otherId, `${kind}/${name}`),
    `${otherId}/${name}`,
    `../${otherId}/us-east-1/${name}`,
    `${name}/../${name}`,
    `${name}%2F`,
    `${name}\u0000`,
    `${name}' or account_id='${otherId}`,
    `*`,
    '',
  ];

  await t.test('policies are found by name, in the own account', async () => {
    const body = fleetTemplate('device', 'p-');
    const Properties = { PolicyName: { Ref: 'SerialNumber' } };
    const chosen = { Type: 'AWS::IoT::Policy', Properties };
    const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName: 'p' } };
    await template('chosen', { ...body, Resources: { ...body.Resources, policy_device: chosen, thing } });
    for (const name of foreignNames('policy', 'foreign')) {
      const reply = await register('chosen', { SerialNumber: name });
      assert.deepEqual(refused(reply), [400, 'InvalidParameters'], name);
    }
    for (const name of ['foreign', `${otherId}=foreign`, `${otherId},us-east-1,foreign`]) {
      const reply = await register('chosen', { SerialNumber: name });
      assert.deepEqual(refused(reply), [400, 'ResourceRegistrationFailure'], name);
    }
    const groups = withThing({ Properties: { ThingName: 'p', ThingGroups: [arnOf(otherId, 'thinggroup/g')] } });
    await template('groups', groups);
    assert.deepEqual(refused(await register('groups', { SerialNumber: '1' })), [400, 'InvalidParameters']);
  });

  await t.test('templates too', async () => {
    for (const name of ['foreign', `${otherId}:foreign`, '%66oreign', 'Fleet', 'fleet ']) {
      const reply = await register(name, { SerialNumber: '1' });
      assert.deepEqual(refused(reply), [404, 'ResourceNotFound'], name);
    }
  });

  await t.test('a certificate is that of the token, whatever the request or the hook says', async () => {
    const name = 'AWS::IoT::Certificate::Id';
    const byHttp = (value: string) => {
      const { thing: _, ...Resources } = fleetTemplate('device', '').Resources;
      const templateBody = JSON.stringify({ Parameters: { [name]: { Type: 'String' } }, Resources });
      return own.send(new RegisterThingCommand({ templateBody, parameters: { [name]: value } }));
    };
    await assert.rejects(byHttp(String(theirs.certificateId)), fails('ResourceRegistrationFailureException', 400));
    await assert.rejects(byHttp(String(theirs.certificateArn)), fails('InvalidRequestException', 400));

    await template('hooked', fleetTemplate('device', ''), { hook: 'hook' });
    parameterOverrides = { [name]: String(theirs.certificateId), SerialNumber: 'victim' };
    const parameters = { SerialNumber: 'x', [name]: String(theirs.certificateId) };
    assert.equal((await register('hooked', parameters)).members['thingName'], 'victim');
    const principal = arnOf(accountId, `cert/${certificateId}`);
    assert.deepEqual((await own.send(new ListPrincipalThingsCommand({ principal }))).things, ['victim']);
    // it is a thing of the own account that bears this name now
    assert.deepEqual((await own.send(new DescribeThingCommand({ thingName: 'victim' }))).attributes, {});
  });

  await t.test('things have names, and no account in them', async () => {
    await template('named', fleetTemplate('device', ''));
    const second = await newToken();
    for (const name of [...foreignNames('thing', 'victim'), 'x'.repeat(129)]) {
      const request = {
        certificateOwnershipToken: second.certificateOwnershipToken,
        parameters: { SerialNumber: name },
      };
      assert.deepEqual(
        refused(await asking.request(provisionTopic('named'), request)),
        [400, 'InvalidParameters'],
        name,
      );
    }
  });

  assert.deepEqual(await inventory(other), before, 'the other account has what it had');
});

/** Serial numbers with a meaning in policies, in JSON, in templates, in topics. */
const serials: readonly string[] = [
  ...['*', '?', 'a*', '$', '$$', '${*}', '${iot:ClientId}', '${SerialNumber}', '{"Ref":"SerialNumber"}', '{}'],
  ...[
    '","arn:aws:iot:us-east-1:000000000000:topic/*',
    '"]},{"Effect":"Allow","Action":"iot:*","Resource":"*"},{"x":["',
  ],
  ...['"', '\\', '\\"', '\\u002a', '\\u0022,\\u0022*', "'", '\n', '\ue0000\ue001', '🦄', '__proto__', '%2A', '/', '..'],
];

test('a parameter in a PolicyDocument is a text and nothing else: a device may do what the author meant, and no more', async (t) => {
  const { device, template, folder, enter, iot } = await openAttack(t);
  const client = iot();
  const topicOf = (serial: string): string => `dev/${serial}/data`;
  const Resource = { 'Fn::Sub': arnOf(accountId, `topic/${topicOf('${SerialNumber}')}`) };
  const statement = (Action: string, resource: unknown) => ({ Effect: 'Allow', Action, Resource: resource });
  const documentOf = (resource: unknown) => ({
    Version: '2012-10-17',
    Statement: [statement('iot:Connect', '*'), statement('iot:Publish', resource)],
  });
  const marked = JSON.stringify(documentOf('HERE'));
  const [head = '', tail = ''] = marked.split('HERE');
  /** The same document, made in every way that a template has. */
  const documents: Readonly<Record<string, unknown>> = {
    'as-object': documentOf(Resource),
    'as-list': documentOf([{ 'Fn::Join': ['', [arnOf(accountId, 'topic/dev/'), { Ref: 'SerialNumber' }, '/data']] }]),
    'as-text': { 'Fn::Sub': [`${head}\${Where}${tail}`, { Where: Resource }] },
    'as-joined-text': {
      'Fn::Join': ['', [`${head}${arnOf(accountId, 'topic/dev/')}`, { Ref: 'SerialNumber' }, `/data${tail}`]],
    },
  };
  const asking = await device('maker');
  const { certificateSigningRequest } = await newCsr(folder, 'maker');
  const privateKey = await readFile(join(folder, 'maker.key'), 'utf8');
  let things = 0;
  for (const [templateName, PolicyDocument] of Object.entries(documents)) {
    const body = fleetTemplate('device', '');
    const policy = { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument } };
    const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'Name' } } };
    await template(templateName, {
      Parameters: { ...body.Parameters, Name: { Type: 'String' } },
      Resources: { ...body.Resources, policy_device: policy, thing },
    });
    for (const SerialNumber of serials) {
      const title = `${templateName} ${JSON.stringify(SerialNumber)}`;
      const made = issued(await asking.request(csrTopic, { certificateSigningRequest }));
      const { certificateOwnershipToken } = made;
      const parameters = { SerialNumber, Name: `thing-${++things}` };
      const born = await asking.request(provisionTopic(templateName), { certificateOwnershipToken, parameters });
      assert.equal(born.outcome, 'accepted', `${title}: ${JSON.stringify(born.members)}`);

      const target = arnOf(accountId, `cert/${made.certificateId}`);
      const { policies: [attached] = [] } = await client.send(new ListAttachedPoliciesCommand({ target }));
      const { policyDocument = '' } = await client.send(new GetPolicyCommand({ policyName: attached?.policyName }));
      const read = JSON.parse(policyDocument);
      const shape = read.Statement.map(({ Effect, Action, ...rest }: Record<string, unknown>) => [
        ...[Effect, Action, Object.keys(rest)],
      ]);
      const resources = [read.Statement[1].Resource].flat();
      assert.deepEqual(
        [Object.keys(read), shape, resources.length],
        [
          ['Version', 'Statement'],
          [
            ['Allow', 'iot:Connect', ['Resource']],
            ['Allow', 'iot:Publish', ['Resource']],
          ],
          1,
        ],
        title,
      );
      assert.ok(resources[0].startsWith(arnOf(accountId, 'topic/dev/')) && resources[0].endsWith('/data'), title);

      // only the first way of making it is tried out by a device: the documents are the same
      if (templateName !== 'as-object') continue;
      const identity = await identityOf(folder, `device-${things}`, { ...made, privateKey });
      const { client: itself } = await enter(5, identity, { clientId: `thing-${things}` });
      const others = ['dev/other/data', 'dev/a/b/data', 'dev/aa/data', `dev/thing-${things}/data`, 'dev//data', 'x'];
      for (const [index, topic] of others.entries()) itself.send(publish(index + 1, topic));
      itself.send(publish(99, topicOf(SerialNumber)));
      const denied = others.map((_, index) => `PUBACK ${index + 1} 0x87`);
      assert.deepEqual(await itself.heard(others.length + 1), [...denied, 'PUBACK 99'], title);
      itself.socket.destroy();
    }
  }
});
