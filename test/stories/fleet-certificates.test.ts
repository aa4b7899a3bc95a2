/**
 * Certificates for claims over real TLS and MQTT: CreateKeysAndCertificate and CreateCertificateFromCsr, and who gets the answer. The numbers are those of the
 * acceptance checks of provisioning.md.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { CreatePolicyCommand, DescribeCertificateCommand, ListCertificatesCommand } from '@aws-sdk/client-iot';
import { readCbor, writeCbor } from '../../src/aws/cbor.ts';
import { claimPolicy, connectFleetDevice, createTopic, csrTopic, fleetTemplate, provisionTopic } from '../fleet.ts';
import { issued, newCsr, openScene, refused } from '../fleet-scene.ts';

test('certificates by claim', async (t) => {
  const scene = await openScene(t);
  const { device, template, refusal, claim, newClaim, node } = scene;
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;

  await t.test(
    '16. {} on create/json: four members, PENDING_ACTIVATION, and the certificate cannot connect',
    async () => {
      const asking = await device('check16');
      const reply = await asking.request(createTopic, {});
      assert.deepEqual(Object.keys(reply.members).sort(), [
        'certificateId',
        'certificateOwnershipToken',
        'certificatePem',
        'privateKey',
      ]);
      const made = issued(reply);
      assert.equal(await statusOf(made.certificateId), 'PENDING_ACTIVATION');
      assert.match(made.privateKey, /^-----BEGIN RSA PRIVATE KEY-----\n/);
      assert.match(made.certificateOwnershipToken, /^[A-Za-z0-9_-]{32,500}$/);
      const certificate = new X509Certificate(made.certificatePem);
      assert.equal(certificate.validTo, 'Dec 31 23:59:59 2049 GMT');
      assert.ok(made.privateKey.length < 2048 && certificate.checkPrivateKey(createPrivateKey(made.privateKey)));
      await assert.rejects(connectFleetDevice(node, made, { clientId: 'check16-early' }));
      assert.equal((await refusal('check16-early')).reason, 'DEVICE_CERTIFICATE_PENDING');
    },
  );

  await t.test('17. an empty payload on create/cbor: a CBOR map with the same keys', async () => {
    const asking = await device('check17', claim, 5);
    const { outcome, payload } = await asking.request('$aws/certificates/create/cbor', Buffer.alloc(0));
    assert.equal(outcome, 'accepted');
    const members = readCbor(payload) as Record<string, unknown>;
    const keys = ['certificateId', 'certificateOwnershipToken', 'certificatePem', 'privateKey'];
    assert.deepEqual(Object.keys(members).sort(), keys);

    const bad = await asking.request('$aws/certificates/create/cbor', Buffer.from('{}'));
    const refusal = readCbor(bad.payload) as Record<string, unknown>;
    assert.deepEqual([bad.outcome, refusal['statusCode'], refusal['errorCode']], ['rejected', 400, 'InvalidPayload']);

    // and the whole way in CBOR, with lengths that are indefinite
    const parameters = Buffer.concat([
      Buffer.from('bf7f', 'hex'),
      ...['Serial', 'Number'].map((part) => writeCbor(part)),
      Buffer.of(0xff),
      writeCbor('cbor'),
      Buffer.of(0xff),
    ]);
    const request = Buffer.concat([
      Buffer.of(0xa2),
      writeCbor('certificateOwnershipToken'),
      writeCbor(String(members['certificateOwnershipToken'])),
      writeCbor('parameters'),
      parameters,
    ]);
    const born = await asking.request(provisionTopic('fleet', 'cbor'), request);
    assert.deepEqual(readCbor(born.payload), { deviceConfiguration: {}, thingName: 'fleet-cbor' });
  });

  await t.test(
    '18. two claim sessions subscribed to one topic: only the one that asked receives, whoever they are',
    async () => {
      const other = await newClaim();
      const [asking, twin, stranger] = [
        await device('check18'),
        await device('check18b'),
        await device('check18c', other, 5),
      ];
      for (const listening of [twin, stranger]) {
        await listening.client.subscribeAsync(['$aws/certificates/create/json/+', `${createTopic}/accepted`], {
          qos: 1,
        });
      }
      issued(await asking.request(createTopic));
      // what was sent before the answer to this has come with it
      for (const listening of [twin, stranger]) {
        await listening.client.unsubscribeAsync(`${createTopic}/accepted`);
        assert.deepEqual(listening.received, []);
      }
    },
  );

  await t.test(
    '19. a requester without a subscription: nothing is delivered, the certificate exists, and the journal says why',
    async () => {
      const before = await iot.send(new ListCertificatesCommand({ pageSize: 1 }));
      const asking = await device('check19');
      await asking.client.publishAsync(createTopic, '{}', { qos: 1 });
      const after = await iot.send(new ListCertificatesCommand({ pageSize: 1 }));
      assert.notEqual(after.certificates?.[0]?.certificateId, before.certificates?.[0]?.certificateId);
      assert.deepEqual(asking.received, []);
      const { reason, sentence } = await refusal('check19');
      assert.equal(reason, 'REPLY_NOT_SUBSCRIBED');
      assert.match(sentence, /"check19" asked on a reserved topic without a subscription/);
    },
  );

  await t.test(
    "20. the guide's claim policy, create/*: create-from-csr is denied as any publish, and nothing is made",
    async () => {
      await iot.send(new CreatePolicyCommand({ policyName: 'guide', policyDocument: claimPolicy('fleet', 'create') }));
      const asking = await device('check20', await newClaim('guide'));
      issued(await asking.request(createTopic));
      asking.client.publish(csrTopic, JSON.stringify({ certificateSigningRequest: 'x' }), { qos: 1 });
      await asking.closed();
      const { reason, sentence } = await refusal('check20');
      assert.equal(reason, 'AUTHORIZATION_FAILURE');
      assert.match(sentence, /iot:Publish on .*create-from-csr/);
    },
  );

  await t.test('21. a CSR with a P-256 key: accepted, and the certificate has its public key', async () => {
    const { certificateSigningRequest, publicKey } = await newCsr(scene.folder, 'check21');
    const asking = await device('check21');
    const reply = await asking.request(csrTopic, { certificateSigningRequest });
    assert.deepEqual(Object.keys(reply.members).sort(), [
      'certificateId',
      'certificateOwnershipToken',
      'certificatePem',
    ]);
    const made = new X509Certificate(issued(reply).certificatePem);
    assert.equal(made.publicKey.export({ format: 'pem', type: 'spki' }), publicKey);
  });

  await t.test('22. a bad CSR, or none: rejected 400 with three members', async () => {
    const asking = await device('check22');
    const { certificateSigningRequest: good } = await newCsr(scene.folder, 'check22');
    const middle = Math.floor(good.length / 2);
    const forged = good.slice(0, middle) + (good[middle] === 'A' ? 'B' : 'A') + good.slice(middle + 1);
    for (const certificateSigningRequest of ['x', forged, '', undefined]) {
      const reply = await asking.request(csrTopic, { certificateSigningRequest });
      assert.deepEqual(refused(reply), [400, 'InvalidCertificateSigningRequest']);
    }
    assert.deepEqual(refused(await asking.request(csrTopic, { certificateSigningRequest: 1 })), [
      400,
      'InvalidPayload',
    ]);
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
