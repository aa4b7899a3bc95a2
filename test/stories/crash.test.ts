/**
 * `kill -9` at random moments, while devices are registered and attached, several at a time. The ledger of what was acknowledged is kept
 * here, outside the killed process. After each restart on the same folder every acknowledged step is there, nothing is there by half, and the root
 * certificate is the one that clients already trust (design 5: acknowledged means durable; acceptance 4 of the first part).
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DeleteCertificateCommand,
  DescribeCertificateCommand,
  GetPolicyCommand,
  IoTClient,
  ListCertificatesCommand,
  ListPoliciesCommand,
  ListTargetsForPolicyCommand,
  ListThingPrincipalsCommand,
  ListThingsCommand,
  RegisterCertificateWithoutCACommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { keyIdentifierOf, keySigner } from '../../src/pki/build.ts';
import { deviceIssuance, deviceIssuerNameDer } from '../../src/pki/issue.ts';
import { makeFolder } from '../call.ts';
import { type ServerProcess, spawnServer } from '../server-process.ts';
import { queryStore, testEngine } from '../stores.ts';

/** On PostgreSQL it is another process that keeps what was acknowledged (postgres-crash.test.ts kills that one): fewer devices, and kills. */
const isFile = testEngine === 'sqlite';
const devicesCount = isFile ? 200 : 80;
const inFlight = 8;
const killsMin = isFile ? 10 : 4;
/** Acknowledgements from a restart to the next kill: a random number between the two. */
const acksBetweenKills = [70, 95] as const;
/** Kills before the server is ready: their number, and the time after its start up to which they fall. */
const earlyKillsMax = 2;
const startMs = 300;
const account = { accountId: '000000000000', region: 'us-east-1' };

const between = (low: number, high: number): number => low + Math.random() * (high - low);

interface Device {
  readonly name: string;
  readonly certificateId: string;
  readonly certificatePem: string;
  readonly target: string;
  readonly steps: readonly Step[];
  /** The ledger: steps that were acknowledged, in their order. */
  acknowledged: number;
  /** The step after those was sent at least once, and its answer never came: it may have happened. */
  isOpen: boolean;
}

interface Step {
  readonly name: 'register' | 'policy' | 'thing' | 'attach policy' | 'attach thing' | 'activate' | 'delete';
  /** What a repetition is answered when the lost attempt had happened. */
  readonly again?: string;
  run(iot: IoTClient, device: Device): Promise<unknown>;
}

const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
const taken = 'ResourceAlreadyExistsException';
const making: readonly Step[] = [
  {
    name: 'register',
    again: taken,
    run: (iot, { certificatePem }) => iot.send(new RegisterCertificateWithoutCACommand({ certificatePem })),
  },
  {
    name: 'policy',
    again: taken,
    run: (iot, { name }) => iot.send(new CreatePolicyCommand({ policyName: name, policyDocument })),
  },
  { name: 'thing', run: (iot, { name }) => iot.send(new CreateThingCommand({ thingName: name })) },
  {
    name: 'attach policy',
    run: (iot, { name, target }) => iot.send(new AttachPolicyCommand({ policyName: name, target })),
  },
];
const completing: readonly Step[] = [
  {
    name: 'attach thing',
    run: (iot, { name, target }) => iot.send(new AttachThingPrincipalCommand({ thingName: name, principal: target })),
  },
  {
    name: 'activate',
    run: (iot, { certificateId }) => iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'ACTIVE' })),
  },
];
/** By force: the certificate and its attachments in one. */
const undoing: readonly Step[] = [
  {
    name: 'delete',
    again: 'ResourceNotFoundException',
    run: (iot, { certificateId }) => iot.send(new DeleteCertificateCommand({ certificateId, forceDelete: true })),
  },
];

/** Certificates of somebody's own CA, made in a moment. */
const makeDevices = async (): Promise<Device[]> => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKeyDer = publicKey.export({ type: 'spki', format: 'der' });
  const keyIdentifier = keyIdentifierOf(publicKeyDer);
  const issue = deviceIssuance({
    nameDer: deviceIssuerNameDer,
    keyIdentifier,
    keyKind: 'ec',
    sign: keySigner(privateKey),
  });
  const makeDevice = async (_: unknown, index: number): Promise<Device> => {
    const { certificateId, pem: certificatePem } = await issue({ publicKeyDer, nowMs: Date.now() });
    const target = iotArn(account, 'cert', certificateId);
    const steps = [...making, ...(index % 5 === 4 ? undoing : completing)];
    return { name: `device-${index}`, certificateId, certificatePem, target, steps, acknowledged: 0, isOpen: false };
  };
  return Promise.all(Array.from({ length: devicesCount }, makeDevice));
};

/** Asks for every page of a list. */
const all = async <Item>(
  ask: (marker: string | undefined) => Promise<{ items?: readonly Item[] | undefined; next?: string | undefined }>,
): Promise<Item[]> => {
  const items: Item[] = [];
  let marker: string | undefined;
  do {
    const page = await ask(marker);
    items.push(...(page.items ?? []));
    marker = page.next;
  } while (marker !== undefined);
  return items;
};

/** What the API shows of these devices, as the names of the steps that have left their mark. */
const observe = async (
  iot: IoTClient,
  devices: readonly Device[],
): Promise<(device: Device) => ReadonlySet<string>> => {
  const certificates = await all(async (marker) => {
    const page = await iot.send(new ListCertificatesCommand({ pageSize: 250, ...(marker && { marker }) }));
    return { items: page.certificates, next: page.nextMarker };
  });
  const policies = await all(async (marker) => {
    const page = await iot.send(new ListPoliciesCommand({ pageSize: 250, ...(marker && { marker }) }));
    return { items: page.policies, next: page.nextMarker };
  });
  const things = await all(async (nextToken) => {
    const page = await iot.send(new ListThingsCommand({ maxResults: 250, ...(nextToken && { nextToken }) }));
    return { items: page.things, next: page.nextToken };
  });
  const statuses = new Map(certificates.map(({ certificateId, status }) => [certificateId, status]));
  const policyNames = new Set(policies.map(({ policyName }) => policyName));
  const thingNames = new Set(things.map(({ thingName }) => thingName));
  assert.ok(certificates.length <= devicesCount && policyNames.size <= devicesCount);
  const attached = await Promise.all(
    devices.map(async ({ name }) => ({
      targets: policyNames.has(name)
        ? (await iot.send(new ListTargetsForPolicyCommand({ policyName: name }))).targets
        : [],
      principals: thingNames.has(name)
        ? (await iot.send(new ListThingPrincipalsCommand({ thingName: name }))).principals
        : [],
    })),
  );
  const marks = new Map(
    devices.map((device, index) => {
      const { name, certificateId, target } = device;
      const { targets = [], principals = [] } = attached[index] ?? {};
      for (const arn of [...targets, ...principals]) assert.ok(arn === target && statuses.has(certificateId), arn);
      const seen = new Set<string>();
      if (statuses.has(certificateId)) seen.add('register');
      if (statuses.get(certificateId) === 'ACTIVE') seen.add('activate');
      if (policyNames.has(name)) seen.add('policy');
      if (thingNames.has(name)) seen.add('thing');
      if (targets.length > 0) seen.add('attach policy');
      if (principals.length > 0) seen.add('attach thing');
      return [device, seen];
    }),
  );
  return (device) => marks.get(device) ?? new Set();
};

/** The marks that the first steps leave together. */
const marksAfter = ({ steps }: Device, count: number): ReadonlySet<string> => {
  const names = new Set<string>(steps.slice(0, count).map(({ name }) => name));
  if (names.delete('delete')) for (const gone of ['register', 'attach policy']) names.delete(gone);
  return names;
};

/** Compares the ledger with what is there; answers how many lost answers belonged to steps that had happened. */
const audit = async (iot: IoTClient, devices: readonly Device[]): Promise<number> => {
  const marksOf = await observe(iot, devices);
  let happened = 0;
  for (const device of devices) {
    const { name, acknowledged, isOpen } = device;
    const seen = [...marksOf(device)].sort().join(', ');
    const expected = [...marksAfter(device, acknowledged)].sort().join(', ');
    const orElse = [...marksAfter(device, acknowledged + 1)].sort().join(', ');
    if (isOpen && seen === orElse && seen !== expected) happened += 1;
    else
      assert.equal(
        seen,
        expected,
        `${name} after ${acknowledged} acknowledged steps${isOpen ? ' and an open one' : ''}`,
      );
  }
  return happened;
};

/** Rows that stand for half of something: each query must find none. */
const halves: Readonly<Record<string, string>> = {
  'a policy without its default version': `select p.policy_name from policies p left join policy_versions v
    on v.account_id = p.account_id and v.region = p.region and v.policy_name = p.policy_name and v.version = p.default_version
    where v.version is null`,
  'a policy version without its policy': `select v.policy_name from policy_versions v left join policies p
    on p.account_id = v.account_id and p.region = v.region and p.policy_name = v.policy_name where p.policy_name is null`,
  'a policy attached to no certificate': `select a.target from policy_attachments a left join certificates c
    on c.account_id = a.account_id and c.region = a.region and a.target like '%:cert/' || c.certificate_id
    where c.certificate_id is null`,
  'an attachment of no policy': `select a.policy_name from policy_attachments a left join policies p
    on p.account_id = a.account_id and p.region = a.region and p.policy_name = a.policy_name where p.policy_name is null`,
  'a thing attached to no certificate': `select a.principal from thing_principals a left join certificates c
    on c.account_id = a.account_id and c.region = a.region and a.principal like '%:cert/' || c.certificate_id
    where c.certificate_id is null`,
  'an attachment to no thing': `select a.thing_name from thing_principals a left join things t
    on t.account_id = a.account_id and t.region = a.region and t.thing_name = a.thing_name where t.thing_name is null`,
};

test(`kill -9 in a loop of ${devicesCount} registrations with their attachments: what was acknowledged is there, nothing by half, the same root`, {
  timeout: 120_000,
}, async (t) => {
  let server: ServerProcess | undefined;
  const folder = await makeFolder(t);
  const data = join(folder, 'data');
  const devices = await makeDevices();

  let kills = 0;
  let earlyKills = 0;
  let answersLost = 0;
  let happened = 0;
  let acknowledgements = 0;
  let rootPem: string | undefined;
  let untilKill = 0;
  /** Who has asked for a step since the last audit. */
  const sinceKill = new Set<Device>();
  /** The server that may be asked now; a new promise from each kill on. */
  let serving = Promise.withResolvers<IoTClient>();

  /** Starts a server, kills it too early now and then, and audits the one that comes up before anybody else may ask it. */
  const revive = async (): Promise<void> => {
    for (;;) {
      const started = await spawnServer(t, data);
      server = started;
      const early =
        earlyKills < earlyKillsMax && Math.random() < 0.5
          ? setTimeout(() => started.child.kill('SIGKILL'), between(0, startMs))
          : undefined;
      const url = await started.ready;
      clearTimeout(early);
      if (url === undefined || started.child.killed) {
        const { code, stderr } = await started.exited;
        assert.equal(code, null, `the server ended by itself: ${stderr}`);
        earlyKills += 1;
        continue;
      }
      const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
      const iot = new IoTClient({ endpoint: url, region: account.region, credentials, maxAttempts: 1 });
      const root = await (await fetch(`${url}/root-ca.pem`)).text();
      rootPem ??= root;
      assert.equal(root, rootPem, 'the root certificate is the same after every restart');
      // nothing repeats a step that was acknowledged: what those before have lost is still lost at the end, where all are looked at
      happened += await audit(iot, [...sinceKill]);
      sinceKill.clear();
      untilKill = Math.round(between(...acksBetweenKills));
      serving.resolve(iot);
      return;
    }
  };
  let failure: unknown;
  const kill = (): void => {
    kills += 1;
    serving = Promise.withResolvers();
    serving.promise.catch(() => undefined);
    const dying = server;
    setTimeout(
      () => {
        dying?.child.kill('SIGKILL');
        dying?.exited.then(revive).catch((error: unknown) => {
          failure = error;
          serving.reject(error);
        });
      },
      between(0, 5),
    );
  };

  const advance = async (device: Device, step: Step): Promise<void> => {
    const iot = await serving.promise;
    const wasOpen = device.isOpen;
    device.isOpen = true;
    sinceKill.add(device);
    try {
      await step.run(iot, device);
    } catch (error) {
      assert(error instanceof Error);
      if (!(wasOpen && error.name === step.again)) {
        if ('$response' in error && error.$response !== undefined) throw error;
        answersLost += 1; // the connection broke: the next attempt tells
        return;
      }
    }
    device.acknowledged += 1;
    device.isOpen = false;
    acknowledgements += 1;
    untilKill -= 1;
    if (untilKill === 0) kill();
  };

  await revive();
  const waiting = [...devices];
  const work = async (): Promise<void> => {
    for (let device = waiting.shift(); device; device = waiting.shift()) {
      for (let step = device.steps[0]; step; step = device.steps[device.acknowledged]) await advance(device, step);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  assert.equal(failure, undefined);
  const iot = await serving.promise;
  await audit(iot, devices);
  for (const { name, certificateId, steps } of devices) {
    assert.equal((await iot.send(new GetPolicyCommand({ policyName: name }))).policyDocument, policyDocument);
    if (steps.some((step) => step.name === 'delete')) continue;
    const { certificateDescription } = await iot.send(new DescribeCertificateCommand({ certificateId }));
    // a repeated activation changes nothing: version 1 at registration, 2 at the one change
    assert.deepEqual([certificateDescription?.status, certificateDescription?.customerVersion], ['ACTIVE', 2]);
  }
  server?.child.kill('SIGTERM');
  assert.equal((await server?.exited)?.code, 0);

  if (testEngine === 'sqlite') {
    assert.deepEqual(await queryStore(data, 'pragma integrity_check'), [{ integrity_check: 'ok' }]);
  }
  for (const [half, query] of Object.entries(halves)) assert.deepEqual(await queryStore(data, query), [], half);
  assert.ok(kills >= killsMin, `${kills} kills`);
  t.diagnostic(
    `${acknowledgements} acknowledged steps of ${devicesCount} devices, ${kills} kills under load and ${earlyKills} at start; ` +
      `${answersLost} answers were lost, ${happened} of them to steps that had happened`,
  );
});
