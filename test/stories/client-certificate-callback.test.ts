/** A function of the account decides which client certificates a domain takes (docs/functions.md). Source: developer guide, "Custom client certificate validation". */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import { bootDomains } from '../domain-scene.ts';
import { RawMqtt } from '../raw-mqtt.ts';

test('the function is asked at every connect, and whom it turns away is explained', async (t) => {
  const asked: unknown[] = [];
  const answers: (readonly [status: number, body: unknown])[] = [
    [200, { isAuthenticated: true }],
    [200, { isAuthenticated: false }],
    [404, {}],
    [200, { isAuthenticated: true }],
  ];
  const functions = createServer(async (request, response) => {
    asked.push(await json(request));
    const [status, body] = answers.shift() ?? assert.fail();
    response.writeHead(status).end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(functions, 'listening');
  t.after(() => functions.close());
  // A TCP server's address is an AddressInfo.
  const functionsEndpoint = `http://127.0.0.1:${(functions.address() as AddressInfo).port}`;
  const domains = await bootDomains(t, { functionsEndpoint });
  const { node, shell, visit } = domains;
  const identity = await domains.device('sensor', { policyName: 'everything' });
  const { accountId, region } = node.account;
  const name = await domains.managedDomain('asks', {
    ...{ applicationProtocol: 'SECURE_MQTT', authenticationType: 'AWS_X509' },
    clientCertificateConfig: { clientCertificateCallbackArn: `arn:aws:lambda:${region}:${accountId}:function:check:1` },
  });
  const connect = async (): Promise<string> => {
    const raw = new RawMqtt((await visit(name, { identity })).socket, 4);
    raw.send({ cmd: 'connect', clientId: 'c', clean: true, keepalive: 60, protocolId: 'MQTT', protocolVersion: 4 });
    return (await raw.take(1))[0]?.cmd ?? 'closed';
  };
  const explained = async (): Promise<string> => (await shell('fleetgate explain')).stdout;

  assert.equal(await connect(), 'connack');
  const { connectionMetadata, ...event } = asked[0] as { connectionMetadata: { id: string } };
  assert.match(connectionMetadata.id, /^[\da-f-]{36}$/);
  assert.deepEqual(event, {
    ...{ principalId: identity.certificateId, serverName: name },
    clientCertificateChain: [identity.certificatePem],
  });
  assert.equal(await connect(), 'closed');
  assert.match(await explained(), /"asks" asks about client certificates did not accept this one\./);
  assert.equal(await connect(), 'closed');
  assert.match(await explained(), /did not accept this one: The functions endpoint knows no function check\.\n/);
  assert.equal(await connect(), 'connack');
  assert.equal(asked.length, 4);
});
