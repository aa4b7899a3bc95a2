/**
 * What crosses from one account to another by intent, and that nothing else comes along: a session of another account's role (issue 6, Build 1), the pages that a
 * node has beside AWS's operations. Who may assume a role at all is in assume-role.test.ts; certificates that change hands are in identity-certificates.test.ts.
 */
import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import {
  AttachUserPolicyCommand,
  CreatePolicyCommand,
  CreateRoleCommand,
  ListUsersCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreatePolicyCommand as CreateIotPolicyCommand,
  CreateRoleAliasCommand,
  CreateThingCommand,
  DeleteThingCommand,
  DescribeEndpointCommand,
  DescribeThingCommand,
  IoTClient,
  ListThingsCommand,
} from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import type { AccountRegion } from '../../src/aws/arn.ts';
import { presignUrl, signRequest } from '../../src/aws/sigv4.ts';
import type { FleetNode } from '../../src/index.ts';
import { allowing, bootIam, type Keys, keysOf, rootKeys, trusting } from '../iam-scene.ts';

const lender: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };
const borrower: AccountRegion = { accountId: '222222222222', region: 'us-east-1' };
const roleArn = `arn:aws:iam::${lender.accountId}:role/guest`;
const denied = { name: 'AccessDeniedException' };
const missing = { name: 'ResourceNotFoundException' };
const administrator = { PolicyArn: 'arn:aws:iam::aws:policy/AdministratorAccess' };

/** A thing `lamp` in each account, and a role of the lender that lets the borrower's users see and name things. */
const boot = async (t: Parameters<typeof bootIam>[0]) => {
  const scene = await bootIam(t);
  const { iotAs, iam, stsAs, user } = scene;
  for (const { accountId } of [lender, borrower]) {
    const attributes = { of: accountId };
    await iotAs(rootKeys(accountId)).send(
      new CreateThingCommand({ thingName: 'lamp', attributePayload: { attributes } }),
    );
    await iotAs(rootKeys(accountId)).send(new CreateThingCommand({ thingName: `only-${accountId}` }));
  }
  const owner = iam(rootKeys(lender.accountId));
  await owner.send(
    new CreateRoleCommand({ RoleName: 'guest', AssumeRolePolicyDocument: trusting(borrower.accountId) }),
  );
  const PolicyDocument = allowing(['iot:DescribeThing', 'iot:ListThings', 'iot:CreateThing', 'iot:Connect']);
  await owner.send(new PutRolePolicyCommand({ RoleName: 'guest', PolicyName: 'own', PolicyDocument }));
  const bob = await user('bob', undefined, rootKeys(borrower.accountId));
  const root = iam(rootKeys(borrower.accountId));
  await root.send(new AttachUserPolicyCommand({ UserName: 'bob', ...administrator }));
  const assume = async (more: { readonly Policy?: string; readonly PolicyArns?: { readonly arn: string }[] } = {}) => {
    const input = { RoleArn: roleArn, RoleSessionName: 'bob', ...more };
    const { Credentials } = await stsAs(bob).send(new AssumeRoleCommand(input));
    return keysOf(Credentials as Parameters<typeof keysOf>[0]);
  };
  return { ...scene, owner, root, bob, assume };
};

test("a session of another account's role is in that account alone, with the rights of the role and none of its own account's", async (t) => {
  const { node, assume, iotAs, stsAs, iam, bob, root } = await boot(t);
  const keys = await assume();
  const session = iotAs(keys);
  const { Account, Arn } = await stsAs(keys).send(new GetCallerIdentityCommand({}));
  assert.deepEqual([Account, Arn], [lender.accountId, `arn:aws:sts::${lender.accountId}:assumed-role/guest/bob`]);
  const { things = [] } = await session.send(new ListThingsCommand({}));
  assert.deepEqual(things.map(({ thingName }) => thingName).sort(), ['lamp', `only-${lender.accountId}`]);
  const lamp = await session.send(new DescribeThingCommand({ thingName: 'lamp' }));
  assert.deepEqual(lamp.attributes, { of: lender.accountId });
  const theirs = new DescribeThingCommand({ thingName: `only-${borrower.accountId}` });
  await assert.rejects(session.send(theirs), missing);
  await session.send(new CreateThingCommand({ thingName: 'guest' }));
  await assert.rejects(iotAs(bob).send(new DescribeThingCommand({ thingName: 'guest' })), missing);
  // what bob may do at home he may not do here
  await assert.rejects(session.send(new DeleteThingCommand({ thingName: 'lamp' })), denied);
  await assert.rejects(iam(keys).send(new ListUsersCommand({})), { name: 'AccessDenied' });
  // a role is the account's in every region, and what it finds is that region's
  const settings = { endpoint: node.apiUrl, region: 'eu-west-1', credentials: keys, maxAttempts: 1 };
  const abroad = new IoTClient(settings);
  t.after(() => abroad.destroy());
  assert.deepEqual((await abroad.send(new ListThingsCommand({}))).things, []);

  // session policies are of the role's account, and open nothing anywhere else
  const arn = (await root.send(new CreatePolicyCommand({ PolicyName: 'all', PolicyDocument: allowing('*') }))).Policy
    ?.Arn;
  await assert.rejects(assume({ PolicyArns: [{ arn: String(arn) }] }), /does not exist or is not attachable/);
  const thingsOf = ({ accountId }: AccountRegion) => `arn:aws:iot:us-east-1:${accountId}:thing/*`;
  const away = iotAs(await assume({ Policy: allowing('iot:*', thingsOf(borrower)) }));
  for (const thingName of ['lamp', `only-${borrower.accountId}`]) {
    await assert.rejects(away.send(new DescribeThingCommand({ thingName })), denied, thingName);
  }
  const narrowed = iotAs(await assume({ Policy: allowing('iot:DescribeThing', thingsOf(lender)) }));
  assert.equal((await narrowed.send(new DescribeThingCommand({ thingName: 'lamp' }))).thingName, 'lamp');

  // neither half of the credentials goes with a half of another
  const mixed: readonly Keys[] = [
    { ...keys, sessionToken: (await assume()).sessionToken ?? '' },
    { ...bob, sessionToken: keys.sessionToken ?? '' },
    { accessKeyId: keys.accessKeyId, secretAccessKey: keys.secretAccessKey },
  ];
  for (const half of mixed) {
    await assert.rejects(iotAs(half).send(new ListThingsCommand({})), { name: 'UnrecognizedClientException' });
  }
});

test("policies that name another account's ARNs, or ask for its id, open nothing there and refuse nothing here", async (t) => {
  const { iotAs, user } = await boot(t);
  const of = ({ accountId }: AccountRegion, ...Action: readonly string[]) => ({
    ...{ Effect: 'Allow', Action },
    Resource: `arn:aws:iot:us-east-1:${accountId}:*`,
  });
  const documentOf = (...Statement: readonly object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
  const home = rootKeys(borrower.accountId);
  const foreign = iotAs(await user('foreign', documentOf(of(lender, 'iot:*')), home));
  const lamp = new DescribeThingCommand({ thingName: 'lamp' });
  await assert.rejects(foreign.send(lamp), denied);
  const deny = { ...of(lender, 'iot:*'), Effect: 'Deny' };
  const careful = iotAs(await user('careful', documentOf(of(borrower, 'iot:*'), deny), home));
  assert.deepEqual((await careful.send(lamp)).attributes, { of: borrower.accountId });
  // an IoT policy of an account may say what it likes of another's topics: whose connection it is decides
  const policyDocument = documentOf(of(lender, 'iot:*'));
  await careful.send(new CreateIotPolicyCommand({ policyName: 'elsewhere', policyDocument }));
});

test('an account can keep its users from going to other accounts (aws:ResourceAccount), and lose nothing else by it', async (t) => {
  const { node, iotAs, stsAs, root, bob } = await boot(t);
  const statement = {
    ...{ Effect: 'Deny', Action: '*', Resource: '*' },
    Condition: { StringNotEquals: { 'aws:ResourceAccount': '${aws:PrincipalAccount}' } },
  };
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await root.send(new PutUserPolicyCommand({ UserName: 'bob', PolicyName: 'at-home', PolicyDocument }));
  const abroad = new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: 'bob' });
  await assert.rejects(stsAs(bob).send(abroad), { name: 'AccessDenied' });
  const AssumeRolePolicyDocument = trusting(borrower.accountId);
  const { Role } = await root.send(new CreateRoleCommand({ RoleName: 'home', AssumeRolePolicyDocument }));
  await stsAs(bob).send(new AssumeRoleCommand({ RoleArn: Role?.Arn, RoleSessionName: 'bob' }));
  await iotAs(bob).send(new DescribeThingCommand({ thingName: 'lamp' }));
  const passes = new CreateRoleAliasCommand({ roleAlias: 'home', roleArn: Role?.Arn });
  await iotAs(bob).send(passes);
  await assert.rejects(iotAs(bob).send(new CreateRoleAliasCommand({ roleAlias: 'abroad', roleArn })), denied);
  const data = new IoTDataPlaneClient({
    ...{ endpoint: node.apiUrl, region: 'us-east-1', credentials: bob, maxAttempts: 1 },
  });
  t.after(() => data.destroy());
  await data.send(new PublishCommand({ topic: 'home', payload: 'x' }));
});

/** A page of the node, signed or not. */
const page = async (
  { apiUrl }: FleetNode,
  path: string,
  { keys, region = 'us-east-1', method = 'GET' }: { keys?: Keys; region?: string; method?: string } = {},
): Promise<readonly [status: number, text: string]> => {
  const url = `${apiUrl}${path}`;
  const signed = keys && signRequest({ ...{ method, url, region, service: 'iot', nowMs: Date.now() }, ...keys });
  const { host: _, ...headers } = signed ?? {};
  const response = await fetch(url, { method, headers });
  return [response.status, await response.text()];
};

test('pages of the node: to users and sessions as far as their policies go, of their own account, and to nobody whose key is over', async (t) => {
  const scene = await boot(t);
  const { node, user, assume, bob, iotAs, owner } = scene;
  const { accountId } = borrower;
  const home = rootKeys(accountId);
  await assert.rejects(iotAs(await user('nobody', undefined, home)).send(new ListThingsCommand({})), denied);
  const stray = await user('stray', undefined, rootKeys(lender.accountId));
  await assert.rejects(iotAs(stray).send(new ListThingsCommand({})), denied);
  const reader = await user('reader', allowing('fleetgate:ReadJournal'), home);
  const plain = await user('plain', allowing('iot:*'), home);
  const session = await assume();
  assert.equal((await page(node, '/_fleetgate/journal', { keys: session }))[0], 403, 'its role may not');
  await owner.send(
    new PutRolePolicyCommand({ RoleName: 'guest', PolicyName: 'own', PolicyDocument: allowing('fleetgate:*') }),
  );

  const journal = '/_fleetgate/journal';
  const [status, text] = await page(node, journal, { keys: reader });
  assert.equal(status, 200);
  assert.match(text, /user\/nobody/);
  assert.doesNotMatch(text, /stray|111111111111|000000000000/);
  const [ofLender, theirs] = await page(node, journal, { keys: session });
  assert.equal(ofLender, 200);
  assert.match(theirs, /user\/stray/);
  assert.doesNotMatch(theirs, /nobody|222222222222:user/);
  // whose it is is in the signature, whatever a query says
  for (const query of ['account=111111111111', 'accountId=111111111111&region=eu-west-1', 'subject=111111111111']) {
    const [, more] = await page(node, `${journal}?${query}`, { keys: reader });
    assert.doesNotMatch(more.replaceAll(query, ''), /stray|111111111111/, query);
  }
  const [, elsewhere] = await page(node, journal, { keys: reader, region: 'eu-west-1' });
  assert.deepEqual([JSON.parse(elsewhere).records, JSON.parse(elsewhere).otherRegions], [[], ['us-east-1']]);

  const [, hosts] = await page(node, '/_fleetgate/hosts', { keys: bob });
  const { endpointAddress = '' } = await iotAs(home).send(
    new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
  );
  const foreign = await iotAs(rootKeys(lender.accountId)).send(
    new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
  );
  assert.ok(hosts.includes(endpointAddress) && !hosts.includes(String(foreign.endpointAddress)), hosts);

  const refused: readonly (readonly [rule: string, path: string, keys: Keys | undefined, method?: string])[] = [
    ['without a signature', journal, undefined],
    ['of a user with other rights', journal, plain],
    ['of a reader of the journal', '/_fleetgate/hosts', reader],
    ['of an administrator: no clock is moved but by the operator', '/_fleetgate/clock', bob, 'POST'],
    ['of a session', '/_fleetgate/clock', session, 'POST'],
  ];
  for (const [rule, path, keys, method] of refused) {
    const [answered, said] = await page(node, path, { ...(keys && { keys }), ...(method && { method }) });
    assert.equal(answered, 403, `${rule}: ${said}`);
  }
  const watched = [`http://127.0.0.1:${node.metricsPort}/metrics`, `${node.apiUrl}/_fleetgate/health`];
  for (const url of watched) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    assert.doesNotMatch(await answer.text(), /111111111111|222222222222|stray|only-/, url);
  }
  await node.clock.advance(3_700_000);
  assert.equal((await page(node, journal, { keys: session }))[0], 403, 'a session that is over');
});

test("a URL that is signed for one account's endpoint opens none of another's, with a user's key or a session's", async (t) => {
  const { node, assume, bob, iotAs } = await boot(t);
  const [ofLender, ofBorrower] = await Promise.all(
    [lender, borrower].map(async ({ accountId }) => {
      const { endpointAddress = '' } = await iotAs(rootKeys(accountId)).send(
        new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
      );
      return endpointAddress;
    }),
  );
  assert(ofLender && ofBorrower);
  const presigned = (host: string, keys: Keys): string =>
    presignUrl({
      ...{ method: 'GET', url: `https://${host}/mqtt`, region: 'us-east-1', service: 'iotdevicegateway' },
      ...{ nowMs: Date.now(), expiresSeconds: 300, ...keys },
    });
  /** The status of the upgrade under a server name and a Host header. */
  const upgrade = (signed: string, servername: string, host = servername) =>
    new Promise<number>((resolve, reject) => {
      const { pathname, search } = new URL(signed);
      const asked = httpsRequest({
        ...{ host: '127.0.0.1', port: node.httpsPort, servername, ca: node.rootPem, agent: false },
        path: `${pathname}${search}`,
        headers: {
          ...{ host, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
          ...{ 'sec-websocket-key': Buffer.alloc(16, 1).toString('base64'), 'sec-websocket-protocol': 'mqtt' },
        },
      });
      asked.on('error', reject);
      asked.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.on('upgrade', (_, socket) => {
        socket.destroy();
        resolve(101);
      });
      asked.end();
    });
  const session = await assume();
  assert.equal(await upgrade(presigned(ofBorrower, bob), ofBorrower), 101);
  assert.equal(await upgrade(presigned(ofLender, session), ofLender), 101, 'the session is of the lender');
  for (const [keys, own, other] of [
    [bob, ofBorrower, ofLender],
    [session, ofLender, ofBorrower],
  ] as const) {
    assert.equal(await upgrade(presigned(own, keys), other), 403, 'replayed');
    assert.equal(await upgrade(presigned(other, keys), other), 403, 'signed for the other');
    assert.equal(await upgrade(presigned(own, keys), other, own), 403, 'with the name of its own in Host');
    assert.equal(await upgrade(presigned(other, keys), own, other), 101, 'the server name decides, and it is its own');
  }
});
