/**
 * PostgreSQL is killed under load, again and again, whole or one process of it. What was acknowledged is there afterwards, what was deleted stays
 * deleted, nothing is there by half; while it is gone, the API answers 503 and connected devices go on talking; when it is back, so is
 * the service, and our process was never started again. The ledger is kept outside of what is killed. Design 5, "acknowledged means durable".
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DeleteThingCommand,
  DescribeEndpointCommand,
  DescribeThingCommand,
  GetPolicyCommand,
  type IoTClient,
  ListTargetsForPolicyCommand,
  RegisterCertificateWithoutCACommand,
  ResourceNotFoundException,
  UpdateThingCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { connectDevice } from '../device.ts';
import { bootNode, makeIdentity } from '../harness.ts';
import { startPostgres } from '../postgres.ts';

const workers = 8;
const kills = 8;
/** Acknowledgements from one kill to the next, and refusals before a whole server that was killed is started again. */
const acksBetweenKills = 60;
const refusalsSeen = 2 * workers;

const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
/** Of the device, apart from the load: nothing changes there, so nothing has to be read again before it may go on talking. */
const account = { accountId: '111111111111', region: 'us-east-1' };

/** A thing with a policy, both of one name, that a worker takes through its life. */
interface Item {
  readonly name: string;
  /** The ledger: steps acknowledged, in their order. */
  acknowledged: number;
  /** The next one was sent and its answer was no answer: it may have happened. */
  isOpen: boolean;
}

interface Step {
  /** What a repetition is answered when the lost attempt had happened. */
  readonly again?: string;
  run(iot: IoTClient, item: Item): Promise<unknown>;
}
const attributes = (value: string) => ({ attributePayload: { attributes: { value } } });
const steps: readonly Step[] = [
  { run: (iot, { name }) => iot.send(new CreateThingCommand({ thingName: name, ...attributes('first') })) },
  {
    again: 'ResourceAlreadyExistsException',
    run: (iot, { name }) => iot.send(new CreatePolicyCommand({ policyName: name, policyDocument })),
  },
  { run: (iot, { name }) => iot.send(new UpdateThingCommand({ thingName: name, ...attributes('second') })) },
  // every other thing only: see lifeOf
  { run: (iot, { name }) => iot.send(new DeleteThingCommand({ thingName: name })) },
];
const lifeOf = ({ name }: Item): readonly Step[] => (/[02468]$/.test(name) ? steps : steps.slice(0, 3));

/** What the API shows of an item, as far as its steps leave marks. */
const observe = async (iot: IoTClient, { name }: Item): Promise<string> => {
  const absent = (error: unknown) => {
    assert.ok(error instanceof ResourceNotFoundException, String(error));
    return undefined;
  };
  const thing = await iot.send(new DescribeThingCommand({ thingName: name })).catch(absent);
  const policy = await iot.send(new GetPolicyCommand({ policyName: name })).catch(absent);
  if (policy) assert.equal(policy.policyDocument, policyDocument, `the policy ${name} is whole`);
  return `${thing?.attributes?.['value'] ?? 'none'}, ${policy ? 'policy' : 'none'}`;
};
const marks = ['none, none', 'first, none', 'first, policy', 'second, policy', 'none, policy'];

test('kill -9 of PostgreSQL under load: no acknowledged write is lost, and service resumes without a restart of ours', {
  timeout: 120_000,
}, async (t) => {
  const postgres = await startPostgres();
  let closing = async (): Promise<void> => {};
  t.after(async () => {
    await closing();
    await postgres.stop();
  });
  await postgres.sql('create database fleet');
  const booted = await bootNode(t, { store: postgres.url('fleet') });
  closing = async () => booted.node.close(100);
  const { node } = booted;
  const iot = booted.iot();
  const isReady = async (): Promise<boolean> => (await fetch(`${node.apiUrl}/_fleetgate/health`)).status === 200;

  const identity = await makeIdentity(booted.folder, 'device');
  const target = iotArn(account, 'cert', identity.certificateId);
  const ofDevice = booted.iot(account.accountId);
  await ofDevice.send(
    new RegisterCertificateWithoutCACommand({ certificatePem: identity.certificatePem, status: 'ACTIVE' }),
  );
  await ofDevice.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument }));
  await ofDevice.send(new AttachPolicyCommand({ policyName: 'everything', target }));
  const { endpointAddress: serverName = '' } = await ofDevice.send(
    new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }),
  );
  const device = await connectDevice(node, identity, { clientId: 'device', serverName });
  await device.client.subscribeAsync('talk');

  const items: Item[] = [];
  let acknowledgements = 0;
  let refusals = 0;
  let killsLeft = kills;
  let failure: unknown;
  const refusalReasons = new Set<string>();
  /** Told of everything that happens. */
  let noted = Promise.withResolvers<void>();
  const note = (): void => {
    noted.resolve();
    noted = Promise.withResolvers();
  };
  const until = async (so: () => boolean): Promise<void> => {
    while (!so() && failure === undefined) await noted.promise;
  };

  const advance = async (item: Item, step: Step): Promise<void> => {
    const wasOpen = item.isOpen;
    try {
      await step.run(iot, item);
    } catch (error) {
      assert(error instanceof Error);
      if (!(wasOpen && error.name === step.again)) {
        assert.equal(error.name, 'ServiceUnavailableException', String(error));
        refusalReasons.add(error.message);
        item.isOpen = true;
        refusals += 1;
        note();
        return;
      }
    }
    item.acknowledged += 1;
    item.isOpen = false;
    acknowledgements += 1;
    note();
  };
  const work = async (): Promise<void> => {
    while (killsLeft > 0 && failure === undefined) {
      const item: Item = { name: `item-${items.length}`, acknowledged: 0, isOpen: false };
      items.push(item);
      const life = lifeOf(item);
      for (let step = life[0]; step; step = life[item.acknowledged]) {
        await advance(item, step);
        // some are left as they are when the answer was lost, to be looked at in the end
        if (item.isOpen && item.acknowledged > 0 && Math.random() < 0.5) break;
      }
    }
  };
  const working = Promise.all(Array.from({ length: workers }, work)).catch((error: unknown) => {
    failure = error;
    note();
  });

  for (; killsLeft > 0 && failure === undefined; killsLeft--) {
    const acknowledgedUntil = acknowledgements + acksBetweenKills;
    await until(() => acknowledgements >= acknowledgedUntil);
    const refusedUntil = refusals + refusalsSeen;
    if (killsLeft % 2 === 0) {
      await postgres.kill();
      await until(() => refusals >= refusedUntil);
      // a commit that came through just before may be the last that the store has heard
      while (await isReady()) await new Promise(setImmediate);
      await device.client.publishAsync('talk', `without a store ${killsLeft}`);
      await device.until(`talk without a store ${killsLeft}`);
      await postgres.restart();
    } else {
      // one process that serves us: PostgreSQL ends all others and starts over by itself
      const [victim] = await postgres.sql<{ pid: number }>(
        `select pid from pg_stat_activity where datname = 'fleet' and backend_type = 'client backend' order by random()`,
      );
      process.kill(victim?.pid ?? assert.fail('nobody serves us'), 'SIGKILL');
      await until(() => refusals > refusedUntil - refusalsSeen);
    }
  }
  await working;
  if (failure !== undefined) throw failure;
  while (!(await isReady())) await new Promise(setImmediate);

  let happened = 0;
  const open = items.filter(({ isOpen }) => isOpen);
  for (const item of items) {
    const seen = await observe(iot, item);
    const expected = marks[item.acknowledged];
    if (item.isOpen && seen !== expected && seen === marks[item.acknowledged + 1]) happened += 1;
    else assert.equal(seen, expected, `${item.name} after ${item.acknowledged} acknowledged steps`);
  }
  const { targets } = await ofDevice.send(new ListTargetsForPolicyCommand({ policyName: 'everything' }));
  assert.deepEqual(targets, [target]);
  const later = await connectDevice(node, identity, { clientId: 'later', serverName });
  await later.client.publishAsync('talk', 'again');
  await device.until('talk again');
  for (const reason of refusalReasons)
    assert.doesNotMatch(reason, /postgres|fleetgate@|\//i, 'callers are not told of our insides');
  t.diagnostic(
    `${acknowledgements} acknowledged steps on ${items.length} items, ${kills} kills; ${refusals} answers of 503, ` +
      `${open.length} steps left open, of which ${happened} had happened`,
  );
  later.client.end(true);
  device.client.end(true);
});
