/**
 * What a node tells of itself while real clients use it: life-cycle events over MQTT, log events whose levels are set by the AWS SDK, metrics for
 * Prometheus, and its health.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DeleteV2LoggingLevelCommand,
  GetV2LoggingOptionsCommand,
  ListV2LoggingLevelsCommand,
  RegisterCertificateWithoutCACommand,
  SetV2LoggingLevelCommand,
  SetV2LoggingOptionsCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { connectDevice } from '../device.ts';
import { parseExposition } from '../exposition.ts';
import { bootNode, type Identity, makeIdentity } from '../harness.ts';
import { readLog } from '../log-events.ts';

const setUp = async (t: TestContext) => {
  const booted = await bootNode(t);
  const { folder, node } = booted;
  const iot = booted.iot();
  const allow = { Effect: 'Allow', Action: 'iot:*', Resource: '*' };
  const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [allow] });
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument }));
  const register = async (name: string, ...policyNames: string[]): Promise<Identity> => {
    const identity = await makeIdentity(folder, name);
    const { certificatePem, certificateId } = identity;
    await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
    const target = iotArn(node.account, 'cert', certificateId);
    for (const policyName of policyNames) await iot.send(new AttachPolicyCommand({ policyName, target }));
    return identity;
  };
  return { booted, iot, register };
};

test('a fleet service follows who comes and goes, and an exclusive thing is named (gateway.md 7)', async (t) => {
  const { booted, iot, register } = await setUp(t);
  const { node } = booted;
  const service = await connectDevice(node, await register('service', 'everything'), { clientId: 'service' });
  const events: Record<string, unknown>[] = [];
  service.client.on('message', (topic, payload) => events.push({ topic, ...JSON.parse(String(payload)) }));
  const until = async (topic: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const found = events.find((event) => event['topic'] === topic);
      if (found) return found;
      await new Promise<void>((resolve) => service.client.once('message', () => resolve()));
    }
  };
  await service.client.subscribeAsync('$aws/events/#', { qos: 1 });

  const identity = await register('device', 'everything');
  await iot.send(new CreateThingCommand({ thingName: 'robot' }));
  const principal = iotArn(node.account, 'cert', identity.certificateId);
  await iot.send(
    new AttachThingPrincipalCommand({ thingName: 'robot', principal, thingPrincipalType: 'EXCLUSIVE_THING' }),
  );
  const device = await connectDevice(node, identity, { clientId: 'dev1' });
  const connected = await until('$aws/events/presence/connected/dev1');
  assert.deepEqual(
    [connected['thingName'], connected['principalIdentifier'], connected['ipAddress'], connected['versionNumber']],
    ['robot', identity.certificateId, '127.0.0.1', 0],
  );
  await device.client.subscribeAsync('a/b');
  assert.deepEqual((await until('$aws/events/subscriptions/subscribed/dev1'))['topics'], ['a/b']);
  await device.client.endAsync();
  const gone = await until('$aws/events/presence/disconnected/dev1');
  assert.deepEqual(
    [gone['thingName'], gone['disconnectReason'], gone['clientInitiatedDisconnect'], gone['sessionIdentifier']],
    ['robot', 'CLIENT_INITIATED_DISCONNECT', true, connected['sessionIdentifier']],
  );

  const stranger = await register('stranger');
  await assert.rejects(connectDevice(node, stranger, { clientId: 'dev2' }));
  const failed = await until('$aws/events/presence/connect_failed/dev2');
  assert.deepEqual(
    [failed['connectFailureReason'], failed['principalIdentifier']],
    ['AUTHORIZATION_FAILED', stranger.certificateId],
  );
  await service.client.endAsync();
});

test("what the SDK sets as logging level is written, at once and per client, to the account's log (gateway.md 8)", async (t) => {
  const { booted, iot, register } = await setUp(t);
  const { node, folder } = booted;
  const identity = await register('device', 'everything');
  const [dev1, dev2] = [
    await connectDevice(node, identity, { clientId: 'dev1' }),
    await connectDevice(node, identity, { clientId: 'dev2' }),
  ];
  await assert.rejects(iot.send(new GetV2LoggingOptionsCommand({})), { name: 'NotConfiguredException' });
  const roleArn = 'arn:aws:iam::000000000000:role/logs';
  await iot.send(new SetV2LoggingOptionsCommand({ roleArn, defaultLogLevel: 'ERROR' }));
  const logTarget = { targetType: 'CLIENT_ID', targetName: 'dev1' } as const;
  await iot.send(new SetV2LoggingLevelCommand({ logTarget, logLevel: 'INFO' }));
  const { logTargetConfigurations } = await iot.send(new ListV2LoggingLevelsCommand({}));
  assert.equal(logTargetConfigurations?.length, 2);

  for (const { client } of [dev2, dev1]) await client.publishAsync('a/b', 'x', { qos: 1 });
  const isPublish = ({ eventType }: Record<string, unknown>) => eventType === 'Publish-In';
  const published = await readLog(node, join(folder, 'data'), isPublish);
  assert.deepEqual(
    published.map(({ clientId, eventType, topicName, principalId }) => [clientId, eventType, topicName, principalId]),
    [['dev1', 'Publish-In', 'a/b', identity.certificateId]],
  );
  const file = join(folder, 'data', 'logs', '000000000000', node.account.region, 'AWSIotLogsV2.jsonl');
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  const formerPort = dev1.socket.localPort;
  await iot.send(new DeleteV2LoggingLevelCommand({ targetType: 'CLIENT_ID', targetName: 'dev1' }));
  await node.clock.advance(0); // levels act when they have been read again
  await dev1.client.publishAsync('a/b', 'x', { qos: 1 });
  const usurper = await connectDevice(node, identity, { clientId: 'dev1', version: 5 });
  const all = await readLog(node, join(folder, 'data'), ({ reason }) => reason === 'DUPLICATE_CLIENT_ID');
  assert.equal(all.filter(isPublish).length, 1);
  const { logLevel, status, clientId, details } = all.at(-1) ?? {};
  assert.deepEqual([logLevel, status, clientId], ['ERROR', 'Failure', 'dev1']);
  assert.match(
    String(details),
    new RegExp(`port ${usurper.socket.localPort} .* took it from 127.0.0.1 port ${formerPort} `),
  );
  for (const { client } of [usurper, dev2]) await client.endAsync();
});

test('/metrics counts what clients did, and health tells alive from ready', async (t) => {
  const { booted, register } = await setUp(t);
  const { node } = booted;
  const watch = `http://127.0.0.1:${node.metricsPort}`;
  const scrape = async () => {
    const answer = await fetch(`${watch}/metrics`);
    assert.equal(answer.status, 200);
    const families = parseExposition(await answer.text());
    return (name: string, protocol?: string): number | undefined =>
      families.get(name)?.samples.find(({ labels }) => labels['protocol'] === protocol)?.value;
  };
  const before = await scrape();
  assert.equal(before('aws_iot_connect_success_total', 'MQTT'), 0);
  const device = await connectDevice(node, await register('device', 'everything'), { clientId: 'dev1' });
  await device.client.publishAsync('a', 'x', { qos: 1, retain: true });
  await assert.rejects(connectDevice(node, await register('stranger'), { clientId: 'dev2' }));
  const after = await scrape();
  assert.deepEqual(
    [
      after('aws_iot_connect_success_total', 'MQTT'),
      after('aws_iot_connect_auth_error_total', 'MQTT'),
      after('aws_iot_publish_in_success_total', 'MQTT'),
      after('aws_iot_publish_in_success_total', 'HTTP'),
      after('aws_iot_publish_retained_success_total', 'MQTT'),
      after('fleetgate_retained_messages'),
      after('fleetgate_sessions'),
      after('fleetgate_ready'),
      after('fleetgate_store_writable'),
    ],
    [1, 1, 1, 0, 1, 1, 1, 1, 1],
  );
  assert.ok((after('process_resident_memory_bytes') ?? 0) > 0);

  for (const base of [watch, node.apiUrl]) {
    const live = await fetch(`${base}/_fleetgate/health/live`);
    assert.deepEqual([live.status, await live.json()], [200, { alive: true }]);
    const ready = await fetch(`${base}/_fleetgate/health/ready`);
    assert.deepEqual([ready.status, await ready.json()], [200, { ready: true, causes: [] }]);
  }
  await device.client.endAsync();

  // a caller who withholds the body that was announced keeps the node closing
  const stuck = connect(node.apiPort, '127.0.0.1');
  stuck.write('GET /root-ca.pem HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n');
  await once(stuck, 'connect');
  await fetch(`${node.apiUrl}/_fleetgate/health/live`); // by then the server has read what came before
  const closed = node.close(5000);
  const ready = await fetch(`${watch}/_fleetgate/health/ready`);
  const causes = ['The node is shutting down.'];
  assert.deepEqual([ready.status, await ready.json()], [503, { ready: false, causes }]);
  assert.equal((await fetch(`${watch}/_fleetgate/health/live`)).status, 200);
  stuck.destroy();
  await closed;
});
