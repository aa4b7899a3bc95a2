/**
 * A device that has a certificate, and no access key, gets temporary credentials of a role: what they open, how they end, what is said to whoever gets none, and the
 * commands of docs/credentials-provider.md. Source: developer guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider".
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  CreateRoleAliasCommand,
  CreateThingCommand,
  DescribeThingCommand,
  ListThingsCommand,
  RegisterCertificateWithoutCACommand,
  UpdateCertificateCommand,
  UpdateRoleAliasCommand,
} from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { iotArn } from '../../src/aws/arn.ts';
import { hostNamesOf } from '../../src/features/domains/endpoint.ts';
import type { FleetNode } from '../../src/index.ts';
import { type Booted, bash, type Identity, makeIdentity } from '../harness.ts';
import { bootIam, type Keys } from '../iam-scene.ts';
import { makeMistake } from '../mistakes.ts';

const document = (...Statement: readonly object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });
const allow = (Action: string, Resource: string): object => ({ Effect: 'Allow', Action, Resource });
const assuming = (Service: string, Effect = 'Allow'): object => ({
  ...{ Effect, Principal: { Service }, Action: 'sts:AssumeRole' },
});
const devices = assuming('credentials.iot.amazonaws.com');

interface Asking {
  readonly roleAlias?: string;
  readonly thingName?: string;
  /** The server name; default `localhost`. */
  readonly host?: string;
}

interface Answered {
  readonly status: number;
  readonly message: string;
  readonly credentials: Keys & { readonly expiration: string };
}

/** Asks as a device does that has no curl. */
/** As clients of the SDK take them: an expiration would have to be a Date, and they would ask for new ones. */
const keysIn = ({ expiration: _, ...keys }: Answered['credentials']): Keys => keys;

const ask = (
  node: FleetNode,
  identity: Identity,
  { roleAlias = 'lamps', thingName, host = 'localhost' }: Asking = {},
) =>
  new Promise<Answered>((resolve, reject) => {
    const files = [identity.certFile, identity.keyFile].map((file) => readFile(file, 'utf8'));
    Promise.all(files).then(([cert, key]) => {
      const asked = request({
        ...{ host: '127.0.0.1', servername: host, port: node.httpsPort, ca: node.rootPem, cert, key, agent: false },
        path: `/role-aliases/${encodeURIComponent(roleAlias)}/credentials`,
        headers: { host, ...(thingName !== undefined && { 'x-amzn-iot-thingname': thingName }) },
      });
      asked.on('error', reject).on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, ...JSON.parse(text) }));
      });
      asked.end();
    }, reject);
  });

/** A certificate that is registered; nothing is attached to it. */
const makeDevice = async (
  { folder, iot }: Pick<Booted, 'folder' | 'iot'>,
  name: string,
  status: 'ACTIVE' | 'INACTIVE',
) => {
  const identity = await makeIdentity(folder, name);
  await iot().send(new RegisterCertificateWithoutCACommand({ certificatePem: identity.certificatePem, status }));
  return identity;
};

const roleArn = (name: string): string => `arn:aws:iam::000000000000:role/${name}`;

/** An account in which the thing `lamp-1` may look at itself and publish on its own topics, with credentials that it gets by the role alias `lamps`. */
const bootLamps = async (t: Parameters<typeof bootIam>[0]) => {
  const booted = await bootIam(t);
  const { node, iot, iam } = booted;
  const client = iot();
  const root = iam();
  const identity = await makeDevice(booted, 'lamp', 'ACTIVE');
  const target = iotArn(node.account, 'cert', identity.certificateId);
  const of = (type: 'thing' | 'topic' | 'rolealias', name: string) => iotArn(node.account, type, name);
  await root.send(new CreateRoleCommand({ RoleName: 'lamps', AssumeRolePolicyDocument: document(devices) }));
  const own = document(
    allow('iot:DescribeThing', of('thing', '${credentials-iot:ThingName}')),
    allow('iot:Publish', of('topic', '${credentials-iot:ThingName}/*')),
  );
  await root.send(new PutRolePolicyCommand({ RoleName: 'lamps', PolicyName: 'own', PolicyDocument: own }));
  await client.send(new CreateRoleAliasCommand({ roleAlias: 'lamps', roleArn: roleArn('lamps') }));
  const policyDocument = document(allow('iot:AssumeRoleWithCertificate', of('rolealias', 'lamps')));
  await client.send(new CreatePolicyCommand({ policyName: 'lamps', policyDocument }));
  await client.send(new AttachPolicyCommand({ policyName: 'lamps', target }));
  for (const thingName of ['lamp-1', 'lamp-2']) await client.send(new CreateThingCommand({ thingName }));
  await client.send(new AttachThingPrincipalCommand({ thingName: 'lamp-1', principal: target }));
  return { ...booted, identity, root };
};

/** Within this time a change acts, and the test has noticed. */
const changeMsMax = 1500;

test('a device gets credentials with curl, does with them what its role allows and nothing else, and loses them with the role', async (t) => {
  const { node, folder, identity, root, stsAs, iotAs } = await bootLamps(t);
  const line = `curl -fsS --cacert '${node.rootFile}' --cert lamp.crt --key lamp.key -H 'x-amzn-iot-thingname: lamp-1' https://localhost:${node.httpsPort}/role-aliases/lamps/credentials`;
  const { code, stdout, stderr } = await bash(line, { cwd: folder });
  assert.equal(code, 0, stderr);
  const { credentials }: Pick<Answered, 'credentials'> = JSON.parse(stdout);
  const lifeMs = Date.parse(credentials.expiration) - Date.now();
  assert.ok(lifeMs > 3_500_000 && lifeMs <= 3_600_000, credentials.expiration);
  const keys = keysIn(credentials);

  const { Arn, Account, UserId } = await stsAs(keys).send(new GetCallerIdentityCommand({}));
  assert.deepEqual(
    [Arn, Account],
    [`arn:aws:sts::000000000000:assumed-role/lamps/${identity.certificateId}`, '000000000000'],
  );
  assert.match(String(UserId), new RegExp(`^AROA[A-Z2-7]{17}:${identity.certificateId}$`));

  const lamp = iotAs(keys);
  const own = new DescribeThingCommand({ thingName: 'lamp-1' });
  assert.equal((await lamp.send(own)).thingName, 'lamp-1');
  const denied = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } };
  const isDenied = (error: Error) => {
    assert.partialDeepStrictEqual({ ...error, name: error.name }, denied);
    return true;
  };
  await assert.rejects(lamp.send(new DescribeThingCommand({ thingName: 'lamp-2' })), isDenied);
  await assert.rejects(lamp.send(new ListThingsCommand({})), isDenied);
  const settings = { endpoint: node.apiUrl, region: node.account.region, credentials: keys, maxAttempts: 1 };
  const data = new IoTDataPlaneClient(settings);
  t.after(() => data.destroy());
  await data.send(new PublishCommand({ topic: 'lamp-1/state', payload: 'on' }));
  await assert.rejects(data.send(new PublishCommand({ topic: 'lamp-2/state', payload: 'on' })), {
    name: 'ForbiddenException',
  });

  // without the name of its thing, policies of the role have no value for it
  const nameless = await ask(node, identity);
  await assert.rejects(iotAs(keysIn(nameless.credentials)).send(own), isDenied);

  await root.send(new DeleteRolePolicyCommand({ RoleName: 'lamps', PolicyName: 'own' }));
  await root.send(new DeleteRoleCommand({ RoleName: 'lamps' }));
  const deletedAtMs = performance.now();
  const outcome = () =>
    lamp.send(own).then(
      () => 'allowed',
      ({ name }: Error) => name,
    );
  let seen = await outcome();
  while (seen !== 'UnrecognizedClientException' && performance.now() - deletedAtMs < changeMsMax)
    seen = await outcome();
  assert.equal(seen, 'UnrecognizedClientException');
});

test('credentials end when they said they would', async (t) => {
  const { node, identity, iot, iotAs } = await bootLamps(t);
  await iot().send(new UpdateRoleAliasCommand({ roleAlias: 'lamps', credentialDurationSeconds: 900 }));
  const { credentials } = await ask(node, identity, { thingName: 'lamp-1' });
  const lamp = iotAs(keysIn(credentials));
  const own = new DescribeThingCommand({ thingName: 'lamp-1' });
  await node.clock.advance(890_000);
  await lamp.send(own);
  await node.clock.advance(10_000);
  await assert.rejects(lamp.send(own), { name: 'ExpiredTokenException' });
});

test('a certificate that is deactivated gets no more, also on a connection that it keeps', async (t) => {
  const { node, identity, iot } = await bootLamps(t);
  assert.equal((await ask(node, identity)).status, 200);
  await iot().send(new UpdateCertificateCommand({ certificateId: identity.certificateId, newStatus: 'INACTIVE' }));
  const { status, message } = await ask(node, identity);
  assert.deepEqual([status, message], [403, 'Certificate is invalid on this endpoint']);
});

test('the endpoint of each account gives credentials of that account, where the certificate is registered there', async (t) => {
  const booted = await bootLamps(t);
  const { node, identity, iot } = booted;
  const other = { accountId: '111111111111', region: 'eu-west-1' };
  const { endpointAddress: host = '' } = await iot(other.accountId, other.region).describeEndpoint({
    endpointType: 'iot:CredentialProvider',
  });
  assert.match(host, /^a[a-z0-9]{13}\.credentials\.iot\.eu-west-1\.localhost$/);
  const stranger = await ask(node, identity, { host });
  assert.deepEqual([stranger.status, stranger.message], [403, 'Certificate is invalid on this endpoint']);
  const { certificatePem } = identity;
  const theirs = iot(other.accountId, other.region);
  await theirs.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
  const refused = await ask(node, identity, { host });
  assert.deepEqual([refused.status, refused.message], [403, 'Access Denied'], 'its policies are those of this account');
  const ownHost = hostNamesOf(node.account, 'localhost')['iot:CredentialProvider'];
  assert.equal((await ask(node, identity, { host: ownHost })).status, 200);
});

test('a role alias is one of its account and region: another of the same name is another role, or none', async (t) => {
  const booted = await bootLamps(t);
  const { node, identity, iot, root, stsAs } = booted;
  await root.send(new CreateRoleCommand({ RoleName: 'night', AssumeRolePolicyDocument: document(devices) }));
  const { certificatePem } = identity;
  const places = [
    { accountId: '111111111111', region: 'us-east-1' },
    { ...node.account, region: 'eu-west-1' },
  ];
  for (const account of places) {
    const client = iot(account.accountId, account.region);
    await client.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
    const policyDocument = document(allow('iot:AssumeRoleWithCertificate', '*'));
    await client.send(new CreatePolicyCommand({ policyName: 'all', policyDocument }));
    const target = iotArn(account, 'cert', identity.certificateId);
    await client.send(new AttachPolicyCommand({ policyName: 'all', target }));
    const { endpointAddress: host = '' } = await client.describeEndpoint({ endpointType: 'iot:CredentialProvider' });
    const without = await ask(node, identity, { host });
    assert.deepEqual([without.status, without.message], [404, 'Role alias does not exist'], account.region);

    const isOwn = account.accountId === node.account.accountId;
    const own = `arn:aws:iam::${account.accountId}:role/night`;
    const foreign = client.send(new CreateRoleAliasCommand({ roleAlias: 'lamps', roleArn: roleArn('lamps') }));
    if (isOwn) await foreign;
    else await assert.rejects(foreign, { name: 'InvalidRequestException' });
    if (isOwn) await client.send(new UpdateRoleAliasCommand({ roleAlias: 'lamps', roleArn: own }));
    else await client.send(new CreateRoleAliasCommand({ roleAlias: 'lamps', roleArn: own }));
    const given = await ask(node, identity, { host });
    // the other account has no role of that name
    assert.equal(given.status, isOwn ? 200 : 400, given.message);
    if (!isOwn) continue;
    const { Arn } = await stsAs(keysIn(given.credentials)).send(new GetCallerIdentityCommand({}));
    assert.match(String(Arn), /:assumed-role\/night\//);
  }
  const { credentials } = await ask(node, identity);
  const { Arn } = await stsAs(keysIn(credentials)).send(new GetCallerIdentityCommand({}));
  assert.match(String(Arn), /^arn:aws:sts::000000000000:assumed-role\/lamps\//);
});

test('each mistake is named, and cured by what is printed', async (t) => {
  const booted = await bootIam(t);
  const { node, iot, iam } = booted;
  const client = iot();
  const root = iam();
  const identity = await makeDevice(booted, 'lamp', 'INACTIVE');
  const target = iotArn(node.account, 'cert', identity.certificateId);
  const asks = async (asking: Asking, causes: Parameters<typeof makeMistake<Asking>>[1]['causes']) =>
    makeMistake(
      booted,
      { device: asking, causes },
      {
        subject: () => identity.certificateId,
        async attempt(device) {
          const { status, message } = await ask(node, identity, device);
          return { isProvisioned: status === 200, saw: [`${status} ${message}`] };
        },
      },
    );

  // a role that is there for something else
  await root.send(
    new CreateRoleCommand({ RoleName: 'lamps', AssumeRolePolicyDocument: document(assuming('ec2.amazonaws.com')) }),
  );
  const lamp = { thingName: 'lamp-1' };
  await asks(lamp, [
    { names: /showed the certificate .* INACTIVE/ },
    { names: /for the thing "lamp-1" \(x-amzn-iot-thingname\), which is not attached/ },
    { names: /was refused iot:AssumeRoleWithCertificate on "rolealias\/lamps": no policy is attached/ },
    { names: /by the role alias "lamps", and there is none of that name/ },
    { names: /the role "lamps", and the credentials provider may not assume that: its trust policy does not let/ },
  ]);

  await client.send(new UpdateRoleAliasCommand({ roleAlias: 'lamps', credentialDurationSeconds: 7200 }));
  await asks(lamp, [{ names: /last 7200 seconds, while sessions of its role "lamps" last 3600 at most/ }]);

  const denying = assuming('credentials.iot.amazonaws.com', 'Deny');
  const PolicyDocument = document(devices, denying);
  await root.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'lamps', PolicyDocument }));
  await asks(lamp, [{ names: /Statement\[1\] of its trust policy denies it/ }]);

  await root.send(new DeleteRoleCommand({ RoleName: 'lamps' }));
  await asks(lamp, [{ names: /stands for the role "arn:aws:iam::000000000000:role\/lamps", and that does not exist/ }]);

  await client.send(new UpdateRoleAliasCommand({ roleAlias: 'lamps', roleArn: roleArn('old/lamps') }));
  await asks(lamp, [{ names: /does not exist: the role of that name is "arn:aws:iam::000000000000:role\/lamps"/ }]);

  await client.send(
    new CreatePolicyCommand({
      policyName: 'never',
      policyDocument: document({ Effect: 'Deny', Action: 'iot:*', Resource: '*' }),
    }),
  );
  await client.send(new AttachPolicyCommand({ policyName: 'never', target }));
  await asks(lamp, [{ names: /Statement\[0\] of policy "never" version 1 denies it/ }]);

  const byThing = document(
    allow('iot:AssumeRoleWithCertificate', iotArn(node.account, 'rolealias', '${iot:Connection.Thing.ThingName}')),
  );
  await client.send(new CreatePolicyCommand({ policyName: 'by-thing', policyDocument: byThing }));
  await client.send(new AttachPolicyCommand({ policyName: 'by-thing', target }));
  await client.send(new CreateRoleAliasCommand({ roleAlias: 'lamp-1', roleArn: roleArn('lamps') }));
  await asks({ roleAlias: 'lamp-1' }, [
    {
      names: /\$\{iot:Connection\.Thing\.ThingName\} in .* has no value, because the request names no thing/,
      says: /x-amzn-iot-thingname: "lamp-1" is attached/,
      done: (asking) => ({ ...asking, ...lamp }),
    },
  ]);

  const policyDocument = document(allow('iot:AssumeRoleWithCertificate', '*'));
  await client.send(new CreatePolicyVersionCommand({ policyName: 'by-thing', policyDocument, setAsDefault: true }));
  await asks({ roleAlias: 'Lamps' }, [
    {
      names: /"Lamps", and there is none/,
      says: /^Let it ask for "lamps"/,
      commands: 'another way',
      done: () => ({ roleAlias: 'lamps' }),
    },
  ]);

  const dataHost = hostNamesOf(node.account, 'localhost')['iot:Data-ATS'];
  await asks({ host: dataHost }, [
    {
      names: /under the host ".*-ats\.iot\..*", which is not that of the credentials provider/,
      commands: true,
      done: (_, { output }) => ({ host: output.trim() }),
    },
  ]);
});

test('the commands of docs/credentials-provider.md do what it says', async (t) => {
  const { node, folder, shell, iot } = await bootIam(t);
  const text = await readFile(new URL('../../docs/credentials-provider.md', import.meta.url), 'utf8');
  const [make = '', use = ''] = text.split(/^```\n/m).filter((_, index) => index % 2 === 1);
  const [env, ...commands] = make.split('\n');
  assert.equal(env, 'eval "$(bin/fleetgate.js env)"');
  const asDevice = use.replace('fleetgate-data/root-ca.pem', node.rootFile).replace(':8443/', `:${node.httpsPort}/`);
  const script = `set -e\n${commands.join('\n')}\n${asDevice}`;
  const { code, stdout, stderr } = await shell(script, { cwd: folder });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /"Arn": "arn:aws:sts::000000000000:assumed-role\/lamps\/[0-9a-f]{64}"/);
  assert.match(stdout, /"thingName": "lamp-1"/);
  assert.match(stdout, /^as it should be: another thing is none of its business$/m);
  assert.match(stderr, /AccessDeniedException/);
  assert.equal((await iot().listThings({})).things?.length, 1);
  assert.match(await readFile(join(folder, 'lamp.json'), 'utf8'), /^\{"credentials":\{"accessKeyId":"ASIA/);
});
