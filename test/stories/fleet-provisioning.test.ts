/**
 * Fleet provisioning by claim over real TLS and MQTT: what provisioning.md 4 to 6 asks, by the numbers of its acceptance checks, and what issue "Provisioning"
 * asks of whoever attacks it. The template and the claim policy are those of seed 001.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateProvisioningClaimCommand,
  CreateProvisioningTemplateCommand,
  DescribeCertificateCommand,
  DescribeEndpointCommand,
  DescribeThingCommand,
  ListAttachedPoliciesCommand,
  ListCertificatesCommand,
  ListPrincipalThingsCommand,
  ListThingsCommand,
  UpdateCertificateCommand,
  UpdateProvisioningTemplateCommand,
} from '@aws-sdk/client-iot';
import { readCbor, writeCbor } from '../../src/aws/cbor.ts';
import {
  claimPolicy,
  connectFleetDevice,
  createTopic,
  csrTopic,
  type FleetReply,
  fleetTemplate,
  type KeyedCertificate,
  provisionTopic,
} from '../fleet.ts';
import { makeFolder } from '../folder.ts';
import { type Booted, bash, bootNode } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { queryStore } from '../stores.ts';

const accountId = '000000000000';
const provisioningRoleArn = `arn:aws:iam::${accountId}:role/provisioning`;
const devicePolicy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
});

/** Functions that hooks ask, as modules of the account. */
const functions: Readonly<Record<string, string>> = {
  yes: 'export const handler = async (event) => ({ allowProvisioning: true });',
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

interface Scene extends Booted {
  readonly dataFolder: string;
  readonly claim: Claim;
  /** Another active certificate with the same rights. */
  newClaim(policyName?: string): Promise<Claim>;
  device(clientId: string, as?: KeyedCertificate, version?: 4 | 5): ReturnType<typeof connectFleetDevice>;
  template(templateName: string, body: unknown, more?: { enabled?: boolean; hook?: string }): Promise<void>;
  /** Why the last attempt of a client id was refused, as the journal has it. */
  refusal(clientId: string): Promise<{ reason: string | undefined; detail: string | undefined; sentence: string }>;
}

interface Claim extends KeyedCertificate {
  readonly certificateId: string;
}

const openScene = async (t: TestContext): Promise<Scene> => {
  const folder = await makeFolder(t);
  mkdirSync(join(folder, 'functions', accountId), { recursive: true });
  for (const [name, text] of Object.entries(functions)) {
    writeFileSync(join(folder, 'functions', accountId, `${name}.mjs`), text);
  }
  const dataFolder = join(folder, 'data');
  const booted = await bootNode(t, { dataFolder, functions: join(folder, 'functions') });
  const { iot, node } = booted;
  const client = iot();
  await client.send(new CreatePolicyCommand({ policyName: 'device', policyDocument: devicePolicy }));
  await client.send(new CreatePolicyCommand({ policyName: 'claim', policyDocument: claimPolicy('*') }));
  const newClaim = async (policyName = 'claim'): Promise<Claim> => {
    const made = await client.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    await client.send(new AttachPolicyCommand({ policyName, target: made.certificateArn }));
    return {
      certificateId: String(made.certificateId),
      certificatePem: String(made.certificatePem),
      privateKey: String(made.keyPair?.PrivateKey),
    };
  };
  const claim = await newClaim();
  const opened: { end(): Promise<void> }[] = [];
  t.after(() => Promise.all(opened.map((device) => device.end())));
  return {
    ...booted,
    dataFolder,
    claim,
    newClaim,
    async device(clientId, as = claim, version = 4) {
      const device = await connectFleetDevice(node, as, { clientId, version });
      opened.push(device);
      return device;
    },
    async template(templateName, body, { enabled = true, hook } = {}) {
      const targetArn = `arn:aws:lambda:us-east-1:${accountId}:function:${hook}`;
      await client.send(
        new CreateProvisioningTemplateCommand({
          templateName,
          templateBody: JSON.stringify(body),
          provisioningRoleArn,
          enabled,
          ...(hook !== undefined && { preProvisioningHook: { targetArn } }),
        }),
      );
    },
    async refusal(clientId) {
      const { records } = await readJournal(node, node.account, { clientId, failures: 'true', limit: '1' });
      const [{ record, sentence } = assert.fail(`no refusal of ${clientId}`)] = records;
      return { reason: record.reason, detail: record.detail, sentence };
    },
  };
};

/** The members of a refusal; the text is for people. */
const refused = ({ outcome, members }: FleetReply): unknown[] => {
  assert.equal(outcome, 'rejected');
  assert.deepEqual(Object.keys(members), ['statusCode', 'errorCode', 'errorMessage']);
  assert.equal(typeof members['errorMessage'], 'string');
  return [members['statusCode'], members['errorCode']];
};
const text = (value: unknown): string => {
  assert.equal(typeof value, 'string');
  return String(value);
};
/** What an accepted certificate came with. */
const issued = ({ outcome, members }: FleetReply) => {
  assert.equal(outcome, 'accepted', JSON.stringify(members));
  return {
    certificateId: text(members['certificateId']),
    certificatePem: text(members['certificatePem']),
    privateKey: String(members['privateKey']),
    certificateOwnershipToken: text(members['certificateOwnershipToken']),
  };
};
const invalidToken = [400, 'InvalidCertificateOwnershipToken'];

test('fleet provisioning by claim', async (t) => {
  const scene = await openScene(t);
  const { device, template, refusal, claim, newClaim, node } = scene;
  const iot = scene.iot();
  const statusOf = async (certificateId: string): Promise<string | undefined> =>
    (await iot.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;
  await template('fleet', fleetTemplate('device', 'fleet-'));

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

  await t.test('a token of another claim or another account is refused, and stays good for its owner', async () => {
    const asking = await device('owner');
    const { certificateOwnershipToken, certificateId } = issued(await asking.request(createTopic));
    const request = { certificateOwnershipToken, parameters: { SerialNumber: 'owner' } };
    const thief = await device('thief2', await newClaim());
    assert.deepEqual(refused(await thief.request(provisionTopic('fleet'), request)), invalidToken);

    const abroad = scene.iot('111111111111');
    await abroad.send(new CreatePolicyCommand({ policyName: 'all', policyDocument: devicePolicy }));
    const made = await abroad.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    await abroad.send(new AttachPolicyCommand({ policyName: 'all', target: made.certificateArn }));
    const { endpointAddress = '' } = await abroad.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    await abroad.send(
      new CreateProvisioningTemplateCommand({
        templateName: 'fleet',
        templateBody: JSON.stringify(fleetTemplate('all', 'abroad-')),
        provisioningRoleArn: 'arn:aws:iam::111111111111:role/provisioning',
        enabled: true,
      }),
    );
    const foreigner = await connectFleetDevice(
      node,
      { certificatePem: String(made.certificatePem), privateKey: String(made.keyPair?.PrivateKey) },
      { clientId: 'foreigner', serverName: endpointAddress },
    );
    t.after(() => foreigner.end());
    assert.deepEqual(refused(await foreigner.request(provisionTopic('fleet'), request)), invalidToken);
    assert.deepEqual((await abroad.send(new ListThingsCommand({}))).things, []);

    assert.equal(await statusOf(certificateId), 'PENDING_ACTIVATION');
    assert.equal((await asking.request(provisionTopic('fleet'), request)).members['thingName'], 'fleet-owner');
  });

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
      assert.match(slow, /hook of the provisioning template "slow" did not let .*5 s|seconds|time/);
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

  await t.test('39. CreateProvisioningClaim: 300 s, not listed, and RegisterThing only on its template', async () => {
    const before = (await iot.send(new ListCertificatesCommand({ pageSize: 250 }))).certificates?.length;
    const askedAtMs = node.clock.now();
    const made = await iot.send(new CreateProvisioningClaimCommand({ templateName: 'fleet' }));
    const certificateId = String(made.certificateId);
    const lifetimeMs = Number(made.expiration) - askedAtMs;
    assert.ok(lifetimeMs > 299_000 && lifetimeMs <= 301_000, String(lifetimeMs));
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
    const { certificateOwnershipToken } = issued(await asking.request(createTopic));
    const request = { certificateOwnershipToken, parameters: { SerialNumber: '39' } };
    assert.equal((await asking.request(provisionTopic('fleet'), request)).members['thingName'], 'fleet-39');

    const greedy = await device('check39b', trusted, 5);
    await assert.rejects(greedy.client.publishAsync(provisionTopic('other'), '{}', { qos: 1 }), /Not authorized/);
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
      if (templateName === 'disabled2') await template(templateName, fleetTemplate('device', 'x'), { enabled: false });
      await assert.rejects(iot.send(new CreateProvisioningClaimCommand({ templateName })), { name });
    }
  });
});

test('what time does to fleet provisioning', async (t) => {
  const scene = await openScene(t);
  const { device, template, refusal, node } = scene;
  const iot = scene.iot();
  await template('fleet', fleetTemplate('device', 'fleet-'));
  const exists = async (certificateId: string): Promise<boolean> => {
    const { certificates = [] } = await iot.send(new ListCertificatesCommand({ pageSize: 250 }));
    return certificates.some((each) => each.certificateId === certificateId);
  };
  const minuteMs = 60_000;

  await t.test(
    '24, 25. after an hour the token is refused and its certificate gone; one that was attached or activated remains',
    async () => {
      const asking = await device('check24');
      const [forgotten, attached, activated, used] = [
        issued(await asking.request(createTopic)),
        issued(await asking.request(createTopic)),
        issued(await asking.request(createTopic)),
        issued(await asking.request(createTopic)),
      ];
      const target = `arn:aws:iot:us-east-1:${accountId}:cert/${attached.certificateId}`;
      await iot.send(new AttachPolicyCommand({ policyName: 'device', target }));
      await iot.send(new UpdateCertificateCommand({ certificateId: activated.certificateId, newStatus: 'ACTIVE' }));
      const { certificateOwnershipToken } = used;
      const request = { certificateOwnershipToken, parameters: { SerialNumber: '24' } };
      await asking.request(provisionTopic('fleet'), request);

      await node.clock.advance(59 * minuteMs);
      assert.ok(await exists(forgotten.certificateId));
      const again = await device('check24b');
      assert.equal((await again.request(provisionTopic('fleet'), request)).outcome, 'accepted', 'within the hour');
      await node.clock.advance(2 * minuteMs);
      assert.deepEqual(
        await Promise.all([forgotten, attached, activated, used].map(({ certificateId }) => exists(certificateId))),
        [false, true, true, true],
      );
      const late = await device('check24c');
      for (const { certificateOwnershipToken } of [forgotten, attached, used]) {
        const reply = await late.request(provisionTopic('fleet'), {
          certificateOwnershipToken,
          parameters: { SerialNumber: '24' },
        });
        assert.deepEqual(refused(reply), invalidToken);
      }
      assert.deepEqual(await queryStore(scene.dataFolder, 'select * from ownership_tokens'), []);
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

/** Made by openssl, as a device would. */
const newCsr = async (
  folder: string,
  name: string,
): Promise<{ certificateSigningRequest: string; publicKey: string }> => {
  const { stdout, code, stderr } = await bash(
    `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -subj /CN=${name} && openssl pkey -in ${name}.key -pubout`,
    { cwd: folder },
  );
  assert.equal(code, 0, stderr);
  const [certificateSigningRequest = '', publicKey = ''] = stdout.split(/(?=-----BEGIN PUBLIC KEY)/);
  return { certificateSigningRequest, publicKey };
};
