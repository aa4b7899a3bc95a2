/**
 * Every call of the API is decided by IAM (issue 6, acceptance 2): a user who may do all but one action is refused exactly that one, for every handled operation;
 * one who may do nothing but that one is not refused it. Inputs are made from the schemas; what they name nobody has, so that what is allowed mostly ends in
 * another fault.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ACMClient } from '@aws-sdk/client-acm';
import {
  AddUserToGroupCommand,
  CreateGroupCommand,
  CreateRoleCommand,
  PutGroupPolicyCommand,
} from '@aws-sdk/client-iam';
import { RegisterCACertificateCommand, RegisterCertificateWithoutCACommand } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { operations } from '../../src/api/operations.ts';
import type { ServiceName } from '../../src/aws/operations.ts';
import { actionOf, questionsOf } from '../../src/features/iam/actions/table.ts';
import { authorities } from '../ca.ts';
import { handledOperations } from '../handled.ts';
import { makeIdentity } from '../harness.ts';
import { bootIam, trusting } from '../iam-scene.ts';
import { commandFor, inputFor } from '../sample-input.ts';

const account = '000000000000';
/** A role that leaves to the policies of its account who may assume it. */
const trusted = `arn:aws:iam::${account}:role/trusting`;

interface Client {
  send(command: unknown): Promise<unknown>;
}

const boot = async (t: TestContext) => {
  const scene = await bootIam(t);
  const keys = await scene.user('tester');
  const settings = { endpoint: scene.node.apiUrl, region: 'us-east-1', credentials: keys, maxAttempts: 1 };
  const acm = new ACMClient(settings);
  const data = new IoTDataPlaneClient(settings);
  t.after(() => [acm, data].map((client) => client.destroy()));
  // the clients' own `send` is typed by command; here the command comes by its name
  const clients = {
    ...{ iot: scene.iotAs(keys), iam: scene.iam(keys), sts: scene.stsAs(keys), acm, 'iot-data': data },
  } as unknown as Readonly<Record<ServiceName, Client>>;
  const root = scene.iam();
  await root.send(new CreateGroupCommand({ GroupName: 'testers' }));
  await root.send(new AddUserToGroupCommand({ GroupName: 'testers', UserName: 'tester' }));
  await root.send(new CreateRoleCommand({ RoleName: 'trusting', AssumeRolePolicyDocument: trusting(account) }));
  return {
    ...scene,
    keys,
    clients,
    /** Sets the one policy of the tester: that of a group, which may be longer. */
    permit: async (statement: object) => {
      const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
      await root.send(new PutGroupPolicyCommand({ GroupName: 'testers', PolicyName: 'own', PolicyDocument }));
    },
  };
};
type World = Awaited<ReturnType<typeof boot>>;

/** What IAM refused, or undefined: whatever else became of the call. */
const refusalOf = async (sent: Promise<unknown>): Promise<string | undefined> => {
  try {
    await sent;
  } catch (error) {
    const { name, message } = error as Error;
    if (/^(AccessDenied|AccessDeniedException|ForbiddenException)$/.test(name)) return message;
  }
  return undefined;
};

/** Operations that IAM decides before their handler, with what they ask for the input that they are sent here. */
const decided = handledOperations().flatMap(({ service, operation: name }) => {
  const operation = operations.find((each) => each.service === service && each.name === name);
  assert(operation);
  // AssumeRole of nobody's role would be refused whatever the policies say
  const input = name === 'AssumeRole' ? { RoleArn: trusted, RoleSessionName: 'ci' } : inputFor(operation);
  const scope = {
    account: { accountId: account, region: 'us-east-1' },
    callerArn: `arn:aws:iam::${account}:user/tester`,
  };
  const questions = questionsOf(service, name, input, scope);
  assert(questions, `${service} ${name} stands in a table`);
  return questions.length === 0 ? [] : [{ operation, input, questions, action: actionOf(service, name) }];
});

const send = ({ clients }: World, { operation, input }: (typeof decided)[number]): Promise<string | undefined> =>
  refusalOf(clients[operation.service].send(commandFor(operation, input)));

test('for every handled operation: who may do all but that action is refused exactly that one, who may do only that is not', async (t) => {
  const world = await boot(t);
  for (const [index, asked] of decided.entries()) {
    const { action, questions } = asked;
    await world.permit({ Effect: 'Allow', NotAction: action, Resource: '*' });
    const refusal = await send(world, asked);
    const told = `User: arn:aws:iam::${account}:user/tester is not authorized to perform: ${action} `;
    const why = `because no identity-based policy allows the ${action} action`;
    assert.ok(refusal?.startsWith(told), `${action}: ${refusal}`);
    assert.ok(action === 'sts:AssumeRole' || refusal?.endsWith(why), String(refusal));
    // data plane and control plane may share an action's name; no two operations here do
    const next = decided[(index + 1) % decided.length];
    assert(next);
    assert.equal(await send(world, next), undefined, `all but ${action}, and ${next.action} was refused`);

    await world.permit({ Effect: 'Allow', Action: [...new Set(questions.map((each) => each.action))], Resource: '*' });
    assert.equal(await send(world, asked), undefined, `only ${action}`);
  }
  assert.equal(new Set(decided.map(({ action }) => action)).size, decided.length);
  t.diagnostic(`${decided.length} operations`);
});

test('who may do one half of all actions is refused each of the other half', async (t) => {
  const world = await boot(t);
  const halves = [0, 1].map((which) => decided.filter((_, index) => index % 2 === which));
  for (const [at, half] of halves.entries()) {
    const others = halves[1 - at] ?? [];
    await world.permit({ Effect: 'Allow', NotAction: others.map(({ action }) => action), Resource: '*' });
    for (const asked of half) assert.equal(await send(world, asked), undefined, asked.action);
    for (const asked of others) assert.ok(await send(world, asked), asked.action);
  }
});

test('an account can forbid registering certificates without their CA, and passing roles (seed 000)', async (t) => {
  const { iotAs, user, folder } = await boot(t);
  const Statement = [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    { Effect: 'Deny', Action: ['iot:RegisterCertificateWithoutCA', 'iam:PassRole'], Resource: '*' },
  ];
  const careful = iotAs(await user('careful', JSON.stringify({ Version: '2012-10-17', Statement })));
  const { certificatePem } = await makeIdentity(folder, 'device');
  const without = await refusalOf(careful.send(new RegisterCertificateWithoutCACommand({ certificatePem })));
  assert.equal(
    without,
    `User: arn:aws:iam::${account}:user/careful is not authorized to perform: iot:RegisterCertificateWithoutCA on resource: * with an explicit deny in an identity-based policy`,
  );
  const caCertificate = await authorities(folder).ca('maker');
  const roleArn = `arn:aws:iam::${account}:role/JITP`;
  const register = (registrationConfig: object) =>
    refusalOf(
      careful.send(
        new RegisterCACertificateCommand({ caCertificate, certificateMode: 'SNI_ONLY', registrationConfig }),
      ),
    );
  assert.match((await register({ roleArn })) ?? '', new RegExp(`perform: iam:PassRole on resource: ${roleArn} with`));
  assert.equal(await register({}), undefined);
});
