/**
 * RegisterThing by claim over real TLS and MQTT, with the template and the claim policy of seed 001. The numbers are those of the acceptance checks of
 * provisioning.md.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreatePolicyCommand,
  DescribeCertificateCommand,
  DescribeThingCommand,
  ListAttachedPoliciesCommand,
  ListPrincipalThingsCommand,
  UpdateProvisioningTemplateCommand,
} from '@aws-sdk/client-iot';
import { createTopic, fleetTemplate, provisionTopic } from '../fleet.ts';
import { accountId, devicePolicy, invalidToken, issued, openScene, refused } from '../fleet-scene.ts';
import { readJournal } from '../journal.ts';

/** Functions that hooks ask, as modules of the account. */
const hooks: Readonly<Record<string, string>> = {
  no: 'export const handler = async () => ({ allowProvisioning: false });',
  slow: 'export const handler = () => new Promise((resolve) => setTimeout(resolve, 6000, { allowProvisioning: true }));',
  // tells by the name of the thing what it was asked
  echo: `export const handler = async (event) => ({
    allowProvisioning: true,
    parameterOverrides: {
      SerialNumber: event.parameters.SerialNumber + '-over',
      Claim: event.claimCertificateId.slice(0, 8),
      Names: Object.keys(event).sort().join('_') + '__' + JSON.stringify(event.parameters).replaceAll(/[^A-Za-z0-9]/g, '_'),
    },
  });`,
};

test('fleet provisioning by claim', async (t) => {
  const { device, template, refusal, claim, node, ...scene } = await openScene(t, hooks);
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;

  await t.test(
    '23. RegisterThing without token: 400 InvalidCertificateOwnershipToken, in the words of AWS',
    async () => {
      const asking = await device('check23');
      for (const request of [{}, { certificateOwnershipToken: '' }, { certificateOwnershipToken: null }]) {
        const reply = await asking.request(provisionTopic('fleet'), { ...request, parameters: { SerialNumber: '1' } });
        assert.deepEqual(refused(reply), invalidToken);
        assert.equal(reply.members['errorMessage'], 'Certificate ownership token cannot be empty.');
      }
      assert.deepEqual(await refusal('check23'), {
        reason: 'OWNERSHIP_TOKEN_INVALID',
        detail: 'missing',
        sentence:
          'The client "check23" asked for its thing by the provisioning template "fleet" without an ownership token.',
      });
    },
  );

  await t.test(
    'the sequence of seed 001: thing, policy, ACTIVE; the device connects with its own certificate; again with the same serial',
    async () => {
      const asking = await device('born');
      const made = issued(await asking.request(createTopic));
      const parameters = { SerialNumber: '42' };
      const { certificateOwnershipToken } = made;
      const born = await asking.request(provisionTopic('fleet'), { certificateOwnershipToken, parameters });
      assert.deepEqual(born.members, { deviceConfiguration: {}, thingName: 'fleet-42' });
      assert.equal(await statusOf(made.certificateId), 'ACTIVE');
      const principal = `arn:aws:iot:us-east-1:${accountId}:cert/${made.certificateId}`;
      assert.deepEqual((await iot.send(new ListPrincipalThingsCommand({ principal }))).things, ['fleet-42']);
      const { policies } = await iot.send(new ListAttachedPoliciesCommand({ target: principal }));
      assert.deepEqual(
        policies?.map(({ policyName }) => policyName),
        ['device'],
      );
      const itself = await device('fleet-42', made);
      await itself.client.publishAsync('sdk/test/js', 'hello', { qos: 1 });

      const second = issued(await asking.request(createTopic));
      const again = { certificateOwnershipToken: second.certificateOwnershipToken, parameters };
      assert.equal((await asking.request(provisionTopic('fleet'), again)).members['thingName'], 'fleet-42');
      assert.equal(await statusOf(second.certificateId), 'ACTIVE');
      const { records } = await readJournal(node, node.account, { clientId: 'born' });
      const [record] = records.map((each) => each.record).filter(({ eventType }) => eventType === 'ProvisionDevice');
      assert.deepEqual(record?.facts, {
        topic: provisionTopic('fleet'),
        provisioningTemplateName: 'fleet',
        parameterNames: 'SerialNumber',
        templateVersion: '1',
        deviceCertificateId: second.certificateId,
        thingName: 'fleet-42',
      });
    },
  );

  await t.test(
    '26, 27. a template that is disabled, of another type or unknown: rejected, and the token stays good',
    async () => {
      await template('disabled', fleetTemplate('device', 'd-'), { enabled: false });
      const asking = await device('check26');
      const { certificateOwnershipToken } = issued(await asking.request(createTopic));
      const request = { certificateOwnershipToken, parameters: { SerialNumber: '26' } };
      assert.deepEqual(refused(await asking.request(provisionTopic('disabled'), request)), [400, 'InvalidRequest']);
      const { records } = await readJournal(node, node.account, { clientId: 'check26', failures: 'true', limit: '1' });
      assert.deepEqual(records[0]?.commands, [
        'aws iot update-provisioning-template --template-name disabled --enabled',
      ]);
      assert.deepEqual(refused(await asking.request(provisionTopic('unknown'), request)), [404, 'ResourceNotFound']);
      assert.equal((await refusal('check26')).reason, 'TEMPLATE_NOT_FOUND');
      await iot.send(new UpdateProvisioningTemplateCommand({ templateName: 'disabled', enabled: true }));
      assert.equal((await asking.request(provisionTopic('disabled'), request)).members['thingName'], 'd-26');
    },
  );

  await t.test(
    '28, 29. a hook that says no, and one that takes six seconds: rejected 403, no thing, and the token stays good',
    async () => {
      await template('no', fleetTemplate('device', 'no-'), { hook: 'no' });
      await template('slow', fleetTemplate('device', 'slow-'), { hook: 'slow' });
      const ask = async (templateName: string) => {
        const asking = await device(`hook-${templateName}`);
        const { certificateOwnershipToken, certificateId } = issued(await asking.request(createTopic));
        const request = { certificateOwnershipToken, parameters: { SerialNumber: '28' } };
        assert.deepEqual(refused(await asking.request(provisionTopic(templateName), request)), [403, 'AccessDenied']);
        assert.equal(await statusOf(certificateId), 'PENDING_ACTIVATION');
        await assert.rejects(iot.send(new DescribeThingCommand({ thingName: `${templateName}-28` })));
        assert.equal((await asking.request(provisionTopic('fleet'), request)).members['thingName'], 'fleet-28');
        return (await refusal(`hook-${templateName}`)).sentence;
      };
      const [no, slow] = await Promise.all([ask('no'), ask('slow')]);
      assert.match(no, /hook of the provisioning template "no" did not let .*answered allowProvisioning false/);
      assert.match(
        slow,
        /hook of the provisioning template "slow" did not let .*: The function slow did not answer within 5 s/,
      );
    },
  );

  await t.test(
    '30, 31. overrides of the hook win; it is told the claim of the session and the parameters of the request alone',
    async () => {
      const named = { 'Fn::Join': ['', [{ Ref: 'SerialNumber' }, '-', { Ref: 'Claim' }, '-', { Ref: 'Mark' }]] };
      const body = fleetTemplate('device', '');
      const parameters = Object.fromEntries(
        ['Claim', 'Names', 'Mark'].map((name) => [name, { Type: 'String', Default: 'default' }]),
      );
      await template(
        'echo',
        {
          ...body,
          Parameters: { ...body.Parameters, ...parameters },
          Resources: {
            ...body.Resources,
            thing: {
              Type: 'AWS::IoT::Thing',
              Properties: { ThingName: named, AttributePayload: { names: { Ref: 'Names' } } },
            },
          },
        },
        { hook: 'echo' },
      );
      const asking = await device('check30');
      const { certificateOwnershipToken } = issued(await asking.request(createTopic));
      const request = { certificateOwnershipToken, parameters: { SerialNumber: '30' } };
      const born = await asking.request(provisionTopic('echo'), request);
      const thingName = `30-over-${claim.certificateId.slice(0, 8)}-default`;
      assert.equal(born.members['thingName'], thingName, JSON.stringify(born.members));
      const { attributes } = await iot.send(new DescribeThingCommand({ thingName }));
      const keys = 'certificateId_certificatePem_claimCertificateId_clientId_parameters_templateArn';
      assert.deepEqual(attributes, { names: `${keys}____SerialNumber___30__` });
    },
  );

  await t.test('32. Fn::FindInMap in DeviceConfiguration: the device gets the mapped value', async () => {
    const Mappings = { Urls: { eu: { url: 'https://eu.example' } } };
    const DeviceConfiguration = { FallbackUrl: { 'Fn::FindInMap': ['Urls', { Ref: 'SerialNumber' }, 'url'] } };
    await template('mapped', fleetTemplate('device', 'm-', { Mappings, DeviceConfiguration }));
    const asking = await device('check32');
    const { certificateOwnershipToken } = issued(await asking.request(createTopic));
    const born = await asking.request(provisionTopic('mapped'), {
      certificateOwnershipToken,
      parameters: { SerialNumber: 'eu' },
    });
    assert.deepEqual(born.members, { deviceConfiguration: { FallbackUrl: 'https://eu.example' }, thingName: 'm-eu' });
  });

  await t.test(
    '33. Fn::Select beyond the list, a parameter that is missing: rejected 400, and the journal names it',
    async () => {
      const ThingName = { 'Fn::Select': ['7', { 'Fn::Split': ['-', { Ref: 'SerialNumber' }] }] };
      const body = fleetTemplate('device', '');
      const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName } };
      await template('select', { ...body, Resources: { ...body.Resources, thing } });
      const asking = await device('check33');
      const { certificateOwnershipToken } = issued(await asking.request(createTopic));
      const request = { certificateOwnershipToken, parameters: { SerialNumber: 'a-b' } };
      assert.deepEqual(refused(await asking.request(provisionTopic('select'), request)), [400, 'InvalidParameters']);
      const missing = { certificateOwnershipToken, parameters: { serialNumber: 'a-b' } };
      assert.deepEqual(refused(await asking.request(provisionTopic('fleet'), missing)), [400, 'InvalidParameters']);
      assert.match((await refusal('check33')).sentence, /SerialNumber.*; the device sent serialNumber\.$/);
    },
  );

  await t.test('34. a template without a thing: accepted has no thingName', async () => {
    const { thing: _, ...Resources } = fleetTemplate('device', '').Resources;
    await template('thingless', { ...fleetTemplate('device', ''), Resources });
    const asking = await device('check34');
    const { certificateOwnershipToken } = issued(await asking.request(createTopic));
    const born = await asking.request(provisionTopic('thingless'), {
      certificateOwnershipToken,
      parameters: { SerialNumber: 'x' },
    });
    assert.deepEqual(born.members, { deviceConfiguration: {} });
  });

  await t.test(
    'a template whose policy does not exist: rejected 400, nothing remains, and the same token serves when it does',
    async () => {
      await template('early', fleetTemplate('later', 'early-'));
      const asking = await device('early');
      const { certificateOwnershipToken, certificateId } = issued(await asking.request(createTopic));
      const request = { certificateOwnershipToken, parameters: { SerialNumber: '1' } };
      const reply = await asking.request(provisionTopic('early'), request);
      assert.deepEqual(refused(reply), [400, 'ResourceRegistrationFailure']);
      await assert.rejects(iot.send(new DescribeThingCommand({ thingName: 'early-1' })));
      assert.equal(await statusOf(certificateId), 'PENDING_ACTIVATION');
      await iot.send(new CreatePolicyCommand({ policyName: 'later', policyDocument: devicePolicy }));
      assert.equal((await asking.request(provisionTopic('early'), request)).members['thingName'], 'early-1');
    },
  );

  await t.test('a device that comes back with its claim still has its token', async () => {
    const before = await device('comeback');
    const { certificateOwnershipToken } = issued(await before.request(createTopic));
    await before.end();
    const after = await device('comeback');
    const request = { certificateOwnershipToken, parameters: { SerialNumber: 'back' } };
    assert.equal((await after.request(provisionTopic('fleet'), request)).members['thingName'], 'fleet-back');
  });
});
