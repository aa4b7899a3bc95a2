/**
 * Claims of trusted users over real TLS and MQTT. Source: provisioning.md 5, check 39.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import {
  CreateProvisioningClaimCommand,
  DescribeCertificateCommand,
  ListCertificatesCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { createTopic, fleetTemplate, formats, provisionTopic, topicIn } from '../fleet.ts';
import { issued, openScene } from '../fleet-scene.ts';

const minuteMs = 60_000;

test('claims of trusted users', async (t) => {
  const scene = await openScene(t);
  const { device, template, refusal, node } = scene;
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  await template('other', fleetTemplate('device', 'other-'));

  await t.test(
    'provisioning.md check 39: CreateProvisioningClaim: 300 s, not listed, and RegisterThing only on its template',
    async () => {
      const before = (await iot.send(new ListCertificatesCommand({ pageSize: 250 }))).certificates?.length;
      const askedAtMs = node.clock.now();
      const made = await iot.send(new CreateProvisioningClaimCommand({ templateName: 'fleet' }));
      const certificateId = String(made.certificateId);
      const lifetimeMs = Number(made.expiration) - askedAtMs;
      const tookMs = node.clock.now() - askedAtMs;
      // the answer has whole seconds
      assert.ok(lifetimeMs > 299_000 && lifetimeMs <= 300_000 + tookMs, String(lifetimeMs));
      assert.ok(Date.parse(new X509Certificate(String(made.certificatePem)).validTo) <= Number(made.expiration));
      assert.equal((await iot.send(new ListCertificatesCommand({ pageSize: 250 }))).certificates?.length, before);
      for (const ask of [
        () => iot.send(new DescribeCertificateCommand({ certificateId })),
        () => iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' })),
      ]) {
        await assert.rejects(ask, { name: 'ResourceNotFoundException' });
      }
      const trusted = { certificatePem: String(made.certificatePem), privateKey: String(made.keyPair?.PrivateKey) };
      const asking = await device('check39', trusted);
      const greedy = await device('check39b', trusted, 5);
      for (const format of formats) {
        const { certificateOwnershipToken } = issued(await asking.request(topicIn(format, createTopic)));
        const request = { certificateOwnershipToken, parameters: { SerialNumber: format } };
        const born = await asking.request(provisionTopic('fleet', format), request);
        assert.equal(born.members['thingName'], `fleet-${format}`);
        const beyond = greedy.client.publishAsync(provisionTopic('other', format), Buffer.alloc(0), { qos: 1 });
        await assert.rejects(beyond, /Not authorized/);
      }
      assert.equal((await refusal('check39b')).reason, 'AUTHORIZATION_FAILURE');
      for (const topic of ['a/b', '$aws/things/x/shadow/get']) {
        await assert.rejects(greedy.client.publishAsync(topic, '{}', { qos: 1 }), /Not authorized/);
      }
      const [granted] = await greedy.client.subscribeAsync('#', { qos: 1 }).catch(() => [{ qos: 128 }]);
      assert.ok((granted?.qos ?? 128) >= 128);

      for (const [templateName, name] of [
        ['nobody', 'ResourceNotFoundException'],
        ['disabled2', 'InvalidRequestException'],
      ] as const) {
        if (templateName === 'disabled2')
          await template(templateName, fleetTemplate('device', 'x'), { enabled: false });
        await assert.rejects(iot.send(new CreateProvisioningClaimCommand({ templateName })), { name });
      }
    },
  );

  await t.test(
    'the session of a trusted claim is cut five minutes after its start, and the claim lets nobody in after five minutes',
    async () => {
      const made = await iot.send(new CreateProvisioningClaimCommand({ templateName: 'fleet' }));
      const trusted = { certificatePem: String(made.certificatePem), privateKey: String(made.keyPair?.PrivateKey) };
      await node.clock.advance(4 * minuteMs);
      const inTime = await device('trusted', trusted);
      await node.clock.advance(2 * minuteMs);
      await assert.rejects(device('too-late', trusted));
      const late = await refusal('too-late');
      assert.equal(late.reason, 'PROVISIONING_CLAIM_EXPIRED');
      issued(await inTime.request(createTopic));
      await node.clock.advance(3 * minuteMs + 1000);
      await inTime.closed();
      assert.equal((await refusal('trusted')).reason, 'PROVISIONING_CLAIM_EXPIRED');
    },
  );
});
