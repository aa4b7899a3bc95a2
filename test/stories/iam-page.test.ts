/** IAM as a person uses it: the commands of docs/iam.md with the AWS CLI, as they stand there; and an SDK that assumes a role by a profile. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bash, bootNode } from '../harness.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('the commands of docs/iam.md do what it says', async (t) => {
  const text = await readFile(join(root, 'docs', 'iam.md'), 'utf8');
  const blocks = text.split(/^```\n/m).filter((_, index) => index % 2 === 1);
  const [env, user = '', forbid = '', bound = '', role = '', session = '', token = '', rotate = '', ...more] = blocks;
  assert.equal(env, 'eval "$(bin/fleetgate.js env)"\n');
  assert.deepEqual(more, []);
  const { node, folder, shell } = await bootNode(t);
  const settings = {
    AWS_CONFIG_FILE: join(folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials'),
  };
  const part = (script: string) => `${script}echo '=====' && echo '=====' >&2\n`;
  const script = `set -e\n${[user, forbid, bound, role, session, token, rotate].map(part).join('')}`;
  const { code, stdout, stderr } = await shell(script, { env: settings });
  assert.equal(code, 0, stderr);
  const [asked = '', forbade = '', bounded = '', , inSession = '', tokens = '', rotated = ''] = stdout.split('=====\n');
  const refused = stderr.split('=====\n').map((each) => each.match(/is not authorized to perform: (\S+)/)?.[1]);
  assert.deepEqual(refused.slice(0, 7), [
    ...['iam:ListUsers', 'iot:RegisterCertificateWithoutCA', 'iot:CreateThing', undefined, 'iot:ListPolicies'],
    ...[undefined, undefined],
  ]);
  assert.match(asked, /User "alice" was refused iam:ListUsers .*\n.*\n+ +aws iam put-user-policy --user-name=alice/);
  assert.match(forbade, /policy "careful", which it has from the group "makers", denies it/);
  assert.match(forbade, /"certificateArn": "arn:aws:iot:us-east-1:000000000000:cert\/[0-9a-f]{64}"/);
  assert.match(bounded, /"VersionId": "v2",\s+"IsDefaultVersion": true/);
  assert.match(bounded, /"things": \[\]/);
  assert.match(bounded, /its permissions boundary "arn:aws:iam::000000000000:policy\/reading" does not allow it/);
  assert.match(inSession, /"Arn": "arn:aws:sts::000000000000:assumed-role\/release\/night"/);
  assert.match(inSession, /"things": \[\]/);
  assert.match(inSession, /the session policy that the session was begun with does not let it/);
  assert.match(tokens, /"AccessKeyId": "ASIA/);
  assert.match(rotated, /"Arn": "arn:aws:iam::000000000000:user\/alice"/);
  assert.match(rotated, /"ServiceName": "[a-z]+"/);
  assert.equal(rotated.match(/"Status": "Active"/g)?.length, 1);
  assert.doesNotMatch(rotated, /Inactive/);

  const ask = `import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
    console.log((await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn);`;
  const assumed = await bash(`node --input-type=module -e "$ASK"`, {
    cwd: root,
    env: {
      ...{ ...settings, ASK: ask, AWS_PROFILE: 'release', AWS_ENDPOINT_URL: node.apiUrl, AWS_REGION: 'us-east-1' },
      ...{ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
    },
  });
  assert.match(assumed.stdout, /^arn:aws:sts::000000000000:assumed-role\/release\/\S+$/m, assumed.stderr);
});
