/** `fleetgate doctor` finds the first thing that keeps a shell from working with its server, and its cure works when it is run. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { UpdateAccessKeyCommand } from '@aws-sdk/client-iam';
import { GetSessionTokenCommand } from '@aws-sdk/client-sts';
import { bash, bootNode, fleetgateCommand, put } from '../harness.ts';
import { allowing, bootIam } from '../iam-scene.ts';

/** The last paragraphs: one sentence and one cure. */
const verdict = (stdout: string): { sentence: string; cure: string } => {
  const [sentence = '', cure = ''] = stdout.trimEnd().split('\n\n').slice(-2);
  return { sentence, cure: cure.trim() };
};

test('in a shell that `fleetgate env` has set up, everything is in order', async (t) => {
  const { shell } = await bootNode(t);
  const { code, stdout, stderr } = await shell('fleetgate doctor');
  assert.equal(code, 0, stdout + stderr);
  for (const name of [
    'server',
    'clock',
    'access key',
    'host name',
    'MQTT port',
    'HTTPS port',
    'certificates',
    'domains',
    'data folder',
    'root CA',
    'aws',
    'journal',
  ]) {
    assert.match(stdout, new RegExp(`^  ok  ${name}`, 'm'));
  }
  assert.match(stdout, /^Everything is in order/m);
  const explained = await shell('fleetgate explain last');
  assert.match(explained.stdout, /^Nothing was refused/, 'whom doctor looks at is not told that it was refused');
});

test('no server', async (t) => {
  const { node, folder } = await bootNode(t);
  await node.close(0);
  const { code, stdout } = await bash(`${fleetgateCommand} doctor --api-url ${node.apiUrl}`, { cwd: folder });
  assert.equal(code, 1);
  assert.deepEqual(verdict(stdout), {
    sentence: `No server answers at ${node.apiUrl}.`,
    cure: `fleetgate start --api-port ${node.apiPort}`,
  });
});

test('another program on the port', async (t) => {
  const other = createServer((_request, response) => response.end('{"alive":"no"}')).listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const address = other.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const { code, stdout } = await bash(`${fleetgateCommand} doctor --api-url ${url}`);
  assert.equal(code, 1);
  assert.equal(verdict(stdout).sentence, `Something else than Fleetgate answers at ${url}.`);
});

test('a key that the server does not know: the cure sets one that it does', async (t) => {
  const { node, folder, shell } = await bootNode(t);
  const sick = await shell('AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE fleetgate doctor');
  assert.equal(sick.code, 1);
  const { sentence, cure } = verdict(sick.stdout);
  assert.match(sentence, /security token included in the request is invalid/);
  assert.equal(cure, `eval "$(fleetgate env --api-url ${node.apiUrl})"`);
  const cured = await bash(
    `fleetgate() { ${fleetgateCommand} "$@"; }\nexport AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n${cure}\nfleetgate doctor`,
    { cwd: folder },
  );
  assert.equal(cured.code, 0, cured.stdout);
});

test('an AWS CLI that calls AWS itself is told apart, and the call does not leave this machine', async (t) => {
  const { node, folder } = await bootNode(t);
  const { code, stdout } = await bash(`${fleetgateCommand} doctor`, {
    cwd: folder,
    env: {
      FLEETGATE_API_URL: node.apiUrl,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_DEFAULT_REGION: 'us-east-1',
    },
  });
  assert.equal(code, 1);
  const { sentence, cure } = verdict(stdout);
  assert.match(sentence, /^The program aws calls https:\/\/sts\.\S*amazonaws\.com, not http:/);
  assert.equal(cure, `eval "$(fleetgate env --api-url ${node.apiUrl})"`);
});

test('an AWS CLI without a key calls nobody, and doctor repeats why', async (t) => {
  const { node, folder, shell } = await bootNode(t);
  const { code, stdout } = await shell('unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; fleetgate doctor');
  assert.equal(code, 1);
  const { sentence, cure } = verdict(stdout);
  assert.match(sentence, /^The program aws calls nobody: Unable to locate credentials\./);
  const after = await bash(`fleetgate() { ${fleetgateCommand} "$@"; }; ${cure}; fleetgate doctor`, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl },
  });
  assert.equal(after.code, 0, after.stdout);
});

test('a root certificate of another server: the cure fetches the right one', async (t) => {
  const { node, folder, shell } = await bootNode(t);
  await mkdir(join(folder, 'fleetgate-data'));
  await writeFile(join(folder, 'fleetgate-data', 'root-ca.pem'), 'of another server');
  const { code, stdout } = await shell('fleetgate doctor');
  assert.equal(code, 1);
  const { sentence, cure } = verdict(stdout);
  assert.match(sentence, /root-ca\.pem is not the root certificate of the server/);
  const cured = await shell(`${cure}\ncat root-ca.pem`);
  assert.equal(cured.stdout, node.rootPem);
});

test('an endpoint without an address here: the cure prints the line that gives it one', async (t) => {
  const { shell } = await bootNode(t, { domain: 'fleet.example' });
  const { code, stdout } = await shell('fleetgate doctor');
  assert.equal(code, 1);
  const { sentence, cure } = verdict(stdout);
  const name = /The name (\S+), which devices connect to, has no address here/.exec(sentence)?.[1] ?? '';
  assert.match(name, /-ats\.iot\.us-east-1\.fleet\.example$/);
  assert.equal(cure, 'fleetgate hosts | sudo tee -a /etc/hosts');
  const lines = await shell('fleetgate hosts');
  assert.ok(lines.stdout.split('\n').includes(`127.0.0.1 ${name}`));
});

test('keys and sessions of users: what is wrong with them is said, and what is printed makes the shell well', async (t) => {
  const { node, folder, iam, user, stsAs, shell } = await bootIam(t);
  const root = iam();
  const alice = await user('alice', allowing('*'));
  const { accessKeyId: AccessKeyId, secretAccessKey } = alice;
  const asAlice = `export AWS_ACCESS_KEY_ID='${AccessKeyId}' AWS_SECRET_ACCESS_KEY='${secretAccessKey}'`;
  const well = await shell(`${asAlice}\nfleetgate doctor`);
  assert.equal(well.code, 0, well.stdout);
  assert.match(
    well.stdout,
    /^ {2}ok {2}aws +a call arrived at \S+, as arn:aws:iam::000000000000:user\/alice in us-east-1$/m,
  );

  const sick = async (setting: string, says: RegExp): Promise<void> => {
    const { code, stdout } = await shell(`${asAlice}\n${setting}\nfleetgate doctor`);
    assert.equal(code, 1, stdout);
    const { sentence, cure } = verdict(stdout);
    assert.match(sentence, says);
    const cured = await shell(`${asAlice}\n${setting}\n${cure}\nfleetgate doctor`);
    assert.equal(cured.code, 0, cured.stdout);
  };
  await sick('export AWS_SECRET_ACCESS_KEY=mistyped', /Compare AWS_SECRET_ACCESS_KEY with the secret/);
  await sick('export AWS_SESSION_TOKEN=stale', /Only temporary keys, which begin with ASIA, have a session token/);
  const config = await put(folder, 'config', '[default]\nregion = eu-west-1\n');
  await sick(
    `unset AWS_REGION AWS_DEFAULT_REGION\nexport AWS_CONFIG_FILE='${config}'`,
    /^The program aws works in the region eu-west-1, and fleetgate in us-east-1: /,
  );
  const { Credentials } = await stsAs(alice).send(new GetSessionTokenCommand({ DurationSeconds: 900 }));
  const temporary = `export AWS_ACCESS_KEY_ID='${Credentials?.AccessKeyId}' AWS_SECRET_ACCESS_KEY='${Credentials?.SecretAccessKey}' AWS_SESSION_TOKEN='${Credentials?.SessionToken}'`;
  await sick(`${temporary}\nunset AWS_SESSION_TOKEN`, /A temporary key counts only with its session token/);
  await node.clock.advance(900_000);
  await sick(temporary, /token included in the request is expired\. Begin another session/);
  await root.send(new UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Inactive' }));
  await sick('', /security token included in the request is invalid\. Use a key that the server knows/);
});

test('who lacks a right that the checks need, and who may not read the journal, is told how to get it', async (t) => {
  const { user, shell } = await bootIam(t);
  const bob = await user('bob');
  const asBob = `AWS_ACCESS_KEY_ID='${bob.accessKeyId}' AWS_SECRET_ACCESS_KEY='${bob.secretAccessKey}' fleetgate doctor`;
  for (const action of ['iot:DescribeEndpoint', 'fleetgate:ReadJournal']) {
    const { code, stdout } = await shell(asBob);
    assert.equal(code, 1);
    const { sentence, cure } = verdict(stdout);
    assert.match(sentence, new RegExp(`user/bob is not authorized to perform: ${action} .* can allow exactly that:$`));
    const cured = await shell(cure);
    assert.equal(cured.code, 0, cured.stderr);
  }
  assert.equal((await shell(asBob)).code, 0);
});

test('a profile that is somebody else than the key of fleetgate is told', async (t) => {
  const { node, folder, user } = await bootIam(t);
  const { accessKeyId, secretAccessKey } = await user('carol');
  const text = `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
  const AWS_SHARED_CREDENTIALS_FILE = await put(folder, 'credentials', text);
  const env = { FLEETGATE_API_URL: node.apiUrl, AWS_SHARED_CREDENTIALS_FILE };
  const prelude = `fleetgate() { ${fleetgateCommand} "$@"; }\neval "$(fleetgate env)"\nunset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY`;
  const { code, stdout } = await bash(`${prelude}\nfleetgate doctor`, { cwd: folder, env });
  assert.equal(code, 1, stdout);
  const { sentence, cure } = verdict(stdout);
  assert.match(sentence, /^The program aws acts as \S+:user\/carol, by its profile, and fleetgate as \S+:root: /);
  const cured = await bash(`${prelude}\n${cure}\nfleetgate doctor`, { cwd: folder, env });
  assert.equal(cured.code, 0, cured.stdout);
});
