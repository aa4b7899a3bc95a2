/**
 * The steps of the example with one CA in two accounts, done wrong: the API refuses with AWS's fault and status, a device is refused on the wire, and nothing remains.
 * Source: seed "multi-account CA registration"; spec identity 2.3, 2.5, 3.2 to 3.4, provisioning 2, 3.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { CertificateMode, IoT, UpdateCACertificateCommandInput } from '@aws-sdk/client-iot';
import type { Packet } from 'mqtt-packet';
import { authorities } from '../ca.ts';
import { bootNode, certificateIdOf, type Identity } from '../harness.ts';
import { publish, subscribe } from '../raw-mqtt.ts';
import { fails } from '../sdk-fault.ts';
import { hears, makeDevice, type Step, takeSteps } from '../steps.ts';
import { waitMsMax } from '../within.ts';

const example = fileURLToPath(new URL('../../examples/multi-account-ca.sh', import.meta.url));
const [firstId, secondId] = ['111111111111', '222222222222'];
const subject = '/O=Example Robots/CN=Root CA';
const roleOf = (accountId: string): string => `arn:aws:iam::${accountId}:role/provisioning`;

const validation = fails('CertificateValidationException', 400);
const wrongCode = fails('RegistrationCodeValidationException', 400);
const invalid = fails('InvalidRequestException', 400);
const notFound = fails('ResourceNotFoundException', 404);
const conflict = fails('DeleteConflictException', 409);
const wrongState = fails('CertificateStateException', 406);

/** What a device hears: no CONNACK; or one, and the end when it does what it may not. */
const [refused, cut] = [['close'], ['CONNACK 0x00', 'close']];

/** The two accounts, a third that nobody has told of anything, and what is made with openssl. */
const begin = async (t: TestContext) => {
  const { node, folder, iot } = await bootNode(t);
  const maker = authorities(folder);
  const [first, second, third] = [iot(firstId), iot(secondId), iot('333333333333')];
  const hostOf = async (client: IoT): Promise<string> =>
    (await client.describeEndpoint({ endpointType: 'iot:Data-ATS' })).endpointAddress ?? '';
  const [firstHost, secondHost, thirdHost] = [await hostOf(first), await hostOf(second), await hostOf(third)];
  const caCertificate = await maker.ca('rootCA', { subject });
  const certificateId = certificateIdOf(caCertificate);
  const [, templateBody = ''] = /<<'TEMPLATE'\n(.*?)\nTEMPLATE$/ms.exec(await readFile(example, 'utf8')) ?? [];
  await maker.ca('impostor', { subject });
  await maker.ca('stranger');
  const device = (name: string, ca = 'rootCA') => makeDevice(folder, maker, { name, ca });
  const robot = await device('robot');
  return {
    ...{ node, folder, iot, ...maker, first, second, third, firstHost, secondHost, thirdHost },
    ...{ caCertificate, certificateId, templateBody, device, robot },
    readFile: (name: string) => readFile(`${folder}/${name}`, 'utf8'),
    setCa: (client: IoT, more: Omit<UpdateCACertificateCommandInput, 'certificateId'>) =>
      client.updateCACertificate({ certificateId, ...more }),
    hears: (who: Identity, serverName: string, clientId = 'robot', ...says: readonly Packet[]): Promise<string[]> =>
      hears(node, who, { clientId, serverName, says }),
  };
};
type Scene = Awaited<ReturnType<typeof begin>>;

/** The CA in both accounts. */
const caSteps = (scene: Scene): Step[] => {
  const { iot, first, second, caCertificate, certificateId, ca, leaf, robot } = scene;
  const flags = { setAsActive: true, allowAutoRegistration: true };
  const register = (client: IoT, more: { verificationCertificate?: string; certificateMode?: CertificateMode }) =>
    client.registerCACertificate({ caCertificate, ...flags, ...more });
  const certificateMode = 'SNI_ONLY';
  const hold = (pem: string) => first.registerCACertificate({ caCertificate: pem, ...flags, certificateMode });
  const prove = (verificationCertificate: string) => register(first, { verificationCertificate });
  const codeOf = async (client: IoT) => `/CN=${(await client.getRegistrationCode({})).registrationCode}`;
  const proof = async (name: string, client: IoT, by = 'rootCA') => leaf(name, by, { subject: await codeOf(client) });
  const afterDeletion = async () => {
    const before = await proof('before', first);
    await first.deleteRegistrationCode({});
    await first.getRegistrationCode({});
    return prove(before);
  };
  const describe = (client: IoT) => client.describeCACertificate({ certificateId });
  const resourceArn = `arn:aws:iot:us-east-1:${firstId}:cacert/${certificateId}`;
  const taken = fails('ResourceAlreadyExistsException', 409, { resourceId: certificateId, resourceArn });
  const held = fails('InvalidRequestException', 400, { message: 'Cannot accept this CACertificate' });
  const ofCa = ['-addext', 'basicConstraints=CA:TRUE'];
  return [
    {
      step: 'account 1: a CA',
      wrong: [
        ['without its extensions', async () => hold(await ca('bare', { extras: [] })), validation],
        ['a key of 1024 bits', async () => hold(await ca('weak', { key: 'rsa-1024', extras: ofCa })), validation],
        ['-sha1 for -sha256', async () => hold(await ca('old', { extras: ['-sha1', ...ofCa] })), validation],
        ["a device's certificate", () => hold(robot.certificatePem), validation],
        ['the CSR', async () => hold(await scene.readFile('robot.csr')), validation],
        ['the name of the file', () => hold('rootCA.pem'), validation],
      ],
    },
    {
      step: 'account 1: the proof that it has the key, a certificate with its registration code as the name',
      wrong: [
        ['nobody asked for a code', async () => prove(await leaf('named', 'rootCA')), wrongCode],
        [
          'another name',
          () =>
            codeOf(first)
              .then(() => scene.readFile('named.crt'))
              .then(prove),
          wrongCode,
        ],
        ['the code of another account', async () => prove(await proof('theirs', second)), wrongCode],
        ['the code of another region', async () => prove(await proof('there', iot(firstId, 'eu-west-1'))), wrongCode],
        ['a code that was deleted', afterDeletion, wrongCode],
        ['signed by a namesake of the CA', async () => prove(await proof('forged', first, 'impostor')), validation],
        ['signed by another CA', async () => prove(await proof('foreign', first, 'stranger')), validation],
        ['signed by itself', async () => prove(await ca('self', { subject: await codeOf(first) })), validation],
        ['the CSR', async () => prove(await scene.readFile('before.csr')), validation],
      ],
    },
    {
      step: 'account 1: register the CA in DEFAULT mode',
      wrong: [
        ['without the proof', () => register(first, {}), invalid],
        // what a CLI of another version might send
        ['a mode that there is not', () => register(first, { certificateMode: 'SNI' as CertificateMode }), invalid],
        ['described too early', () => describe(first), notFound],
        ['described by its file', () => first.describeCACertificate({ certificateId: 'rootCA.pem' }), invalid],
      ],
      right: async () => prove(await proof('proof', first)),
      afterwards: [
        ['again', async () => prove(await scene.readFile('proof.crt')), taken],
        ['again, in the other mode', () => hold(caCertificate), taken],
      ],
    },
    {
      step: 'account 2: register the same CA in SNI_ONLY mode; its certificate is enough',
      wrong: [
        ["described, as it is account 1's", () => describe(second), notFound],
        ['in DEFAULT mode, without a proof', () => register(second, {}), invalid],
        [
          'in DEFAULT mode, which account 1 has',
          async () => register(second, { verificationCertificate: await proof('second', second) }),
          held,
        ],
        [
          'with a proof',
          async () => register(second, { certificateMode, verificationCertificate: await proof('needless', second) }),
          invalid,
        ],
      ],
      right: () => register(second, { certificateMode }),
    },
  ];
};

/** What stands in both accounts before a device comes, and where it finds them. */
const setUpSteps = (scene: Scene): Step[] => {
  const { first, second, templateBody, setCa } = scene;
  const make = (client: IoT, accountId: string, more: object = {}) =>
    client.createProvisioningTemplate({
      ...{ templateName: 'robots', type: 'JITP', enabled: true, templateBody, provisioningRoleArn: roleOf(accountId) },
      ...more,
    });
  const changed = (from: string, to: string) => ({ templateBody: templateBody.replace(from, to) });
  const configure = (registrationConfig: object) => setCa(first, { registrationConfig });
  const templateName = 'robots';
  return [
    {
      step: 'both accounts: what becomes of a new device, by a template',
      wrong: [
        ['the role of the other account', () => make(first, secondId), invalid],
        ['a type that there is not', () => make(first, firstId, { type: 'JITR' }), invalid],
        ['the name of the file', () => make(first, firstId, { templateBody: 'robots.json' }), invalid],
        [
          'a parameter that nobody declared',
          () => make(first, firstId, changed('CommonName": {', 'Name": {')),
          invalid,
        ],
        [
          'a certificate by its PEM',
          () => make(first, firstId, changed('"CertificateId"', '"CertificatePem"')),
          invalid,
        ],
        [
          'a policy without name and document',
          () => make(first, firstId, changed('"PolicyDocument"', '"Document"')),
          invalid,
        ],
        ['named before it is there', () => configure({ templateName }), notFound],
        [
          'of the other account',
          async () => {
            await make(second, secondId);
            return configure({ templateName });
          },
          notFound,
        ],
        [
          'of another type',
          async () => {
            await make(first, firstId, { templateName: 'fleet', type: 'FLEET_PROVISIONING' });
            try {
              return await configure({ templateName: 'fleet' });
            } finally {
              await first.deleteProvisioningTemplate({ templateName: 'fleet' });
            }
          },
          invalid,
        ],
        ['a body without a role', () => configure({ templateBody }), invalid],
        ['a name and a body', () => configure({ templateName, templateBody, roleArn: roleOf(firstId) }), invalid],
        ['neither', () => configure({ roleArn: roleOf(firstId) }), invalid],
      ],
      async right() {
        await make(first, firstId);
        for (const client of [first, second]) await setCa(client, { registrationConfig: { templateName } });
      },
      afterwards: [['again', () => make(first, firstId), fails('ResourceAlreadyExistsException', 409)]],
    },
    {
      step: 'where to connect, and whom to trust there',
      wrong: [['a type that there is not', () => first.describeEndpoint({ endpointType: 'iot:Data-MQTT' }), invalid]],
    },
  ];
};

/** What a device is let do, and where. Refused at its first connection it comes again, until it is let in. */
const deviceSteps = (scene: Scene): Step[] => {
  const { first, second, third, firstHost, secondHost, thirdHost, device, leaf, robot, hears, setCa } = scene;
  /** What a refused device leaves in an account: nothing. */
  const traceless = async (client: IoT, attempt: Promise<string[]>): Promise<string[]> => {
    const lines = await attempt;
    const { certificates } = await client.listCertificates({});
    const { things } = await client.listThings({});
    assert.deepEqual([certificates, things], [[], []]);
    return lines;
  };
  const madeBy = async (name: string, ca: string) => traceless(first, hears(await device(name, ca), firstHost, name));
  const whileCaIs = async (settings: Parameters<typeof setCa>[1], back: Parameters<typeof setCa>[1]) => {
    await setCa(second, settings);
    const lines = await traceless(second, hears(robot, secondHost));
    await setCa(second, back);
    return lines;
  };
  const comesUntilLetIn = async (serverName: string): Promise<void> => {
    assert.deepEqual(await hears(robot, serverName), refused, 'at first');
    const endMs = performance.now() + waitMsMax;
    while ((await hears(robot, serverName)).at(-1) === 'close') assert.ok(performance.now() < endMs, serverName);
  };
  const inOneOnly = async () => {
    await comesUntilLetIn(secondHost);
    const { certificateDescription } = await second.describeCertificate({ certificateId: robot.certificateId });
    assert.equal(certificateDescription?.certificateMode, 'SNI_ONLY');
    return first.describeCertificate({ certificateId: robot.certificateId });
  };
  const as = (clientId: string, ...says: Packet[]) => hears(robot, firstHost, clientId, ...says);
  return [
    {
      step: 'a robot with one certificate, signed by the CA and registered nowhere',
      wrong: [
        ['signed by a namesake of the CA', () => madeBy('fake', 'impostor'), refused],
        ['signed by another CA', () => madeBy('strange', 'stranger'), refused],
        [
          'signed by another that the CA signed',
          async () => {
            await leaf('between', 'rootCA');
            return madeBy('below', 'between');
          },
          refused,
        ],
      ],
    },
    {
      step: 'it connects to each account: refused at first, which provisions it, then let in',
      wrong: [
        ['to an account without the CA', () => traceless(third, hears(robot, thirdHost)), refused],
        ['while the CA is INACTIVE', () => whileCaIs({ newStatus: 'INACTIVE' }, { newStatus: 'ACTIVE' }), refused],
        [
          'while the CA registers nobody',
          () => whileCaIs({ newAutoRegistrationStatus: 'DISABLE' }, { newAutoRegistrationStatus: 'ENABLE' }),
          refused,
        ],
        ['in one account it is not in the other', inOneOnly, notFound],
      ],
      right: () => comesUntilLetIn(firstHost),
    },
    {
      step: 'it is in both accounts at once, under one client id, and hears in each what is said there',
      wrong: [
        ['another client id', () => as('another'), refused],
        ['a topic of another', () => as('robot', publish(1, 'another/hello')), cut],
        ['all topics', () => as('robot', subscribe(1, '#')), ['CONNACK 0x00', 'SUBACK 1 0x80']],
        ['still to an account without the CA', () => hears(robot, thirdHost), refused],
      ],
    },
  ];
};

/** The clean-up in another order than the example's. */
const lastSteps = ({ first, second, certificateId, robot, hears, firstHost }: Scene): Step[] => {
  const { certificateId: robotId } = robot;
  const target = `arn:aws:iot:us-east-1:${firstId}:cert/${robotId}`;
  const [thingName, templateName] = ['robot', 'robots'];
  const policyName = async (): Promise<string> =>
    String((await first.listAttachedPolicies({ target })).policies?.[0]?.policyName);
  const clear = async (client: IoT, accountId: string): Promise<void> => {
    const principal = target.replace(firstId, accountId);
    const { policies = [] } = await client.listAttachedPolicies({ target: principal });
    await client.detachThingPrincipal({ thingName, principal });
    await client.deleteThing({ thingName });
    await client.updateCertificate({ certificateId: robotId, newStatus: 'INACTIVE' });
    await client.deleteCertificate({ certificateId: robotId, forceDelete: true });
    for (const policy of policies) await client.deletePolicy({ policyName: policy.policyName });
    await client.updateCACertificate({ certificateId, newStatus: 'INACTIVE' });
    await client.deleteCACertificate({ certificateId });
    await client.deleteProvisioningTemplate({ templateName });
  };
  const whenInactive = async () => {
    await first.updateCertificate({ certificateId: robotId, newStatus: 'INACTIVE' });
    assert.deepEqual(await hears(robot, firstHost), refused);
    return first.deleteCertificate({ certificateId: robotId, forceDelete: true });
  };
  return [
    {
      step: 'clean up',
      wrong: [
        ['the thing before its certificate is detached', () => first.deleteThing({ thingName }), invalid],
        ['the certificate while it is ACTIVE', () => first.deleteCertificate({ certificateId: robotId }), wrongState],
        ['the certificate while it has a thing', whenInactive, conflict],
        [
          'the policy while it is attached',
          async () => first.deletePolicy({ policyName: await policyName() }),
          conflict,
        ],
        ['the CA while it is ACTIVE', () => first.deleteCACertificate({ certificateId }), wrongState],
        ['the template while the CA names it', () => first.deleteProvisioningTemplate({ templateName }), conflict],
        [
          'a thing that was detached already',
          async () => {
            await second.detachThingPrincipal({ thingName, principal: target.replace(firstId, secondId) });
            return second.detachThingPrincipal({ thingName, principal: target.replace(firstId, secondId) });
          },
          notFound,
        ],
      ],
      async right() {
        await second.attachThingPrincipal({ thingName, principal: target.replace(firstId, secondId) });
        for (const [client, accountId] of [
          [first, firstId],
          [second, secondId],
        ] as const)
          await clear(client, accountId);
      },
      afterwards: [
        ['the CA again', () => first.deleteCACertificate({ certificateId }), notFound],
        ['the certificate again', () => first.deleteCertificate({ certificateId: robotId }), notFound],
        ['the robot comes again', () => hears(robot, firstHost), refused],
      ],
    },
  ];
};

test('each step done wrong is refused, and the right one after it succeeds', async (t) => {
  const scene = await begin(t);
  await takeSteps(t, example, [...caSteps(scene), ...setUpSteps(scene), ...deviceSteps(scene), ...lastSteps(scene)]);
});
