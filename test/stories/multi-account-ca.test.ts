/**
 * One CA in two accounts, in DEFAULT mode and in SNI_ONLY mode, and a device that gets into both with one certificate by just-in-time provisioning: the example runs
 * as it is written, without root. Source: seed "multi-account CA registration"; spec identity 3.2, 3.3, 3.4, provisioning 2, 3.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { IoT } from '@aws-sdk/client-iot';
import { authorities } from '../ca.ts';
import { bash, bootNode, certificateIdOf } from '../harness.ts';
import { dial } from '../raw-mqtt.ts';
import { waitMsMax } from '../within.ts';

const example = fileURLToPath(new URL('../../examples/multi-account-ca.sh', import.meta.url));
const accountIds = ['111111111111', '222222222222'] as const;

/** The members that the seed's describe-ca-certificate prints, in both accounts. */
const describedMembers = [
  ...['certificateArn', 'certificateId', 'status', 'certificatePem', 'ownedBy', 'creationDate'],
  ...['autoRegistrationStatus', 'lastModifiedDate', 'customerVersion', 'generationId', 'validity', 'certificateMode'],
];

/** What is left in an account. */
const leftBehind = async (client: IoT) => {
  const [cas, certificates, policies, things, templates] = await Promise.all([
    client.listCACertificates({}),
    client.listCertificates({}),
    client.listPolicies({}),
    client.listThings({}),
    client.listProvisioningTemplates({}),
  ]);
  return [cas.certificates, certificates.certificates, policies.policies, things.things, templates.templates];
};

test('two accounts hold one CA, and one device is provisioned in each, told apart by SNI', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort) },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const described = stdout.match(/^\{\n {4}"certificateDescription".*?^\}$/gms) ?? [];
  const descriptions = described.map((text) => JSON.parse(text).certificateDescription);
  const facts = descriptions.map(({ ownedBy, certificateMode, status, autoRegistrationStatus, customerVersion }) => [
    ...[ownedBy, certificateMode, status, autoRegistrationStatus, customerVersion],
  ]);
  assert.deepEqual(facts, [
    [accountIds[0], 'DEFAULT', 'ACTIVE', 'ENABLE', 1],
    [accountIds[1], 'SNI_ONLY', 'ACTIVE', 'ENABLE', 1],
  ]);
  for (const description of descriptions) assert.deepEqual(Object.keys(description), describedMembers);
  const [first, second] = descriptions;
  for (const name of ['certificateId', 'certificatePem', 'validity']) assert.deepEqual(first[name], second[name], name);
  for (const name of ['certificateArn', 'generationId']) assert.notEqual(first[name], second[name], name);

  for (const number of [1, 2]) {
    assert.match(stdout, new RegExp(`^account ${number}: let in at attempt ([2-9]|[1-9][0-9])$`, 'm'));
    assert.match(stdout, new RegExp(`^hello from account ${number}$`, 'm'));
  }
  assert.match(stdout, /^account 1: ACTIVE\tDEFAULT\t111111111111\nTHINGS\trobot$/m);
  assert.match(stdout, /^account 2: ACTIVE\tSNI_ONLY\t222222222222\nTHINGS\trobot$/m);
  assert.match(stdout, /^done: /m);
  for (const accountId of accountIds) assert.deepEqual(await leftBehind(iot(accountId)), [[], [], [], [], []]);
});

test('50 first connections at once, to both accounts: in each one registration, one thing and one policy, and both let it in', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const maker = authorities(folder);
  const caCertificate = await maker.ca('rootCA');
  const certificatePem = await maker.leaf('robot', 'rootCA');
  const [, templateBody = ''] = /<<'TEMPLATE'\n(.*?)\nTEMPLATE$/ms.exec(await readFile(example, 'utf8')) ?? [];
  const certificateId = certificateIdOf(certificatePem);
  const identity = { certFile: `${folder}/robot.crt`, keyFile: `${folder}/robot.key`, certificatePem, certificateId };
  const account = async (accountId: string) => {
    const client = iot(accountId);
    const registrationConfig = { templateBody, roleArn: `arn:aws:iam::${accountId}:role/provisioning` };
    await client.registerCACertificate({
      ...{ caCertificate, certificateMode: 'SNI_ONLY', setAsActive: true, allowAutoRegistration: true },
      registrationConfig,
    });
    const { endpointAddress: serverName = '' } = await client.describeEndpoint({ endpointType: 'iot:Data-ATS' });
    return { client, serverName, target: `arn:aws:iot:us-east-1:${accountId}:cert/${certificateId}` };
  };
  const accounts = await Promise.all(accountIds.map(account));
  /** Whether it is let in. */
  const connect = async (serverName: string): Promise<boolean> => {
    const raw = await dial(node, 4, { identity, serverName });
    raw.send({ cmd: 'connect', clientId: 'robot', clean: true, keepalive: 60, protocolId: 'MQTT', protocolVersion: 4 });
    const [answer] = await raw.take(1);
    raw.socket.destroy();
    return answer !== undefined;
  };

  const attempts = Array.from({ length: 25 }, () => accounts.map(({ serverName }) => connect(serverName)));
  const answered = await Promise.all(attempts.map((pair) => Promise.all(pair)));
  for (const index of accounts.keys())
    assert(
      answered.some((pair) => !pair[index]),
      'whoever is first is refused',
    );
  for (const { client, serverName, target: principal } of accounts) {
    const endMs = performance.now() + waitMsMax;
    while (!(await connect(serverName))) assert.ok(performance.now() < endMs, serverName);
    const [{ certificates = [] }, { things }, { policies }, { principals }] = await Promise.all([
      client.listCertificates({}),
      client.listPrincipalThings({ principal }),
      client.listAttachedPolicies({ target: principal }),
      client.listThingPrincipals({ thingName: 'robot' }),
    ]);
    assert.deepEqual(
      certificates.map((each) => [each.certificateId, each.status, each.certificateMode]),
      [[certificateId, 'ACTIVE', 'SNI_ONLY']],
    );
    assert.deepEqual([things, principals, policies?.length], [['robot'], [principal], 1]);
    const { certificateDescription } = await client.describeCertificate({ certificateId });
    assert.equal(certificateDescription?.customerVersion, 2, 'activated once');
    assert.equal((await client.listThings({})).things?.[0]?.version, 1, 'made once');
  }
});
