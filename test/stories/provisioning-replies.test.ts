/**
 * Replies of fleet provisioning hold private keys, and many devices share one claim: who else listens, takes a connection over or asks later is told nothing.
 * Over real TLS, under both sets of limits. Source: issue "Provisioning", acceptance 5; spec provisioning.md 4.1 ("R mandatory").
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { ListThingsCommand } from '@aws-sdk/client-iot';
import { GetRetainedMessageCommand, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { type Limits, limitSets } from '../../src/limits.ts';
import { openAttack } from '../attack-scene.ts';
import { type ConnectFields, connectPacket } from '../conformance/bed.ts';
import { createTopic, csrTopic, fleetTemplate, formats, provisionTopic, topicIn } from '../fleet.ts';
import { issued } from '../fleet-scene.ts';
import type { Identity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { dial, publish, type RawMqtt, type Received, subscribe, type Version, versions } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';

/** Messages as lines. Events of the life cycle are told to whoever may read them. */
const published = (packets: readonly Received[]): string[] =>
  packets.flatMap((packet) =>
    packet.cmd === 'publish' && !packet.topic.startsWith('$aws/events/') ? [`${packet.topic} ${packet.payload}`] : [],
  );
/** A session that outlives its connection. */
const lasting = (version: Version, clientId: string, more: object = {}): ConnectFields & { clientId: string } => ({
  clientId,
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: 3600, ...more } }),
});
/** Both replies of a topic. */
const replies = (topic: string): string[] => [`${topic}/accepted`, `${topic}/rejected`];

const listeners: readonly (readonly [who: 'twin' | 'stranger' | 'almighty', filters: readonly string[]])[] = [
  ['twin', [...replies(createTopic), ...replies(topicIn('cbor', createTopic)), ...replies(provisionTopic('fleet'))]],
  ['twin', ['$aws/certificates/create/#', '$aws/certificates/create/+/+', '$aws/certificates/create/json/+']],
  ['twin', ['$aws/provisioning-templates/fleet/provision/#', '$aws/provisioning-templates/fleet/provision/+/+']],
  ['twin', [`$share/group/${createTopic}/accepted`, '$share/group/$aws/certificates/create/#']],
  ['stranger', [`${createTopic}/accepted`, `$share/group/${createTopic}/accepted`, '$aws/certificates/+/+/accepted']],
  ['almighty', ['#', '+/+/+/+/+', '$aws/#', '$aws/+/+/+/+', '$aws/certificates/#', '$aws/provisioning-templates/#']],
  ['almighty', ['$share/group/#', '$share/group/$aws/#', `$share/group/${createTopic}/+`]],
];

/** Who listens: another device with the same claim, one with another claim, and one whose policy allows everything. */
const openListeners = async (t: TestContext, limits: Limits) => {
  const attack = await openAttack(t, { limits });
  const identities: Readonly<Record<(typeof listeners)[number][0], Identity>> = {
    twin: attack.guided,
    stranger: await attack.identity('stranger', 'claim'),
    almighty: await attack.identity('almighty', 'device'),
  };
  return { ...attack, identities };
};

for (const [set, limits] of Object.entries(limitSets)) {
  test(`--limits ${set}: nobody but the connection that asked is told, whatever it subscribes to, before or after`, async (t) => {
    const { node, device, guided, enter, identities, iotData, ...scene } = await openListeners(t, limits);
    const listening: { client: RawMqtt; version: Version; fields: ReturnType<typeof lasting>; identity: Identity }[] =
      [];
    for (const version of versions) {
      for (const [index, [who, filters]] of listeners.entries()) {
        const [identity, fields] = [identities[who], lasting(version, `listener-${version}-${index}`)];
        const { client } = await enter(version, identity, fields);
        client.send(subscribe(1, filters));
        assert.equal((await client.next()).cmd, 'suback');
        listening.push({ client, version, fields, identity });
      }
    }
    // one who was there, and left its session behind
    const absent = lasting(5, 'absent');
    const { client: leaving } = await enter(5, guided, absent);
    leaving.send(subscribe(1, [...replies(createTopic), '$aws/certificates/create/#']));
    await leaving.next();
    await leaving.drop();

    const asking = await device('asking', scene.claim);
    const secrets: string[] = [];
    for (const format of formats) {
      const made = issued(await asking.request(topicIn(format, createTopic)));
      const { certificateOwnershipToken } = made;
      const request = { certificateOwnershipToken, parameters: { SerialNumber: format } };
      const born = await asking.request(provisionTopic('fleet', format), request);
      assert.equal(born.members['thingName'], `fleet-${format}`);
      secrets.push(made.privateKey.split('\n')[3] ?? assert.fail(), certificateOwnershipToken);
    }
    const assertQuiet = (bytes: Buffer | string, who: string): void => {
      for (const secret of secrets) assert.ok(!bytes.includes(secret), who);
    };

    for (const { client, version, fields, identity } of listening) {
      assert.deepEqual(published(await client.settled()), [], fields.clientId);
      assertQuiet(client.bytes, fields.clientId);
      await client.drop();
      const { client: again, connack } = await enter(version, identity, fields);
      assert.equal(connack.sessionPresent, true);
      assert.deepEqual(published(await again.settled()), [], `${fields.clientId} again`);
      assertQuiet(again.bytes, `${fields.clientId} again`);
    }
    const { client: back, connack } = await enter(5, guided, absent);
    assert.equal(connack.sessionPresent, true);
    back.send(subscribe(2, replies(createTopic)));
    assert.deepEqual(published(await back.settled()), []);
    // not retained either, for whoever asks over HTTP
    for (const topic of [...replies(createTopic), ...replies(provisionTopic('fleet'))]) {
      const kept = iotData().send(new GetRetainedMessageCommand({ topic }));
      await assert.rejects(kept, fails('ResourceNotFoundException', 404));
    }
    assertQuiet(JSON.stringify((await readJournal(node, node.account, { limit: '100' })).records), 'the journal');
  });
}

test('nobody tells a device a reply of his own making, over MQTT or HTTPS, whatever his policy allows', async (t) => {
  const { device, identity, enter, iotData } = await openAttack(t);
  const almighty = await identity('almighty', 'device');
  const victim = await device('victim');
  const topics = [createTopic, csrTopic, provisionTopic('fleet')].flatMap(replies);
  await victim.client.subscribeAsync(topics, { qos: 1 });
  for (const version of versions) {
    for (const topic of topics) {
      const { client } = await enter(version, almighty, { clientId: 'forger' });
      client.send(publish(7, topic, '{"certificateId":"forged"}'));
      assert.deepEqual(await client.heard(version === 5 ? 1 : 0), version === 5 ? ['PUBACK 7 0x87'] : ['close']);
    }
  }
  const service = iotData();
  for (const topic of topics) {
    const forged = new PublishCommand({ topic, qos: 1, payload: Buffer.from('{}') });
    await assert.rejects(service.send(forged), fails('ForbiddenException', 403));
  }
  for (const topic of [createTopic, csrTopic, provisionTopic('fleet')]) {
    const asked = new PublishCommand({ topic, qos: 1, payload: Buffer.from('{}') });
    await assert.rejects(service.send(asked), fails('InvalidRequestException', 400), 'there is nowhere to reply to');
  }
  // what was sent before this has come with it
  await victim.client.unsubscribeAsync(topics);
  assert.deepEqual(victim.received, []);
});

for (const version of versions) {
  test(`v${version}: a second connection with the same client id is not given what the first was told and did not acknowledge`, async (t) => {
    const { guided, enter } = await openAttack(t);
    const fields = lasting(version, 'shared', { receiveMaximum: 1 });
    const { client: first } = await enter(version, guided, fields);
    first.send([subscribe(1, replies(createTopic)), publish(2, createTopic, '{}'), publish(3, createTopic, '{}')]);
    // the first reply is not acknowledged; the second waits for that in version 5, and is not acknowledged either in version 3
    const heard: Received[] = [];
    while (heard.filter(({ cmd }) => cmd === 'puback').length < 2) heard.push(await first.next());
    assert.equal(published(heard).length, version === 5 ? 1 : 2);

    const { client: second, connack } = await enter(version, guided, fields);
    assert.equal(connack.sessionPresent, true, 'its subscriptions are there');
    assert.deepEqual(published(await second.settled()), []);
    await first.drained();
    // it may ask for itself
    second.send(publish(4, createTopic, '{}'));
    const own = [await second.next(), await second.next()];
    assert.equal(published(own).length, 1);
    assert.notDeepEqual(published(own), published(heard).slice(0, 1));
  });

  test(`v${version}: a takeover at any moment of a request: what the first asked for is not told to the second`, async (t) => {
    const { guided, enter, node, device } = await openAttack(t);
    const heirs: RawMqtt[] = [];
    // the server works in turns of the same loop: from before it has read the request to when it makes a key for it
    for (let turns = 0; turns < 4096; turns = 2 * turns + 1) {
      const fields = lasting(version, `shared-${turns}`);
      const { client } = await enter(version, guided, fields);
      client.send(subscribe(1, replies(createTopic)));
      await client.next();
      const heir = await dial(node, version, { identity: guided });
      t.after(() => heir.socket.destroy());
      client.send(publish(2, createTopic, '{}'));
      for (let each = 0; each < turns; each++) await new Promise((resolve) => setImmediate(resolve));
      heir.send(connectPacket(version, fields));
      const connack = await heir.next();
      assert.ok(connack.cmd === 'connack' && connack.sessionPresent);
      heirs.push(heir);
    }
    // answered behind all of them: keys are given in the order in which they were asked for
    issued(await (await device('last')).request(createTopic));
    for (const heir of heirs) assert.deepEqual(published(await heir.settled()), []);
  });
}

test('a takeover while the hook is asked: the work is finished, and its answer is told to whoever repeats the request, with the same claim', async (t) => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const endpoint = createServer(async (_, response) => {
    asked.resolve();
    await release.promise;
    response.end('{"allowProvisioning":true}');
  }).listen(0, '127.0.0.1');
  t.after(() => endpoint.close());
  await new Promise((resolve) => endpoint.once('listening', resolve));
  const address = endpoint.address();
  assert(typeof address === 'object' && address !== null);
  const { template, device, iot, claim } = await openAttack(t, {
    functionsEndpoint: `http://127.0.0.1:${address.port}`,
  });
  await template('gated', fleetTemplate('device', 'gated-'), { hook: 'gate' });
  const first = await device('shared', claim);
  const made = issued(await first.request(createTopic));
  const { certificateOwnershipToken } = made;
  const request = { certificateOwnershipToken, parameters: { SerialNumber: '1' } };
  const lost = assert.rejects(first.request(provisionTopic('gated'), request), /closed before the reply/);
  await asked.promise;
  const second = await device('shared', claim);
  await lost;
  await second.client.subscribeAsync(replies(provisionTopic('gated')), { qos: 1 });
  release.resolve();
  const client = iot();
  while ((await client.send(new ListThingsCommand({}))).things?.length === 0);
  await second.client.unsubscribeAsync(replies(provisionTopic('gated')));
  assert.deepEqual(second.received, []);
  const again = await second.request(provisionTopic('gated'), request);
  assert.deepEqual(again.members, { deviceConfiguration: {}, thingName: 'gated-1' });
  await device('gated-1', made);
});
