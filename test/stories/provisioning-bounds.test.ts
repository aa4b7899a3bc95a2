/**
 * Templates, parameters and requests that are huge, deep or explosive are refused in bounded time, and a flood of requests of one claim leaves the others alone.
 * Source: issue "Provisioning", acceptance 5; spec provisioning.md 4.1, 7.1.
 */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  DescribeEndpointCommand,
  ListCertificatesCommand,
} from '@aws-sdk/client-iot';
import { cbor } from '@smithy/core/cbor';
import { openAttack } from '../attack-scene.ts';
import { connectDevice } from '../device.ts';
import { connectFleetDevice, createTopic, csrTopic, type Format, fleetTemplate, provisionTopic } from '../fleet.ts';
import { devicePolicy, issued, newCsr, provisioningRoleArn, refused } from '../fleet-scene.ts';
import { publish, subscribe } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';

/**
 * Whatever is refused is refused within this time, and so long may nothing stop the loop of the server, which is that of this process. It takes a few
 * milliseconds; work without bound takes minutes; the rest is for a machine that has much else to do.
 */
const boundMs = 3000;
/** Bytes of a request (gateway.md 12). */
const payloadBytesMax = 131_072;

const watchLoop = (t: TestContext) => {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  t.after(() => delay.disable());
  return () => assert.ok(delay.max / 1e6 < boundMs, `the loop stood still for ${delay.max / 1e6} ms`);
};
const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const startMs = performance.now();
  const result = await work();
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < boundMs, `${what} took ${tookMs} ms`);
  return result;
};

/** `open` so often as leaves room for as many `close` and what stands between. */
const nested = (characters: number, open: string, close: string, inside = '""'): string => {
  const levels = Math.floor((characters - inside.length) / (open.length + close.length));
  return open.repeat(levels) + inside + close.repeat(levels);
};
const bodyWith = (value: string): string => {
  const body = JSON.stringify({ ...fleetTemplate('device', ''), DeviceConfiguration: { value: 'HERE' } });
  return body.replace('"HERE"', value);
};
const room = 10_240 - bodyWith('').length;

/** Each inserts the one inside it a hundred times. */
const nestedSub = (levels: number): unknown =>
  levels === 0 ? { Ref: 'SerialNumber' } : { 'Fn::Sub': ['${x}'.repeat(100), { x: nestedSub(levels - 1) }] };
const splitJoin = (levels: number): unknown =>
  levels === 0
    ? { Ref: 'SerialNumber' }
    : { 'Fn::Join': ['aaaaaaaaaa', { 'Fn::Split': ['a', splitJoin(levels - 1)] }] };

test('templates that are huge, deep or explosive are refused in bounded time', async (t) => {
  const { iot, device } = await openAttack(t);
  const client = iot();
  const checkLoop = watchLoop(t);
  const create = (templateName: string, templateBody: string) =>
    client.send(
      new CreateProvisioningTemplateCommand({ templateName, templateBody, provisioningRoleArn, enabled: true }),
    );
  const bodies: readonly (readonly [what: string, body: string])[] = [
    ['one character too many', bodyWith(JSON.stringify('x'.repeat(room - 1)))],
    ['lists in lists', nested(10_240, '[', ']')],
    ['objects in objects', nested(10_240, '{"Parameters":', '}')],
    ['a value of lists in lists', bodyWith(nested(room, '[', ']'))],
    ['joins of joins', bodyWith(nested(room, '{"Fn::Join":["",[', ']]}'))],
    ['variables of variables', bodyWith(nested(room, '{"Fn::Sub":["${x}",{"x":', '}]}'))],
    [
      'a PolicyDocument of lists in lists',
      bodyWith('""').replace('"PolicyName":"device"', `"PolicyDocument":${nested(room, '[', ']')}`),
    ],
    ['a megabyte', bodyWith(JSON.stringify('x'.repeat(1_000_000)))],
  ];
  for (const [what, body] of bodies) {
    await timed(what, () => assert.rejects(create('refused', body), fails('InvalidRequestException', 400), what));
  }

  // what only shows with the parameters of a device
  const asking = await device('device');
  const { certificateOwnershipToken } = issued(await asking.request(createTopic));
  const explosive: readonly (readonly [name: string, value: unknown])[] = [
    ['nested-sub', nestedSub(8)],
    ['long-again-and-again', { 'Fn::Sub': '${SerialNumber}'.repeat(500) }],
    ['split-join', splitJoin(5)],
  ];
  for (const [templateName, value] of explosive) {
    await create(templateName, bodyWith(JSON.stringify(value)));
    const request = { certificateOwnershipToken, parameters: { SerialNumber: 'a'.repeat(4096) } };
    const reply = await timed(templateName, () => asking.request(provisionTopic(templateName), request));
    assert.deepEqual(refused(reply), [400, 'InvalidParameters'], templateName);
  }
  checkLoop();
});

const filled = (byte: number, end: readonly number[] = []): Buffer =>
  Buffer.concat([Buffer.alloc(payloadBytesMax - end.length, byte), Buffer.from(end)]);
const many = <T>(count: number, item: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => item(index));
const text = (characters: string): Uint8Array => cbor.serialize(characters);
/** A map in CBOR that begins with the token. */
const withToken = (token: string, ...rest: Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.of(0xbf), text('certificateOwnershipToken'), text(token), text('parameters'), ...rest]);

/** Payloads of RegisterThing with a good token, each as large as a request may be; all but the last are no payloads of this kind. */
const payloads = (
  token: string,
): readonly (readonly [what: string, format: Format, payload: Buffer, code: string])[] => {
  const json = (parameters: string): Buffer =>
    Buffer.from(`{"certificateOwnershipToken":"${token}","parameters":${parameters}}`);
  const space = payloadBytesMax - json('').length;
  const invalid = 'InvalidPayload';
  return [
    ['lists in lists', 'json', Buffer.from(nested(payloadBytesMax, '[', ']')), invalid],
    ['lists without end', 'json', filled(0x5b), invalid],
    ['parameters in parameters', 'json', json(nested(space, '{"a":', '}')), invalid],
    ['one name again and again', 'json', json(`{${'"a":"",'.repeat(18_000)}"a":""}`), invalid],
    ['numbers', 'json', json(`{"a":${'9'.repeat(space - 6)}}`), invalid],
    ['one long value', 'json', json(`{"a":"${'x'.repeat(space - 8)}"}`), 'InvalidParameters'],
    ['one long name', 'json', json(`{"${'x'.repeat(space - 7)}":""}`), 'InvalidParameters'],
    ['escapes', 'json', json(`{"a":"${'\\u0000'.repeat(Math.floor(space / 6) - 2)}"}`), 'InvalidParameters'],
    [
      'many names, none of which is asked for',
      'json',
      json(JSON.stringify(Object.fromEntries(many(9000, (index) => [`n${index}`, ''])))),
      'InvalidParameters',
    ],
    ['lists in lists', 'cbor', filled(0x81, [0]), invalid],
    ['lists without end', 'cbor', filled(0x9f), invalid],
    ['maps without end', 'cbor', filled(0xbf), invalid],
    ['tags of tags', 'cbor', filled(0xc0, [0]), invalid],
    ['a map of four thousand million', 'cbor', Buffer.from('baffffffff616100', 'hex'), invalid],
    ['a list of 2^53', 'cbor', Buffer.from('9b001fffffffffffff00', 'hex'), invalid],
    ['a text of 2^64', 'cbor', Buffer.from('7bffffffffffffffff61', 'hex'), invalid],
    ['a text of pieces without end', 'cbor', Buffer.concat([Buffer.of(0x7f), filled(0x60).subarray(1)]), invalid],
    [
      'one name again and again',
      'cbor',
      withToken(token, Buffer.of(0xbf), ...many(40_000, () => Buffer.from('616160', 'hex')), Buffer.of(0xff, 0xff)),
      invalid,
    ],
    [
      'a key of pieces',
      'cbor',
      withToken(token, Buffer.of(0xbf, 0x7f), Buffer.alloc(100_000, 0x60), Buffer.of(0xff, 0x60, 0xff, 0xff)),
      'InvalidParameters',
    ],
    [
      'many names, none of which is asked for',
      'cbor',
      withToken(
        token,
        Buffer.of(0xbf),
        ...many(15_000, (index) => Buffer.concat([text(`n${index}`), Buffer.of(0x60)])),
        Buffer.of(0xff, 0xff),
      ),
      'InvalidParameters',
    ],
  ];
};

test('requests that are huge or deep are refused in bounded time, in JSON and in CBOR, and leave the token good', async (t) => {
  const { device } = await openAttack(t);
  const checkLoop = watchLoop(t);
  const asking = await device('device');
  const { certificateOwnershipToken } = issued(await asking.request(createTopic));
  for (const [what, format, payload, code] of payloads(certificateOwnershipToken)) {
    assert.ok(payload.length <= payloadBytesMax, `${what} in ${format} has ${payload.length} bytes`);
    const title = `${what} in ${format}`;
    const reply = await timed(title, () => asking.request(provisionTopic('fleet', format), payload));
    assert.deepEqual(refused(reply), [400, code], title);
  }
  for (const topic of [createTopic, csrTopic]) {
    const reply = await timed(topic, () => asking.request(topic, Buffer.from(nested(payloadBytesMax, '{"a":', '}'))));
    assert.deepEqual(refused(reply), [400, 'InvalidPayload'], topic);
  }
  const longCsr = `-----BEGIN CERTIFICATE REQUEST-----\n${'A'.repeat(130_000)}\n-----END CERTIFICATE REQUEST-----\n`;
  const reply = await timed('a long CSR', () => asking.request(csrTopic, { certificateSigningRequest: longCsr }));
  assert.deepEqual(refused(reply), [400, 'InvalidCertificateSigningRequest']);
  const parameters = {
    SerialNumber: 'good',
    ...Object.fromEntries(many(30, (index) => [`n${index}`, 'x'.repeat(4096)])),
  };
  const born = await asking.request(provisionTopic('fleet'), { certificateOwnershipToken, parameters });
  assert.equal(born.members['thingName'], 'fleet-good');
  checkLoop();
});

test('a flood of requests of one claim is worked on little by little: devices go on, others are provisioned, and what was not begun ends with its connection', async (t) => {
  const { node, folder, guided, enter, device, newClaim, iot, identity } = await openAttack(t);
  const checkLoop = watchLoop(t);
  const abroad = iot('111111111111');
  await abroad.send(new CreatePolicyCommand({ policyName: 'all', policyDocument: devicePolicy }));
  const made = await abroad.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  await abroad.send(new AttachPolicyCommand({ policyName: 'all', target: made.certificateArn }));
  const { endpointAddress = '' } = await abroad.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
  const foreigner = await connectFleetDevice(
    node,
    { certificatePem: String(made.certificatePem), privateKey: String(made.keyPair?.PrivateKey) },
    { clientId: 'foreigner', serverName: endpointAddress },
  );
  t.after(() => foreigner.end());
  const neighbour = await device('neighbour', await newClaim());
  const echo = await connectDevice(node, await identity('echo', 'device'), { clientId: 'echo', version: 5 });
  t.after(() => echo.client.end(true));
  await echo.client.subscribeAsync('echo/+', { qos: 1 });
  const { certificateSigningRequest } = await newCsr(folder, 'flood');

  const connections = 6;
  const requests = 300;
  const attackers = await Promise.all(
    many(connections, async (index) => {
      const { client } = await enter(5, guided, { clientId: `flood-${index}` });
      client.send(subscribe(1, `${createTopic}/+`));
      await client.next();
      client.send(many(requests, () => publish(0, createTopic, '{}', { qos: 0 })));
      return client;
    }),
  );
  for (let round = 0; round < 20; round++) {
    await timed('an echo', async () => {
      const heard = echo.until(`echo/${round} x`);
      await echo.client.publishAsync(`echo/${round}`, 'x', { qos: 1 });
      await heard;
    });
    for (const other of [neighbour, foreigner]) {
      issued(
        await timed('a certificate for another claim', () => other.request(csrTopic, { certificateSigningRequest })),
      );
    }
  }
  const answered = (): number => attackers.reduce((sum, { received }) => sum + received.length, 0);
  assert.ok(answered() < (connections * requests) / 2, `${answered()} of ${connections * requests} were answered`);

  // what was not begun when they leave is never begun
  await Promise.all(attackers.map((attacker) => attacker.drop()));
  const count = async (): Promise<number> =>
    (await iot().send(new ListCertificatesCommand({ pageSize: 250 }))).certificates?.length ?? 0;
  const before = await count();
  assert.ok(before < 200, `${before} certificates`);
  for (let each = 0; each < 3; each++) issued(await neighbour.request(createTopic));
  const after = await count();
  assert.ok(after - before <= 3 + connections, `${after - before} certificates were made after they had left`);
  checkLoop();
});
