/**
 * What templates make of devices that come by claim, over real TLS and MQTT, in JSON and in CBOR. The numbers are those of the acceptance checks of
 * provisioning.md.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateThingCommand,
  DescribeCertificateCommand,
  DescribeThingCommand,
  GetPolicyCommand,
  ListAttachedPoliciesCommand,
} from '@aws-sdk/client-iot';
import { createTopic, fleetTemplate, formats, provisionTopic, topicIn, withThing } from '../fleet.ts';
import { accountId, issued, openScene, refused } from '../fleet-scene.ts';
import { fails } from '../sdk-fault.ts';

test('templates of devices that come by claim', async (t) => {
  const { device, attempt, template, refusal, ...scene } = await openScene(t);
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;

  await t.test(
    'provisioning.md check 32: Fn::FindInMap in DeviceConfiguration: the device gets the mapped value',
    async () => {
      const Mappings = { Urls: { eu: { url: 'https://eu.example' } } };
      const DeviceConfiguration = { FallbackUrl: { 'Fn::FindInMap': ['Urls', { Ref: 'SerialNumber' }, 'url'] } };
      await template('mapped', fleetTemplate('device', 'm-', { Mappings, DeviceConfiguration }));
      for (const format of formats) {
        const { members } = await (await attempt('check32', format)).register('mapped', { SerialNumber: 'eu' });
        assert.deepEqual(members, { deviceConfiguration: { FallbackUrl: 'https://eu.example' }, thingName: 'm-eu' });
      }
    },
  );

  await t.test(
    'provisioning.md check 33: Fn::Select out of range: rejected 400; as a missing parameter is',
    async () => {
      const ThingName = { 'Fn::Select': ['7', { 'Fn::Split': ['-', { Ref: 'SerialNumber' }] }] };
      await template('select', withThing({ Properties: { ThingName } }));
      for (const format of formats) {
        const { register } = await attempt('check33', format);
        assert.deepEqual(refused(await register('select', { SerialNumber: 'a-b' })), [400, 'InvalidParameters']);
        assert.deepEqual(refused(await register('fleet', { serialNumber: 'a-b' })), [400, 'InvalidParameters']);
        assert.match((await refusal('check33')).sentence, /SerialNumber.*; the device sent serialNumber\.$/);
      }
    },
  );

  await t.test('provisioning.md check 34: a template without a thing: accepted has no thingName', async () => {
    const { thing: _, ...Resources } = fleetTemplate('device', '').Resources;
    await template('thingless', { ...fleetTemplate('device', ''), Resources });
    for (const format of formats) {
      const born = await (await attempt('check34', format)).register('thingless', { SerialNumber: 'x' });
      assert.equal(born.outcome, 'accepted');
      assert.deepEqual(born.members, { deviceConfiguration: {} });
    }
  });

  await t.test(
    'provisioning.md check 35: a thing with other attributes: MERGE is the union, REPLACE only the template, DO_NOTHING nothing, FAIL 409',
    async () => {
      for (const [override, left] of [
        ['MERGE', { kept: '1', shared: 'new', added: '2' }],
        ['REPLACE', { shared: 'new', added: '2' }],
        ['DO_NOTHING', { kept: '1', shared: 'old' }],
        ['FAIL', { kept: '1', shared: 'old' }],
      ] as const) {
        const AttributePayload = { shared: 'new', added: '2' };
        const Properties = { ThingName: { Ref: 'SerialNumber' }, AttributePayload };
        await template(override, withThing({ OverrideSettings: { AttributePayload: override }, Properties }));
        for (const format of formats) {
          const thingName = `${override}-${format}`;
          const attributes = { kept: '1', shared: 'old' };
          await iot.send(new CreateThingCommand({ thingName, attributePayload: { attributes } }));
          const { register, certificateId } = await attempt(`check35-${override}`, format);
          const reply = await register(override, { SerialNumber: thingName });
          if (override === 'FAIL') {
            assert.deepEqual(refused(reply), [409, 'ResourceConflicts']);
            assert.equal(await statusOf(certificateId), 'PENDING_ACTIVATION');
          } else assert.equal(reply.members['thingName'], thingName);
          const found = await iot.send(new DescribeThingCommand({ thingName }));
          assert.deepEqual({ ...found.attributes }, left, override);
        }
      }
    },
  );

  /** A template of seed 001 that makes the policy too. */
  const withDocument = (PolicyDocument: unknown) => {
    const body = fleetTemplate('device', 'doc-');
    const policy = { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument } };
    return { ...body, Resources: { ...body.Resources, policy_device: policy } };
  };
  const policyNamesOf = async (certificateId: string): Promise<(string | undefined)[]> => {
    const target = `arn:aws:iot:us-east-1:${accountId}:cert/${certificateId}`;
    const { policies = [] } = await iot.send(new ListAttachedPoliciesCommand({ target }));
    return policies.map(({ policyName }) => policyName);
  };

  await t.test(
    'provisioning.md check 36: PolicyDocument as an object and as a string: both are accepted, and give the device the same rights',
    async () => {
      const document = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'iot:Connect', Resource: '*' }],
      };
      await template('document-object', withDocument(document));
      await template('document-string', withDocument(JSON.stringify(document)));
      const names: (string | undefined)[] = [];
      for (const templateName of ['document-object', 'document-string']) {
        for (const format of formats) {
          const asking = await device('check36');
          const made = issued(await asking.request(topicIn(format, createTopic)));
          const { certificateOwnershipToken } = made;
          const request = { certificateOwnershipToken, parameters: { SerialNumber: '36' } };
          const born = await asking.request(provisionTopic(templateName, format), request);
          assert.equal(born.outcome, 'accepted');
          await device('check36-itself', made);
          names.push(...(await policyNamesOf(made.certificateId)));
        }
      }
      // the same text here, as JSON.stringify has made both
      assert.deepEqual(
        names,
        Array.from({ length: 4 }, () => names[0]),
      );
    },
  );

  await t.test(
    'provisioning.md check 37: two devices with the same PolicyDocument: one policy with a 40-hex name; another text, another policy',
    async () => {
      const Resource = `arn:aws:iot:us-east-1:${accountId}:client/\${iot:Connection.Thing.ThingName}`;
      const Statement = [{ Effect: 'Allow', Action: 'iot:Connect', Resource }];
      await template('document-shared', withDocument({ Version: '2012-10-17', Statement }));
      const own = { 'Fn::Sub': `arn:aws:iot:us-east-1:${accountId}:client/\${SerialNumber}` };
      const each = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'iot:Connect', Resource: own }] };
      await template('document-own', withDocument(each));
      const namesBy = async (templateName: string) => {
        const names = new Set<string | undefined>();
        for (const format of formats) {
          const { register, certificateId } = await attempt('check37', format);
          assert.equal((await register(templateName, { SerialNumber: format })).outcome, 'accepted');
          for (const name of await policyNamesOf(certificateId)) names.add(name);
        }
        return [...names];
      };
      const [shared, ...others] = await namesBy('document-shared');
      assert.match(shared ?? '', /^[0-9A-F]{40}$/);
      assert.deepEqual(others, []);
      const { policyDocument } = await iot.send(new GetPolicyCommand({ policyName: shared }));
      assert.deepEqual(JSON.parse(policyDocument ?? '').Statement, Statement, 'the policy variable is left as it is');
      assert.equal((await namesBy('document-own')).length, 2);
    },
  );

  await t.test(
    'provisioning.md check 38: a policy with neither property: 400 when the template is created, in the words of AWS',
    async () => {
      const body = fleetTemplate('device', '');
      const Resources = { ...body.Resources, policy_device: { Type: 'AWS::IoT::Policy', Properties: {} } };
      const made = template('neither', { ...body, Resources });
      await assert.rejects(made, fails('InvalidRequestException', 400));
      await assert.rejects(made, /Neither policyName nor policyDocument is present in the Template\./);
    },
  );
});
