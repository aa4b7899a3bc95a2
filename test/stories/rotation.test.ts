/**
 * Two settings of ours on a provisioning template, both off unless its tags ask for them: certificates that end sooner, and old certificates that are retired when
 * their successors have come. Over the wire, with a clock that is moved. Source: docs/divergences.md, docs/decisions/0006-rotation.md.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
  CreateThingCommand,
  DescribeCertificateCommand,
  DescribeProvisioningTemplateCommand,
  ListTagsForResourceCommand,
  ListThingPrincipalsCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { createTopic, fleetTemplate, type KeyedCertificate, provisionTopic } from '../fleet.ts';
import { issued, openScene, provisioningRoleArn } from '../fleet-scene.ts';
import { readJournal } from '../journal.ts';

const dayMs = 86_400_000;
const tagged = (tags: Readonly<Record<string, string>>) => Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

test('rotation', async (t) => {
  const scene = await openScene(t);
  const { device, node } = scene;
  const iot = scene.iot();
  const createTemplate = async (
    templateName: string,
    tags: Readonly<Record<string, string>>,
    policyName = 'device',
  ) => {
    const templateBody = JSON.stringify(fleetTemplate(policyName, `${templateName}-`));
    const { templateArn: resourceArn } = await iot.send(
      new CreateProvisioningTemplateCommand({
        ...{ templateName, templateBody, provisioningRoleArn, enabled: true, tags: tagged(tags) },
      }),
    );
    return resourceArn;
  };
  /** A device with this serial number comes with the claim; what it leaves with. */
  const provision = async (templateName: string, SerialNumber: string) => {
    const asking = await device(`claim-${SerialNumber}`);
    const { certificateOwnershipToken, ...own } = issued(await asking.request(createTopic));
    const request = { certificateOwnershipToken, parameters: { SerialNumber } };
    const { outcome, members } = await asking.request(provisionTopic(templateName), request);
    assert.equal(outcome, 'accepted', JSON.stringify(members));
    await asking.end();
    return own;
  };
  const described = async (certificateId: string) => {
    const { certificateDescription } = await iot.send(new DescribeCertificateCommand({ certificateId }));
    return certificateDescription ?? assert.fail();
  };
  const refusedConnect = (clientId: string, as: KeyedCertificate) =>
    assert.rejects(device(clientId, as), /was not let in|closed|refused/);
  await t.test('settings are tags of the template, which stays what AWS has; bad ones are refused', async () => {
    const resourceArn = await createTemplate('tagged', { team: 'blue', 'fleetgate:certificate-lifetime-days': '90' });
    const { tags } = await iot.send(new ListTagsForResourceCommand({ resourceArn }));
    assert.deepEqual(tags, tagged({ 'fleetgate:certificate-lifetime-days': '90', team: 'blue' }));
    const { $metadata: _, ...template } = await iot.send(
      new DescribeProvisioningTemplateCommand({ templateName: 'tagged' }),
    );
    assert.equal(JSON.stringify(template).includes('fleetgate'), false);
    const refused = { name: 'InvalidRequestException', message: /from 1 to 7300, not "soon"|There is no setting/ };
    await assert.rejects(createTemplate('bad', { 'fleetgate:certificate-lifetime-days': 'soon' }), refused);
    const typo = new TagResourceCommand({ resourceArn, tags: tagged({ 'fleetgate:retire-predecesor': 'true' }) });
    await assert.rejects(iot.send(typo), refused);
    const policyArn = `arn:aws:iot:${node.account.region}:${node.account.accountId}:policy/device`;
    const onPolicy = new TagResourceCommand({ resourceArn: policyArn, tags: tagged({ 'fleetgate:x': '1' }) });
    await assert.rejects(iot.send(onPolicy), {
      name: 'InvalidRequestException',
      message: /no setting of this resource/,
    });
    await iot.send(new UntagResourceCommand({ resourceArn, tagKeys: ['fleetgate:certificate-lifetime-days'] }));
    const { certificateId } = await provision('tagged', '1');
    assert.equal((await described(certificateId)).validity?.notAfter?.toISOString(), '2049-12-31T23:59:59.000Z');
  });

  await t.test('an old certificate is retired when its successor has connected, and not before', async () => {
    await createTemplate('rotating', { 'fleetgate:retire-predecessor': 'true' });
    const thingName = 'rotating-1';
    const first = await provision('rotating', '1');
    const old = await device('old', first);
    const second = await provision('rotating', '1');
    // it holds both: the old one is what it still talks with
    await old.client.publishAsync('a/b', 'still here', { qos: 1 });
    assert.equal((await described(first.certificateId)).status, 'ACTIVE');

    const renewed = await device(thingName, second);
    await old.closed();
    assert.equal((await described(first.certificateId)).status, 'INACTIVE');
    await renewed.client.publishAsync('a/b', 'and I go on', { qos: 1 });
    await refusedConnect('old', first);
    const { reason, sentence } = await scene.refusal('old');
    assert.equal(reason, 'DEVICE_CERTIFICATE_INACTIVE');
    assert.match(sentence, /it was retired when its device, .* connected with its successor [0-9a-f]{8}\.$/);
    const { records } = await readJournal(node, node.account, { subject: first.certificateId, limit: '10' });
    assert.ok(
      records.some(({ sentence: each }) =>
        /was retired: a device connected .* for the thing "rotating-1"\.$/.test(each),
      ),
      JSON.stringify(records.map((each) => each.sentence)),
    );
    // nothing of it is lost: one call brings it back, and the new one does not retire it twice
    const { principals } = await iot.send(new ListThingPrincipalsCommand({ thingName }));
    assert.equal(principals?.length, 2);
    await iot.send(new UpdateCertificateCommand({ certificateId: first.certificateId, newStatus: 'ACTIVE' }));
    await renewed.end();
    const again = await device(thingName, second);
    const back = await device('old', first);
    await back.client.publishAsync('a/b', 'back again', { qos: 1 });
    await Promise.all([again.end(), back.end()]);
  });

  await t.test('a successor that may not connect retires nobody', async () => {
    const Statement = [{ Effect: 'Allow', Action: 'iot:Connect', Resource: '*/this-one-alone' }];
    const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await iot.send(new CreatePolicyCommand({ policyName: 'narrow', policyDocument }));
    await createTemplate('narrow', { 'fleetgate:retire-predecessor': 'true' }, 'narrow');
    const first = await provision('narrow', '1');
    const second = await provision('narrow', '1');
    await refusedConnect('another', second);
    assert.equal((await described(first.certificateId)).status, 'ACTIVE');
    await (await device('this-one-alone', first)).end();
  });

  await t.test('a certificate that serves another thing too goes on', async () => {
    const first = await provision('rotating', 'shared');
    const principal = (await described(first.certificateId)).certificateArn ?? '';
    await iot.send(new CreateThingCommand({ thingName: 'gateway' }));
    await iot.send(new AttachThingPrincipalCommand({ thingName: 'gateway', principal }));
    const lonely = await provision('rotating', 'shared');
    const third = await provision('rotating', 'shared');
    const live = await device('lonely', lonely);
    const renewed = await device('rotating-shared', third);
    await live.closed();
    assert.equal((await described(lonely.certificateId)).status, 'INACTIVE');
    assert.equal((await described(first.certificateId)).status, 'ACTIVE');
    await renewed.end();
  });

  await t.test(
    'a lifetime ends what the account honours, on live connections too; the device comes again',
    async () => {
      await createTemplate('short', { 'fleetgate:certificate-lifetime-days': '30' });
      const bornMs = node.clock.now();
      const first = await provision('short', '1');
      const { validity, status } = await described(first.certificateId);
      assert.equal(status, 'ACTIVE');
      const lifetimeMs = Number(validity?.notAfter) - bornMs;
      assert.ok(Math.abs(lifetimeMs - 30 * dayMs) < 60_000, String(lifetimeMs));
      assert.match(first.certificatePem, /BEGIN CERTIFICATE/);
      await node.clock.advance(29 * dayMs);
      const live = await device('short-1', first);
      await live.client.publishAsync('a/b', 'still here', { qos: 1 });
      await node.clock.advance(2 * dayMs);
      await live.closed();
      await refusedConnect('short-1', first);
      const { reason, sentence } = await scene.refusal('short-1');
      assert.equal(reason, 'DEVICE_CERTIFICATE_EXPIRED');
      assert.match(
        sentence,
        /has not honoured since 20.*, although the certificate itself lasts longer: the provisioning template said so/,
      );
      const second = await provision('short', '1');
      const renewed = await device('short-1', second);
      await renewed.client.publishAsync('a/b', 'with another one', { qos: 1 });
      await renewed.end();
    },
  );
});
