/** Just-in-time registration over real TLS and MQTT, by the numbers of the acceptance checks. Source: provisioning.md 2, 13. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import {
  AttachPolicyCommand,
  DescribeCertificateCommand,
  DescribeEndpointCommand,
  ListCertificatesByCACommand,
  UpdateCACertificateCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { connectDevice } from '../device.ts';
import { bootFirstConnect } from '../first-connect-scene.ts';
import { type Identity, put } from '../harness.ts';
import { openInbox } from '../inbox.ts';
import { readJournal } from '../journal.ts';
import { publish } from '../mosquitto.ts';
import { bytesOf, dial, RawMqtt, versions } from '../raw-mqtt.ts';
import { noConnack, published, walk } from '../refusal.ts';

const stranger = '111111111111';

test('provisioning.md check 1, 2, 3, 4: the handshake registers nobody, CONNECT does; a subscriber is told at each attempt; ACTIVE is let in', async (t) => {
  const { node, client, maker, hold, leaf, connects, statusOf, device } = await bootFirstConnect(t);
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
  const { as, folder, maker, hold, leaf, identityOf, statusOf } = await bootFirstConnect(t);
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
  const fleet = await bootFirstConnect(t);
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
  const { maker, iot, hold, leaf, connects, statusOf, node } = await bootFirstConnect(t);
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
  const { node, maker, iot, hold, leaf, statusOf } = await bootFirstConnect(t);
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
  const { maker, hold, leaf, identityOf, connects, statusOf, folder } = await bootFirstConnect(t);
  await maker.ca('ca');
  await hold('ca');
  await leaf('dev');
  await put(folder, 'dev.crt', await maker.version1('dev', 'ca'));
  const identity = await identityOf('dev');
  assert.deepEqual(await connects(identity), []);
  assert.equal(await statusOf(identity), 'PENDING_ACTIVATION');
});

test('INACTIVE or REVOKED: refused without an event; expired before it came: refused and not registered (provisioning.md 2.3)', async (t) => {
  const { node, client, maker, hold, leaf, connects, statusOf, device } = await bootFirstConnect(t);
  await maker.ca('ca');
  await hold('ca');
  const watcher = await connectDevice(node, await device('watcher', { policyName: 'everything' }), { clientId: 'w' });
  await watcher.client.subscribeAsync('$aws/events/certificates/registered/#', { qos: 1 });
  const heard = openInbox<string>();
  watcher.client.on('message', (_topic, payload) => heard.put(JSON.parse(payload.toString()).certificateId));
  const [one, two, late] = [await leaf('one'), await leaf('two'), await leaf('late', 'ca', { days: 1 })];

  for (const version of versions) assert.deepEqual(await connects(one, undefined, version), [], `version ${version}`);
  for (const newStatus of ['INACTIVE', 'REVOKED'] as const) {
    await client.send(new UpdateCertificateCommand({ certificateId: one.certificateId, newStatus }));
    for (const version of versions) assert.deepEqual(await connects(one, undefined, version), [], newStatus);
    assert.equal(await statusOf(one), newStatus);
  }
  assert.deepEqual(await connects(two), []);
  await heard.until(3);
  assert.deepEqual(
    heard.items,
    [one, one, two].map(({ certificateId }) => certificateId),
  );

  await node.clock.advance(2 * 24 * 60 * 60 * 1000);
  assert.deepEqual(await connects(late), []);
  assert.equal(await statusOf(late), undefined);
});

test('50 first connections at once: one registration (provisioning.md 2.3)', async (t) => {
  const { client, maker, hold, leaf, connects } = await bootFirstConnect(t);
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
