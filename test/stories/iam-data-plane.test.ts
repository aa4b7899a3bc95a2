/**
 * Users and sessions of roles on the data plane: their policies decide over HTTPS and over a signed WebSocket, and a key that ends is refused by the API and
 * over HTTPS, and its live connections are closed, within a second (issue 6, acceptance 2). Source: developer guide, "IAM policies"; design 5.
 */
import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { type TestContext, test } from 'node:test';
import {
  CreateRoleCommand,
  DeleteAccessKeyCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  DeleteUserCommand,
  DeleteUserPolicyCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  UpdateAccessKeyCommand,
} from '@aws-sdk/client-iam';
import { ListThingsCommand } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { AssumeRoleCommand } from '@aws-sdk/client-sts';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import mqtt, { type IPublishPacket } from 'mqtt';
import { presignUrl } from '../../src/aws/sigv4.ts';
import { allowing, bootIam, type Keys, keysOf, trusting } from '../iam-scene.ts';
import { readJournal } from '../journal.ts';
import { within } from '../within.ts';

const account = '000000000000';
const arn = (resource: string): string => `arn:aws:iot:us-east-1:${account}:${resource}`;
/** From the answer to the change, to the end of what it ends. */
const endsWithinMs = 1000;

type Scene = Awaited<ReturnType<typeof bootIam>>;

/** A WebSocket that these keys sign; rejects with what it is refused with. */
const open = async (t: TestContext, { node }: Scene, keys: Keys, clientId: string) => {
  const signed = presignUrl({
    ...{ method: 'GET', url: `https://localhost:${node.httpsPort}/mqtt`, region: 'us-east-1' },
    ...{ service: 'iotdevicegateway', nowMs: node.clock.now(), expiresSeconds: 300 },
    ...keys,
  });
  const url = signed.replace('https:', 'wss:');
  // a keep-alive that outlasts the clock that is moved
  const settings = { ca: node.rootPem, reconnectPeriod: 0, keepalive: 1200 };
  const client = mqtt.connect(url, { clientId, protocolVersion: 5, ...settings });
  t.after(() => client.end(true));
  const reason = new Promise<number | undefined>((resolve) => {
    client.once('disconnect', ({ reasonCode }) => resolve(reasonCode));
  });
  const closed = new Promise<number>((resolve) => {
    client.once('close', () => resolve(performance.now()));
  });
  const accepted = Promise.withResolvers<void>();
  client.once('connect', () => accepted.resolve());
  client.once('error', accepted.reject);
  client.stream.once('error', accepted.reject); // what a WebSocket is refused with is told here only
  client.once('close', () => accepted.reject(new Error('closed')));
  await within(accepted.promise, 'the connection');
  return { client, closed, reason };
};

const dataAs = (t: TestContext, { node }: Scene, credentials: Keys): IoTDataPlaneClient => {
  const httpsAgent = new Agent({ ca: node.rootPem, keepAlive: true });
  const client = new IoTDataPlaneClient({
    ...{ endpoint: `https://localhost:${node.httpsPort}`, region: 'us-east-1', credentials, maxAttempts: 1 },
    requestHandler: new NodeHttpHandler({ httpsAgent }),
  });
  t.after(() => client.destroy());
  return client;
};

const refusedWith = async (asked: Promise<unknown>): Promise<string | undefined> =>
  asked.then(
    () => undefined,
    (error: { name: string; $metadata?: { httpStatusCode?: number } }) =>
      `${error.name} ${error.$metadata?.httpStatusCode}`,
  );

const everywhere = allowing(['iot:*']);

const ends: readonly (readonly [rule: string, end: (scene: Scene, of: Keys) => Promise<unknown>])[] = [
  [
    'deactivated',
    (scene, { accessKeyId: AccessKeyId }) =>
      scene.iam().send(new UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Inactive' })),
  ],
  [
    'deleted',
    (scene, { accessKeyId: AccessKeyId }) =>
      scene.iam().send(new DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId })),
  ],
  [
    'deleted with its user',
    async (scene, { accessKeyId: AccessKeyId }) => {
      const root = scene.iam();
      await root.send(new DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId }));
      await root.send(new DeleteUserPolicyCommand({ UserName: 'alice', PolicyName: 'own' }));
      await root.send(new DeleteUserCommand({ UserName: 'alice' }));
    },
  ],
];
for (const [rule, end] of ends) {
  test(`a key that is ${rule} ends within a second: the API, HTTPS, and its live WebSocket; others stay`, async (t) => {
    const scene = await bootIam(t);
    const alice = await scene.user('alice', everywhere);
    const bob = await open(t, scene, await scene.user('bob', everywhere), 'bob');
    const [api, data] = [scene.iotAs(alice), dataAs(t, scene, alice)];
    const publish = () => data.send(new PublishCommand({ topic: 'a/b', payload: Buffer.from('x') }));
    await api.send(new ListThingsCommand({}));
    await publish();
    const { client, closed, reason } = await open(t, scene, alice, 'alice');
    await client.subscribeAsync('a/#');

    const ended = end(scene, alice);
    await ended;
    const answeredAtMs = performance.now();
    assert.equal(await refusedWith(api.send(new ListThingsCommand({}))), 'UnrecognizedClientException 403');
    assert.equal(await refusedWith(publish()), 'ForbiddenException 403');
    const tookMs = (await within(closed, 'the end of the connection')) - answeredAtMs;
    assert.ok(tookMs < endsWithinMs, `${tookMs} ms`);
    assert.equal(await reason, 0x87);
    await assert.rejects(open(t, scene, alice, 'alice'), /Unexpected server response: 403/);
    assert.ok(bob.client.connected);
    await bob.client.publishAsync('a/b', 'still here', { qos: 1 });
    const { records } = await readJournal(scene.node, scene.node.account, { clientId: 'alice' });
    assert.ok(records.some(({ record }) => record.reason === 'ACCESS_KEY_NO_LONGER_ACTIVE'));
  });
}

test('what a user may do over a signed WebSocket and over HTTPS is what its policies allow at that moment', async (t) => {
  const scene = await bootIam(t);
  const put = (UserName: string, ...Statement: readonly object[]) =>
    scene.iam().send(
      new PutUserPolicyCommand({
        ...{ UserName, PolicyName: 'own' },
        PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement }),
      }),
    );
  const allow = (Action: string, ...resources: readonly string[]) => ({
    ...{ Effect: 'Allow', Action, Resource: resources.map(arn) },
  });
  const alice = await scene.user('alice');
  const data = dataAs(t, scene, alice);
  const publish = (topic: string) => refusedWith(data.send(new PublishCommand({ topic, payload: Buffer.from('x') })));
  const connecting = [allow('iot:Connect', 'client/${aws:username}-*')];
  await put('alice', ...connecting);
  assert.equal(await publish('a/b'), 'ForbiddenException 403');
  await assert.rejects(open(t, scene, alice, 'bob-1'), /Connection refused: Not authorized/);

  const talking = [allow('iot:Publish', 'topic/a/*'), allow('iot:Subscribe', 'topicfilter/a/*')];
  await put('alice', ...connecting, ...talking, allow('iot:Receive', 'topic/a/*'));
  const { client, closed } = await open(t, scene, alice, 'alice-1');
  const heard = new Promise<string>((resolve) => client.once('message', (topic) => resolve(topic)));
  const [granted] = await client.subscribeAsync('a/+', { qos: 1 });
  assert.equal(granted?.qos, 1);
  assert.equal(await publish('a/b'), undefined);
  assert.equal(await within(heard, 'the message'), 'a/b');
  assert.equal(await publish('b/c'), 'ForbiddenException 403');

  await put('alice', ...connecting, ...talking);
  const deaf: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => deaf.push(packet));
  assert.equal(await publish('a/b'), undefined);
  await client.publishAsync('a/c', 'own', { qos: 1 });
  await client.unsubscribeAsync('a/+');
  assert.deepEqual(deaf, [], 'without iot:Receive nothing comes, from the next delivery on');
  await put('alice', ...connecting);
  await client.publishAsync('a/c', 'refused').catch(() => undefined);
  await within(closed, 'the end of a connection that publishes what it may not');
});

test('a session of a role connects with what its session policy leaves, until its credentials expire or the role is gone', async (t) => {
  const scene = await bootIam(t);
  const root = scene.iam();
  const alice = await scene.user('alice', allowing('sts:AssumeRole'));
  const AssumeRolePolicyDocument = trusting(`arn:aws:iam::${account}:user/alice`);
  const sessionOf = async (RoleName: string, Policy?: string): Promise<Keys> => {
    const given = { RoleArn: `arn:aws:iam::${account}:role/${RoleName}`, RoleSessionName: 'line-1' };
    const asked = new AssumeRoleCommand({ ...given, DurationSeconds: 900, ...(Policy !== undefined && { Policy }) });
    return keysOf((await scene.stsAs(alice).send(asked)).Credentials as Parameters<typeof keysOf>[0]);
  };
  const own = { PolicyName: 'own', PolicyDocument: everywhere };
  for (const RoleName of ['fleet', 'doomed']) {
    await root.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument }));
    await root.send(new PutRolePolicyCommand({ RoleName, ...own }));
  }
  const narrowed = await sessionOf('fleet', allowing(['iot:Connect', 'iot:Publish'], arn('*/lamp*')));
  const data = dataAs(t, scene, narrowed);
  const publish = (topic: string) => refusedWith(data.send(new PublishCommand({ topic, payload: Buffer.from('x') })));
  assert.equal(await publish('lamp/1'), undefined);
  assert.equal(await publish('pump/1'), 'ForbiddenException 403');
  await assert.rejects(open(t, scene, narrowed, 'pump-1'), /Not authorized/);
  const lamp = await open(t, scene, narrowed, 'lamp-1');
  await lamp.client.publishAsync('lamp/1', 'on', { qos: 1 });

  const doomed = await open(t, scene, await sessionOf('doomed'), 'doomed-1');
  await root.send(new DeleteRolePolicyCommand({ RoleName: 'doomed', PolicyName: 'own' }));
  await root.send(new DeleteRoleCommand({ RoleName: 'doomed' }));
  const goneAtMs = performance.now();
  assert.ok((await within(doomed.closed, 'the end of a session without its role')) - goneAtMs < endsWithinMs);

  await scene.node.clock.advance(840_000);
  // the time that the test itself has taken comes on top
  assert.ok(lamp.client.connected, 'before the end');
  await scene.node.clock.advance(60_000);
  await within(lamp.closed, 'the end of a session whose credentials have expired');
  assert.equal(await publish('lamp/1'), 'ForbiddenException 403');
  await assert.rejects(open(t, scene, narrowed, 'lamp-1'), /Unexpected server response: 403/);
  const { records } = await readJournal(scene.node, scene.node.account, { clientId: 'lamp-1' });
  assert.ok(records.some(({ record }) => record.reason === 'SECURITY_TOKEN_EXPIRED'));
});
