/**
 * Spec gateway.md 14 on the ports of HTTPS and WebSocket, and what 5.8 and 5.13 say of closes that only those can make: raw requests over TLS, and raw
 * packets inside frames.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { DeleteConnectionCommand } from '@aws-sdk/client-iot-data-plane';
import { createWebSocketStream, WebSocket } from 'ws';
import { presignUrl } from '../../src/aws/sigv4.ts';
import { handshake, RawMqtt, shown, subscribe, type Version, versions } from '../raw-mqtt.ts';
import { bothVersions, connectPacket, name, openScene } from './bed.ts';

test('gateway.md 14, 5.8 and 5.13 on the ports of HTTPS', async (t) => {
  const scene = await openScene(t);
  const { node, device } = scene;
  const port = node.httpsPort;
  const clientTls = { ca: node.rootPem, cert: device.certificatePem, key: readFileSync(device.keyFile) };
  const data = scene.fleet.iotData();

  /** Temporary credentials; their token is appended after the signing, as device SDKs do (spec gateway.md 2.1). */
  const presigned = (): string => {
    const url = presignUrl({
      ...{ method: 'GET', url: `wss://localhost:${port}/mqtt`, body: '', service: 'iotdevicegateway' },
      ...{ region: node.account.region, accessKeyId: `ASIA${node.account.accountId}`, secretAccessKey: 'test' },
      ...{ nowMs: Date.now(), expiresSeconds: 300 },
    });
    return `${url}&X-Amz-Security-Token=test`;
  };
  const upgrade = (url: string): Promise<{ status: number; protocol: string | undefined }> =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(url, 'mqtt', { ca: node.rootPem });
      ws.on('upgrade', ({ statusCode = 0, headers }) =>
        resolve({ status: statusCode, protocol: headers['sec-websocket-protocol'] }),
      );
      ws.on('open', () => ws.terminate());
      ws.on('unexpected-response', (asked, { statusCode = 0 }) => {
        asked.destroy();
        resolve({ status: statusCode, protocol: undefined });
      });
      ws.on('error', reject);
    });
  /** A client over a WebSocket that is signed; CONNACK is taken. */
  const overWebSocket = async (version: Version, clientId: string) => {
    const ws = new WebSocket(presigned(), 'mqtt', { ca: node.rootPem });
    await once(ws, 'open');
    const client = new RawMqtt(createWebSocketStream(ws), version);
    t.after(() => ws.terminate());
    const payload = Buffer.from('gone');
    client.send(
      connectPacket(version, { clientId, will: { topic: `own/will/${clientId}`, payload, qos: 1, retain: false } }),
    );
    assert.equal(shown(await client.next()), 'CONNACK 0x00');
    return { ws, client };
  };
  const post = async (path: string, body: string, options: RequestOptions = {}) => {
    const asked = request({ host: '127.0.0.1', port, path, method: 'POST', servername: 'localhost', ...options });
    asked.end(body);
    const [response] = await once(asked, 'response');
    return { status: response.statusCode as number, headers: response.headers, body: JSON.parse(await text(response)) };
  };

  await t.test('14.2 443 with ALPN x-amzn-mqtt-ca: CONNACK 0, and the server selected that ALPN', async () => {
    for (const version of versions) {
      const socket = await handshake(node, { identity: device, port, alpn: ['x-amzn-mqtt-ca'] });
      assert.equal(socket.alpnProtocol, 'x-amzn-mqtt-ca');
      const client = new RawMqtt(socket, version);
      client.send(connectPacket(version, { clientId: scene.newId() }));
      assert.deepEqual(await client.heard(1), ['CONNACK 0x00']);
      socket.destroy();
    }
  });
  await t.test('14.3 443 without ALPN and a client certificate, MQTT bytes: no CONNACK', async () => {
    for (const version of versions) {
      const client = new RawMqtt(await handshake(node, { identity: device, port }), version);
      client.send(connectPacket(version, { clientId: scene.newId() }));
      await client.drained();
      assert.ok(client.bytes.length === 0 || client.bytes.toString('latin1').startsWith('HTTP/1.1 400'), 'no CONNACK');
    }
  });
  await t.test(
    '14.9 a presigned /mqtt URL, temporary credentials, the token appended after signing: 101 with subprotocol mqtt',
    async () => {
      assert.deepEqual(await upgrade(presigned()), { status: 101, protocol: 'mqtt' });
    },
  );
  await t.test('14.10 a tampered signature: 403', async () => {
    const url = presigned().replace(/(?<=Signature=)./, (first) => (first === '0' ? '1' : '0'));
    assert.deepEqual(await upgrade(url), { status: 403, protocol: undefined });
  });
  await t.test('14.34 POST /topics/a%2Fb?qos=1 with a client certificate: 200, message OK and traceId', async () => {
    const { client } = await scene.listen(5, 'a/b');
    const { status, headers, body } = await post('/topics/a%2Fb?qos=1', 'hello', clientTls);
    assert.equal(status, 200);
    assert.match(String(headers['content-type']), /^application\/json/);
    assert.match(body.traceId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.deepEqual([body.message, headers['x-amzn-requestid']], ['OK', body.traceId]);
    assert.deepEqual(await client.heard(1), ['PUBLISH a/b hello q1']);
    client.socket.destroy();
  });

  /** Somebody who is told of the will and of the end of a client. */
  const watch = (clientId: string) =>
    scene.listen(5, [`own/will/${clientId}`, `$aws/events/presence/disconnected/${clientId}`]);
  /** What comes after an end: the reason in the event, and whether there was a will. */
  const ending = async ({ client }: Awaited<ReturnType<typeof watch>>) => {
    let disconnectReason: unknown;
    let clientInitiated: unknown;
    const messages = [await client.next(), ...(await client.settled())];
    for (const message of messages) {
      if (message.cmd !== 'publish' || !message.topic.startsWith('$aws/')) continue;
      ({ disconnectReason, clientInitiatedDisconnect: clientInitiated } = JSON.parse(String(message.payload)));
    }
    const hasWill = messages.some((message) => message.cmd === 'publish' && message.topic.startsWith('own/will/'));
    client.socket.destroy();
    return { disconnectReason, clientInitiated, hasWill };
  };

  await bothVersions(
    t,
    (version) => `5.13 WS close, ${name(version)}: CLIENT_INITIATED_DISCONNECT; 5.8: no will`,
    async (version) => {
      const clientId = scene.newId();
      const { ws } = await overWebSocket(version, clientId);
      const watcher = await watch(clientId);
      ws.close();
      assert.deepEqual(await ending(watcher), {
        disconnectReason: 'CLIENT_INITIATED_DISCONNECT',
        clientInitiated: true,
        hasWill: false,
      });
    },
  );
  await bothVersions(
    t,
    (version) =>
      `5.13 24 h WebSocket, ${name(version)}: ${version === 5 ? 'DISCONNECT 0x98, ' : ''}close; WEBSOCKET_TTL_EXPIRATION`,
    async (version) => {
      const clientId = scene.newId();
      const { client } = await overWebSocket(version, clientId);
      const hourMs = 3_600_000;
      for (let part = 0; part < 71; part++) {
        await scene.advance((24 * hourMs) / 72);
        client.send({ cmd: 'pingreq' });
        assert.equal((await client.next()).cmd, 'pingresp');
      }
      const watcher = await watch(clientId);
      await scene.advance((24 * hourMs) / 72 + 1_000);
      assert.deepEqual((await client.closed()).map(shown), version === 4 ? [] : ['DISCONNECT 0x98']);
      assert.equal((await ending(watcher)).disconnectReason, 'WEBSOCKET_TTL_EXPIRATION');
    },
  );
  for (const preventWillMessage of [false, true]) {
    const number = preventWillMessage ? '14.35' : '5.13';
    await bothVersions(
      t,
      (version) =>
        `${number} DeleteConnection${preventWillMessage ? ' with preventWillMessage' : ''}, ${name(version)}: ${version === 5 ? 'DISCONNECT 0x98, ' : ''}close; API_INITIATED_DISCONNECT, ${preventWillMessage ? 'no will' : 'its will'}`,
      async (version) => {
        const clientId = scene.newId();
        const will = { topic: `own/will/${clientId}`, payload: Buffer.from('gone'), qos: 1, retain: false } as const;
        const { client } = await scene.enter(version, { clientId, will });
        const watcher = await watch(clientId);
        await data.send(new DeleteConnectionCommand({ clientId, preventWillMessage }));
        assert.deepEqual((await client.closed()).map(shown), version === 4 ? [] : ['DISCONNECT 0x98']);
        assert.deepEqual(await ending(watcher), {
          disconnectReason: 'API_INITIATED_DISCONNECT',
          clientInitiated: false,
          hasWill: !preventWillMessage,
        });
      },
    );
  }
  await bothVersions(
    t,
    (version) => `2 MQTT over WebSocket with SigV4 speaks ${name(version)}: a SUBSCRIBE is granted`,
    async (version) => {
      const { client } = await overWebSocket(version, scene.newId());
      client.send(subscribe(1, 'own/#'));
      assert.deepEqual(await client.heard(1), ['SUBACK 1 0x01']);
    },
  );
});
