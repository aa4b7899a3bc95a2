/**
 * Certificates for claims over real TLS and MQTT: CreateKeysAndCertificate and CreateCertificateFromCsr, and who gets the answer. The numbers are those of the
 * acceptance checks of provisioning.md.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { CreatePolicyCommand, DescribeCertificateCommand, ListCertificatesCommand } from '@aws-sdk/client-iot';
import { cbor } from '@smithy/core/cbor';
import {
  claimPolicy,
  connectFleetDevice,
  createTopic,
  csrTopic,
  fleetTemplate,
  formats,
  provisionTopic,
  topicIn,
} from '../fleet.ts';
import { issued, newCsr, openScene, refused } from '../fleet-scene.ts';

/** What CreateKeysAndCertificate answers, and CreateCertificateFromCsr without the key. */
const withKey = ['certificateId', 'certificateOwnershipToken', 'certificatePem', 'privateKey'];

test('certificates by claim', async (t) => {
  const scene = await openScene(t);
  const { device, template, refusal, claim, newClaim, node } = scene;
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;

  for (const format of formats) {
    await t.test(
      `provisioning.md check 16: {} on create/${format}: four members, PENDING_ACTIVATION, and the certificate cannot connect`,
      async () => {
        const asking = await device(`check16-${format}`);
        const reply = await asking.request(topicIn(format, createTopic), {});
        assert.deepEqual(Object.keys(reply.members).sort(), withKey);
        const made = issued(reply);
        assert.equal(await statusOf(made.certificateId), 'PENDING_ACTIVATION');
        assert.match(made.privateKey, /^-----BEGIN RSA PRIVATE KEY-----\n/);
        assert.match(made.certificateOwnershipToken, /^[A-Za-z0-9_-]{32,500}$/);
        const certificate = new X509Certificate(made.certificatePem);
        assert.equal(certificate.validTo, 'Dec 31 23:59:59 2049 GMT');
        assert.ok(made.privateKey.length < 2048 && certificate.checkPrivateKey(createPrivateKey(made.privateKey)));
        const clientId = `check16-${format}-early`;
        await assert.rejects(connectFleetDevice(node, made, { clientId }));
        assert.equal((await refusal(clientId)).reason, 'DEVICE_CERTIFICATE_PENDING');
      },
    );
  }

  await t.test(
    'provisioning.md check 17: an empty payload on create/cbor: a CBOR map with the same keys; also on create/json',
    async () => {
      const asking = await device('check17', claim, 5);
      for (const format of formats) {
        const { outcome, payload, members } = await asking.request(topicIn(format, createTopic), Buffer.alloc(0));
        assert.equal(outcome, 'accepted');
        assert.deepEqual(Object.keys(members).sort(), withKey);
        // definite lengths: a map of four
        if (format === 'cbor') assert.equal(payload[0], 0xa4);
      }
      const bad = await asking.request(topicIn('cbor', createTopic), Buffer.from('{}'));
      assert.deepEqual(refused(bad), [400, 'InvalidPayload']);
    },
  );

  await t.test('a request in CBOR with lengths that are indefinite is understood', async () => {
    const asking = await device('indefinite');
    const made = issued(await asking.request(topicIn('cbor', createTopic)));
    const text = (characters: string): Uint8Array => cbor.serialize(characters);
    const parameters = [Buffer.from('bf7f', 'hex'), text('Serial'), text('Number'), Buffer.of(0xff), text('cbor')];
    const born = await asking.request(
      provisionTopic('fleet', 'cbor'),
      Buffer.concat([
        Buffer.of(0xa2),
        ...['certificateOwnershipToken', made.certificateOwnershipToken, 'parameters'].map(text),
        ...parameters,
        Buffer.of(0xff),
      ]),
    );
    assert.deepEqual(born.members, { deviceConfiguration: {}, thingName: 'fleet-cbor' });
  });

  await t.test(
    'provisioning.md check 18: two sessions of one claim on the same accepted topic: only the one that asked receives',
    async () => {
      const other = await newClaim();
      const [asking, twin, stranger] = [
        await device('check18'),
        await device('check18b'),
        await device('check18c', other, 5),
      ];
      for (const format of formats) {
        const topic = topicIn(format, createTopic);
        for (const listening of [twin, stranger]) {
          await listening.client.subscribeAsync([`$aws/certificates/create/${format}/+`, `${topic}/accepted`], {
            qos: 1,
          });
        }
        issued(await asking.request(topic));
        // what was sent before the answer to this has come with it
        for (const listening of [twin, stranger]) {
          await listening.client.unsubscribeAsync(`${topic}/accepted`);
          assert.deepEqual(listening.received, []);
        }
      }
    },
  );

  await t.test(
    'provisioning.md check 19: a requester without a subscription: nothing is delivered, the certificate exists, and the journal says why',
    async () => {
      const newest = async () =>
        (await iot.send(new ListCertificatesCommand({ pageSize: 1 }))).certificates?.[0]?.certificateId;
      for (const format of formats) {
        const before = await newest();
        const asking = await device(`check19-${format}`);
        await asking.client.publishAsync(topicIn(format, createTopic), Buffer.alloc(0), { qos: 1 });
        assert.notEqual(await newest(), before);
        assert.deepEqual(asking.received, []);
        const { reason, sentence } = await refusal(`check19-${format}`);
        assert.equal(reason, 'REPLY_NOT_SUBSCRIBED');
        assert.match(sentence, /"check19-\w+" asked on a reserved topic without a subscription/);
      }
    },
  );

  await t.test(
    "provisioning.md check 20: the guide's claim policy, create/*: create-from-csr is denied as any publish, and nothing is made",
    async () => {
      await iot.send(new CreatePolicyCommand({ policyName: 'guide', policyDocument: claimPolicy('fleet', 'create') }));
      const guided = await newClaim('guide');
      for (const format of formats) {
        const asking = await device(`check20-${format}`, guided);
        issued(await asking.request(topicIn(format, createTopic)));
        asking.client.publish(topicIn(format, csrTopic), 'x', { qos: 1 }, () => undefined);
        await asking.closed();
        const { reason, sentence } = await refusal(`check20-${format}`);
        assert.equal(reason, 'AUTHORIZATION_FAILURE');
        assert.match(sentence, /iot:Publish on .*create-from-csr/);
      }
    },
  );

  await t.test(
    'provisioning.md check 21: a CSR with a P-256 key: accepted, and the certificate has its public key',
    async () => {
      const { certificateSigningRequest, publicKey } = await newCsr(scene.folder, 'check21');
      const asking = await device('check21');
      for (const format of formats) {
        const reply = await asking.request(topicIn(format, csrTopic), { certificateSigningRequest });
        const keys = ['certificateId', 'certificateOwnershipToken', 'certificatePem'];
        assert.deepEqual(Object.keys(reply.members).sort(), keys);
        const made = new X509Certificate(issued(reply).certificatePem);
        assert.equal(made.publicKey.export({ format: 'pem', type: 'spki' }), publicKey);
      }
    },
  );

  await t.test('provisioning.md check 22: a bad CSR, or none: rejected 400 with three members', async () => {
    const asking = await device('check22');
    const { certificateSigningRequest: good } = await newCsr(scene.folder, 'check22');
    const middle = Math.floor(good.length / 2);
    const forged = good.slice(0, middle) + (good[middle] === 'A' ? 'B' : 'A') + good.slice(middle + 1);
    for (const format of formats) {
      const ask = (members: unknown) => asking.request(topicIn(format, csrTopic), members);
      for (const certificateSigningRequest of ['x', forged, '', null]) {
        const reply = await ask({ certificateSigningRequest });
        assert.deepEqual(refused(reply), [400, 'InvalidCertificateSigningRequest']);
      }
      assert.deepEqual(refused(await ask({})), [400, 'InvalidCertificateSigningRequest']);
      assert.deepEqual(refused(await ask({ certificateSigningRequest: 1 })), [400, 'InvalidPayload']);
    }
    assert.equal((await refusal('check22')).reason, 'PAYLOAD_INVALID');
  });

  await t.test('payloads that are no map, not JSON, or have a key twice: 400 InvalidPayload', async () => {
    const asking = await device('payloads');
    for (const payload of [
      '[]',
      'null',
      '1',
      '{',
      '{"parameters":[]}',
      '{"a":1,"a":2}',
      `${'['.repeat(60_000)}`,
      '\ud800',
    ]) {
      const topic = payload.startsWith('{"parameters"') ? provisionTopic('fleet') : csrTopic;
      const body = payload.startsWith('{"parameters"') ? '{"certificateOwnershipToken":"x","parameters":[]}' : payload;
      assert.deepEqual(
        refused(await asking.request(topic, Buffer.from(body))),
        [400, 'InvalidPayload'],
        payload.slice(0, 20),
      );
    }
    const token = { certificateOwnershipToken: 'x', parameters: { SerialNumber: 1 } };
    assert.deepEqual(refused(await asking.request(provisionTopic('fleet'), token)), [400, 'InvalidPayload']);
  });
});
