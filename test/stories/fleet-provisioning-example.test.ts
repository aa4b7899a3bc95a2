/**
 * Fleet provisioning by claim: the example runs as it is written, and each of its steps done wrong is refused as AWS refuses it, until it is done right.
 * Source: seed "fleet provisioning by claim"; spec provisioning 4, 5.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  type CreateProvisioningTemplateCommandInput,
  DeleteCertificateCommand,
  DeletePolicyCommand,
  DeleteThingCommand,
  DescribeEndpointCommand,
  ListCertificatesCommand,
  ListPoliciesCommand,
  ListProvisioningTemplatesCommand,
  ListThingsCommand,
  UpdateCertificateCommand,
  UpdateProvisioningTemplateCommand,
} from '@aws-sdk/client-iot';
import {
  claimPolicy,
  connectFleetDevice,
  createTopic,
  csrTopic,
  fleetTemplate,
  type KeyedCertificate,
  provisionTopic,
} from '../fleet.ts';
import { accountId, invalidToken, issued, provisioningRoleArn, refused } from '../fleet-scene.ts';
import { bash, bootNode } from '../harness.ts';
import { fails } from '../sdk-fault.ts';

const example = fileURLToPath(new URL('../../examples/fleet-provisioning.sh', import.meta.url));

/** What the SDK's samples print in the seed, from the connection to its end. */
const provisioned = (certificateId: string): string => `Connected
Subscribing to CreateKeysAndCertificate Accepted and Rejected topics..
Publishing to CreateKeysAndCertificate topic..
CreateKeysAndCertificateResponse for certificateId=${certificateId}
Subscribing to RegisterThing Accepted and Rejected topics..
Publishing to RegisterThing topic..
RegisterThingResponse for thingName=wapa5pow-template-1
Disconnecting...
Disconnected
`;
const heard = Array.from(
  { length: 10 },
  (_, sent) =>
    `Publish received. topic:"sdk/test/js" dup:false qos:1 retain:false\nPayload: {"message":"Hello world!","sequence":${sent + 1}}\n`,
).join('');
const talked = `Connected\n${heard}Disconnecting...\nDisconnected\n`;

test('a device gets its identity by the claim, talks with it, and gets in again after a reset', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort) },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const ids = [...stdout.matchAll(/^CreateKeysAndCertificateResponse for certificateId=([0-9a-f]{64})$/gm)];
  const [first = '', second = ''] = ids.map(([, id]) => id ?? '');
  assert.notEqual(first, second);
  for (const id of [first, second]) {
    assert.ok(stdout.includes(provisioned(id)), stdout);
    assert.match(stdout, new RegExp(`^${id}\tACTIVE\nwapa5pow-device-policy$`, 'm'));
  }
  assert.equal(stdout.split(talked).length - 1, 2, stdout);
  assert.match(stdout, /^done: /m);
  const client = iot();
  const [certificates, policies, things, templates] = await Promise.all([
    client.send(new ListCertificatesCommand({})),
    client.send(new ListPoliciesCommand({})),
    client.send(new ListThingsCommand({})),
    client.send(new ListProvisioningTemplatesCommand({})),
  ]);
  assert.deepEqual(
    [certificates.certificates, policies.policies, things.things, templates.templates],
    [[], [], [], []],
  );
});

const templateName = 'wapa5pow-template';
const [claimPolicyName, devicePolicyName] = ['wapa5pow-claim-policy', 'wapa5pow-device-policy'];

/** The example's policy of the devices. */
const devicePolicy = JSON.stringify({
  Version: '2012-10-17',
  Statement: Object.entries({
    Connect: 'client/*',
    Publish: 'topic/sdk/test/js',
    Receive: 'topic/sdk/test/js',
    Subscribe: 'topicfilter/sdk/test/js',
  }).map(([action, resource]) => ({
    Effect: 'Allow',
    Action: `iot:${action}`,
    Resource: `arn:aws:iot:us-east-1:${accountId}:${resource}`,
  })),
});

test('each step done wrong is refused, and the right one after it succeeds', async (t) => {
  const { node, iot } = await bootNode(t);
  const client = iot();
  const opened: { end(): Promise<void> }[] = [];
  t.after(() => Promise.all(opened.map((device) => device.end())));
  const connect = async (clientId: string, as: KeyedCertificate) => {
    const device = await connectFleetDevice(node, as, { clientId });
    opened.push(device);
    return device;
  };
  /** A connection for one attempt that the policy does not allow: it ends. */
  const denied = async (as: KeyedCertificate, topic: string, why: string) => {
    const device = await connect('denied', as);
    // MQTT.js tells a PUBACK that does not come anymore only after the end, or not at all
    device.client.publish(topic, '{}', { qos: 1 }, () => undefined);
    await device.closed();
    assert.deepEqual(device.received, [], why);
  };

  // the policy and the certificate of the claim
  const policyNamed = (policyName: string, policyDocument: string) =>
    client.send(new CreatePolicyCommand({ policyName, policyDocument }));
  const malformed = fails('MalformedPolicyException', 400);
  await assert.rejects(policyNamed(claimPolicyName, '{'), malformed, 'not JSON');
  await assert.rejects(policyNamed(claimPolicyName, '{"Version":"2012-10-17"}'), malformed, 'no statement');
  const made = await client.send(new CreateKeysAndCertificateCommand({}));
  const { certificateArn: target, certificateId, certificatePem, keyPair } = made;
  const claim = { certificatePem: String(certificatePem), privateKey: String(keyPair?.PrivateKey) };
  const status = (newStatus: 'ACTIVE' | 'INACTIVE', id = certificateId) =>
    client.send(new UpdateCertificateCommand({ certificateId: id, newStatus }));
  const attach = (policyName: string) => client.send(new AttachPolicyCommand({ policyName, target }));
  await assert.rejects(attach(claimPolicyName), fails('ResourceNotFoundException', 404), 'no such policy');
  const placeholders = claimPolicy(templateName, 'create').replaceAll(accountId, 'aws-account-id');
  await policyNamed('as-printed', placeholders);
  await attach('as-printed');
  await assert.rejects(connect('device', claim), /not let in/, 'INACTIVE');
  await status('ACTIVE');
  await denied(claim, createTopic, 'the placeholders of the policy are as printed');
  const policyDocument = claimPolicy(templateName, 'create');
  await policyNamed(claimPolicyName, policyDocument);
  const taken = policyNamed(claimPolicyName, devicePolicy);
  await assert.rejects(taken, fails('ResourceAlreadyExistsException', 409), 'the name is taken');
  await attach(claimPolicyName);

  // the template
  const body = fleetTemplate(devicePolicyName, `${templateName}-`);
  const template = (more: Partial<CreateProvisioningTemplateCommandInput> = {}) =>
    client.send(
      new CreateProvisioningTemplateCommand({
        ...{ templateName, templateBody: JSON.stringify(body), provisioningRoleArn },
        ...more,
      }),
    );
  const invalid = fails('InvalidRequestException', 400);
  await assert.rejects(template({ provisioningRoleArn: 'arn:aws:iam::999999999999:role/provisioning' }), invalid);
  await assert.rejects(template({ templateBody: '{' }), invalid, 'not JSON');
  const chosen = JSON.stringify(body).replace('{"Ref":"AWS::IoT::Certificate::Id"}', '"0123"');
  await assert.rejects(template({ templateBody: chosen }), invalid, 'a certificate of its own choice');
  await template();
  await assert.rejects(template(), fails('ResourceAlreadyExistsException', 409));

  // where to connect, and with what
  const unknown = client.send(new DescribeEndpointCommand({ endpointType: 'iot:Nothing' }));
  await assert.rejects(unknown, invalid);
  for (const serverName of ['iot.example.org', 'abc-ats.iot.us-east-1.amazonaws.com']) {
    await assert.rejects(connectFleetDevice(node, claim, { clientId: 'device', serverName }), /unrecognized name/);
  }
  const other = await client.send(new CreateKeysAndCertificateCommand({}));
  const swapped = { ...claim, privateKey: String(other.keyPair?.PrivateKey) };
  await assert.rejects(connect('device', swapped), /key values mismatch/, 'the key of another certificate');

  // the certificate
  await denied(claim, csrTopic, 'create/* is not create-from-csr/*');
  await denied(claim, 'sdk/test/js', 'the claim may provision, and nothing else');
  await denied(claim, provisionTopic('another-template'), 'nor by another template');
  const asking = await connect('device', claim);
  const mine = issued(await asking.request(createTopic));
  await assert.rejects(connect('1', mine), /not let in/, 'PENDING_ACTIVATION until it is registered');

  // the registration
  const topic = provisionTopic(templateName);
  const { certificateOwnershipToken } = mine;
  const right = { certificateOwnershipToken, parameters: { SerialNumber: '1' } };
  assert.deepEqual(refused(await asking.request(topic, right)), [400, 'InvalidRequest'], 'the template is disabled');
  await client.send(new UpdateProvisioningTemplateCommand({ templateName, enabled: true }));
  const noPolicy = refused(await asking.request(topic, right));
  assert.deepEqual(noPolicy, [400, 'ResourceRegistrationFailure'], 'there is no policy for devices');
  await policyNamed(devicePolicyName, devicePolicy);
  const { parameters } = right;
  assert.deepEqual(refused(await asking.request(topic, { parameters })), invalidToken, 'without token');
  const foreign = { ...right, certificateOwnershipToken: 'another' };
  assert.deepEqual(refused(await asking.request(topic, foreign)), invalidToken);
  const nameless = { certificateOwnershipToken, parameters: {} };
  assert.deepEqual(refused(await asking.request(topic, nameless)), [400, 'InvalidParameters']);
  const { outcome, members } = await asking.request(topic, right);
  assert.deepEqual([outcome, members['thingName']], ['accepted', `${templateName}-1`]);
  const reused = { ...right, parameters: { SerialNumber: '2' } };
  assert.deepEqual(refused(await asking.request(topic, reused)), invalidToken, 'a token serves once');

  // the device
  await denied(mine, 'sdk/test/other', 'its policy has one topic');
  await denied(mine, createTopic, 'it is no claim');
  const device = await connect('1', mine);
  const message = new Promise<string>((resolve) => {
    device.client.once('message', (on, payload) => resolve(`${on} ${payload}`));
  });
  await device.client.subscribeAsync('sdk/test/js', { qos: 1 });
  await device.client.publishAsync('sdk/test/js', 'Hello world!', { qos: 1 });
  assert.equal(await message, 'sdk/test/js Hello world!');

  // the clean-up
  const removeThing = () => client.send(new DeleteThingCommand({ thingName: `${templateName}-1` }));
  await assert.rejects(removeThing(), invalid, 'it has a certificate');
  const remove = () => client.send(new DeleteCertificateCommand({ certificateId: mine.certificateId }));
  await assert.rejects(remove(), fails('CertificateStateException', 406), 'ACTIVE');
  const removePolicy = client.send(new DeletePolicyCommand({ policyName: devicePolicyName }));
  await assert.rejects(removePolicy, fails('DeleteConflictException', 409), 'it is attached');
  await status('INACTIVE', mine.certificateId);
  await device.closed();
  await assert.rejects(connect('1', mine), /not let in/, 'INACTIVE');
});

test('the devices of the example say which file they lack', async () => {
  const device = `${process.execPath} ${fileURLToPath(new URL('../../examples/pub-sub.mjs', import.meta.url))}`;
  for (const [flags, said] of [
    ['--endpoint localhost --cert none.crt --key none.key', 'There is no file none.crt (--cert)'],
    ['--endpoint localhost --cert /dev/null', '--key is missing'],
    ['', '--endpoint is missing'],
  ]) {
    const { code, stdout, stderr } = await bash(`${device} ${flags}`);
    assert.deepEqual([code, stdout, stderr.trim()], [1, '', said]);
  }
});
