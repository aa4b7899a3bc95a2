/**
 * Ownership tokens over real TLS and MQTT: once, for whom they were made, for an hour. Source: provisioning.md 4.3, checks 24 and 25; issue
 * "Provisioning", acceptance 5.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  DescribeCertificateCommand,
  DescribeEndpointCommand,
  ListCertificatesCommand,
  ListThingsCommand,
  RegisterCertificateWithoutCACommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { connectFleetDevice, createTopic, fleetTemplate, formats, provisionTopic, topicIn } from '../fleet.ts';
import { accountId, devicePolicy, invalidToken, issued, openScene, refused } from '../fleet-scene.ts';
import { readJournal } from '../journal.ts';
import { queryStore } from '../stores.ts';

const minuteMs = 60_000;

const requestWith = ({ certificateOwnershipToken }: { readonly certificateOwnershipToken: string }) => ({
  certificateOwnershipToken,
  parameters: { SerialNumber: '24' },
});

test('ownership tokens', async (t) => {
  const scene = await openScene(t);
  const { device, template, refusal, newClaim, node } = scene;
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;
  const exists = async (certificateId: string): Promise<boolean> => {
    const { certificates = [] } = await iot.send(new ListCertificatesCommand({ pageSize: 250 }));
    return certificates.some((each) => each.certificateId === certificateId);
  };

  await t.test(
    'a token serves once; the same request again, on another connection too, gets the same answer and changes nothing',
    async () => {
      const asking = await device('once');
      const made = issued(await asking.request(createTopic));
      const { certificateOwnershipToken } = made;
      const request = { certificateOwnershipToken, parameters: { SerialNumber: 'once', Other: 'x' } };
      const first = await asking.request(provisionTopic('fleet'), request);
      assert.deepEqual(first.members, { deviceConfiguration: {}, thingName: 'fleet-once' });
      await iot.send(new UpdateCertificateCommand({ certificateId: made.certificateId, newStatus: 'INACTIVE' }));

      const later = await device('once-again');
      const reordered = { parameters: { Other: 'x', SerialNumber: 'once' }, certificateOwnershipToken };
      assert.deepEqual((await later.request(provisionTopic('fleet'), reordered)).members, first.members);
      assert.equal(await statusOf(made.certificateId), 'INACTIVE', 'nothing was done again');

      await template('other', fleetTemplate('device', 'other-'));
      const others = [
        [provisionTopic('fleet'), { ...request, parameters: { SerialNumber: 'twice', Other: 'x' } }],
        [provisionTopic('other'), request],
      ] as const;
      for (const [topic, other] of others) assert.deepEqual(refused(await later.request(topic, other)), invalidToken);
      assert.equal((await refusal('once-again')).detail, 'used');
      const thief = await device('thief', await newClaim());
      assert.deepEqual(refused(await thief.request(provisionTopic('fleet'), request)), invalidToken);
      assert.equal((await refusal('thief')).detail, 'of another claim');
    },
  );

  await t.test('the same request on many connections at once provisions once, and all get the answer', async () => {
    const devices = await Promise.all(Array.from({ length: 4 }, (_, index) => device(`race${index}`)));
    const { certificateOwnershipToken } = issued(await devices[0]!.request(createTopic));
    const request = { certificateOwnershipToken, parameters: { SerialNumber: 'race' } };
    const replies = await Promise.all(devices.map((each) => each.request(provisionTopic('fleet'), request)));
    for (const { members } of replies) assert.deepEqual(members, { deviceConfiguration: {}, thingName: 'fleet-race' });
  });

  await t.test(
    'a token of another claim, another account or another region is refused, and stays good for its owner',
    async () => {
      const asking = await device('owner');
      const { certificateOwnershipToken, certificateId } = issued(await asking.request(createTopic));
      const request = { certificateOwnershipToken, parameters: { SerialNumber: 'owner' } };
      const thief = await device('thief2', await newClaim());
      assert.deepEqual(refused(await thief.request(provisionTopic('fleet'), request)), invalidToken);

      // the very certificate that asked, where another account holds it as well, and its own account in another region
      const elsewhere = [
        { accountId: '111111111111', region: 'us-east-1' },
        { accountId, region: 'eu-west-1' },
      ];
      for (const account of elsewhere) {
        const abroad = scene.iot(account.accountId, account.region);
        await abroad.send(new CreatePolicyCommand({ policyName: 'all', policyDocument: devicePolicy }));
        const { certificatePem } = scene.claim;
        await abroad.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
        const target = iotArn(account, 'cert', scene.claim.certificateId);
        await abroad.send(new AttachPolicyCommand({ policyName: 'all', target }));
        const { endpointAddress = '' } = await abroad.send(
          new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
        );
        await abroad.send(
          new CreateProvisioningTemplateCommand({
            templateName: 'fleet',
            templateBody: JSON.stringify(fleetTemplate('all', 'abroad-')),
            provisioningRoleArn: `arn:aws:iam::${account.accountId}:role/provisioning`,
            enabled: true,
          }),
        );
        const foreigner = await connectFleetDevice(node, scene.claim, {
          ...{ clientId: 'owner', serverName: endpointAddress },
        });
        t.after(() => foreigner.end());
        assert.deepEqual(refused(await foreigner.request(provisionTopic('fleet'), request)), invalidToken);
        assert.deepEqual((await abroad.send(new ListThingsCommand({}))).things, []);
      }

      assert.equal(await statusOf(certificateId), 'PENDING_ACTIVATION');
      assert.equal((await asking.request(provisionTopic('fleet'), request)).members['thingName'], 'fleet-owner');
    },
  );

  await t.test('the store and the journal hold no token, no private key and no value of a parameter', async () => {
    const asking = await device('secretive');
    const made = issued(await asking.request(createTopic));
    const { certificateOwnershipToken } = made;
    const value = 'known-to-the-device-alone';
    const parameters = { SerialNumber: 'quiet', Secret: value };
    await asking.request(provisionTopic('fleet'), { certificateOwnershipToken, parameters });
    await asking.request(provisionTopic('absent'), { certificateOwnershipToken, parameters });
    const rows = JSON.stringify(await queryStore(scene.dataFolder, 'select * from ownership_tokens'));
    const journal = JSON.stringify(await readJournal(node, node.account, { clientId: 'secretive' }));
    const key = made.privateKey.split('\n')[3] ?? '';
    for (const secret of [certificateOwnershipToken, key, value]) {
      assert.ok(!rows.includes(secret) && !journal.includes(secret));
    }
    assert.ok(rows.includes(made.certificateId) && journal.includes('SerialNumber Secret'));
  });

  await t.test(
    'provisioning.md check 24, 25: after an hour the token is refused and its certificate gone; one that was attached or activated remains',
    async () => {
      const asking = await device('check24');
      const made = await Promise.all(
        formats.map(async (format) => {
          const ask = async () => issued(await asking.request(topicIn(format, createTopic)));
          return { format, forgotten: await ask(), attached: await ask(), activated: await ask(), used: await ask() };
        }),
      );
      for (const { format, attached, activated, used } of made) {
        const target = `arn:aws:iot:us-east-1:${accountId}:cert/${attached.certificateId}`;
        await iot.send(new AttachPolicyCommand({ policyName: 'device', target }));
        await iot.send(new UpdateCertificateCommand({ certificateId: activated.certificateId, newStatus: 'ACTIVE' }));
        await asking.request(provisionTopic('fleet', format), requestWith(used));
      }

      await node.clock.advance(59 * minuteMs);
      const again = await device('check24b');
      for (const { format, forgotten, used } of made) {
        assert.ok(await exists(forgotten.certificateId));
        const answer = await again.request(provisionTopic('fleet', format), requestWith(used));
        assert.equal(answer.outcome, 'accepted', 'within the hour');
      }
      await node.clock.advance(2 * minuteMs);
      const late = await device('check24c');
      for (const { format, forgotten, attached, activated, used } of made) {
        assert.deepEqual(
          await Promise.all([forgotten, attached, activated, used].map(({ certificateId }) => exists(certificateId))),
          [false, true, true, true],
        );
        for (const old of [forgotten, attached, activated, used]) {
          assert.deepEqual(
            refused(await late.request(provisionTopic('fleet', format), requestWith(old))),
            invalidToken,
          );
        }
      }
      assert.deepEqual(await queryStore(scene.dataFolder, 'select * from ownership_tokens'), []);
    },
  );
});
