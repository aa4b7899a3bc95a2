/**
 * What is spoken under the name of a domain configuration: by its pair of applicationProtocol and authenticationType, on every port alike, and everything else is
 * closed without an answer; and the ports' own mapping where it says DEFAULT. Source: spec gateway.md 1, 1.2.
 */
import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ApplicationProtocol, AuthenticationType } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import mqtt from 'mqtt';
import { presignUrl, signRequest } from '../../src/aws/sigv4.ts';
import { bootDomains, type Domains } from '../domain-scene.ts';
import { bash, type Identity } from '../harness.ts';
import { RawMqtt } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';
import { within } from '../within.ts';

interface Target {
  readonly serverName: string;
  readonly port: number;
  readonly identity: Identity;
}

/** What comes first: the status of HTTP, `CONNACK` with its code, or `closed`. */
const firstAnswer = async (
  { visit }: Domains,
  { serverName, port, identity }: Target,
  withCertificate: boolean,
  request: string | undefined,
): Promise<string> => {
  const { socket } = await visit(serverName, { port, ...(withCertificate && { identity }) });
  try {
    if (request === undefined) {
      const raw = new RawMqtt(socket, 4);
      raw.send({ cmd: 'connect', clientId: 'c', clean: true, keepalive: 60, protocolId: 'MQTT', protocolVersion: 4 });
      const [heard] = await raw.take(1);
      return heard?.cmd === 'connack' ? `CONNACK ${heard.returnCode}` : 'closed';
    }
    const answer = new Promise<string>((resolve) => {
      socket.once('data', (bytes) => resolve(/^HTTP\/1\.1 (\d+)/.exec(String(bytes))?.[1] ?? 'no HTTP'));
      socket.once('close', () => resolve('closed'));
      socket.on('error', () => resolve('closed'));
    });
    socket.write(request, 'latin1');
    return await within(answer, 'an answer');
  } finally {
    socket.destroy();
  }
};

const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1' };
const webSocket =
  'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: mqtt\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

const post = ({ serverName, port }: Target, signed: boolean): string => {
  const url = `https://${serverName}:${port}/topics/a?qos=1`;
  const { host: _, ...headers } = signRequest({ method: 'POST', url, ...key, service: 'iotdata', nowMs: Date.now() });
  const signature = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /topics/a?qos=1 HTTP/1.1\r\nhost: ${serverName}:${port}\r\ncontent-length: 0\r\n${signed ? signature.join('') : ''}\r\n`;
};
const upgrade = ({ serverName, port }: Target, signed: boolean): string => {
  const url = `https://${serverName}:${port}/mqtt`;
  const presigned = presignUrl({
    ...{ method: 'GET', url, ...key, service: 'iotdevicegateway', nowMs: Date.now(), expiresSeconds: 300 },
  });
  const { pathname, search } = new URL(presigned);
  return `GET ${signed ? pathname + search : '/mqtt'} HTTP/1.1\r\nhost: ${serverName}:${port}\r\n${webSocket}\r\n`;
};

const attempts: Readonly<Record<string, (domains: Domains, target: Target) => Promise<string>>> = {
  mqtt: (domains, target) => firstAnswer(domains, target, true, undefined),
  'https, certificate': (domains, target) => firstAnswer(domains, target, true, post(target, false)),
  'https, signed': (domains, target) => firstAnswer(domains, target, false, post(target, true)),
  'wss, certificate': (domains, target) => firstAnswer(domains, target, true, upgrade(target, false)),
  'wss, signed': (domains, target) => firstAnswer(domains, target, false, upgrade(target, true)),
};

const nothing = Object.fromEntries(Object.keys(attempts).map((name) => [name, 'closed']));
const pairs: readonly (readonly [ApplicationProtocol, AuthenticationType, expected: Record<string, string>])[] = [
  ['SECURE_MQTT', 'AWS_X509', { ...nothing, mqtt: 'CONNACK 0' }],
  ['HTTPS', 'AWS_X509', { ...nothing, 'https, certificate': '200' }],
  // a certificate is not even asked for
  ['HTTPS', 'AWS_SIGV4', { ...nothing, 'https, signed': '200', 'https, certificate': '403' }],
  ['MQTT_WSS', 'AWS_SIGV4', { ...nothing, 'wss, signed': '101', 'wss, certificate': '403' }],
];

test('a pair of protocol and authentication is spoken on every port, and nothing else is (gateway.md 1.2)', async (t) => {
  const domains = await bootDomains(t);
  const { node, sdk } = domains;
  const identity = await domains.device('sensor', { policyName: 'everything' });
  const serverName = await domains.managedDomain('managed');
  const seen = async (port: number) => {
    const outcomes = Object.entries(attempts).map(async ([name, attempt]) => [
      name,
      await attempt(domains, { serverName, port, identity }),
    ]);
    return Object.fromEntries(await Promise.all(outcomes));
  };
  const { mqttPort, httpsPort } = node;
  const inAndOut = {
    'https, certificate': '200',
    'https, signed': '200',
    'wss, certificate': '101',
    'wss, signed': '101',
  };
  assert.deepEqual(await seen(httpsPort), { ...inAndOut, mqtt: 'closed' }, 'DEFAULT, on the port of HTTPS');
  assert.deepEqual(await seen(mqttPort), { ...nothing, mqtt: 'CONNACK 0' }, 'DEFAULT, on the port of MQTT');
  for (const [applicationProtocol, authenticationType, expected] of pairs) {
    await sdk.updateDomainConfiguration({
      ...{ domainConfigurationName: 'managed', applicationProtocol, authenticationType },
    });
    for (const port of [mqttPort, httpsPort]) {
      assert.deepEqual(await seen(port), expected, `${applicationProtocol} with ${authenticationType} on ${port}`);
    }
  }
});

/** As a resolver that knows the names of this machine alone; Node asks for one address or for all. */
const here: LookupFunction = (_name, options, done) => {
  if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
};

test("the clients that people have reach an account's own domain in its own region over HTTPS and WebSocket (gateway.md 1.1, 2, 3)", async (t) => {
  const domains = await bootDomains(t);
  const { node } = domains;
  const [accountId, region, domainName] = ['111111111111', 'eu-west-1', 'iot.example.test'];
  const { caPem } = await domains.customDomain('mine', domainName, { accountId, region });
  const owner = { accessKeyId: accountId, secretAccessKey: 'test', region };
  const url = (path: string): string => `https://${domainName}:${node.httpsPort}${path}`;

  const sdkOf = (credentials: { accessKeyId: string; secretAccessKey: string }, inRegion = region) => {
    const httpsAgent = new Agent({ ca: caPem, lookup: here });
    const sdk = new IoTDataPlaneClient({
      ...{ endpoint: url(''), region: inRegion, credentials, maxAttempts: 1, requestHandler: { httpsAgent } },
    });
    t.after(() => sdk.destroy());
    return sdk;
  };
  const presigned = presignUrl({
    ...{
      method: 'GET',
      url: url('/mqtt'),
      ...owner,
      service: 'iotdevicegateway',
      nowMs: Date.now(),
      expiresSeconds: 60,
    },
  });
  const listener = await mqtt.connectAsync(presigned.replace('https:', 'wss:'), {
    ...{ ca: caPem, reconnectPeriod: 0, wsOptions: { lookup: here } },
  });
  t.after(() => listener.end(true));
  const heard = new Promise((resolve) => {
    listener.on('message', (topic, payload) => resolve(`${topic} ${payload}`));
  });
  await listener.subscribeAsync('from/sdk');
  const message = { topic: 'from/sdk', qos: 1, payload: Buffer.from('hello') };
  await sdkOf(owner).send(new PublishCommand(message));
  assert.equal(await heard, 'from/sdk hello');

  const forbidden = fails('ForbiddenException', 403);
  const stranger = { accessKeyId: '222222222222', secretAccessKey: 'test' };
  await assert.rejects(sdkOf(stranger).send(new PublishCommand(message)), forbidden);
  await assert.rejects(sdkOf(owner, 'us-east-1').send(new PublishCommand(message)), forbidden);

  const curl = (host: string) =>
    bash(
      `curl -sS -o /dev/null -w '%{http_code}' --cacert '${join(domains.folder, 'ca-ec.crt')}' --resolve ${domainName}:${node.httpsPort}:127.0.0.1 -H 'host: ${host}' -d x --aws-sigv4 aws:amz:${region}:iotdata --user ${accountId}:test ${url('/topics/a')}`,
    );
  assert.equal((await curl(`${domainName}:${node.httpsPort}`)).stdout, '200');
  assert.equal(
    (await curl('evil.example')).stdout,
    '403',
    'a name that leads here by DNS rebinding is no name of ours',
  );
});
