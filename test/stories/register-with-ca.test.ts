/**
 * A CA that proves to have its key, and a device certificate under it: the example runs as it is written, and each of its steps done wrong is refused as AWS refuses it.
 * Source: seed "register without CA", its way B; spec identity 2.3, 2.5, 3.2, 3.4.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Packet } from 'mqtt-packet';
import { iotArn } from '../../src/aws/arn.ts';
import { authorities } from '../ca.ts';
import { bash, bootNode, certificateIdOf } from '../harness.ts';
import { publish } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';
import { hears, makeDevice, type Step, takeSteps } from '../steps.ts';

const example = fileURLToPath(new URL('../../examples/register-with-ca.sh', import.meta.url));

test('a CA is registered with its proof, a certificate under it, and the device talks', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort) },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /^ACTIVE\tDEFAULT\tDISABLE$/m, 'the CA');
  assert.match(stdout, /^[0-9a-f]{64}\tACTIVE\tDEFAULT$/m, 'the certificate, as the CA lists it');
  assert.match(stdout, /^hello from a certificate under a registered CA$/m);
  assert.match(stdout, /^done: /m);
  const client = iot();
  assert.deepEqual((await client.listCACertificates({})).certificates, []);
  assert.deepEqual((await client.listCertificates({})).certificates, []);
  assert.deepEqual((await client.listPolicies({})).policies, []);
});

const validation = fails('CertificateValidationException', 400);
const wrongCode = fails('RegistrationCodeValidationException', 400);
const invalid = fails('InvalidRequestException', 400);
const notFound = fails('ResourceNotFoundException', 404);
const taken = fails('ResourceAlreadyExistsException', 409);
const conflict = fails('DeleteConflictException', 409);
const wrongState = fails('CertificateStateException', 406);

/** What a device hears: no CONNACK; or one, and the end when it does what it may not. */
const [refused, letIn, cut] = [['close'], ['CONNACK 0x00'], ['CONNACK 0x00', 'close']];

/** A node, what is made with openssl, and what a person does with it. */
const begin = async (t: TestContext) => {
  const { node, folder, iot } = await bootNode(t);
  const client = iot();
  const maker = authorities(folder);
  const caCertificate = await maker.ca('CA', { subject: '/CN=example.com' });
  const { certificatePem, ...device } = await makeDevice(folder, maker, { name: 'device1', ca: 'CA' });
  const caId = certificateIdOf(caCertificate);
  const { certificateId } = device;
  return {
    ...{ node, folder, client, ...maker, caCertificate, caId, certificatePem, certificateId },
    target: iotArn(node.account, 'cert', certificateId),
    readFile: (name: string) => readFile(`${folder}/${name}`, 'utf8'),
    registerCa: (verificationCertificate?: string, pem = caCertificate) =>
      client.registerCACertificate({ caCertificate: pem, verificationCertificate, setAsActive: true }),
    register: (pem = certificatePem) => client.registerCertificate({ certificatePem: pem }),
    setCa: (newStatus: 'ACTIVE' | 'INACTIVE') => client.updateCACertificate({ certificateId: caId, newStatus }),
    setStatus: (newStatus: 'ACTIVE' | 'INACTIVE' | 'REVOKED') => client.updateCertificate({ certificateId, newStatus }),
    hears: (...says: readonly Packet[]) => hears(node, { ...device, certificatePem }, { clientId: 'device1', says }),
  };
};
type Scene = Awaited<ReturnType<typeof begin>>;

const caSteps = ({ client, ca, leaf, caId, registerCa, readFile: read }: Scene): Step[] => {
  const codeOf = async () => `/CN=${(await client.getRegistrationCode({})).registrationCode}`;
  const proof = async (name: string, by = 'CA') => leaf(name, by, { subject: await codeOf() });
  const proven = async (name: string, pem: string) => registerCa(await proof(`proof-${name}`, name), pem);
  const ofCa = ['-addext', 'basicConstraints=CA:TRUE'];
  return [
    {
      step: 'a CA of our own',
      wrong: [
        ['without basicConstraints', async () => proven('bare', await ca('bare', { extras: [] })), validation],
        ['rsa:1024', async () => proven('weak', await ca('weak', { key: 'rsa-1024', extras: ofCa })), validation],
        ['-sha1', async () => proven('old', await ca('old', { extras: ['-sha1', ...ofCa] })), validation],
        ["the device's certificate", async () => registerCa(await proof('p1'), await read('device1.crt')), validation],
        ['the key for the certificate', async () => registerCa(await proof('p2'), await read('CA.key')), validation],
      ],
    },
    {
      step: 'the proof that we have its key: it signs a certificate with the registration code of this account as its name',
      wrong: [
        ['another name', async () => registerCa(await leaf('other', 'CA', { subject: '/CN=device1' })), wrongCode],
        [
          'the code as another attribute',
          async () => registerCa(await leaf('unit', 'CA', { subject: (await codeOf()).replace('CN', 'OU') })),
          wrongCode,
        ],
        [
          'signed by a namesake of the CA',
          async () => {
            await ca('impostor', { subject: '/CN=example.com' });
            return registerCa(await proof('forged', 'impostor'));
          },
          validation,
        ],
        ['signed by itself', async () => registerCa(await ca('self', { subject: await codeOf() })), validation],
        ['the CSR', async () => registerCa(await read('forged.csr')), validation],
      ],
    },
    {
      step: 'register the CA, ready for device certificates',
      wrong: [
        ['without the proof', () => registerCa(), invalid],
        ['described too early', () => client.describeCACertificate({ certificateId: caId }), notFound],
      ],
      right: async () => registerCa(await proof('proof')),
      afterwards: [['again', async () => registerCa(await read('proof.crt')), taken]],
    },
  ];
};

const certificateSteps = (scene: Scene): Step[] => {
  const { client, ca, leaf, register, setCa, setStatus, certificateId, target, hears } = scene;
  const policyDocument = JSON.stringify({
    ...{ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }] },
  });
  const create = (document: string) => client.createPolicy({ policyName: 'AllowAll', policyDocument: document });
  const attach = (to = target) => client.attachPolicy({ policyName: 'AllowAll', target: to });
  const malformed = fails('MalformedPolicyException', 400);
  /** A step of the right way, and what the device hears after it. */
  const after = async (done: Promise<unknown>): Promise<string[]> => {
    await done;
    return hears();
  };
  return [
    {
      step: 'a key and a certificate for device1, signed by it',
      wrong: [
        ['signed by a namesake of the CA', async () => register(await leaf('fake', 'impostor')), validation],
        [
          'signed by a CA that nobody registered',
          async () => {
            await ca('stranger');
            return register(await leaf('strange', 'stranger'));
          },
          wrongState,
        ],
        [
          'signed by another that the CA signed',
          async () => {
            await leaf('between', 'CA');
            return register(await leaf('below', 'between'));
          },
          wrongState,
        ],
        ['rsa:1024', async () => register(await leaf('small', 'CA', { key: 'rsa-1024' })), validation],
        ['-sha1', async () => register(await leaf('sha1', 'CA', { extras: ['-sha1'] })), validation],
        ['the CSR', async () => register(await scene.readFile('device1.csr')), validation],
      ],
    },
    {
      step: 'a policy that allows everything (never do this for a real fleet)',
      wrong: [
        ['the name of the file', () => create('AllowAll.json'), malformed],
        ['allow in lower case', () => create(policyDocument.replace('Allow', 'allow')), malformed],
        ['without a Statement', () => create('{"Version":"2012-10-17"}'), malformed],
        ['attached too early', () => attach(), notFound],
      ],
      right: () => create(policyDocument),
      afterwards: [['again', () => create(policyDocument), taken]],
    },
    {
      step: 'register the certificate under the CA, activate it, attach the policy',
      wrong: [
        ['before that, the CA vouches for it and no more', () => hears(), refused],
        ['under an INACTIVE CA', async () => setCa('INACTIVE').then(() => register()), wrongState],
        [
          'under another CA of ours',
          async () => {
            await setCa('ACTIVE');
            const { certificatePem } = scene;
            return client.registerCertificate({ certificatePem, caCertificatePem: await ca('other') });
          },
          wrongState,
        ],
        ['activated too early', () => setStatus('ACTIVE'), notFound],
        ['the policy to what is not registered', () => attach(), notFound],
        ['registered, neither ACTIVE nor with a policy', () => after(register()), refused],
        ['registered again', () => register(), taken],
        ['ACTIVE without a policy', () => after(setStatus('ACTIVE')), refused],
        ['the policy to no certificate', () => attach('device1'), invalid],
        ['with a policy, INACTIVE', () => after(attach().then(() => setStatus('INACTIVE'))), refused],
        [
          'given the status of a device to be activated',
          () => client.updateCertificate({ certificateId, newStatus: 'PENDING_ACTIVATION' }),
          invalid,
        ],
        [
          'with a policy that it had',
          () => after(setStatus('ACTIVE').then(() => client.detachPolicy({ policyName: 'AllowAll', target }))),
          refused,
        ],
      ],
      right: () => attach(),
    },
  ];
};

const lastSteps = (scene: Scene): Step[] => {
  const {
    client,
    folder,
    node,
    setCa,
    setStatus,
    register,
    certificateId,
    caId,
    hears: says,
    target,
    certificatePem,
  } = scene;
  const remove = () => client.deleteCertificate({ certificateId });
  const removeCa = () => client.deleteCACertificate({ certificateId: caId });
  const sibling = async () => {
    const identity = await makeDevice(folder, scene, { name: 'sibling', ca: 'CA' });
    const lines = await hears(node, identity, { clientId: 'sibling' });
    assert.equal((await client.listCertificates({})).certificates?.length, 1);
    return lines;
  };
  /** Another policy in the place of the one that allows everything. */
  const restricted = async () => {
    const Statement = [{ Effect: 'Allow', Action: 'iot:Connect', Resource: '*' }];
    const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    const { policyVersionId } = await client.createPolicyVersion({
      policyName: 'AllowAll',
      policyDocument,
      setAsDefault: true,
    });
    const lines = await says(publish(1, 'my/topic'));
    await client.setDefaultPolicyVersion({ policyName: 'AllowAll', policyVersionId: '1' });
    await client.deletePolicyVersion({ policyName: 'AllowAll', policyVersionId });
    return lines;
  };
  return [
    {
      step: 'where to connect, and whom to trust there',
      wrong: [['a type that there is not', () => client.describeEndpoint({ endpointType: 'Data-ATS' }), invalid]],
    },
    {
      step: 'device1 talks',
      wrong: [
        ['another of the CA, which registers nobody by itself', sibling, refused],
        ['with a policy that lets it connect alone', restricted, cut],
        ['below $aws', () => says(publish(1, '$aws/events/mine')), cut],
      ],
      right: async () => {
        await setCa('INACTIVE'); // what is registered goes on working
        assert.deepEqual(await says(publish(1, 'my/topic')), [...letIn, 'PUBACK 1']);
        await setCa('ACTIVE');
      },
    },
    {
      step: 'clean up',
      wrong: [
        ['the certificate while it is ACTIVE', remove, wrongState],
        ['the certificate while it has a policy', () => setStatus('INACTIVE').then(remove), conflict],
        ['the policy while it is attached', () => client.deletePolicy({ policyName: 'AllowAll' }), conflict],
        ['the CA while it is ACTIVE', removeCa, wrongState],
      ],
      async right() {
        await client.detachPolicy({ policyName: 'AllowAll', target });
        await remove();
        await client.deletePolicy({ policyName: 'AllowAll' });
        await setCa('INACTIVE');
        await removeCa();
      },
      afterwards: [
        ['the certificate again', remove, notFound],
        ['the CA again', removeCa, notFound],
        ['a device without its certificate', () => says(), refused],
        ['a certificate without its CA', () => register(certificatePem), wrongState],
      ],
    },
  ];
};

test('each step done wrong is refused, and the right one after it succeeds', async (t) => {
  const scene = await begin(t);
  await takeSteps(t, example, [...caSteps(scene), ...certificateSteps(scene), ...lastSteps(scene)]);
});
