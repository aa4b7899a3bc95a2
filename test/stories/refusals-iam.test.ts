/**
 * What IAM refuses is named by `fleetgate explain`, and cured by what that prints: the refused call is made, the commands are carried out as they stand, and the call
 * succeeds (issue 6, acceptance 5). Calls of the API, of the data plane and of STS; keys and sessions that count no more.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { Agent } from 'node:https';
import { test } from 'node:test';
import {
  AddUserToGroupCommand,
  AttachUserPolicyCommand,
  CreateGroupCommand,
  CreatePolicyCommand,
  CreateRoleCommand,
  DeleteAccessKeyCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  PutGroupPolicyCommand,
  PutRolePolicyCommand,
  PutUserPermissionsBoundaryCommand,
  PutUserPolicyCommand,
  UpdateAccessKeyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateRoleAliasCommand,
  CreateThingCommand,
  DescribeThingCommand,
  ListPoliciesCommand,
} from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { AssumeRoleCommand, type AssumeRoleCommandInput, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import mqtt, { type MqttClient } from 'mqtt';
import { presignUrl } from '../../src/aws/sigv4.ts';
import { bash, fleetgateCommand } from '../harness.ts';
import { allowing, bootIam, type Keys, keysOf, rootKeys, trusting } from '../iam-scene.ts';
import { readJournal } from '../journal.ts';
import { type Cause, makeMistake } from '../mistakes.ts';
import { explainedAbout } from '../refusal.ts';

const account = '000000000000';
const arn = (resource: string): string => `arn:aws:iam::${account}:${resource}`;
const documentOf = (...Statement: readonly object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });
const allow = (Action: string, Resource = '*') => ({ Effect: 'Allow', Action, Resource });
const deny = (Action: string) => ({ Effect: 'Deny', Action, Resource: '*' });
type Given = Parameters<typeof keysOf>[0];

const happened = (client: MqttClient, event: 'connect' | 'close') =>
  new Promise<void>((resolve) => {
    client.once(event, () => resolve());
  });
const withoutToken = ({ accessKeyId, secretAccessKey }: Keys): Keys => ({ accessKeyId, secretAccessKey });

const boot = async (t: Parameters<typeof bootIam>[0]) => {
  const scene = await bootIam(t);
  const root = scene.iam();
  await scene.iot().send(new CreateThingCommand({ thingName: 'lamp' }));
  const data = (credentials: Keys) => {
    const settings = { endpoint: `https://localhost:${scene.node.httpsPort}`, region: 'us-east-1', credentials };
    const requestHandler = { httpsAgent: new Agent({ ca: scene.node.rootPem }) };
    const client = new IoTDataPlaneClient({ ...settings, requestHandler, maxAttempts: 1 });
    t.after(() => client.destroy());
    return client;
  };
  const assume = async (keys: Keys, role: string, more: Partial<AssumeRoleCommandInput> = {}): Promise<Keys> => {
    const input = { RoleArn: arn(`role/${role}`), RoleSessionName: 'shift', ...more };
    return keysOf((await scene.stsAs(keys).send(new AssumeRoleCommand(input))).Credentials as Given);
  };
  return {
    ...scene,
    ...{ root, data, assume },
    describe: (keys: Keys) => scene.iotAs(keys).send(new DescribeThingCommand({ thingName: 'lamp' })),
    whoIs: (keys: Keys) => scene.stsAs(keys).send(new GetCallerIdentityCommand({})),
    /** The call is refused for each cause in turn, and made in the end. */
    cured: (keys: Keys, call: (keys: Keys) => Promise<unknown>, ...causes: readonly Cause<Keys>[]) =>
      makeMistake(
        scene,
        { device: keys, causes, times: 1 },
        {
          subject: () => 'last',
          attempt: (device) =>
            call(device).then(
              () => ({ isProvisioned: true, saw: [] }),
              (error: Error) => ({ isProvisioned: false, saw: [`${error.name}: ${error.message}`] }),
            ),
        },
      ),
  };
};

test('what no policy allows, and what one denies, is let through by exactly as much as was asked', async (t) => {
  const { root, user, describe, cured, iotAs } = await boot(t);
  const alice = await user('alice');
  await cured(alice, describe, {
    names: /^User "alice" was refused iot:DescribeThing on "thing\/lamp": no statement of its policies allows it\.$/,
  });
  await assert.rejects(iotAs(alice).send(new ListPoliciesCommand({})), { name: 'AccessDeniedException' }, 'no more');

  const bob = await user('bob', documentOf(deny('iot:DescribeThing')));
  await cured(bob, describe, {
    names: /^User "bob" .*: Statement\[0\] of policy "own" denies it, and a Deny outweighs every Allow\.$/,
    says: /^If the Deny is not meant, delete that policy, which says nothing else, and allow what was asked, as nothing/,
  });

  const made = new CreatePolicyCommand({
    PolicyName: 'team',
    PolicyDocument: documentOf(allow('iot:*'), { ...deny('iot:Describe*'), Sid: 'Never' }),
  });
  const PolicyArn = (await root.send(made)).Policy?.Arn ?? '';
  const carol = await user('carol');
  await root.send(new AttachUserPolicyCommand({ UserName: 'carol', PolicyArn }));
  await cured(carol, describe, { names: /statement "Never" of policy "team" version v1 denies it/ });

  await root.send(new CreateGroupCommand({ GroupName: 'makers' }));
  const ofGroup = {
    GroupName: 'makers',
    PolicyName: 'own',
    PolicyDocument: documentOf(allow('iot:*'), deny('iot:D*')),
  };
  await root.send(new PutGroupPolicyCommand(ofGroup));
  const dora = await user('dora');
  await root.send(new AddUserToGroupCommand({ GroupName: 'makers', UserName: 'dora' }));
  await cured(dora, describe, { names: /policy "own", which it has from the group "makers", denies it/ });

  const erna = await user('erna');
  await root.send(new AttachUserPolicyCommand({ UserName: 'erna', PolicyArn: 'arn:aws:iam::aws:policy/AWSDenyAll' }));
  await cured(erna, describe, { names: /of policy "AWSDenyAll" .*denies it/, says: /detach that policy/ });
});

test('a boundary and a session policy are named, and widened or left out', async (t) => {
  const scene = await boot(t);
  const { root, user, describe, cured, assume } = scene;
  const bounds = async (PolicyName: string, ...statements: readonly object[]): Promise<string> => {
    const PolicyDocument = documentOf(...statements);
    return (await root.send(new CreatePolicyCommand({ PolicyName, PolicyDocument }))).Policy?.Arn ?? '';
  };
  const narrow = await bounds('narrow', allow('iot:ListThings'));
  const alice = await user('alice', allowing('iot:*'));
  await root.send(new PutUserPermissionsBoundaryCommand({ UserName: 'alice', PermissionsBoundary: narrow }));
  await cured(alice, describe, { names: /its permissions boundary "arn:.*:policy\/narrow" does not allow it/ });
  const denying = await bounds('denying', allow('*'), deny('iot:Desc*'));
  await root.send(new PutUserPermissionsBoundaryCommand({ UserName: 'alice', PermissionsBoundary: denying }));
  await cured(alice, describe, { names: /of policy "denying" version v1, its permissions boundary, denies it/ });

  const bob = await user('bob', allowing('sts:AssumeRole'));
  const AssumeRolePolicyDocument = trusting(arn('user/bob'));
  await root.send(new CreateRoleCommand({ RoleName: 'line', Path: '/a/', AssumeRolePolicyDocument }));
  const session = await assume(bob, 'a/line');
  await cured(session, describe, {
    names: /^Role "line" \(session "shift"\) was refused .*: no statement of its policies allows it\.$/,
  });
  const narrowed = await assume(bob, 'a/line', { Policy: allowing('iot:ListThings') });
  await cured(narrowed, describe, {
    names: /the session policy that the session was begun with does not let it\.$/,
    says: /begin another session without it, .* under the key of whoever may assume the role/,
    commands: 'another way',
    async done() {
      const { commands } = await explainedAbout(scene, 'last', /session policy/);
      const key = `export AWS_ACCESS_KEY_ID='${bob.accessKeyId}' AWS_SECRET_ACCESS_KEY='${bob.secretAccessKey}'`;
      const { code, stdout, stderr } = await scene.shell([key, ...commands].join('\n'));
      assert.equal(code, 0, stderr);
      return keysOf(JSON.parse(stdout).Credentials);
    },
  });
});

test('passing a role, and publishing over HTTPS, are asked for by their own names', async (t) => {
  const { root, user, cured, iotAs, data } = await boot(t);
  await root.send(new CreateRoleCommand({ RoleName: 'lamps', AssumeRolePolicyDocument: trusting(account) }));
  const alice = await user('alice', allowing('iot:CreateRoleAlias'));
  const alias = new CreateRoleAliasCommand({ roleAlias: 'lamps', roleArn: arn('role/lamps') });
  await cured(alice, (keys) => iotAs(keys).send(alias), {
    names:
      /was refused iam:PassRole on "arn:aws:iam::000000000000:role\/lamps", which iot:CreateRoleAlias needs as well/,
  });
  await cured(alice, (keys) => data(keys).send(new PublishCommand({ topic: 'a/${x}', payload: 'x' })), {
    names: /^User "alice" was refused iot:Publish on "topic\/a\/\$\{x\}": no statement/,
  });
});

test('who may not assume a role is told why by the journal alone: trust, a Deny there, rights, or that there is none', async (t) => {
  const { root, iam, user, cured, assume } = await boot(t);
  const alice = await user('alice');
  const bob = await user('bob', documentOf(deny('sts:AssumeRole')));
  await user('carol');
  const role = (RoleName: string, AssumeRolePolicyDocument: string) =>
    root.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument }));
  await role('closed', trusting(arn('user/carol')));
  await role('open', trusting(account));
  const denied = { Effect: 'Deny', Principal: '*', Action: 'sts:AssumeRole' };
  await role('denied', documentOf({ Effect: 'Allow', Principal: { AWS: account }, Action: 'sts:AssumeRole' }, denied));

  await cured(alice, (keys) => assume(keys, 'none'), {
    names: /^User "alice" was refused sts:AssumeRole on "arn:aws:iam::000000000000:role\/none": there is no such role/,
  });
  await cured(alice, (keys) => assume(keys, 'closed'), { names: /: the trust policy of that role does not let it\.$/ });
  await cured(alice, (keys) => assume(keys, 'denied'), {
    names: /: Statement\[1\] of the trust policy of that role denies it\.$/,
  });
  await cured(alice, (keys) => assume(keys, 'open'), { names: /: no statement of its policies allows it\.$/ });
  await cured(bob, (keys) => assume(keys, 'open'), {
    names: /Statement\[0\] of policy "own" denies it/,
    says: /delete that policy/,
  });
  const session = await assume(alice, 'open');
  await cured(session, (keys) => assume(keys, 'closed'), {
    names: /^Role "open" \(session "shift"\) was refused sts:AssumeRole .* trust policy of that role does not let it/,
  });
  const elsewhere = 'arn:aws:iam::111111111111:role/theirs';
  const trusts = trusting(arn('user/alice'));
  await cured(alice, (keys) => assume(keys, '', { RoleArn: elsewhere }), {
    names:
      /: the role is of the account 111111111111, where it does not exist, does not trust this one, or does so on a condition that is not met, such as an external id \(--external-id\)\.$/,
    says: /may add this to the role's trust policy .*"AWS":"arn:aws:iam::000000000000:user\/alice"/,
    commands: false,
    async done(keys) {
      const theirs = { accessKeyId: '111111111111', secretAccessKey: 'test' };
      const there = new CreateRoleCommand({ RoleName: 'theirs', AssumeRolePolicyDocument: trusts });
      await iam(theirs).send(there);
      await root.send(
        new PutUserPolicyCommand({
          ...{ UserName: 'alice', PolicyName: 'abroad', PolicyDocument: allowing('sts:AssumeRole', elsewhere) },
        }),
      );
      return keys;
    },
  });
});

test('keys and sessions that count no more are named, and so is what is wrong with a signature', async (t) => {
  const scene = await boot(t);
  const { node, root, user, cured, assume, describe, shell } = scene;
  const alice = await user('alice', allowing('*'));
  const AccessKeyId = alice.accessKeyId;
  await root.send(new UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Inactive' }));
  await cured(alice, describe, {
    names: new RegExp(`^The access key ${AccessKeyId} of the user "alice" is Inactive\\.$`),
  });

  const mistyped = { ...alice, secretAccessKey: `${alice.secretAccessKey.slice(1)}x` };
  const another = await cured(mistyped, describe, {
    names: new RegExp(
      `does not belong to the request under the secret of the access key ${AccessKeyId} of the user "alice"`,
    ),
    says: /^Compare the secret access key/,
    commands: true,
    done: (_, { output }) => keysOf({ ...JSON.parse(output).AccessKey, SessionToken: undefined }),
  });
  await root.send(new DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId: another.accessKeyId }));
  await cured(withoutToken(another), describe, {
    names: new RegExp(`^No access key ${another.accessKeyId} is known to this server: it was deleted, `),
    commands: true,
    done: () => rootKeys(),
  });
  await cured({ ...alice, sessionToken: 'left over' }, describe, {
    names: /^The session token that came with the access key AKIA\w+ does not belong to it\.$/,
    commands: true,
    done: withoutToken,
  });

  await root.send(new CreateRoleCommand({ RoleName: 'line', AssumeRolePolicyDocument: trusting(arn('user/alice')) }));
  await root.send(new PutRolePolicyCommand({ RoleName: 'line', PolicyName: 'own', PolicyDocument: allowing('iot:*') }));
  const session = await assume(alice, 'line');
  await cured(withoutToken(session), describe, {
    names: /^The temporary access key ASIA\w+ came without its session token\.$/,
    commands: false,
    done: () => session,
  });
  await node.clock.advance(3_600_000);
  const asAlice = `export AWS_ACCESS_KEY_ID='${alice.accessKeyId}' AWS_SECRET_ACCESS_KEY='${alice.secretAccessKey}'`;
  const fresh = await cured(session, describe, {
    names: /^The session "shift" of the role "line" is over, and with it the temporary access key ASIA\w+\.$/,
    says: /^Begin another session, under the key of whoever may assume the role/,
    commands: 'another way',
    async done() {
      const { commands } = await explainedAbout(scene, 'last', /is over/);
      const { code, stdout, stderr } = await shell([asAlice, ...commands].join('\n'));
      assert.equal(code, 0, stderr);
      return keysOf(JSON.parse(stdout).Credentials);
    },
  });
  await root.send(new DeleteRolePolicyCommand({ RoleName: 'line', PolicyName: 'own' }));
  await root.send(new DeleteRoleCommand({ RoleName: 'line' }));
  await cured(fresh, describe, {
    names: /of the session "shift" of the role "line" counts no more: that role is gone\.$/,
    commands: false,
    done: () => alice,
  });
  const unsigned = await fetch(`${node.apiUrl}/things/lamp`);
  assert.equal(unsigned.status, 403);
  await explainedAbout(scene, 'last', /^A request to the API was not signed \(SigV4\)\.$/);
});

test('nobody without the secret writes into the journal of an account, and no secret that was sent as a key is kept', async (t) => {
  const scene = await boot(t);
  const { root, user, describe } = scene;
  const alice = await user('alice', allowing('*'));
  const AccessKeyId = alice.accessKeyId;
  await root.send(new UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Inactive' }));
  const newest = async () => (await readJournal(scene.node, scene.node.account, { last: 'true' })).records[0]?.record;
  await assert.rejects(describe({ ...alice, secretAccessKey: 'guessed' }));
  assert.equal((await newest())?.account, undefined);
  await assert.rejects(describe(alice));
  assert.deepEqual((await newest())?.account, scene.node.account);
  const swapped = { accessKeyId: 'abcdefghijklmnopqrstuvwxyz01234567890123', secretAccessKey: AccessKeyId };
  await assert.rejects(describe(swapped));
  const kept = JSON.stringify(await readJournal(scene.node, scene.node.account, { limit: '20' }));
  assert.ok(kept.includes(AccessKeyId) && !kept.includes(swapped.accessKeyId) && !kept.includes(alice.secretAccessKey));
});

test('who may not read the journal is told what is missing, gets it, and then reads about the refusal before', async (t) => {
  const { user, describe, shell } = await boot(t);
  const alice = await user('alice');
  await assert.rejects(describe(alice));
  const asAlice = `export AWS_ACCESS_KEY_ID='${alice.accessKeyId}' AWS_SECRET_ACCESS_KEY='${alice.secretAccessKey}'`;
  const refused = await shell(`${asAlice}\nfleetgate explain`);
  assert.equal(refused.code, 1);
  const [sentence, command = ''] = refused.stderr.trim().split('\n\n  ');
  assert.match(
    sentence ?? '',
    /not authorized to perform: fleetgate:ReadJournal .* Whoever may change its policies can allow exactly that:$/,
  );
  const cured = await shell(command);
  assert.equal(cured.code, 0, cured.stderr);
  const told = await shell(`${asAlice}\nfleetgate explain`);
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stdout, /\nUser "alice" was refused iot:DescribeThing on "thing\/lamp": no statement/);
});

test('commands act under temporary credentials, which need their token', async (t) => {
  const { root, user, assume, shell } = await boot(t);
  const alice = await user('alice');
  await root.send(new CreateRoleCommand({ RoleName: 'reader', AssumeRolePolicyDocument: trusting(arn('user/alice')) }));
  await root.send(
    new PutRolePolicyCommand({
      RoleName: 'reader',
      PolicyName: 'own',
      PolicyDocument: allowing('fleetgate:ReadJournal'),
    }),
  );
  const { accessKeyId, secretAccessKey, sessionToken } = await assume(alice, 'reader');
  const key = `export AWS_ACCESS_KEY_ID='${accessKeyId}' AWS_SECRET_ACCESS_KEY='${secretAccessKey}'`;
  const read = await shell(`${key} AWS_SESSION_TOKEN='${sessionToken}'\nfleetgate explain`);
  assert.deepEqual([read.code, read.stderr], [0, '']);
  const without = await shell(`${key}\nfleetgate explain`);
  assert.match(without.stderr, /A temporary key counts only with its session token: set AWS_SESSION_TOKEN too\.\n$/);
});

test('a signer over WebSocket is told what it lacks to connect, publish and subscribe, and comes back when its key does', async (t) => {
  const { node, root, user, cured } = await boot(t);
  const alice = await user('alice');
  const AccessKeyId = alice.accessKeyId;
  const signed = ({ accessKeyId, secretAccessKey }: Keys): string =>
    presignUrl({
      ...{ method: 'GET', url: `https://localhost:${node.httpsPort}/mqtt`, accessKeyId, secretAccessKey },
      ...{ region: node.account.region, service: 'iotdevicegateway', nowMs: Date.now(), expiresSeconds: 300 },
    }).replace('https:', 'wss:');
  const connect = async (keys: Keys) => {
    const client = mqtt.connect(signed(keys), { ca: node.rootPem, reconnectPeriod: 0, clientId: 'panel' });
    t.after(() => client.end(true));
    client.on('error', () => undefined);
    // what a WebSocket is refused with is told here only
    client.stream.on('error', () => undefined);
    await Promise.race([
      happened(client, 'connect'),
      happened(client, 'close').then(() => Promise.reject(new Error('closed'))),
    ]);
    return client;
  };
  const using = (work: (client: MqttClient) => Promise<unknown>) => async (keys: Keys) => {
    const client = await connect(keys);
    const closed = happened(client, 'close').then(() => Promise.reject(new Error('closed')));
    await Promise.race([work(client), closed]).finally(() => client.endAsync(true).catch(() => undefined));
  };
  await cured(alice, connect, { names: /^User "alice" was refused iot:Connect on "client\/panel": no statement/ });
  const publish = using((client) => client.publishAsync('a/b', 'x', { qos: 1 }));
  await cured(alice, publish, { names: /^User "alice" was refused iot:Publish on "topic\/a\/b": no statement/ });
  const subscribe = using(async (client) => {
    const [granted] = await client.subscribeAsync('a/#', { qos: 1 });
    assert.equal(granted?.qos, 1);
  });
  await cured(alice, subscribe, {
    names: /^User "alice" was refused iot:Subscribe on "topicfilter\/a\/#": no statement/,
  });

  const client = await connect(alice);
  const closed = happened(client, 'close');
  await root.send(new UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Inactive' }));
  await closed;
  const told = await explainedAbout(
    { node },
    'panel',
    /^The client "panel" was disconnected: the access key of the user/,
  );
  assert.equal(told.commands.length, 1);
  await cured(alice, connect, {
    names: new RegExp(`^The access key ${AccessKeyId} of the user "alice" is Inactive\\.$`),
  });
  await root.send(new DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId }));
  const { code, stdout } = await bash(`${fleetgateCommand} env`, { env: { FLEETGATE_API_URL: node.apiUrl } });
  const made = await bash(`${stdout}\n${told.commands.join('\n')}`);
  assert.deepEqual([code, made.code], [0, 0], made.stderr);
  await connect(keysOf({ ...JSON.parse(made.stdout).AccessKey, SessionToken: undefined }));
});

const names = ['a$(touch x)`touch x`', "'; touch x; '", '*${x}?', 'a\u202etxt.exe'];

test('names that a call chose do no harm to whoever pastes its cure', async (t) => {
  const { user, data, cured } = await boot(t);
  for (const [index, name] of names.entries()) {
    const isSafe = !/\p{Cf}/u.test(name);
    const call = (keys: Keys) => data(keys).send(new PublishCommand({ topic: `a/${name}`, payload: 'x' }));
    await cured(await user(`alice-${index}`), call, {
      names: /was refused iot:Publish on "topic\/a\//,
      commands: isSafe,
      async done(keys, { folder }) {
        if (!isSafe) return rootKeys();
        assert.deepEqual(await readdir(folder), [], `${name} left something behind`);
        return keys;
      },
    });
  }
});
