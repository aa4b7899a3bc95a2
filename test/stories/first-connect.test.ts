/**
 * Devices that only their maker knows, over real TLS and MQTT: just-in-time registration and provisioning, by the numbers of provisioning.md's acceptance checks.
 * CAs and devices are made by openssl, as in seeds 000 and 004.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import {
  AttachPolicyCommand,
  CreateProvisioningTemplateCommand,
  DescribeCertificateCommand,
  DescribeEndpointCommand,
  DescribeThingCommand,
  GetRegistrationCodeCommand,
  type IoTClient,
  ListCertificatesByCACommand,
  ListThingPrincipalsCommand,
  ListThingsCommand,
  RegisterCACertificateCommand,
  type RegisterCACertificateCommandInput,
  UpdateCACertificateCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { authorities, type LeafOptions } from '../ca.ts';
import { connectDevice } from '../device.ts';
import { certificateIdOf, type Identity, put } from '../harness.ts';
import { openInbox } from '../inbox.ts';
import { readJournal } from '../journal.ts';
import { publish } from '../mosquitto.ts';
import { bytesOf, dial, RawMqtt } from '../raw-mqtt.ts';
import { bootFleet, carryOut, explainedAs, noConnack, published, walk } from '../refusal.ts';
import { waitMsMax } from '../within.ts';

const stranger = '111111111111';

const start = async (t: TestContext) => {
  const fleet = await bootFleet(t);
  const { node, folder, client } = fleet;
  const maker = authorities(folder);
  let proofs = 0;

  const identityOf = async (name: string): Promise<Identity> => {
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    const certificatePem = await readFile(certFile, 'utf8');
    return { certFile, keyFile, certificatePem, certificateId: certificateIdOf(certificatePem) };
  };
  return {
    ...fleet,
    maker,
    identityOf,
    /** A device of a CA. */
    async leaf(name: string, ca = 'ca', options?: LeafOptions): Promise<Identity> {
      await maker.leaf(name, ca, options);
      return identityOf(name);
    },
    /** The CA by this name in the DEFAULT mode of an account; ACTIVE and with auto-registration unless told otherwise. Answers its id. */
    async hold(
      name: string,
      input: Partial<RegisterCACertificateCommandInput> = {},
      iot: IoTClient = client,
    ): Promise<string> {
      const caCertificate = await readFile(join(folder, `${name}.crt`), 'utf8');
      const { registrationCode } = await iot.send(new GetRegistrationCodeCommand({}));
      const possession =
        input.certificateMode === 'SNI_ONLY'
          ? {}
          : {
              verificationCertificate: await maker.leaf(`proof${proofs++}`, name, {
                subject: `/CN=${registrationCode}`,
              }),
            };
      const settings = { setAsActive: true, allowAutoRegistration: true, ...possession, ...input };
      const { certificateId } = await iot.send(new RegisterCACertificateCommand({ caCertificate, ...settings }));
      return String(certificateId);
    },
    /** What a CONNECT of this device is answered, to the close of the connection: nothing, if it is refused. */
    async connects(identity: Identity, serverName?: string): Promise<readonly string[]> {
      const raw = await dial(node, 4, { identity, ...(serverName !== undefined && { serverName }) });
      raw.send({
        cmd: 'connect',
        clientId: 'first',
        clean: true,
        keepalive: 60,
        protocolId: 'MQTT',
        protocolVersion: 4,
      });
      const answer = await raw.take(1);
      raw.socket.destroy();
      return answer.map((packet) => `${packet.cmd} ${packet.cmd === 'connack' ? packet.returnCode : ''}`);
    },
    async statusOf({ certificateId }: Identity, iot: IoTClient = client): Promise<string | undefined> {
      try {
        const answer = await iot.send(new DescribeCertificateCommand({ certificateId }));
        return answer.certificateDescription?.status;
      } catch (error) {
        assert.equal((error as Error).name, 'ResourceNotFoundException');
        return undefined;
      }
    },
    /** Resolves when the newest that the journal says about a template for this certificate is this. */
    async provisioned({ certificateId }: Identity, sentence: RegExp): Promise<void> {
      const endMs = performance.now() + waitMsMax;
      let newest = '';
      while (!sentence.test(newest) && performance.now() < endMs) {
        const { records } = await readJournal(node, node.account, { subject: certificateId });
        newest = records.find(({ record }) => record.eventType === 'ProvisionDevice')?.sentence ?? '';
      }
      assert.match(newest, sentence);
    },
  };
};

test('provisioning.md check 1, 2, 3, 4: the handshake registers nobody, CONNECT does; a subscriber is told at each attempt; ACTIVE is let in', async (t) => {
  const { node, client, maker, hold, leaf, connects, statusOf, device } = await start(t);
  await maker.ca('ca');
  const caCertificateId = await hold('ca');
  const identity = await leaf('dev');
  const { certificateId } = identity;

  const watcher = await connectDevice(node, await device('watcher', { policyName: 'everything' }), { clientId: 'w' });
  await watcher.client.subscribeAsync('$aws/events/certificates/registered/#', { qos: 1 });
  const heard = openInbox<string>();
  watcher.client.on('message', (topic, payload, packet) => heard.put(`${topic} ${packet.qos} ${payload}`));

  const raw = await dial(node, 4, { identity });
  raw.socket.end();
  await raw.closed();
  const { certificates } = await client.send(new ListCertificatesByCACommand({ caCertificateId }));
  assert.deepEqual([certificates, await statusOf(identity)], [[], undefined]);

  const beforeMs = node.clock.now();
  assert.deepEqual(await connects(identity), [], 'no CONNACK');
  assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
  const [first = ''] = await heard.until(1);
  const [, topic, qos, payload] = /^(\S+) (\d) (.*)$/.exec(first) ?? [];
  assert.deepEqual([topic, qos], [`$aws/events/certificates/registered/${caCertificateId}`, '1']);
  const { timestamp, certificateRegistrationTimestamp, ...members } = JSON.parse(payload ?? '');
  const { accountId: awsAccountId } = node.account;
  const certificateStatus = 'PENDING_ACTIVATION';
  assert.deepEqual(members, { certificateId, caCertificateId, certificateStatus, awsAccountId });
  assert(typeof timestamp === 'number' && timestamp >= beforeMs && timestamp <= node.clock.now());
  assert.match(certificateRegistrationTimestamp, /^\d{10}000$/);

  assert.deepEqual(await connects(identity), []);
  await heard.until(2);
  await client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'ACTIVE' }));
  const target = iotArn(node.account, 'cert', certificateId);
  await client.send(new AttachPolicyCommand({ policyName: 'everything', target }));
  assert.deepEqual(await connects(identity), ['connack 0']);
  assert.equal(heard.items.length, 2);
});

test('provisioning.md check 5, 9: leaf and CA, and a full chain, are as good as the leaf alone; the direct issuer counts', async (t) => {
  const { as, folder, maker, hold, leaf, identityOf, statusOf } = await start(t);
  await maker.ca('root');
  const extension = await put(folder, 'ca.ext', 'basicConstraints=critical,CA:TRUE\n');
  await maker.leaf('intermediate', 'root', { extras: ['-extfile', extension] });
  const identity = await leaf('dev', 'intermediate');
  const chain = async (name: string, ...above: readonly string[]): Promise<Identity> => {
    const pems = await Promise.all([name, ...above].map(async (each) => (await identityOf(each)).certificatePem));
    return { ...(await identityOf(name)), certFile: await put(folder, `chain-of-${above.length}.pem`, pems.join('')) };
  };
  const full = await chain('dev', 'intermediate', 'root');

  await hold('root');
  assert.match((await publish(as(full), 'a')).printed, noConnack);
  assert.equal(await statusOf(identity), undefined, 'check 9');
  const caCertificateId = await hold('intermediate');
  for (const shown of [full, await chain('dev', 'intermediate'), identity]) {
    assert.match((await publish(as(shown), 'a')).printed, noConnack);
    assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
  }
  assert.equal(caCertificateId, (await identityOf('intermediate')).certificateId);
});

test('provisioning.md check 6, 7: auto-registration off or the CA INACTIVE: refused, and what `fleetgate explain` prints lets the device in', async (t) => {
  const fleet = await start(t);
  const { client, maker, hold, leaf, statusOf } = fleet;
  await maker.ca('ca');
  const certificateId = await hold('ca', { allowAutoRegistration: false });
  await client.send(new UpdateCACertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  const identity = await leaf('dev');
  const statuses: (string | undefined)[] = [];
  await walk(fleet, {
    async attempt() {
      const ended = await publish(fleet.as(identity), 'a/b');
      statuses.push(await statusOf(identity));
      return ended;
    },
    refusals: [
      [noConnack, /the CA \w{8} that signed it is registered there, but INACTIVE\.$/],
      [noConnack, /the CA \w{8} that signed it is registered there, but its auto-registration is off\.$/],
      [noConnack, /PENDING_ACTIVATION: its CA \w{8} had it registered .*, and nobody has activated it since\.$/],
      [noConnack, /no policy is attached/],
      [/received CONNACK \(0\)/, /refused iot:Publish/],
    ],
    success: published,
  });
  assert.deepEqual(statuses, [undefined, undefined, 'PENDING_ACTIVATION', 'ACTIVE', 'ACTIVE', 'ACTIVE']);
});

test('provisioning.md check 8: DEFAULT in one account and SNI_ONLY in another: the SNI says where a device is registered, also a second time', async (t) => {
  const { maker, iot, hold, leaf, connects, statusOf, node } = await start(t);
  await maker.ca('ca');
  await hold('ca');
  const other = iot(stranger);
  await hold('ca', { certificateMode: 'SNI_ONLY' }, other);
  const { endpointAddress } = await other.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
  const identity = await leaf('dev');
  const { certificateId } = identity;

  assert.deepEqual(await connects(identity, endpointAddress), []);
  const { certificateDescription: there } = await other.send(new DescribeCertificateCommand({ certificateId }));
  assert.deepEqual([there?.status, there?.certificateMode], ['PENDING_ACTIVATION', 'SNI_ONLY']);
  assert.equal(await statusOf(identity), undefined);
  const own = await readJournal(node, node.account, { subject: certificateId });
  assert.deepEqual(own.records, [], 'nobody is told of another account');

  assert.deepEqual(await connects(identity), []);
  assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
});

test('without SNI: the account with the CA in DEFAULT mode; a CA in SNI_ONLY mode needs it, and that is said', async (t) => {
  const { node, maker, iot, hold, leaf, statusOf } = await start(t);
  await maker.ca('ca');
  const identity = await leaf('dev');
  const connectsWithoutName = async (): Promise<readonly unknown[]> => {
    const key = await readFile(identity.keyFile);
    const socket = connectTls({
      ...{ host: '127.0.0.1', port: node.mqttPort, servername: '', rejectUnauthorized: false },
      ...{ cert: identity.certificatePem, key },
    });
    await once(socket, 'secureConnect');
    const raw = new RawMqtt(socket, 4);
    raw.send(bytesOf({ cmd: 'connect', clientId: 'nameless', clean: true, keepalive: 60, protocolId: 'MQTT' }, 4));
    return raw.closed();
  };
  const other = iot(stranger);
  await hold('ca', { certificateMode: 'SNI_ONLY' }, other);
  assert.deepEqual(await connectsWithoutName(), []);
  assert.equal(await statusOf(identity, other), undefined);
  const { records } = await readJournal(node, node.account, { last: 'true' });
  assert.match(records[0]?.sentence ?? '', /named no host \(SNI\).* or under a CA in SNI_ONLY mode/);

  await hold('ca');
  assert.deepEqual(await connectsWithoutName(), []);
  assert.deepEqual([await statusOf(identity), await statusOf(identity, other)], ['PENDING_ACTIVATION', undefined]);
});

test('provisioning.md check 10: a certificate of X.509 version 1 is registered', async (t) => {
  const { maker, hold, leaf, identityOf, connects, statusOf, folder } = await start(t);
  await maker.ca('ca');
  await hold('ca');
  await leaf('dev');
  await put(folder, 'dev.crt', await maker.version1('dev', 'ca'));
  const identity = await identityOf('dev');
  assert.deepEqual(await connects(identity), []);
  assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
});

test('50 first connections at once: one registration (provisioning.md 2.3)', async (t) => {
  const { client, maker, hold, leaf, connects } = await start(t);
  await maker.ca('ca');
  const caCertificateId = await hold('ca');
  const identity = await leaf('dev');
  const answers = await Promise.all(Array.from({ length: 50 }, () => connects(identity)));
  assert.deepEqual(answers.flat(), []);
  const { certificates = [] } = await client.send(new ListCertificatesByCACommand({ caCertificateId }));
  assert.deepEqual(
    certificates.map(({ certificateId, status }) => [certificateId, status]),
    [[identity.certificateId, 'PENDING_ACTIVATION']],
  );
});

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
  const { as, node, client, maker, hold, leaf, provisioned, statusOf } = await start(t);
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
  const fleet = await start(t);
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

test('provisioning.md check 14: a CA takes no template of fleet provisioning by its name; one of type JITP provisions, once it is enabled', async (t) => {
  const fleet = await start(t);
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
