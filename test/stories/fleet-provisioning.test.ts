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
import { createTopic, type Format, fleetTemplate, formats, provisionTopic, withThing } from '../fleet.ts';
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
  const { device, attempt, template, refusal, claim, node, ...scene } = await openScene(t, hooks);
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;

  await t.test(
    'provisioning.md check 23: RegisterThing without token: 400 InvalidCertificateOwnershipToken, in the words of AWS',
    async () => {
      const asking = await device('check23');
      for (const format of formats) {
        for (const request of [{}, { certificateOwnershipToken: '' }, { certificateOwnershipToken: null }]) {
          const members = { ...request, parameters: { SerialNumber: '1' } };
          const reply = await asking.request(provisionTopic('fleet', format), members);
          assert.deepEqual(refused(reply), invalidToken);
          assert.equal(reply.members['errorMessage'], 'Certificate ownership token cannot be empty.');
        }
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
    'provisioning.md check 26: a disabled template: rejected, and the token serves when it is enabled',
    async () => {
      for (const format of formats) {
        const templateName = `disabled-${format}`;
        const clientId = `check26-${format}`;
        await template(templateName, fleetTemplate('device', 'd-'), { enabled: false });
        const { register } = await attempt(clientId, format);
        assert.deepEqual(refused(await register(templateName, { SerialNumber: format })), [400, 'InvalidRequest']);
        const { records } = await readJournal(node, node.account, { clientId, failures: 'true', limit: '1' });
        assert.deepEqual(records[0]?.commands, [
          `aws iot update-provisioning-template --template-name ${templateName} --enabled`,
        ]);
        await iot.send(new UpdateProvisioningTemplateCommand({ templateName, enabled: true }));
        assert.equal((await register(templateName, { SerialNumber: format })).members['thingName'], `d-${format}`);
      }
    },
  );

  await t.test(
    'provisioning.md check 27: an unknown template: rejected 404, and the token serves with a known one',
    async () => {
      for (const format of formats) {
        const { register } = await attempt('check27', format);
        assert.deepEqual(refused(await register('unknown', { SerialNumber: '27' })), [404, 'ResourceNotFound']);
        assert.equal((await refusal('check27')).reason, 'TEMPLATE_NOT_FOUND');
        assert.equal((await register('fleet', { SerialNumber: '27' })).outcome, 'accepted');
      }
    },
  );

  /** Asks a hook that refuses: 403, nothing is made, and the token stays good. The sentence of the journal. */
  const refusedByHook = async (hook: 'no' | 'slow', format: Format): Promise<string> => {
    const [templateName, clientId] = [`${hook}-${format}`, `hook-${hook}-${format}`];
    await template(templateName, fleetTemplate('device', `${templateName}-`), { hook });
    const { certificateId, register } = await attempt(clientId, format);
    assert.deepEqual(refused(await register(templateName, { SerialNumber: '28' })), [403, 'AccessDenied']);
    assert.equal(await statusOf(certificateId), 'PENDING_ACTIVATION');
    const thing = new DescribeThingCommand({ thingName: `${templateName}-28` });
    await assert.rejects(iot.send(thing), { name: 'ResourceNotFoundException' });
    assert.equal((await register('fleet', { SerialNumber: '28' })).members['thingName'], 'fleet-28');
    return (await refusal(clientId)).sentence;
  };

  await t.test('provisioning.md check 28: a hook that says no: rejected 403, and no thing', async () => {
    for (const format of formats) {
      const sentence = await refusedByHook('no', format);
      assert.match(
        sentence,
        /hook of the provisioning template "no-\w+" did not let .*answered allowProvisioning false/,
      );
    }
  });

  await t.test('provisioning.md check 29: a hook that takes six seconds: rejected 403, and no thing', async () => {
    const sentences = await Promise.all(formats.map((format) => refusedByHook('slow', format)));
    for (const sentence of sentences) {
      assert.match(
        sentence,
        /hook of the provisioning template "slow-\w+" did not let .*: The function slow did not answer within 5 s/,
      );
    }
  });

  await t.test(
    'provisioning.md check 30, 31: overrides of the hook win; it is told the claim of the session and the parameters of the request alone',
    async () => {
      const named = { 'Fn::Join': ['', [{ Ref: 'SerialNumber' }, '-', { Ref: 'Claim' }, '-', { Ref: 'Mark' }]] };
      const parameters = Object.fromEntries(
        ['Claim', 'Names', 'Mark'].map((name) => [name, { Type: 'String', Default: 'default' }]),
      );
      const Properties = { ThingName: named, AttributePayload: { names: { Ref: 'Names' } } };
      const body = withThing({ Properties });
      await template('echo', { ...body, Parameters: { ...body.Parameters, ...parameters } }, { hook: 'echo' });
      for (const format of formats) {
        const born = await (await attempt('check30', format)).register('echo', { SerialNumber: format });
        const thingName = `${format}-over-${claim.certificateId.slice(0, 8)}-default`;
        assert.equal(born.members['thingName'], thingName, JSON.stringify(born.members));
        const { attributes } = await iot.send(new DescribeThingCommand({ thingName }));
        const keys = 'certificateId_certificatePem_claimCertificateId_clientId_parameters_templateArn';
        assert.deepEqual(attributes, { names: `${keys}____SerialNumber___${format}__` });
      }
    },
  );

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
