/**
 * A CA that proves to have its key, and a device certificate under it: the example runs as it is written, and each of its steps done wrong is refused as AWS refuses it.
 * Source: seed "register without CA", its way B; spec identity 2.3, 2.5, 3.2, 3.4.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  DeleteCACertificateCommand,
  DeleteCertificateCommand,
  DescribeCACertificateCommand,
  DetachPolicyCommand,
  GetRegistrationCodeCommand,
  ListCACertificatesCommand,
  ListCertificatesCommand,
  ListPoliciesCommand,
  RegisterCACertificateCommand,
  RegisterCertificateCommand,
  UpdateCACertificateCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { authorities } from '../ca.ts';
import { connectDevice } from '../device.ts';
import { bash, bootNode, certificateIdOf, type Identity } from '../harness.ts';
import { fails } from '../sdk-fault.ts';

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
  assert.deepEqual((await client.send(new ListCACertificatesCommand({}))).certificates, []);
  assert.deepEqual((await client.send(new ListCertificatesCommand({}))).certificates, []);
  assert.deepEqual((await client.send(new ListPoliciesCommand({}))).policies, []);
});

/** A node, and the makers of certificates in the story's folder. */
const begin = async (t: TestContext) => {
  const { node, folder, iot } = await bootNode(t);
  const maker = authorities(folder);
  const identity = (name: string, certificatePem: string): Identity => ({
    ...{ certFile: `${folder}/${name}.crt`, keyFile: `${folder}/${name}.key` },
    ...{ certificatePem, certificateId: certificateIdOf(certificatePem) },
  });
  return { node, client: iot(), ...maker, identity };
};

test('each step done wrong is refused, and the right one after it succeeds', async (t) => {
  const { node, client, ca, leaf, identity } = await begin(t);
  const caCertificate = await ca('CA', { subject: '/CN=example.com' });
  const verifying = (verificationCertificate: string | undefined, more = {}) =>
    client.send(new RegisterCACertificateCommand({ caCertificate, verificationCertificate, ...more }));

  // the proof
  await assert.rejects(verifying(undefined), fails('InvalidRequestException', 400));
  const early = await leaf('early', 'CA', { subject: `/CN=${'0'.repeat(64)}` });
  await assert.rejects(verifying(early), fails('RegistrationCodeValidationException', 400), 'nobody asked for a code');
  const { registrationCode } = await client.send(new GetRegistrationCodeCommand({}));
  const proof = await leaf('proof', 'CA', { subject: `/CN=${registrationCode}` });
  await assert.rejects(verifying(early), fails('RegistrationCodeValidationException', 400), 'another name');
  await ca('impostor', { subject: '/CN=example.com' });
  const forged = await leaf('forged', 'impostor', { subject: `/CN=${registrationCode}` });
  await assert.rejects(verifying(forged), fails('CertificateValidationException', 400), 'another key');
  const leafAsCa = verifying(proof, { caCertificate: proof });
  await assert.rejects(leafAsCa, fails('CertificateValidationException', 400), 'no CA');

  // the CA
  const { certificateId: caId, certificateArn: resourceArn } = await verifying(proof);
  const taken = fails('ResourceAlreadyExistsException', 409, { resourceId: caId, resourceArn });
  await assert.rejects(verifying(proof), taken);

  // the device's certificate
  const certificatePem = await leaf('device1', 'CA');
  const register = (pem: string) => client.send(new RegisterCertificateCommand({ certificatePem: pem }));
  await assert.rejects(register(certificatePem), fails('CertificateStateException', 406), 'the CA is INACTIVE');
  await client.send(new UpdateCACertificateCommand({ certificateId: caId, newStatus: 'ACTIVE' }));
  await ca('stranger');
  const strange = await leaf('strange', 'stranger');
  await assert.rejects(register(strange), fails('CertificateStateException', 406), 'a CA that nobody registered');
  const fake = await leaf('fake', 'impostor');
  await assert.rejects(register(fake), fails('CertificateValidationException', 400), 'signed by another key');
  const { certificateId, certificateArn: target } = await register(certificatePem);
  const twice = fails('ResourceAlreadyExistsException', 409, { resourceId: certificateId, resourceArn: target });
  await assert.rejects(register(certificatePem), twice);

  // the policy, and the way in
  const device = identity('device1', certificatePem);
  const connect = () => connectDevice(node, device, { clientId: 'device1' });
  const attach = () => client.send(new AttachPolicyCommand({ policyName: 'AllowAll', target }));
  await assert.rejects(attach(), fails('ResourceNotFoundException', 404), 'no such policy');
  const policyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
  });
  await client.send(new CreatePolicyCommand({ policyName: 'AllowAll', policyDocument }));
  await attach();
  await assert.rejects(connect(), /not let in/, 'INACTIVE');
  const status = (newStatus: 'ACTIVE' | 'INACTIVE') =>
    client.send(new UpdateCertificateCommand({ certificateId, newStatus }));
  await status('ACTIVE');
  await client.send(new DetachPolicyCommand({ policyName: 'AllowAll', target }));
  await assert.rejects(connect(), /not let in/, 'no policy');
  await attach();
  const sibling = identity('sibling', await leaf('sibling', 'CA'));
  const uninvited = connectDevice(node, sibling, { clientId: 'sibling' });
  await assert.rejects(uninvited, /not let in/, 'the CA vouches for it, but it does not register by itself');
  assert.equal((await client.send(new ListCertificatesCommand({}))).certificates?.length, 1);
  await client.send(new UpdateCACertificateCommand({ certificateId: caId, newStatus: 'INACTIVE' }));
  const { client: connection } = await connect(); // what is registered goes on working
  connection.end(true);

  // the clean-up
  const remove = () => client.send(new DeleteCertificateCommand({ certificateId }));
  await assert.rejects(remove(), fails('CertificateStateException', 406), 'ACTIVE');
  await status('INACTIVE');
  await assert.rejects(remove(), fails('DeleteConflictException', 409), 'it has a policy');
  await client.send(new DetachPolicyCommand({ policyName: 'AllowAll', target }));
  await remove();
  const removeCa = () => client.send(new DeleteCACertificateCommand({ certificateId: caId }));
  await client.send(new UpdateCACertificateCommand({ certificateId: caId, newStatus: 'ACTIVE' }));
  await assert.rejects(removeCa(), fails('CertificateStateException', 406), 'ACTIVE');
  await client.send(new UpdateCACertificateCommand({ certificateId: caId, newStatus: 'INACTIVE' }));
  await removeCa();
  const describe = client.send(new DescribeCACertificateCommand({ certificateId: caId }));
  await assert.rejects(describe, fails('ResourceNotFoundException', 404));
});
