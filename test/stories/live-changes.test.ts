/**
 * What changes in the registry acts on live connections within a second (design 5; spec policy 7): a certificate that is no longer ACTIVE ends its
 * connections, and the next packet or request after a change of policies, attachments or things is judged by the new state, over MQTT, WebSocket and HTTPS,
 * and for sessions that are kept. Each test prints how long it took
 * from the API's answer until the device saw it.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  CreateThingCommand,
  DeleteCertificateCommand,
  DetachPolicyCommand,
  DetachThingPrincipalCommand,
  type IoTClient,
  RegisterCertificateWithoutCACommand,
  SetDefaultPolicyVersionCommand,
  UpdateCertificateCommand,
  UpdateThingCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { connectDevice, type Device, type DeviceOptions } from '../device.ts';
import { type Booted, bootNode, type Identity, makeIdentity } from '../harness.ts';
import { readJournal } from '../journal.ts';

/** Source: design 5. */
const effectMsMax = 1000;

/** Statements as a policy document. */
const documentOf = (...statements: readonly object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const allow = (action: string | string[], resource: string | string[]) => ({
  Effect: 'Allow',
  Action: action,
  Resource: resource,
});
const everything = documentOf(allow('iot:*', '*'));

/** Collects the times from the API's answer to the effect, in ms, and prints them after the test. */
const stopwatch = (t: TestContext) => {
  const measured: number[] = [];
  t.after(() => {
    const sorted = [...measured].sort((a, b) => a - b);
    const shown = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)].map((ms) => ms?.toFixed(1));
    t.diagnostic(`${measured.length} effects: ${shown[0]} ms in the middle, ${shown[1]} ms at most`);
  });
  /** `effectAtMs` by `performance.now()`: now without it. An effect that overtook the API's answer took no time. */
  return (answeredAtMs: number, effectAtMs = performance.now()): void => {
    const tookMs = Math.max(0, effectAtMs - answeredAtMs);
    measured.push(tookMs);
    assert.ok(tookMs < effectMsMax, `the change took effect after ${tookMs} ms`);
  };
};

const welcome = async (iot: IoTClient, { node }: Booted, identity: Identity, ...policyNames: string[]) => {
  const { certificateId, certificatePem } = identity;
  await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
  const target = iotArn(node.account, 'cert', certificateId);
  for (const policyName of policyNames) await iot.send(new AttachPolicyCommand({ policyName, target }));
  return target;
};

/** HTTPS on one connection that is kept open: what it answers to a publish, and when the connection is closed. */
const openHttps = async (t: TestContext, { node }: Booted, { certFile, keyFile }: Identity) => {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: node.rootPem, cert, key });
  t.after(() => agent.destroy());
  const closed = Promise.withResolvers<number>();
  let connections = 0;
  return {
    closedAtMs: closed.promise,
    connections: () => connections,
    publish: (topic: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const path = `/topics/${topic}?qos=1`;
        const sent = request({ agent, host: 'localhost', port: node.httpsPort, method: 'POST', path }, (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
        });
        sent.on('socket', (socket) => {
          if (!socket.connecting) return;
          connections++;
          socket.once('close', () => closed.resolve(performance.now()));
        });
        sent.on('error', reject).end('over HTTPS');
      }),
  };
};

const newestRecord = async ({ node }: Booted, query: Record<string, string>) => {
  const { records } = await readJournal(node, node.account, { ...query, failures: 'true', limit: '1' });
  return records[0]?.record;
};

type Ending = 'INACTIVE' | 'REVOKED' | 'deleted';
const reasonAfter: Record<Ending, string> = {
  INACTIVE: 'DEVICE_CERTIFICATE_INACTIVE',
  REVOKED: 'DEVICE_CERTIFICATE_REVOKED',
  deleted: 'DEVICE_CERTIFICATE_NOT_REGISTERED',
};

const endCertificate = async (iot: IoTClient, certificateId: string, ending: Ending): Promise<void> => {
  const newStatus = ending === 'REVOKED' ? 'REVOKED' : 'INACTIVE';
  await iot.send(new UpdateCertificateCommand({ certificateId, newStatus }));
  if (ending === 'deleted') await iot.send(new DeleteCertificateCommand({ certificateId, forceDelete: true }));
};

test('a certificate that becomes INACTIVE, REVOKED or is deleted ends its connections (v5: 0x87), and no new one comes in (spec policy 7)', async (t) => {
  const booted = await bootNode(t);
  const { node, folder } = booted;
  const iot = booted.iot();
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  const bystander = await makeIdentity(folder, 'bystander');
  await welcome(iot, booted, bystander, 'everything');
  const unharmed = await connectDevice(node, bystander, { clientId: 'bystander' });
  await unharmed.client.subscribeAsync('wills/+');
  const took = stopwatch(t);

  for (const ending of ['INACTIVE', 'REVOKED', 'deleted'] as const) {
    for (const version of [4, 5] as const) {
      await t.test(`${ending}, v${version}`, async () => {
        const identity = await makeIdentity(folder, `${ending}-${version}`);
        await welcome(iot, booted, identity, 'everything');
        const clientIds = ['first', 'second', 'third'].map((name) => `${name}-${ending}-${version}`);
        const connect = (clientId: string, more: Partial<DeviceOptions> = {}) =>
          connectDevice(node, identity, {
            ...{ clientId, version, will: { topic: `wills/${clientId}`, payload: 'gone' } },
            ...more,
          });
        const ways: readonly Partial<DeviceOptions>[] = [{}, { clean: false }, { transport: 'websocket' }];
        const devices = await Promise.all(clientIds.map((clientId, index) => connect(clientId, ways[index])));
        const https = await openHttps(t, booted, identity);
        assert.equal(await https.publish('a'), 200);

        await endCertificate(iot, identity.certificateId, ending);
        const answeredAtMs = performance.now();
        for (const device of devices) {
          const { atMs, reasonCode } = await device.closed();
          took(answeredAtMs, atMs);
          assert.equal(reasonCode, version === 5 ? 0x87 : undefined);
        }
        took(answeredAtMs, await https.closedAtMs);
        for (const clientId of clientIds) await unharmed.until(`wills/${clientId} gone`);
        const [clientId = ''] = clientIds;
        assert.equal((await newestRecord(booted, { clientId }))?.reason, 'CERTIFICATE_NO_LONGER_ACTIVE');
        for (const way of ways) await assert.rejects(connect(clientId, way), 'no new connection');
        assert.equal((await newestRecord(booted, { clientId }))?.reason, reasonAfter[ending]);
        assert.equal(await https.publish('a'), 403);
      });
    }
  }
  assert.ok(unharmed.client.connected, 'other certificates stay connected');
});

test('a hundred connections of one certificate all end within a second of its revocation', async (t) => {
  const booted = await bootNode(t);
  const iot = booted.iot();
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  const identity = await makeIdentity(booted.folder, 'many');
  await welcome(iot, booted, identity, 'everything');
  const first = await connectDevice(booted.node, identity, { clientId: 'many-0' });
  const session = await first.session;
  const rest = Array.from({ length: 99 }, (_, index) =>
    connectDevice(booted.node, identity, { clientId: `many-${index + 1}`, session }),
  );
  const devices = [first, ...(await Promise.all(rest))];
  const took = stopwatch(t);
  await endCertificate(iot, identity.certificateId, 'REVOKED');
  const answeredAtMs = performance.now();
  for (const { atMs } of await Promise.all(devices.map((device) => device.closed()))) took(answeredAtMs, atMs);
});

test('a certificate that expires ends its connections at that moment', async (t) => {
  const booted = await bootNode(t);
  const { node, folder } = booted;
  const iot = booted.iot();
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  const identity = await makeIdentity(folder, 'short-lived', { days: 1 });
  await welcome(iot, booted, identity, 'everything');
  const device = await connectDevice(node, identity, { clientId: 'short-lived', version: 5 });
  await node.clock.advance(24 * 60 * 60 * 1000 + 1000);
  assert.equal((await device.closed()).reasonCode, 0x87);
  await assert.rejects(connectDevice(node, identity, { clientId: 'short-lived' }));
  assert.equal((await newestRecord(booted, { clientId: 'short-lived' }))?.reason, 'DEVICE_CERTIFICATE_EXPIRED');
});

/** What the changes below work with: every name is of one test alone. */
interface Scene {
  readonly iot: IoTClient;
  readonly thingName: string;
  /** The certificate's ARN. */
  readonly target: string;
  /** Allows the device's own topic; attached. */
  readonly own: string;
  /** Denies it; made, not attached. */
  readonly denying: string;
  /** Allows something else; attached. */
  readonly spare: string;
}

/** The last is for HTTPS, which has no client id, so no thing stands behind its policy variables. */
const ownTopics = [
  ...['topic', 'topicfilter'].map(
    (type) => `arn:aws:iot:*:*:${type}/\${iot:Connection.Thing.ThingName}/\${iot:Connection.Thing.Attributes[room]}`,
  ),
  'arn:aws:iot:*:*:topic/https/*',
];
const messages = ['iot:Publish', 'iot:Subscribe', 'iot:Receive'];
const allowsOwn = documentOf(allow(messages, ownTopics));
const allowsOther = documentOf(
  allow(messages, ['arn:aws:iot:*:*:topic/other/*', 'arn:aws:iot:*:*:topicfilter/other/*']),
);
const deniesOwn = documentOf({ ...allow(messages, ownTopics), Effect: 'Deny' });
/** For connecting, and for messages that tell that others have passed. */
const allowsRest = documentOf(
  allow('iot:Connect', '*'),
  allow(messages, ['arn:aws:iot:*:*:topic/end/*', 'arn:aws:iot:*:*:topicfilter/end/*']),
);

interface Change {
  readonly name: string;
  /** It changes what policy variables stand for. */
  readonly isOfThing?: true;
  take(scene: Scene): Promise<unknown>;
  giveBack(scene: Scene): Promise<unknown>;
}

const switchTo = ({ iot }: Scene, policyName: string, policyVersionId: string) =>
  iot.send(new SetDefaultPolicyVersionCommand({ policyName, policyVersionId }));

const changes: readonly Change[] = [
  {
    name: 'the policy is detached',
    take: ({ iot, own, target }) => iot.send(new DetachPolicyCommand({ policyName: own, target })),
    giveBack: ({ iot, own, target }) => iot.send(new AttachPolicyCommand({ policyName: own, target })),
  },
  {
    name: 'a new version becomes the default',
    take: ({ iot, own }) =>
      iot.send(new CreatePolicyVersionCommand({ policyName: own, policyDocument: allowsOther, setAsDefault: true })),
    giveBack: (scene) => switchTo(scene, scene.own, '1'),
  },
  {
    name: 'another version is made the default',
    take: (scene) => switchTo(scene, scene.own, '2'),
    giveBack: (scene) => switchTo(scene, scene.own, '1'),
  },
  {
    name: 'a policy with an explicit deny is attached',
    take: ({ iot, denying, target }) => iot.send(new AttachPolicyCommand({ policyName: denying, target })),
    giveBack: ({ iot, denying, target }) => iot.send(new DetachPolicyCommand({ policyName: denying, target })),
  },
  {
    name: 'an explicit deny becomes the default version of another policy',
    take: (scene) => switchTo(scene, scene.spare, '2'),
    giveBack: (scene) => switchTo(scene, scene.spare, '1'),
  },
  {
    name: 'the thing is detached',
    isOfThing: true,
    take: ({ iot, thingName, target }) => iot.send(new DetachThingPrincipalCommand({ thingName, principal: target })),
    giveBack: ({ iot, thingName, target }) =>
      iot.send(new AttachThingPrincipalCommand({ thingName, principal: target })),
  },
  {
    name: "the thing's attribute changes",
    isOfThing: true,
    take: ({ iot, thingName }) =>
      iot.send(new UpdateThingCommand({ thingName, attributePayload: { attributes: { room: 'attic' } } })),
    giveBack: ({ iot, thingName }) =>
      iot.send(new UpdateThingCommand({ thingName, attributePayload: { attributes: { room: 'cellar' } } })),
  },
];

const setScene = async (booted: Booted, iot: IoTClient, thingName: string) => {
  const [own, denying, spare] = [`${thingName}-own`, `${thingName}-denying`, `${thingName}-spare`];
  const versions = [
    [own, allowsOwn, allowsOther],
    [denying, deniesOwn, deniesOwn],
    [spare, allowsOther, deniesOwn],
  ] as const;
  for (const [policyName, first, second] of versions) {
    await iot.send(new CreatePolicyCommand({ policyName, policyDocument: first }));
    await iot.send(new CreatePolicyVersionCommand({ policyName, policyDocument: second }));
  }
  await iot.send(new CreateThingCommand({ thingName, attributePayload: { attributes: { room: 'cellar' } } }));
  const identity = await makeIdentity(booted.folder, thingName);
  const target = await welcome(iot, booted, identity, 'rest', own, spare);
  await iot.send(new AttachThingPrincipalCommand({ thingName, principal: target }));
  const scene: Scene = { iot, thingName, target, own, denying, spare };
  return { scene, identity };
};

const subscribes = async ({ client }: Device, filter: string): Promise<boolean> =>
  client.subscribeAsync(filter, { qos: 1 }).then(
    (granted) => granted.every(({ qos }) => qos < 0x80),
    () => false,
  );

test('the first publish, subscribe and delivery after a change of rights are judged anew, without reconnecting (spec policy 7)', async (t) => {
  const booted = await bootNode(t);
  const { node, folder } = booted;
  const iot = booted.iot();
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  await iot.send(new CreatePolicyCommand({ policyName: 'rest', policyDocument: allowsRest }));
  const station = await makeIdentity(folder, 'station');
  await welcome(iot, booted, station, 'everything');
  const sender = await connectDevice(node, station, { clientId: 'station' });
  const took = stopwatch(t);

  const ways: readonly (readonly [way: string, Omit<DeviceOptions, 'clientId'>])[] = [
    ['v4', { version: 4 }],
    ['v5', { version: 5 }],
    ['v4, in a session that is kept', { version: 4, clean: false }],
    ['v5 over WebSocket, in a session that is kept', { version: 5, clean: false, transport: 'websocket' }],
  ];
  for (const [number, change] of changes.entries()) {
    for (const [kind, [way, how]] of ways.entries()) {
      await t.test(`${change.name}, ${way}`, async (t) => {
        const { version, clean = true } = how;
        const thingName = `pump-${number}-${kind}`;
        const topic = `${thingName}/cellar`;
        const end = `end/${thingName}`;
        const { scene, identity } = await setScene(booted, iot, thingName);
        const options: DeviceOptions = { clientId: thingName, ...how };
        const https = await openHttps(t, booted, identity);
        const qos = clean ? 0 : 1;
        const device = await connectDevice(node, identity, options);
        assert.ok(await subscribes(device, topic));
        assert.ok(await subscribes(device, end));
        await device.client.publishAsync(topic, 'before', { qos: 1 });
        await device.until(`${topic} before`);
        assert.equal(await https.publish('https/a'), 200);

        await change.take(scene);
        let answeredAtMs = performance.now();
        sender.client.publish(topic, 'taken', { qos });
        sender.client.publish(end, 'taken', { qos });
        await device.until(`${end} taken`);
        took(answeredAtMs);
        assert.equal(await https.publish('https/a'), change.isOfThing ? 200 : 403);
        took(answeredAtMs);
        assert.ok(!device.received.includes(`${topic} taken`), 'the first delivery is denied');
        assert.ok(!(await subscribes(device, topic)), 'subscribing is denied');
        assert.ok(device.client.connected, 'neither ends the connection');

        await change.giveBack(scene);
        answeredAtMs = performance.now();
        sender.client.publish(topic, 'given back', { qos });
        await device.until(`${topic} given back`);
        took(answeredAtMs);
        assert.equal(await https.publish('https/a'), 200);
        assert.equal(https.connections(), 1, 'over the same connection');
        assert.ok(await subscribes(device, topic));
        await device.client.publishAsync(topic, 'again', { qos: 1 });

        // the publisher's own right, and the subscriber's: no delivery went before
        await change.take(scene);
        answeredAtMs = performance.now();
        if (version === 5) {
          await assert.rejects(device.client.publishAsync(topic, 'denied', { qos: 1 }), { code: 0x87 });
          took(answeredAtMs);
          device.client.publish(topic, 'denied');
          assert.equal((await device.closed()).reasonCode, 0x87);
        } else {
          device.client.publish(topic, 'denied', { qos: 1 });
          took(answeredAtMs, (await device.closed()).atMs);
        }
        const record = await newestRecord(booted, { clientId: thingName });
        assert.equal(record?.reason, 'AUTHORIZATION_FAILURE');
        assert.equal(record.action, 'iot:Publish');

        await change.giveBack(scene);
        if (!clean) {
          await sender.client.publishAsync(topic, 'kept', { qos: 1 });
          await sender.client.publishAsync(end, 'kept', { qos: 1 });
        }
        await change.take(scene);
        const again = await connectDevice(node, identity, options);
        if (!clean) {
          await again.until(`${end} kept`);
          assert.ok(!again.received.includes(`${topic} kept`), 'what waited is judged when it is delivered');
        }
        answeredAtMs = performance.now();
        assert.ok(!(await subscribes(again, topic)), 'the first subscription is denied');
        await change.giveBack(scene);
        answeredAtMs = performance.now();
        assert.ok(await subscribes(again, topic), 'the first subscription is allowed');
        took(answeredAtMs);
        await again.client.endAsync();
      });
    }
  }
});

for (const tls of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a resumed ${tls} session is judged anew: it carries a certificate past no change (design 2.8)`, async (t) => {
    const booted = await bootNode(t);
    const { node, folder } = booted;
    const iot = booted.iot();
    await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
    const identity = await makeIdentity(folder, 'device');
    const { certificateId } = identity;
    const target = await welcome(iot, booted, identity, 'everything');
    const first = await connectDevice(node, identity, { clientId: 'device', tls });
    const session = await first.session;
    await first.client.endAsync();
    const resume = async () => {
      const resumed = await connectDevice(node, identity, { clientId: 'device', tls, session });
      assert.ok(resumed.socket.isSessionReused());
      await resumed.client.endAsync();
    };
    const refused = async (reason: string) => {
      await assert.rejects(resume(), /was not let in/);
      const record = await newestRecord(booted, { clientId: 'device' });
      assert.equal(record?.reason, reason);
      assert.equal(record.tls?.resumed, true, 'the session itself was resumed');
    };
    const setStatus = (newStatus: 'ACTIVE' | 'INACTIVE' | 'REVOKED') =>
      iot.send(new UpdateCertificateCommand({ certificateId, newStatus }));

    await resume();
    await iot.send(new DetachPolicyCommand({ policyName: 'everything', target }));
    await refused('AUTHORIZATION_FAILURE');
    await iot.send(new AttachPolicyCommand({ policyName: 'everything', target }));
    await resume();
    await setStatus('INACTIVE');
    await refused('DEVICE_CERTIFICATE_INACTIVE');
    await setStatus('ACTIVE');
    await resume();
    await setStatus('REVOKED');
    await refused('DEVICE_CERTIFICATE_REVOKED');
    await iot.send(new DeleteCertificateCommand({ certificateId, forceDelete: true }));
    await refused('DEVICE_CERTIFICATE_NOT_REGISTERED');
  });
}
