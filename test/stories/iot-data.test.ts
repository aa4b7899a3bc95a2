/**
 * The data plane's operations as their users have them: the SDK's client over the API's port, devices that speak MQTT beside it, and requests byte by byte
 * where an answer says more than the SDK tells. Source: spec gateway.md 3, 4; checks 27, 34, 35.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import { AttachThingPrincipalCommand, CreateThingCommand, UpdateCertificateCommand } from '@aws-sdk/client-iot';
import {
  DeleteConnectionCommand,
  GetConnectionCommand,
  GetRetainedMessageCommand,
  GetThingShadowCommand,
  ListRetainedMessagesCommand,
  ListSubscriptionsCommand,
  PublishCommand,
  SendDirectMessageCommand,
} from '@aws-sdk/client-iot-data-plane';
import { signRequest } from '../../src/aws/sigv4.ts';
import { uuid } from '../checked-answers.ts';
import { connectDevice, type DeviceOptions } from '../device.ts';
import type { Identity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { bootFleet, type Fleet } from '../refusal.ts';

interface Scene {
  readonly fleet: Fleet;
  readonly data: ReturnType<Fleet['iotData']>;
  connect(clientId: string, options?: Partial<DeviceOptions>): ReturnType<typeof connectDevice>;
}

interface Raw {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** One signed request, byte by byte; `secret` may be wrong. */
const request = async (
  { fleet }: Scene,
  target: string,
  { method = 'POST', body = '', headers = {}, secret = 'test' } = {},
): Promise<Raw> => {
  const { node } = fleet;
  const { accountId, region } = node.account;
  const url = `${node.apiUrl}${target}`;
  const signed = signRequest({
    ...{ method, url, body, headers, region, service: 'iotdata', nowMs: Date.now() },
    ...{ accessKeyId: accountId, secretAccessKey: secret },
  });
  const { host: _, ...sent } = signed;
  const response = await fetch(url, { method, headers: sent, ...(body !== '' && { body }) });
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
};

/** One request with a device's certificate, on the port of HTTPS. */
const deviceRequest = async (
  { fleet }: Scene,
  { certFile, keyFile }: Identity,
  { path, method = 'POST', body = '' }: { path: string; method?: string; body?: string },
) => {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const { node } = fleet;
  return new Promise<{ status: number; errorType: string; body: Record<string, unknown> }>((resolve, reject) => {
    const sent = httpsRequest(
      {
        ...{ host: '127.0.0.1', port: node.httpsPort, servername: 'localhost', headers: { host: 'localhost' } },
        ...{ ca: node.rootPem, cert, key, method, path, agent: false },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            errorType: String(response.headers['x-amzn-errortype'] ?? ''),
            body: text === '' ? {} : JSON.parse(text),
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
};

const isRefused = (name: string, status: number) => (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
  assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [name, status]);
  return true;
};

/** Each with the scene of one node, which they share. */
const stories: [title: string, tell: (scene: Scene) => Promise<void>][] = [];
const story = (title: string, tell: (scene: Scene) => Promise<void>): void => {
  stories.push([title, tell]);
};

story('a publish by the SDK reaches a device', async ({ data, connect }) => {
  const device = await connect('listener', { version: 5 });
  await device.client.subscribeAsync('a/#', { qos: 1 });
  const packets: object[] = [];
  device.client.on('message', (_topic, _payload, packet) => packets.push({ ...packet.properties }));
  await data.send(
    new PublishCommand({
      topic: 'a/ä b',
      qos: 1,
      payload: 'hello',
      contentType: 'text/plain',
      responseTopic: 'answers',
      correlationData: Buffer.from('one').toString('base64'),
      payloadFormatIndicator: 'UTF8_DATA',
      messageExpiry: 60,
      userProperties: '[{"name":"välue"}]', // the SDK does not encode an array as it should
    }),
  );
  await device.until('a/ä b hello');
  const { messageExpiryInterval, ...properties } = JSON.parse(JSON.stringify(packets[0]));
  assert.ok(messageExpiryInterval > 50 && messageExpiryInterval <= 60, 'what is left of it');
  assert.deepEqual(properties, {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: JSON.parse(JSON.stringify(Buffer.from('one'))),
    userProperties: { name: 'välue' },
  });
});

const targets: [target: string, topic: string][] = [
  ['/topics/a%2Fb?qos=1', 'a/b'],
  ['/topics/a/b?qos=1', 'a/b'],
  ['/topics/a%252Fb', 'a%2Fb'],
  ['/topics/a%20%2B%3F', ''],
];
for (const [target, topic] of targets) {
  story(
    `POST ${target} is ${topic === '' ? 'refused: a wildcard' : `a publish to ${topic}`} (check 34)`,
    async (scene) => {
      const device = await scene.connect('topics');
      await device.client.subscribeAsync('#');
      const { status, headers, body } = await request(scene, target, {
        body: 'x',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      const requestId = headers.get('x-amzn-requestid') ?? '';
      assert.match(requestId, uuid);
      assert.equal(headers.get('content-type'), 'application/json');
      if (topic === '') {
        assert.deepEqual([status, headers.get('x-amzn-errortype')], [400, 'InvalidRequestException']);
        assert.deepEqual(Object.keys(body), ['message', 'traceId']);
        assert.equal(body['traceId'], requestId);
      } else {
        assert.equal(status, 200);
        assert.deepEqual(body, { message: 'OK', traceId: requestId });
        await device.until(`${topic} x`);
      }
    },
  );
}

story('a wrong signature is 403 ForbiddenException with a traceId (spec gateway.md 3)', async (scene) => {
  const { status, headers, body } = await request(scene, '/topics/a', { secret: 'wrong' });
  assert.deepEqual([status, headers.get('x-amzn-errortype')], [403, 'ForbiddenException']);
  assert.equal(body['traceId'], headers.get('x-amzn-requestid'));
});

story('a body over the limit is 413, a message over 128 KB too', async (scene) => {
  for (const bytes of [131_073, 2_000_000]) {
    const { status, headers } = await request(scene, '/topics/a', { body: 'x'.repeat(bytes) });
    assert.deepEqual([status, headers.get('x-amzn-errortype')], [413, 'RequestEntityTooLargeException'], `${bytes}`);
  }
  const { status } = await request(scene, '/topics/a', { body: 'x'.repeat(131_072) });
  assert.equal(status, 200);
});

story('shadows are still to come: 501', async ({ data }) => {
  const asked = data.send(new GetThingShadowCommand({ thingName: 'a' }));
  await assert.rejects(asked, isRefused('NotImplementedException', 501));
});

story(
  'what is retained is listed and fetched, until an empty message clears it (check 27)',
  async ({ data, connect }) => {
    const device = await connect('retained');
    await device.client.subscribeAsync('keep/#');
    for (const topic of ['keep/b', 'keep/a', 'keep/c']) {
      await data.send(
        new PublishCommand({
          topic,
          payload: `of ${topic}`,
          qos: 1,
          retain: true,
          userProperties: '[{"a":"1"},{"a":"2"}]',
        }),
      );
    }
    const before = Date.now();
    await device.client.publishAsync('keep/b', 'newer', { retain: true, qos: 1 });
    const listed: (string | undefined)[] = [];
    let nextToken: string | undefined;
    do {
      const page = await data.send(new ListRetainedMessagesCommand({ maxResults: 2, nextToken }));
      listed.push(
        ...(page.retainedTopics ?? []).map(({ topic }) => topic).filter((topic) => topic?.startsWith('keep/')),
      );
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    assert.deepEqual(listed, ['keep/a', 'keep/b', 'keep/c']);
    const { $metadata: _, ...a } = await data.send(new GetRetainedMessageCommand({ topic: 'keep/a' }));
    assert.deepEqual(
      {
        ...a,
        payload: Buffer.from(a.payload ?? '').toString(),
        userProperties: Buffer.from(a.userProperties ?? '').toString(),
      },
      {
        topic: 'keep/a',
        payload: 'of keep/a',
        qos: 1,
        lastModifiedTime: a.lastModifiedTime,
        userProperties: '[{"a":"1"},{"a":"2"}]',
      },
    );
    const b = await data.send(new GetRetainedMessageCommand({ topic: 'keep/b' }));
    assert.deepEqual([Buffer.from(b.payload ?? '').toString(), b.userProperties], ['newer', undefined]);
    assert.ok((b.lastModifiedTime ?? 0) >= before);

    await data.send(new PublishCommand({ topic: 'keep/a', retain: true }));
    await device.until('keep/a ');
    const gone = data.send(new GetRetainedMessageCommand({ topic: 'keep/a' }));
    await assert.rejects(gone, isRefused('ResourceNotFoundException', 404));
  },
);

story(
  'a connection is described, its subscriptions are listed, and it is ended (check 35)',
  async ({ data, connect, fleet }) => {
    const watcher = await connect('watcher');
    await watcher.client.subscribeAsync(['$aws/events/presence/disconnected/+', 'wills']);
    const device = await connect('described', { version: 5, will: { topic: 'wills', payload: 'gone' } });
    await device.client.subscribeAsync({ 'x/+': { qos: 1 }, '$share/g/y': { qos: 0 } });
    const { $metadata: _, ...told } = await data.send(
      new GetConnectionCommand({ clientId: 'described', includeSocketInformation: true }),
    );
    assert.deepEqual(told, {
      ...{ connected: true, clientId: 'described', cleanSession: true, sessionExpiry: 0, keepAliveDuration: 60 },
      connectedSince: told.connectedSince,
      ...{ sourceIp: '127.0.0.1', sourcePort: device.socket.localPort },
      ...{ targetIp: '127.0.0.1', targetPort: fleet.node.mqttPort },
    });
    const { subscriptions } = await data.send(new ListSubscriptionsCommand({ clientId: 'described' }));
    assert.deepEqual(subscriptions, [
      { topicFilter: '$share/g/y', qos: 0 },
      { topicFilter: 'x/+', qos: 1 },
    ]);
    await data.send(new DeleteConnectionCommand({ clientId: 'described', preventWillMessage: true }));
    assert.equal((await device.closed()).reasonCode, 0x98);
    while (!watcher.received.some((message) => message.includes('API_INITIATED_DISCONNECT'))) {
      await new Promise<void>((resolve) => watcher.client.once('message', () => resolve()));
    }
    assert.ok(!watcher.received.includes('wills gone'));
    const clientId = 'described';
    const isMissing = isRefused('ResourceNotFoundException', 404);
    await assert.rejects(data.send(new GetConnectionCommand({ clientId })), isMissing);
    await assert.rejects(data.send(new ListSubscriptionsCommand({ clientId })), isMissing);
    await assert.rejects(data.send(new DeleteConnectionCommand({ clientId })), isMissing);
  },
);

story('a direct message arrives, confirmed or not; nobody there is 404, no answer 504', async (scene) => {
  const { data, connect, fleet } = scene;
  const device = await connect('direct');
  const message = { clientId: 'direct', topic: 'orders/1', payload: 'go' };
  const { $metadata, ...answer } = await data.send(new SendDirectMessageCommand({ ...message, confirmation: true }));
  assert.deepEqual(answer, { message: 'OK', traceId: $metadata.requestId });
  await data.send(new SendDirectMessageCommand({ ...message, payload: 'slow' }));
  await device.until('orders/1 slow');
  assert.deepEqual(device.received, ['orders/1 go', 'orders/1 slow']);

  device.client.handleMessage = () => undefined; // never acknowledged
  const arrived = new Promise<void>((resolve) => device.client.once('packetreceive', () => resolve()));
  const unanswered = assert.rejects(
    data.send(new SendDirectMessageCommand({ ...message, confirmation: true, timeout: 15 })),
    isRefused('GatewayTimeoutException', 504),
  );
  await arrived;
  await fleet.node.clock.advance(16_000);
  await unanswered;
  const nobody = data.send(new SendDirectMessageCommand({ ...message, clientId: 'nobody' }));
  await assert.rejects(nobody, isRefused('ResourceNotFoundException', 404));
});

story('a device publishes with its certificate over HTTPS, as its policies allow (check 34)', async (scene) => {
  const { fleet, connect } = scene;
  await fleet.policy('http', [
    ['iot:Publish', 'topic/ok/*'],
    ['iot:RetainPublish', 'topic/ok/kept'],
    ['iot:GetRetainedMessage', 'topic/ok/*'],
    ['iot:ListRetainedMessages', '*'],
    ['iot:DeleteConnection', 'client/others'],
    ['iot:GetConnection', 'client/others'],
    ['iot:SendDirectMessage', 'client/others'],
  ]);
  const sensor = await fleet.device('http', { policyName: 'http' });
  const device = await connect('others');
  await device.client.subscribeAsync('#');
  const ask = (path: string, method = 'POST', body = '') => deviceRequest(scene, sensor, { path, method, body });
  const published = await ask('/topics/ok%2Fb?qos=1', 'POST', 'over https');
  assert.deepEqual([published.status, published.body['message']], [200, 'OK']);
  assert.match(String(published.body['traceId']), uuid);
  await device.until('ok/b over https');
  assert.equal((await ask('/topics/ok/kept?retain=true', 'POST', 'kept')).status, 200);
  assert.equal(
    (await ask('/retainedMessage/ok%2Fkept', 'GET')).body['payload'],
    Buffer.from('kept').toString('base64'),
  );
  assert.equal((await ask('/retainedMessage', 'GET')).status, 200);
  assert.equal((await ask('/connections/others', 'GET')).body['connected'], true);
  assert.equal((await ask('/connections/others/messages?topic=direct', 'POST', 'to you')).status, 200);
  await device.until('direct to you');

  const denied: [path: string, method: string, asked: RegExp][] = [
    ['/topics/no', 'POST', /iot:Publish on "topic\/no"/],
    ['/topics/ok/b?retain=true', 'POST', /iot:RetainPublish on "topic\/ok\/b"/],
    ['/retainedMessage/no', 'GET', /iot:GetRetainedMessage on "topic\/no"/],
    ['/connections/http', 'GET', /iot:GetConnection on "client\/http"/],
    ['/connections/others/subscriptions', 'GET', /iot:ListSubscriptions on "client\/others"/],
    ['/connections/http', 'DELETE', /iot:DeleteConnection on "client\/http"/],
    ['/connections/http/messages?topic=a', 'POST', /iot:SendDirectMessage on "client\/http"/],
  ];
  for (const [path, method, asked] of denied) {
    const { status, errorType, body } = await ask(path, method);
    assert.deepEqual([status, errorType], [403, 'ForbiddenException'], path);
    assert.match(String(body['traceId']), uuid);
    const { records } = await readJournal(fleet.node, fleet.node.account, { failures: 'true', limit: '1' });
    assert.match(records[0]?.sentence ?? '', asked);
    assert.equal(records[0]?.record.certificateId, sensor.certificateId);
    assert.match(records[0]?.commands[0] ?? '', /^aws iot get-policy /);
  }
  assert.equal((await ask('/connections/others', 'DELETE')).status, 200);
  await device.closed();
});

story('neither client id nor thing has a value over HTTPS (spec gateway.md 3, policy.md 4.4)', async (scene) => {
  const { fleet } = scene;
  await fleet.policy('variables', [
    ['iot:Publish', 'topic/thing/${iot:Connection.Thing.ThingName}'],
    ['iot:Publish', 'topic/client/${iot:ClientId}'],
    ['iot:Publish', 'topic/certificate/${iot:CertificateId}'],
  ]);
  const sensor = await fleet.device('variables', { policyName: 'variables' });
  await fleet.client.send(new CreateThingCommand({ thingName: 'valve' }));
  const attachment = { thingName: 'valve', principal: fleet.certificateArn(sensor) };
  await fleet.client.send(new AttachThingPrincipalCommand({ ...attachment, thingPrincipalType: 'EXCLUSIVE_THING' }));
  const post = async (topic: string) => (await deviceRequest(scene, sensor, { path: `/topics/${topic}` })).status;
  assert.deepEqual([await post('thing/valve'), await post('client/'), await post('client/valve')], [403, 403, 403]);
  assert.equal(await post(`certificate/${sensor.certificateId}`), 200);
});

story('a certificate that is no longer ACTIVE publishes nothing over HTTPS', async (scene) => {
  const { fleet } = scene;
  const sensor = await fleet.device('former', { policyName: 'everything' });
  const post = async () => (await deviceRequest(scene, sensor, { path: '/topics/a' })).status;
  assert.equal(await post(), 200);
  const { certificateId } = sensor;
  await fleet.client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  assert.equal(await post(), 403);
});

story('the journal explains what was refused', async ({ data, fleet }) => {
  await assert.rejects(data.send(new DeleteConnectionCommand({ clientId: 'nobody at all' })));
  const { records } = await readJournal(fleet.node, fleet.node.account, { failures: 'true', limit: '1' });
  const [latest] = records;
  assert.match(latest?.sentence ?? '', /^DeleteConnection named the client id "nobody at all": No client is connected/);
  assert.deepEqual([latest?.record.eventType, latest?.record.protocol], ['DeleteConnection', 'HTTP']);
});

test('the data plane by calls', async (t) => {
  const fleet = await bootFleet(t);
  const identity: Identity = await fleet.device('device', { policyName: 'everything' });
  const data = fleet.iotData();
  for (const [title, tell] of stories) {
    await t.test(title, async () => {
      const open: Awaited<ReturnType<typeof connectDevice>>[] = [];
      const connect: Scene['connect'] = async (clientId, options) => {
        const device = await connectDevice(fleet.node, identity, { clientId, ...options });
        open.push(device);
        return device;
      };
      await tell({ fleet, data, connect });
      for (const device of open) device.client.end(true);
    });
  }
});
