/**
 * What keys and sessions open, over the real API, and when they stop: rotation, deactivation, deletion, expiry (issue 6, acceptance 2); and that no secret of theirs
 * is anywhere in clear.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateRoleCommand,
  DeleteAccessKeyCommand,
  DeleteRoleCommand,
  UpdateAccessKeyCommand,
} from '@aws-sdk/client-iam';
import { ListThingsCommand } from '@aws-sdk/client-iot';
import { AssumeRoleCommand, GetCallerIdentityCommand, GetSessionTokenCommand } from '@aws-sdk/client-sts';
import { bootIam, type Keys, keysOf, rootKeys, trusting } from '../iam-scene.ts';
import { queryStore, storeTables, testEngine } from '../stores.ts';

const account = '000000000000';
const full = 'arn:aws:iam::aws:policy/AWSIoTFullAccess';

type Scene = Awaited<ReturnType<typeof bootIam>>;

/** Who STS says that these keys are, or the code of the refusal. */
const whoIs = async ({ stsAs }: Scene, keys: Keys): Promise<string> => {
  try {
    return (await stsAs(keys).send(new GetCallerIdentityCommand({}))).Arn ?? '';
  } catch (error) {
    assert(error instanceof Error);
    const { Code, $metadata } = error as never as { Code?: string; $metadata: { httpStatusCode?: number } };
    return `${Code ?? error.name} ${$metadata.httpStatusCode}`;
  }
};

const assume = async ({ stsAs }: Scene, keys: Keys, RoleName: string): Promise<Keys> => {
  const given = { RoleArn: `arn:aws:iam::${account}:role/${RoleName}`, RoleSessionName: 'shift-1' };
  const { Credentials } = await stsAs(keys).send(new AssumeRoleCommand(given));
  return keysOf(Credentials as Parameters<typeof keysOf>[0]);
};

const unknown = 'InvalidClientTokenId 403';
const alice = `arn:aws:iam::${account}:user/alice`;

test('a key is exchanged, switched off, switched on and deleted, each from the next request on', async (t) => {
  const scene = await bootIam(t);
  const root = scene.iam();
  const old = await scene.user('alice');
  const made = await root.send(new CreateAccessKeyCommand({ UserName: 'alice' }));
  const { accessKeyId, secretAccessKey } = keysOf({ ...made.AccessKey, SessionToken: undefined } as never);
  const fresh = { accessKeyId, secretAccessKey };
  const both = async () => [await whoIs(scene, old), await whoIs(scene, fresh)];
  assert.deepEqual(await both(), [alice, alice]);
  assert.equal(await whoIs(scene, { ...old, secretAccessKey }), 'SignatureDoesNotMatch 403', "another key's secret");
  assert.equal(await whoIs(scene, { ...old, sessionToken: 'x' }), unknown, 'a token that it has not');
  const ofOld = { UserName: 'alice', AccessKeyId: old.accessKeyId };
  await root.send(new UpdateAccessKeyCommand({ ...ofOld, Status: 'Inactive' }));
  assert.deepEqual(await both(), [unknown, alice]);
  await root.send(new UpdateAccessKeyCommand({ ...ofOld, Status: 'Active' }));
  assert.deepEqual(await both(), [alice, alice]);
  await root.send(new DeleteAccessKeyCommand(ofOld));
  assert.deepEqual(await both(), [unknown, alice]);
});

test('a session is refused once it is over, once its role is gone, and with any other token', async (t) => {
  const scene = await bootIam(t);
  const root = scene.iam();
  const keys = await scene.user('alice');
  for (const RoleName of ['installer', 'other']) {
    await root.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusting(alice) }));
  }
  const [first, second] = [await assume(scene, keys, 'installer'), await assume(scene, keys, 'other')];
  const role = (name: string) => `arn:aws:sts::${account}:assumed-role/${name}/shift-1`;
  assert.equal(await whoIs(scene, first), role('installer'));
  const { accessKeyId, secretAccessKey, sessionToken = '' } = first;
  assert.equal(await whoIs(scene, { accessKeyId, secretAccessKey }), unknown, 'without its token');
  assert.equal(await whoIs(scene, { ...second, sessionToken }), unknown, "with another's");
  const altered = `${sessionToken.slice(0, -8)}${sessionToken.at(-8) === 'A' ? 'B' : 'A'}${sessionToken.slice(-7)}`;
  assert.equal(await whoIs(scene, { ...first, sessionToken: altered }), unknown, 'with an altered one');

  await root.send(new DeleteRoleCommand({ RoleName: 'installer' }));
  await root.send(new CreateRoleCommand({ RoleName: 'installer', AssumeRolePolicyDocument: trusting(alice) }));
  assert.equal(await whoIs(scene, first), unknown, 'a role of the same name is another role');
  await scene.node.clock.advance(3_600_000);
  assert.equal(await whoIs(scene, second), 'ExpiredToken 403');
  await assert.rejects(scene.iotAs(second).send(new ListThingsCommand({})), {
    name: 'ExpiredTokenException',
    message: 'The security token included in the request is expired',
  });
});

test('a session of the root is the root, for an hour; a development key and what comes of it count on this machine only', async (t) => {
  const scene = await bootIam(t);
  const { Credentials } = await scene.stsAs(rootKeys()).send(new GetSessionTokenCommand({}));
  const keys = keysOf(Credentials as Parameters<typeof keysOf>[0]);
  assert.equal(await whoIs(scene, keys), `arn:aws:iam::${account}:root`);
  await scene.iotAs(keys).send(new ListThingsCommand({}));
  const proxied = scene.stsAs(keys);
  proxied.middlewareStack.add(
    (next) => (given) => {
      Object.assign((given.request as { headers: Record<string, string> }).headers, { via: '1.1 proxy' });
      return next(given);
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  await assert.rejects(proxied.send(new GetCallerIdentityCommand({})), { Code: 'InvalidClientTokenId' });
});

/** Everything in a folder, as Latin-1 text by file. */
const textsIn = async (folder: string): Promise<Map<string, string>> => {
  const texts = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    texts.set(file, await readFile(file, 'latin1'));
  }
  return texts;
};

test('no secret of a key, and no token, is in the store, the journal, the logs or any other file of the data folder', async (t) => {
  const scene = await bootIam(t, { logLevel: 'debug' });
  const root = scene.iam();
  const keys = await scene.user('alice');
  await root.send(new AttachUserPolicyCommand({ UserName: 'alice', PolicyArn: full }));
  await root.send(new CreateRoleCommand({ RoleName: 'installer', AssumeRolePolicyDocument: trusting(alice) }));
  const session = await assume(scene, keys, 'installer');
  await scene.iotAs(keys).send(new ListThingsCommand({}));
  // refused requests tell most: a wrong secret, and a token of somebody else
  await whoIs(scene, { ...keys, secretAccessKey: session.secretAccessKey });
  await whoIs(scene, { ...session, accessKeyId: keys.accessKeyId });
  await assert.rejects(assume(scene, keys, 'ghost'));
  const data = join(scene.folder, 'data');
  const rows = (
    await Promise.all((await storeTables(data)).map((name) => queryStore(data, `select * from ${name}`)))
  ).flat();
  assert.ok(JSON.stringify(rows).includes(keys.accessKeyId), 'the key itself is there');
  await scene.node.close();
  const texts = await textsIn(data);
  if (testEngine === 'sqlite') {
    assert.ok(
      [...texts.values()].some((text) => text.includes(keys.accessKeyId)),
      'and in the files',
    );
  }
  texts.set('the store', JSON.stringify(rows));
  const secrets = [keys.secretAccessKey, session.secretAccessKey, session.sessionToken ?? ''];
  const forms = secrets.flatMap((secret) => [
    secret,
    Buffer.from(secret).toString('base64').slice(0, -4),
    Buffer.from(secret, 'base64').toString('latin1'),
    encodeURIComponent(secret),
  ]);
  for (const [file, text] of texts) {
    assert.deepEqual(
      forms.filter((form) => text.includes(form)),
      [],
      `${file} holds a secret`,
    );
  }
});
