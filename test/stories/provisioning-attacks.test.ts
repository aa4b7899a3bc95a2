/**
 * What somebody tries who holds a claim certificate, as every device of a fleet does, and what its policy does not name: other topics, other operations, the
 * service's own replies. Over real TLS, in both versions of MQTT and over HTTPS. Source: issue "Provisioning", acceptance 5; spec provisioning.md 4.1, 4.4.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { test } from 'node:test';
import {
  ListCertificatesCommand,
  ListPoliciesCommand,
  ListProvisioningTemplatesCommand,
  ListThingsCommand,
} from '@aws-sdk/client-iot';
import { ListRetainedMessagesCommand, PublishCommand, SendDirectMessageCommand } from '@aws-sdk/client-iot-data-plane';
import { operations } from '../../src/api/operations.ts';
import { openAttack } from '../attack-scene.ts';
import { connectPacket } from '../conformance/bed.ts';
import { createTopic, provisionTopic } from '../fleet.ts';
import { handledOperations } from '../handled.ts';
import { dial, type Packets, publish, subscribe, versions } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';

/** How version 5 is told; version 3 has no words for it, and its connection ends. */
const [unauthorized, misused] = ['PUBACK 7 0x87', 'DISCONNECT 0x90'];

/** Topics that a claim may not publish on, by its policy or because nobody may. */
const publishes: readonly (readonly [topic: string, answer: string, why: string])[] = [
  ['sdk/test/js', unauthorized, 'a topic of devices'],
  ['$aws/things/fleet-1/shadow/update', unauthorized, "a device's shadow"],
  ['$aws/things/fleet-1/jobs/start-next', unauthorized, "a device's jobs"],
  ['$aws/rules/any/topic', unauthorized, 'Basic Ingest'],
  ['$aws/certificates/create-from-csr/json', unauthorized, 'create/* does not cover it (check 20)'],
  ['$aws/certificates/create-from-csr/cbor', unauthorized, 'nor in CBOR'],
  [provisionTopic('other'), unauthorized, 'a template that its policy does not name'],
  [provisionTopic('fleet2', 'cbor'), unauthorized, 'one that begins with the name'],
  [`${createTopic}/accepted`, unauthorized, 'its policy says create/*, but replies are of the service'],
  ['$aws/certificates/create/cbor/rejected', unauthorized, 'the same'],
  [`${provisionTopic('fleet')}/accepted`, unauthorized, 'the same'],
  ['$aws/events/certificates/registered/1', unauthorized, 'events are of the service'],
  ['$aws/certificates/create/xml', misused, 'create/* covers it, and nobody answers there'],
  [`${createTopic}/accepted/more`, misused, 'the same'],
  ['$aws/provisioning-templates/fleet/provision/../json', misused, 'dots are no way up'],
  ['$SYS/broker', misused, 'reserved'],
  ['$anything', misused, 'reserved'],
];

/** Filters that a claim may not subscribe to. */
const filters: readonly string[] = [
  ...['#', '+', '+/+', 'sdk/#', '$aws/#', '$aws/+/#', '$aws/certificates/#', '$aws/certificates/+/json/accepted'],
  ...[
    '$aws/+/create/json/accepted',
    '$aws/certificates/create-from-csr/json/accepted',
    '$aws/provisioning-templates/#',
  ],
  ...['$aws/provisioning-templates/+/provision/json/accepted', `${provisionTopic('other')}/accepted`, '$aws/events/#'],
  ...['$aws/things/+/shadow/update/accepted', '$share/g/sdk/#', '$share/g/#', `$share/g/${provisionTopic('other')}/+`],
];

/** What else a connection can ask for. */
const others: readonly (readonly [what: string, packets: Packets, answer: string])[] = [
  ['RETAIN on a request', publish(7, createTopic, '{}', { retain: true }), misused],
  ['RETAIN on a reply', publish(7, `${createTopic}/accepted`, '{}', { retain: true }), misused],
  ['RETAIN on a topic of devices', publish(7, 'sdk/test/js', 'x', { retain: true }), unauthorized],
  ['a filter of the service', subscribe(7, '$SYS/#'), 'DISCONNECT 0x8F'],
];

test('a claim certificate can do nothing beyond its policy', async (t) => {
  const { guided, enter, node, iot, iotData } = await openAttack(t);
  const client = iot();
  const inventory = async (): Promise<unknown> => {
    const [certificates, things, policies, templates, retained] = await Promise.all([
      client.send(new ListCertificatesCommand({ pageSize: 250 })),
      client.send(new ListThingsCommand({})),
      client.send(new ListPoliciesCommand({ pageSize: 250 })),
      client.send(new ListProvisioningTemplatesCommand({})),
      iotData().send(new ListRetainedMessagesCommand({})),
    ]);
    return [
      certificates.certificates?.map(({ certificateId, status }) => [certificateId, status]),
      things.things,
      policies.policies?.map(({ policyName }) => policyName),
      templates.templates?.map(({ templateName, lastModifiedDate }) => [templateName, lastModifiedDate]),
      retained.retainedTopics,
    ];
  };
  const before = await inventory();

  for (const version of versions) {
    const answered = (v5: string): string[] => {
      const isOver = version === 4 || v5.startsWith('DISCONNECT');
      return [...(version === 5 ? [v5] : []), ...(isOver ? ['close'] : [])];
    };
    const heard = async (packets: Packets): Promise<string[]> => {
      const { client } = await enter(version, guided, { clientId: 'attacker' });
      client.send(packets);
      return client.heard(0);
    };

    await t.test(`v${version}: no other topic`, async () => {
      for (const [topic, answer, why] of publishes) {
        assert.deepEqual(await heard(publish(7, topic, '{}')), answered(answer), `${topic}: ${why}`);
      }
      for (const [what, packets, answer] of others) {
        const isSubscribe = answer === 'DISCONNECT 0x8F';
        const expected = isSubscribe && version === 4 ? ['close'] : answered(answer);
        assert.deepEqual(await heard(packets), expected, what);
      }
    });

    await t.test(`v${version}: no other filter, alone or in company`, async () => {
      const { client } = await enter(version, guided, { clientId: 'attacker' });
      const refused = version === 5 ? '0x87' : '0x80';
      const granted = `${createTopic}/accepted`;
      client.send(subscribe(7, [...filters.slice(0, 7), granted]));
      client.send(subscribe(8, filters.slice(7, 14)));
      client.send(subscribe(9, filters.slice(14)));
      const codes = (count: number): string => Array.from({ length: count }, () => refused).join(' ');
      assert.deepEqual(await client.heard(3), [
        `SUBACK 7 ${codes(7)} 0x01`,
        `SUBACK 8 ${codes(7)}`,
        `SUBACK 9 ${codes(filters.length - 14)}`,
      ]);
      // what a service says to everybody, and to this client, does not reach it
      const service = iotData();
      await service.send(new PublishCommand({ topic: 'sdk/test/js', qos: 1, payload: Buffer.from('x') }));
      const direct = { clientId: 'attacker', topic: 'sdk/test/js', payload: Buffer.from('x') };
      await assert.rejects(service.send(new SendDirectMessageCommand(direct)), fails('ForbiddenException', 403));
      assert.deepEqual(await client.heard(), []);
    });

    await t.test(`v${version}: no last will where it may publish, nor where it may not`, async () => {
      for (const topic of [createTopic, `${createTopic}/accepted`, provisionTopic('fleet'), 'sdk/test/js']) {
        const client = await dial(node, version, { identity: guided });
        t.after(() => client.socket.destroy());
        const will = { topic, payload: Buffer.from('{}'), qos: 1, retain: false } as const;
        client.send(connectPacket(version, { clientId: 'attacker', will }));
        const lines = await client.heard(1);
        assert.equal(lines.at(-1), 'close');
        assert.ok(!lines.includes('CONNACK 0x00'), `${topic}: ${lines}`);
      }
    });
  }

  const key = await readFile(guided.keyFile);
  /** Status of an HTTPS request with the claim's certificate. */
  const https = (method: string, path: string, body?: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const tls = {
        ca: node.rootPem,
        cert: guided.certificatePem,
        key,
        servername: 'localhost',
        agent: false,
      } as const;
      const asked = request({ host: '127.0.0.1', port: node.httpsPort, method, path, ...tls }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode ?? 0));
      });
      asked.once('error', reject).end(body);
    });

  await t.test(
    'HTTPS: it publishes nowhere, asks nothing, and no operation of the account is there for it',
    async () => {
      const topics = [createTopic, ...publishes.map(([topic]) => topic)];
      for (const topic of topics) {
        const status = await https('POST', `/topics/${encodeURIComponent(topic)}?qos=1`, '{}');
        assert.ok([400, 403, 501].includes(status), `${topic}: ${status}`);
      }
      const handled = new Set(handledOperations().map(({ service, operation }) => `${service} ${operation}`));
      const reached: string[] = [];
      let asked = 0;
      for (const { service, name, http } of operations) {
        if (http === undefined || !handled.has(`${service} ${name}`)) continue;
        asked++;
        const path = http.path.replaceAll(/\{[^}]*\}/g, 'device');
        const status = await https(http.method, path, http.method === 'GET' ? undefined : '{}');
        if (status < 400) reached.push(`${name} ${status}`);
      }
      assert.deepEqual(reached, []);
      assert.ok(asked > 50, `${asked} operations`);
    },
  );

  assert.deepEqual(await inventory(), before, 'nothing was made, changed or kept');
});
