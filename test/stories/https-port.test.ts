/**
 * The ports of HTTPS with the clients that people have: curl, MQTT.js over wss, mosquitto, the SDK. What they may, what they are refused, and that nothing
 * they hold open or keep from before gets them past the registry. Source: spec gateway.md 1 to 4, checks 2, 3, 9, 10, 34; design 2.8 and 3.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { AttachPolicyCommand, UpdateCertificateCommand } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { presignUrl } from '../../src/aws/sigv4.ts';
import { bash, type Identity, put } from '../harness.ts';
import { publish } from '../mosquitto.ts';
import { bootFleet, explainedAs, type Fleet, noConnack, published } from '../refusal.ts';

const key = { accessKeyId: 'test', secretAccessKey: 'test' };
const temporaryKey = { accessKeyId: 'ASIA000000000000', secretAccessKey: 'test' };

const presignedUrl = ({ node }: Fleet, changed: Partial<Parameters<typeof presignUrl>[0]> = {}): string =>
  presignUrl({
    method: 'GET',
    url: `https://localhost:${node.httpsPort}/mqtt`,
    ...key,
    region: node.account.region,
    service: 'iotdevicegateway',
    nowMs: Date.now(),
    expiresSeconds: 300,
    ...changed,
  }).replace('https:', 'wss:');

const filesOf = async ({ certFile, keyFile }: Identity) => ({
  cert: await readFile(certFile),
  key: await readFile(keyFile),
});

/** MQTT.js, accepted by the server; rejects when it was not. Gone with the test. */
const open = async (
  t: TestContext,
  { node }: Fleet,
  url: string,
  options: IClientOptions = {},
): Promise<MqttClient> => {
  const client = mqtt.connect(url, { ca: node.rootPem, reconnectPeriod: 0, ...options });
  t.after(() => client.end(true));
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
    client.stream.once('error', reject); // what a WebSocket is refused with is told here only
    client.once('close', () => reject(new Error('closed')));
  });
  return client;
};

/** What a client receives next on a topic, once it is subscribed. */
const listen = async (client: MqttClient, topic: string): Promise<{ readonly next: Promise<string> }> => {
  const next = new Promise<string>((resolve) => {
    client.on('message', (on, payload) => on === topic && resolve(String(payload)));
  });
  await client.subscribeAsync(topic, { qos: 1 });
  return { next };
};

const curl = ({ node, folder }: Fleet, args: string, path: string) =>
  bash(`curl -sS --cacert '${node.rootFile}' -w '%{http_code}' ${args} 'https://localhost:${node.httpsPort}${path}'`, {
    cwd: folder,
  });

test('the clients that people have are let in, by certificate and by signature', async (t) => {
  const fleet = await bootFleet(t);
  const { node, folder, client: iot } = fleet;
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const certificate = await filesOf(device);
  const wss = `wss://localhost:${node.httpsPort}/mqtt`;

  for (const protocolVersion of [4, 5] as const) {
    await t.test(`MQTT.js over wss with a certificate, version ${protocolVersion}`, async (t) => {
      const client = await open(t, fleet, wss, { ...certificate, protocolVersion });
      const heard = await listen(client, 'a/b');
      await client.publishAsync('a/b', 'hello', { qos: 1 });
      assert.equal(await heard.next, 'hello');
    });
  }

  const forms: [form: string, url: string][] = [
    ['a long-lived key', presignedUrl(fleet)],
    [
      'a temporary key whose token follows the signature (check 9)',
      `${presignedUrl(fleet, temporaryKey)}&X-Amz-Security-Token=test`,
    ],
    ['a temporary key whose token is signed', presignedUrl(fleet, { ...temporaryKey, sessionToken: 'test' })],
  ];
  for (const [form, url] of forms) {
    await t.test(`MQTT.js over wss with a presigned URL: ${form}`, async (t) => {
      const client = await open(t, fleet, url);
      const heard = await listen(client, 'a/b');
      await client.publishAsync('a/b', 'signed', { qos: 1 });
      assert.equal(await heard.next, 'signed');
    });
  }

  await t.test('MQTT by ALPN x-amzn-mqtt-ca: mosquitto and MQTT.js (check 2)', async (t) => {
    const { code, printed } = await publish(fleet.as(device, { port: node.httpsPort, alpn: 'x-amzn-mqtt-ca' }), 'a/b');
    assert.match(printed, published);
    assert.equal(code, 0);
    const url = `mqtts://localhost:${node.httpsPort}`;
    const client = await open(t, fleet, url, { ...certificate, ALPNProtocols: ['x-amzn-mqtt-ca'] });
    // with mqtts MQTT.js's stream is a TLS socket
    assert.equal((client.stream as TLSSocket).alpnProtocol, 'x-amzn-mqtt-ca');
  });

  await t.test('curl with a certificate, and with a key (check 34); the SDK', async (t) => {
    const listener = await open(t, fleet, wss, certificate);
    const ask = async (said: string, publishIt: () => Promise<unknown>): Promise<void> => {
      const heard = await listen(listener, `from/${said}`);
      await publishIt();
      assert.equal(await heard.next, said);
    };
    const identity = `--cert '${device.certFile}' --key '${device.keyFile}'`;
    await ask('certificate', async () => {
      const { stdout } = await curl(fleet, `${identity} -d certificate`, '/topics/from%2Fcertificate?qos=1');
      assert.match(stdout, /^\{"message":"OK","traceId":"[0-9a-f-]{36}"\}200$/);
    });
    await ask('key', async () => {
      const signer = `--aws-sigv4 aws:amz:${node.account.region}:iotdata --user test:test`;
      const { stdout } = await curl(fleet, `${signer} -d key`, '/topics/from/key');
      assert.match(stdout, /^\{"message":"OK".*200$/);
    });
    await ask('sdk', async () => {
      const sdk = new IoTDataPlaneClient({
        endpoint: `https://localhost:${node.httpsPort}`,
        region: node.account.region,
        credentials: key,
        requestHandler: { httpsAgent: new Agent({ ca: node.rootPem }) },
      });
      t.after(() => sdk.destroy());
      await sdk.send(new PublishCommand({ topic: 'from/sdk', qos: 1, payload: Buffer.from('sdk') }));
    });
  });

  await t.test('a policy is asked over HTTPS as over MQTT', async () => {
    await fleet.policy('one-topic', [['iot:Publish', 'topic/mine']]);
    const narrow = await fleet.device('narrow');
    const target = fleet.certificateArn(narrow);
    await iot.send(new AttachPolicyCommand({ policyName: 'one-topic', target }));
    const identity = `--cert '${narrow.certFile}' --key '${narrow.keyFile}' -d x`;
    assert.match((await curl(fleet, identity, '/topics/mine')).stdout, /200$/);
    const denied = await curl(fleet, `${identity} -D headers`, '/topics/yours');
    assert.match(denied.stdout, /403$/);
    assert.match(await readFile(`${folder}/headers`, 'utf8'), /^x-amzn-errortype: ForbiddenException\r$/im);
    await explainedAs(fleet, /iot:Publish/);
  });
});

test('who is refused is told so before the upgrade, and `fleetgate explain` names the cause', async (t) => {
  const fleet = await bootFleet(t);
  const { node } = fleet;
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const stranger = await fleet.device('stranger', { status: 'INACTIVE', policyName: 'everything' });
  const wss = `wss://localhost:${node.httpsPort}/mqtt`;

  const url = presignedUrl(fleet);
  const last = url.endsWith('0') ? '1' : '0';
  const refusals: [rule: string, url: string, options: IClientOptions, cause: RegExp][] = [
    ['a tampered signature (check 10)', url.slice(0, -1) + last, {}, /does not belong to the request/],
    ['a signature of yesterday', presignedUrl(fleet, { nowMs: Date.now() - 86_400_000 }), {}, /has expired/],
    [
      'a key of another account',
      presignedUrl(fleet, { accessKeyId: '111111111111' }),
      {},
      /belongs to another account than the host name/,
    ],
    ['nothing', wss, {}, /neither a certificate nor a signature/],
    ['a certificate that is INACTIVE', wss, await filesOf(stranger), /INACTIVE/],
  ];
  for (const [rule, target, options, cause] of refusals) {
    await t.test(rule, async (t) => {
      await assert.rejects(open(t, fleet, target, options), /Unexpected server response: 403/);
      await explainedAs(fleet, cause);
    });
  }
  await t.test('a page of a foreign origin, though it knows the development key', async (t) => {
    const wsOptions = { headers: { origin: 'https://evil.example' } };
    await assert.rejects(open(t, fleet, presignedUrl(fleet), { wsOptions }), /Unexpected server response: 403/);
  });
  await t.test('another path', async (t) => {
    const options = await filesOf(device);
    await assert.rejects(open(t, fleet, `wss://localhost:${node.httpsPort}/other`, options), /response: 404/);
  });
  await t.test('mosquitto without ALPN (check 3)', async () => {
    const { printed } = await publish(fleet.as(device, { port: node.httpsPort }), 'a/b');
    assert.match(printed, noConnack);
    await explainedAs(fleet, /spoke MQTT where HTTPS is expected/);
  });
});

/** A GET on a connection of its own, over a TLS session if one is given. */
const visit = (
  { node }: Fleet,
  certificate: { readonly cert: Buffer; readonly key: Buffer },
  session?: Buffer,
): Promise<{ status: number; resumed: boolean; session: Buffer | undefined }> =>
  new Promise((resolve, reject) => {
    let ticket: Buffer | undefined;
    const outgoing = request(
      {
        ...{ host: 'localhost', port: node.httpsPort, path: '/topics/a', method: 'POST', agent: false },
        ...{ ca: node.rootPem, ...certificate, ...(session && { session }) },
      },
      (answer) => {
        const resumed = (answer.socket as TLSSocket).isSessionReused();
        answer.resume().on('end', () => resolve({ status: answer.statusCode ?? 0, resumed, session: ticket }));
      },
    );
    outgoing.on('socket', (socket) => {
      // over HTTPS it is a TLS socket
      (socket as TLSSocket).on('session', (given) => {
        ticket = given;
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });

test('a certificate that is deactivated ends its connections, and a resumed session gets it no further (design 2.8, 5)', async (t) => {
  const fleet = await bootFleet(t);
  const { client: iot, node } = fleet;
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const certificate = await filesOf(device);
  const { status, session } = await visit(fleet, certificate);
  assert.equal(status, 200);
  assert.ok(session);
  const again = await visit(fleet, certificate, session);
  assert.deepEqual([again.status, again.resumed], [200, true]);

  const websocket = await open(t, fleet, `wss://localhost:${node.httpsPort}/mqtt`, certificate);
  const closed = new Promise((resolve) => websocket.once('close', () => resolve(undefined)));
  const http = connect({
    host: 'localhost',
    servername: 'localhost',
    port: node.httpsPort,
    ca: node.rootPem,
    ...certificate,
  });
  http.write('POST /topics/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n');
  assert.match(String((await once(http, 'data'))[0]), /^HTTP\/1\.1 200 /);
  const httpClosed = once(http.resume(), 'close');

  await iot.send(new UpdateCertificateCommand({ certificateId: device.certificateId, newStatus: 'INACTIVE' }));
  const answeredAtMs = performance.now();
  await Promise.all([closed, httpClosed]);
  const tookMs = performance.now() - answeredAtMs;
  t.diagnostic(`both connections were closed after ${tookMs.toFixed(1)} ms`);
  assert.ok(tookMs < 1000);

  const resumed = await visit(fleet, certificate, session);
  assert.deepEqual([resumed.status, resumed.resumed], [403, true]);
  await explainedAs(fleet, /INACTIVE/);
});

test('slow-loris: connections that never finish what they begin keep nobody out', async (t) => {
  const fleet = await bootFleet(t);
  const { node, folder } = fleet;
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const certificate = await filesOf(device);
  await put(folder, 'payload', 'x');
  const begin = async (bytes: string): Promise<TLSSocket> => {
    const socket = connect({
      host: 'localhost',
      servername: 'localhost',
      port: node.httpsPort,
      ca: node.rootPem,
      ...certificate,
    });
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    socket.write(bytes);
    return socket;
  };
  const head = 'POST /topics/a HTTP/1.1\r\nhost: localhost\r\n';
  const upgrade = 'GET /mqtt HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n';
  const webSocket = `${upgrade}sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
  const beginnings = ['', 'P', head, `${head}content-length: 9\r\n\r\nx`, upgrade, webSocket];
  for (let round = 0; round < 50; round++) await Promise.all(beginnings.map(begin));

  const started = performance.now();
  for (let i = 0; i < 10; i++) assert.equal((await visit(fleet, certificate)).status, 200);
  const client = await open(t, fleet, `wss://localhost:${node.httpsPort}/mqtt`, certificate);
  const heard = await listen(client, 'a');
  await client.publishAsync('a', 'through', { qos: 1 });
  assert.equal(await heard.next, 'through');
  t.diagnostic(`12 healthy visits beside 300 stalled ones took ${(performance.now() - started).toFixed(0)} ms`);
});
