/** Just-in-time provisioning over real TLS and MQTT, by the numbers of the acceptance checks. Source: provisioning.md 3, 13. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateProvisioningTemplateCommand,
  DescribeThingCommand,
  ListThingPrincipalsCommand,
  ListThingsCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { bootFirstConnect } from '../first-connect-scene.ts';
import { readJournal } from '../journal.ts';
import { publish } from '../mosquitto.ts';
import { carryOut, explainedAs, noConnack, published } from '../refusal.ts';
import { waitMsMax } from '../within.ts';

const roleArn = 'arn:aws:iam::000000000000:role/jitp';
const own = (name: string) => ({ Ref: `AWS::IoT::Certificate::${name}` });
/** The form of the developer guide's sample, with DO_NOTHING for the certificate's Status. */
const jitpBody = JSON.stringify({
  Parameters: {
    'AWS::IoT::Certificate::Country': { Type: 'String' },
    'AWS::IoT::Certificate::SerialNumber': { Type: 'String' },
    'AWS::IoT::Certificate::Id': { Type: 'String' },
  },
  Resources: {
    thing: {
      Type: 'AWS::IoT::Thing',
      Properties: {
        ThingName: { 'Fn::Join': ['-', ['ship', own('SerialNumber')]] },
        AttributePayload: { serial: own('SerialNumber'), country: own('Country') },
      },
      OverrideSettings: { AttributePayload: 'MERGE' },
    },
    certificate: {
      Type: 'AWS::IoT::Certificate',
      Properties: { CertificateId: own('Id'), Status: 'ACTIVE' },
      OverrideSettings: { Status: 'DO_NOTHING' },
    },
    policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'everything' } },
  },
});

test('provisioning.md check 11, 13, 15: a template of the CA makes thing and attachments and activates the certificate; the second connection is let in', async (t) => {
  const { as, node, client, maker, hold, leaf, provisioned, statusOf } = await bootFirstConnect(t);
  await maker.ca('ca');
  await hold('ca', { registrationConfig: { templateBody: jitpBody, roleArn } });
  const identity = await leaf('dev', 'ca', { subject: '/C=DE/serialNumber=42/CN=dev' });
  assert.match((await publish(as(identity), 'a/b')).printed, noConnack);
  await provisioned(identity, /was provisioned by the template of its CA \w{8}, as the thing "ship-42"\.$/);
  assert.equal(await statusOf(identity), 'ACTIVE', 'check 13');
  assert.match((await publish(as(identity), 'a/b')).printed, published);

  const { attributes } = await client.send(new DescribeThingCommand({ thingName: 'ship-42' }));
  assert.deepEqual(attributes, { serial: '42', country: 'DE' });
  const { principals } = await client.send(new ListThingPrincipalsCommand({ thingName: 'ship-42' }));
  assert.deepEqual(principals, [iotArn(node.account, 'cert', identity.certificateId)]);
});

test('provisioning.md check 12: a leaf without C stays PENDING_ACTIVATION, nothing is made, and the journal says which parameter', async (t) => {
  const fleet = await bootFirstConnect(t);
  const { as, client, maker, hold, leaf, provisioned, statusOf } = fleet;
  await maker.ca('ca');
  await hold('ca', { registrationConfig: { templateBody: jitpBody, roleArn } });
  const identity = await leaf('dev', 'ca', { subject: '/serialNumber=42/CN=dev' });
  assert.match((await publish(as(identity), 'a/b')).printed, noConnack);
  const cause = /was not provisioned by the template of its CA .*AWS::IoT::Certificate::Country.*subject has no C\.$/;
  await provisioned(identity, cause);
  await explainedAs(fleet, cause);
  assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
  assert.deepEqual((await client.send(new ListThingsCommand({}))).things, []);
});

test('what a template lacks is tried again at each connection, until it is there (provisioning.md 3)', async (t) => {
  const { client, node, maker, hold, leaf, connects, provisioned, statusOf, policy } = await bootFirstConnect(t);
  await maker.ca('ca');
  await hold('ca', { registrationConfig: { templateBody: jitpBody.replace('everything', 'later'), roleArn } });
  const identity = await leaf('dev', 'ca', { subject: '/C=DE/serialNumber=42/CN=dev' });
  const failures = async (): Promise<number> => {
    const { records } = await readJournal(node, node.account, { subject: identity.certificateId });
    const failed = records.filter(
      ({ record }) => record.eventType === 'ProvisionDevice' && record.status === 'Failure',
    );
    return failed.reduce((sum, { record }) => sum + 1 + record.repeats, 0);
  };
  for (const count of [1, 2, 3]) {
    assert.deepEqual(await connects(identity), []);
    const endMs = performance.now() + waitMsMax;
    while ((await failures()) < count && performance.now() < endMs);
    assert.equal(await failures(), count);
  }
  assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
  assert.deepEqual((await client.send(new ListThingsCommand({}))).things, [], 'nothing of it remains');
  await policy('later', [['iot:*', '*']]);
  assert.deepEqual(await connects(identity), []);
  await provisioned(identity, /was provisioned by the template of its CA/);
  assert.deepEqual(await connects(identity), ['connack 0']);
});

test('provisioning.md check 14: a CA takes no template of fleet provisioning by its name; one of type JITP provisions, once it is enabled', async (t) => {
  const fleet = await bootFirstConnect(t);
  const { client, as, maker, hold, leaf, provisioned } = fleet;
  const create = (templateName: string, type: 'JITP' | 'FLEET_PROVISIONING') =>
    client.send(
      new CreateProvisioningTemplateCommand({
        templateName,
        type,
        provisioningRoleArn: roleArn,
        templateBody: jitpBody,
      }),
    );
  await Promise.all([create('fleet', 'FLEET_PROVISIONING'), create('ship', 'JITP')]);
  await maker.ca('ca');
  await assert.rejects(hold('ca', { registrationConfig: { templateName: 'fleet' } }), {
    name: 'InvalidRequestException',
    message: /FLEET_PROVISIONING, not JITP/,
  });
  await hold('ca', { registrationConfig: { templateName: 'ship' } });
  const identity = await leaf('dev', 'ca', { subject: '/C=DE/serialNumber=7/CN=dev' });
  assert.match((await publish(as(identity), 'a/b')).printed, noConnack);
  await provisioned(identity, /ship is not enabled/);
  await carryOut(
    fleet,
    await explainedAs(fleet, /not provisioned by the provisioning template "ship" .*not enabled\.$/),
  );
  assert.match((await publish(as(identity), 'a/b')).printed, noConnack);
  await provisioned(
    identity,
    /was provisioned by the provisioning template "ship" of its CA \w{8}, as the thing "ship-7"/,
  );
  assert.match((await publish(as(identity), 'a/b')).printed, published);
});
