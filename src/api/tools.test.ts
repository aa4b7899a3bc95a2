/** The tools that users have: every AWS CLI on this machine, and curl, signed by hand with openssl and by curl itself. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { before, test } from 'node:test';
import { awsVariable, loadedAws } from '../../test/aws-cli.ts';
import { bootApi, type TestApi } from './test-api.ts';

const debianCli = '/usr/bin/aws';

/** One path for each AWS CLI: Debian's, and what else is first or later on PATH. */
const commandLines = [debianCli, ...(process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'aws'))]
  .filter((path) => existsSync(path))
  .filter((path, index, all) => all.findIndex((other) => realpathSync(other) === realpathSync(path)) === index);

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Debian's is loaded once for a whole run of the tests (test/aws-cli.ts), and started as it stands on disk in test/stories/aws-cli-versions.test.ts. */
const startOf = (command: string): string =>
  command === debianCli && process.env[awsVariable] !== undefined ? loadedAws : command;

const run = (command: string, args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ran> =>
  new Promise((resolve) => {
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS_|.*_proxy$)/i.test(name)));
    const options = { env: { ...own, ...environment }, timeout: 60_000 };
    execFile(command, args, options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
    );
  });

const awsOf =
  (command: string, api: TestApi) =>
  (line: string, secret = 'test'): Promise<Ran> =>
    run(startOf(command), ['--endpoint-url', api.url, '--output', 'json', ...line.split(' ')], {
      AWS_ACCESS_KEY_ID: '123456789012',
      AWS_SECRET_ACCESS_KEY: secret,
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_PAGER: '',
    });

before(() => assert(existsSync(debianCli), `${debianCli} is missing: install Debian's package awscli`));

for (const command of commandLines) {
  test(`the AWS CLI at ${command}: calls, faults and refusals`, async (t) => {
    const api = await bootApi(t);
    const aws = awsOf(command, api);
    const certificate = `arn:aws:iot:eu-west-1:123456789012:cert/${'a'.repeat(64)}`;
    const ok = async (line: string): Promise<unknown> => {
      const { code, stdout, stderr } = await aws(line);
      assert.equal(code, 0, stderr);
      return stdout.trim() === '' ? undefined : JSON.parse(stdout);
    };
    const refused = async (line: string, message: RegExp, secret?: string): Promise<void> => {
      const { code, stderr } = await aws(line, secret);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    };
    await Promise.all([
      ok('sts get-caller-identity').then((identity) =>
        assert.deepEqual(identity, {
          UserId: '123456789012',
          Account: '123456789012',
          Arn: 'arn:aws:iam::123456789012:root',
        }),
      ),
      ok(`iot list-attached-policies --target ${certificate} --recursive`).then((listed) =>
        assert.deepEqual(listed, { policies: [{ policyName: certificate, policyArn: 'true' }] }),
      ),
      ok(`iot list-principal-things --principal ${certificate}`).then((listed) =>
        assert.deepEqual(listed, { things: [certificate] }),
      ),
      ok(`iot attach-policy --policy-name a=b,c@d --target ${certificate}`).then((nothing) =>
        assert.equal(nothing, undefined),
      ),
      ok('iot create-thing --thing-name a:b --attribute-payload {"attributes":{"a":"b"}}').then((created) =>
        assert.partialDeepStrictEqual(created, { thingName: 'a:b', thingId: '{"a":"b"}' }),
      ),
      refused('iot create-thing --thing-name taken', /\(ResourceAlreadyExistsException\).*Thing taken already exists/),
      refused('iot list-jobs', /\(NotImplementedException\).*ListJobs is not available in this version of Fleetgate/),
      refused(
        'acm list-certificates',
        /\(NotImplementedException\).*ListCertificates is not available in this version/,
      ),
      refused('iam list-users', /\(NotImplemented\).*ListUsers is not available in this version of Fleetgate/),
      refused('iot describe-thing --thing-name a', /\(InvalidSignatureException\)/, 'guess'),
      refused('sts get-caller-identity', /\(SignatureDoesNotMatch\)/, 'guess'),
    ]);
  });
}

/** Signs with nothing but the shell and openssl, by the steps of the IAM user guide; $1 method, $2 path as signed, $3 query, $4 body. */
const signByHand = `
set -eu
amz_date=$(date -u +%Y%m%dT%H%M%SZ)
day=$(printf %s "$amz_date" | cut -c1-8)
scope="$day/us-east-1/$SERVICE/aws4_request"
hash() { openssl dgst -sha256 -hex | sed 's/^.*= *//'; }
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -hex | sed 's/^.*= *//'; }
body_hash=$(printf %s "$4" | hash)
canonical_hash=$(printf '%s\\n%s\\n%s\\nhost:%s\\nx-amz-date:%s\\n\\nhost;x-amz-date\\n%s' "$1" "$2" "$3" "$HOST" "$amz_date" "$body_hash" | hash)
key=$(printf 'AWS4%s' "$SECRET" | od -An -v -tx1 | tr -d ' \\n')
for part in "$day" us-east-1 "$SERVICE" aws4_request; do key=$(printf %s "$part" | hmac "$key"); done
signature=$(printf 'AWS4-HMAC-SHA256\\n%s\\n%s\\n%s' "$amz_date" "$scope" "$canonical_hash" | hmac "$key")
exec curl -sS -X "$1" --path-as-is -H "X-Amz-Date: $amz_date" --data-binary "$SENT" -w '\\n%{http_code}' \\
  -H "Authorization: AWS4-HMAC-SHA256 Credential=$KEY/$scope, SignedHeaders=host;x-amz-date, Signature=$signature" "$URL"
`;

interface ByHand {
  readonly method: string;
  readonly target: string;
  /** The path in its signed spelling; the target's own unless it has escapes. */
  readonly signedPath?: string;
  readonly body?: string;
  readonly sentBody?: string;
  readonly service?: string;
  readonly secret?: string;
}

const curlByHand = async (api: TestApi, call: ByHand): Promise<[status: number, body: string]> => {
  const [path = '', query = ''] = call.target.split('?');
  const body = call.body ?? '';
  const { code, stdout, stderr } = await run(
    'sh',
    ['-c', signByHand, 'sh', call.method, call.signedPath ?? path, query, body],
    {
      SERVICE: call.service ?? 'iot',
      SECRET: call.secret ?? 'test',
      KEY: '000000000000',
      HOST: api.url.slice('http://'.length),
      URL: `${api.url}${call.target}`,
      SENT: call.sentBody ?? body,
    },
  );
  assert.equal(code, 0, stderr);
  const end = stdout.lastIndexOf('\n');
  return [Number(stdout.slice(end + 1)), stdout.slice(0, end)];
};

test('curl with a signature made by hand: admitted, and refused with another body or secret', async (t) => {
  const api = await bootApi(t);
  const target = '/attached-policies/arn%3Aaws%3Aiot%3Aus-east-1%3A000000000000%3Acert%2Fa';
  const [list, escaped, posted, sts, replayed, guessed] = await Promise.all([
    curlByHand(api, { method: 'GET', target: '/things?maxResults=3&nextToken=a' }),
    curlByHand(api, { method: 'POST', target, signedPath: target.replaceAll('%', '%25') }),
    curlByHand(api, { method: 'POST', target: '/things/a', body: '{"attributePayload":{"attributes":{"k":"v"}}}' }),
    curlByHand(api, {
      method: 'POST',
      target: '/',
      service: 'sts',
      body: 'Action=GetCallerIdentity&Version=2011-06-15',
    }),
    curlByHand(api, { method: 'POST', target: '/things/a', body: '{}', sentBody: '{"thingTypeName":"x"}' }),
    curlByHand(api, { method: 'GET', target: '/things', secret: 'guess' }),
  ]);
  assert.equal(list[0], 200);
  assert.match(list[1], /"version":3.*"nextToken":"a"/);
  assert.deepEqual(
    [escaped[0], JSON.parse(escaped[1]).policies[0].policyName],
    [200, 'arn:aws:iot:us-east-1:000000000000:cert/a'],
  );
  assert.match(posted[1], /\\"k\\":\\"v\\"/);
  assert.match(sts[1], /<Account>000000000000</);
  assert.equal(replayed[0], 403);
  assert.match(replayed[1], /request signature we calculated does not match/);
  assert.equal(guessed[0], 403);
});

test('curl --aws-sigv4', async (t) => {
  const api = await bootApi(t);
  const curl = (service: string, ...args: string[]) =>
    run('curl', ['-sS', '--user', '000000000000:test', '--aws-sigv4', `aws:amz:us-east-1:${service}`, ...args], {});
  const [things, created, identity] = await Promise.all([
    curl('iot', `${api.url}/things`),
    curl('iot', '-H', 'Content-Type: application/json', '--data', '{"thingTypeName":"t"}', `${api.url}/things/a`),
    curl('sts', '--data', 'Action=GetCallerIdentity&Version=2011-06-15', `${api.url}/`),
  ]);
  assert.match(things.stdout, /"account":"000000000000"/, things.stderr);
  assert.match(created.stdout, /thing\/a/, created.stderr);
  assert.match(identity.stdout, /<Account>000000000000</, identity.stderr);
});

test('raw calls of acm and iam, as any other client of AWS writes them', async (t) => {
  const api = await bootApi(t);
  const curl = (service: string, ...args: string[]) =>
    run('curl', ['-sS', '--user', '000000000000:test', '--aws-sigv4', `aws:amz:us-east-1:${service}`, ...args], {});
  const [certificates, users, byQuery] = await Promise.all([
    curl(
      ...[
        'acm',
        '-H',
        'Content-Type: application/x-amz-json-1.1',
        '-H',
        'X-Amz-Target: CertificateManager.ListCertificates',
      ],
      ...['--data', '{}', `${api.url}/`],
    ),
    curl('iam', '-H', 'Accept: */*', '--data', 'Action=ListUsers&Version=2010-05-08', `${api.url}/`),
    curl('iam', `${api.url}/?Action=GetUser&Version=2010-05-08`),
  ]);
  assert.deepEqual(JSON.parse(certificates.stdout), {
    __type: 'NotImplementedException',
    message: 'ListCertificates is not available in this version of Fleetgate',
  });
  assert.match(users.stdout, /<Code>NotImplemented<\/Code><Message>ListUsers is not available in this version/);
  assert.match(byQuery.stdout, /<Code>NotImplemented<\/Code><Message>GetUser is not available in this version/);
});
