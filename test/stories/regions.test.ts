/**
 * One account in two regions: two fleets that share nothing but the account's name and, if their owner wants it, the devices' certificates. A device says by
 * SNI which of the two it means. Source: issue Accounts, Build 5; design 3, 5; spec identity 2.3, 3.3.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CertificateMode } from '@aws-sdk/client-iot';
import {
  DeleteConnectionCommand,
  GetConnectionCommand,
  GetRetainedMessageCommand,
  ListRetainedMessagesCommand,
  ListSubscriptionsCommand,
  PublishCommand,
  SendDirectMessageCommand,
} from '@aws-sdk/client-iot-data-plane';
import { authorities } from '../ca.ts';
import { connectDevice, type Device } from '../device.ts';
import { certificateIdOf, type Identity, makeIdentity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { fails } from '../sdk-fault.ts';
import { bootSides, type Side } from '../sides.ts';
import { waitMsMax } from '../within.ts';

const accountId = '000000000000';
const notFound = fails('ResourceNotFoundException', 404);

/** The default region, which `localhost` means as well, and another. */
const bootRegions = async (t: TestContext) => {
  const regions = ['us-east-1', 'ap-northeast-1'].map((region) => ({ accountId, region }));
  const { sides, ...booted } = await bootSides(t, regions);
  const [home, away] = sides;
  assert(home && away);
  return { ...booted, home, away, both: [home, away] as const };
};

/** What a device has heard but for `end`, when everything that was on its way to it has come. */
const heardBy = async (device: Device, side: Side): Promise<readonly string[]> => {
  const { client, received } = device;
  const end = `end ${received.length}`;
  await client.subscribeAsync('end', { qos: 1 });
  await side.iotData.send(new PublishCommand({ topic: 'end', payload: end, qos: 1 }));
  await device.until(`end ${end}`);
  return received.filter((message) => !message.startsWith('end '));
};
const filtersOf = async ({ iotData }: Side, clientId: string): Promise<readonly (string | undefined)[]> =>
  ((await iotData.send(new ListSubscriptionsCommand({ clientId }))).subscriptions ?? []).map((it) => it.topicFilter);

test('one certificate, client id, topic and session name in two regions, told apart by SNI', async (t) => {
  const { node, folder, home, away, both } = await bootRegions(t);
  const robot = await makeIdentity(folder, 'robot');
  for (const side of both) await side.welcome(robot);
  const watch = async (side: Side): Promise<Device> => {
    const watcher = await side.connect(robot, { clientId: 'watcher' });
    await watcher.client.subscribeAsync('$aws/events/#', { qos: 1 });
    return watcher;
  };
  const [homeWatcher, awayWatcher] = [await watch(home), await watch(away)];
  /** A device of a name in both. */
  const twins = (clientId: string, clean = true) =>
    Promise.all([home.connect(robot, { clientId, clean }), away.connect(robot, { clientId, clean })]);
  /** Something for a topic from each, with the name of its region. */
  const publish = (topic: string, retain = false) =>
    Promise.all(
      both.map(({ iotData, account }) =>
        iotData.send(new PublishCommand({ topic, payload: account.region, qos: 1, retain })),
      ),
    );

  await t.test('a persistent session of one name is a session of its own in each', async () => {
    const filters = new Map([
      [home, 'jobs/+'],
      [away, 'news/+'],
    ]);
    for (const [side, filter] of filters) {
      const device = await side.connect(robot, { clientId: 'sleeper', clean: false });
      await device.client.subscribeAsync(filter, { qos: 1 });
      await device.client.endAsync();
      await device.closed();
    }
    for (const topic of ['jobs/1', 'news/1']) await publish(topic);
    const [atHome, abroad] = await twins('sleeper', false);
    assert.deepEqual(await heardBy(atHome, home), ['jobs/1 us-east-1']);
    assert.deepEqual(await heardBy(abroad, away), ['news/1 ap-northeast-1']);
    assert.deepEqual((await filtersOf(home, 'sleeper')).toSorted(), ['end', 'jobs/+']);
    assert.deepEqual((await filtersOf(away, 'sleeper')).toSorted(), ['end', 'news/+']);

    // one is ended with all that is kept of it
    await away.iotData.send(new DeleteConnectionCommand({ clientId: 'sleeper', cleanSession: true }));
    await abroad.closed();
    await assert.rejects(away.iotData.send(new GetConnectionCommand({ clientId: 'sleeper' })), notFound);
    const left = await home.iotData.send(new GetConnectionCommand({ clientId: 'sleeper' }));
    assert.equal(left.connected, true);
    await atHome.client.endAsync();
    await atHome.closed();
    const again = await twins('sleeper', false);
    assert.deepEqual((await filtersOf(home, 'sleeper')).toSorted(), ['end', 'jobs/+']);
    assert.deepEqual(await filtersOf(away, 'sleeper'), []);
    for (const device of again) await device.client.endAsync();
  });

  await t.test('a retained topic holds a message of its own in each', async () => {
    await publish('state', true);
    const retained = async ({ iotData }: Side) =>
      Buffer.from((await iotData.send(new GetRetainedMessageCommand({ topic: 'state' }))).payload ?? '').toString();
    assert.deepEqual(await Promise.all(both.map(retained)), ['us-east-1', 'ap-northeast-1']);
    const readers = await twins('reader');
    for (const { client } of readers) await client.subscribeAsync('state');
    await Promise.all([readers[0].until('state us-east-1'), readers[1].until('state ap-northeast-1')]);
    await away.iotData.send(new PublishCommand({ topic: 'state', retain: true, qos: 1 }));
    await readers[1].until('state ');
    await assert.rejects(retained(away), notFound);
    assert.equal(await retained(home), 'us-east-1');
    const topicsOf = async ({ iotData }: Side) =>
      (await iotData.send(new ListRetainedMessagesCommand({}))).retainedTopics?.map(({ topic }) => topic);
    assert.deepEqual(await Promise.all(both.map(topicsOf)), [['state'], []]);
    assert.deepEqual(await heardBy(readers[0], home), ['state us-east-1']);
    for (const { client } of readers) await client.endAsync();
  });

  await t.test('shared subscriptions, direct messages and wills stay in their region', async () => {
    const members = await twins('member');
    const plain = await twins('plain');
    for (const { client } of members) await client.subscribeAsync('$share/crew/work', { qos: 1 });
    for (const { client } of plain) await client.subscribeAsync('will', { qos: 1 });
    const works = Array.from({ length: 4 }, (_, index) => `work ${index}`);
    for (const [index] of works.entries())
      await home.iotData.send(new PublishCommand({ topic: 'work', payload: String(index), qos: 1 }));
    await away.iotData.send(new SendDirectMessageCommand({ clientId: 'plain', topic: 'direct', payload: 'away' }));
    const dying = await home.connect(robot, { clientId: 'dying', will: { topic: 'will', payload: 'home' } });
    dying.socket.destroy();
    await plain[0].until('will home');
    assert.deepEqual((await heardBy(members[0], home)).toSorted(), works);
    assert.deepEqual(await heardBy(members[1], away), []);
    assert.deepEqual(await heardBy(plain[0], home), ['will home']);
    assert.deepEqual(await heardBy(plain[1], away), ['direct away']);
    for (const { client } of [...members, ...plain]) await client.endAsync();
  });

  await t.test('life-cycle events of each are told to its own subscribers', async () => {
    const lone = await home.connect(robot, { clientId: 'lone' });
    await lone.client.endAsync();
    await lone.closed();
    const eventsAt = async (watcher: Device, side: Side) => {
      const ofWatcher = (message: string): boolean => message.split(' ')[0]?.endsWith('/watcher') === true;
      return (await heardBy(watcher, side)).filter((message) => !ofWatcher(message));
    };
    const [atHome, abroad] = [await eventsAt(homeWatcher, home), await eventsAt(awayWatcher, away)];
    const countOf = (events: readonly string[], topic: string) =>
      events.filter((it) => it.startsWith(`${topic} `)).length;
    const connected = '$aws/events/presence/connected';
    for (const [name, ...counts] of [
      ['sleeper', 3, 3],
      ['reader', 1, 1],
      ['dying', 1, 0],
      ['lone', 1, 0],
    ] as const) {
      const found = [atHome, abroad].map((events) => countOf(events, `${connected}/${name}`));
      assert.deepEqual(found, counts, name);
    }
    const sessions = (events: readonly string[]) =>
      new Set(events.map((event) => JSON.parse(event.slice(event.indexOf(' '))).sessionIdentifier));
    const ofHome = sessions(atHome);
    assert.ok(![...sessions(abroad)].some((id) => ofHome.has(id)));
    // ended by the API, in one region
    const byApi = (events: readonly string[]) => events.filter((event) => event.includes('"API_INITIATED_DISCONNECT"'));
    assert.deepEqual([byApi(atHome).length, byApi(abroad).length], [0, 1]);
  });

  await t.test('a status is that of one region, and so is the connection that it ends', async () => {
    const [atHome, abroad] = await twins('robot');
    const { certificateId } = robot;
    await away.iot.updateCertificate({ certificateId, newStatus: 'INACTIVE' });
    await abroad.closed();
    assert.deepEqual(await heardBy(atHome, home), []);
    await assert.rejects(away.connect(robot, { clientId: 'later' }));
    for (const { account } of both) {
      const { records } = await readJournal(node, account, { clientId: 'later' });
      const reasons = records.map(({ record }) => record.reason);
      assert.deepEqual(reasons, account === away.account ? ['DEVICE_CERTIFICATE_INACTIVE'] : []);
    }
    // a name that is none of the other region's endpoints means the default region
    await connectDevice(node, robot, { clientId: 'plain-name', serverName: 'localhost' });
    await atHome.client.endAsync();
  });
});

/** A thing named after its region and the device. */
const templateOf = (region: string): string =>
  JSON.stringify({
    Parameters: {
      'AWS::IoT::Certificate::CommonName': { Type: 'String' },
      'AWS::IoT::Certificate::Id': { Type: 'String' },
    },
    Resources: {
      thing: {
        Type: 'AWS::IoT::Thing',
        Properties: { ThingName: { 'Fn::Join': ['-', [region, { Ref: 'AWS::IoT::Certificate::CommonName' }]] } },
      },
      certificate: {
        Type: 'AWS::IoT::Certificate',
        Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
      },
      policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'everything' } },
    },
  });

const modes: readonly (readonly [home: CertificateMode, away: CertificateMode])[] = [
  ['DEFAULT', 'SNI_ONLY'],
  ['SNI_ONLY', 'DEFAULT'],
  ['DEFAULT', 'DEFAULT'],
];

test('one CA in two regions, in any mode in each: a device that comes first is provisioned where its SNI says', async (t) => {
  const { node, folder, home, away, both } = await bootRegions(t);
  const maker = authorities(folder);
  let proofs = 0;
  const register = async (
    { iot, account }: Side,
    ca: { readonly name: string; readonly pem: string; readonly mode: CertificateMode; readonly code?: string },
  ): Promise<string> => {
    const code = ca.code ?? (await iot.getRegistrationCode({})).registrationCode;
    const { certificateId } = await iot.registerCACertificate({
      ...{ caCertificate: ca.pem, certificateMode: ca.mode, setAsActive: true, allowAutoRegistration: true },
      ...(ca.mode === 'DEFAULT' && {
        verificationCertificate: await maker.leaf(`proof${proofs++}`, ca.name, { subject: `/CN=${code}` }),
      }),
      registrationConfig: {
        roleArn: `arn:aws:iam::${accountId}:role/jitp`,
        templateBody: templateOf(account.region),
      },
    });
    return String(certificateId);
  };
  const device = async (name: string, ca: string): Promise<Identity> => {
    const certificatePem = await maker.leaf(name, ca);
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    return { certFile, keyFile, certificatePem, certificateId: certificateIdOf(certificatePem) };
  };
  /** Comes until it is let in. */
  const insist = async (side: Side, identity: Identity, serverName = side.serverName): Promise<void> => {
    const endMs = performance.now() + waitMsMax;
    for (;;) {
      const connected = await side.connect(identity, { clientId: 'robot', serverName }).catch(() => undefined);
      if (connected) return void (await connected.client.endAsync());
      assert.ok(performance.now() < endMs, `it is not let in to ${side.account.region}`);
    }
  };
  /** What a region has of a certificate. */
  const heldBy = async (side: Side, { certificateId }: Identity): Promise<readonly unknown[]> => {
    const { certificateDescription } = await side.iot.describeCertificate({ certificateId });
    const { things } = await side.iot.listPrincipalThings({ principal: side.arnOf({ certificateId }) });
    return [certificateDescription?.status, certificateDescription?.certificateMode, things];
  };

  const [homeCode, awayCode] = await Promise.all(both.map(({ iot }) => iot.getRegistrationCode({})));
  assert.notEqual(homeCode?.registrationCode, awayCode?.registrationCode);
  const abroadName = 'elsewhere';
  const elsewhere = { name: abroadName, pem: await maker.ca(abroadName), mode: 'DEFAULT' } as const;
  await assert.rejects(
    register(away, { ...elsewhere, code: String(homeCode?.registrationCode) }),
    fails('RegistrationCodeValidationException', 400),
    'a code proves nothing in another region',
  );

  for (const [number, [homeMode, awayMode]] of modes.entries()) {
    await t.test(`${homeMode} in one, ${awayMode} in the other`, async () => {
      const ca = { name: `ca${number}`, pem: await maker.ca(`ca${number}`) };
      const certificateId = await register(home, { ...ca, mode: homeMode });
      const name = `robot${number}`;
      const robot = await device(name, ca.name);
      await assert.rejects(away.connect(robot, { clientId: 'robot' }), 'its CA is not here yet');
      await assert.rejects(away.iot.describeCertificate(robot), notFound);
      assert.equal(await register(away, { ...ca, mode: awayMode }), certificateId);
      for (const [side, mode] of [
        [home, homeMode],
        [away, awayMode],
      ] as const) {
        const { certificateDescription: described } = await side.iot.describeCACertificate({ certificateId });
        assert.deepEqual([described?.certificateMode, described?.customerVersion], [mode, 1]);
        // localhost stands for the default region
        await insist(side, robot, side === home ? 'localhost' : undefined);
        assert.deepEqual(await heldBy(side, robot), ['ACTIVE', mode, [`${side.account.region}-${name}`]]);
      }

      await away.iot.updateCACertificate({ certificateId, newStatus: 'INACTIVE' });
      const second = await device(`second${number}`, ca.name);
      await insist(home, second);
      await assert.rejects(away.connect(second, { clientId: 'second' }));
      await assert.rejects(away.iot.describeCertificate(second), notFound);
      const { records } = await readJournal(node, away.account, { certificateId: second.certificateId });
      assert.deepEqual(
        records.map(({ record }) => record.reason),
        ['CA_CERTIFICATE_INACTIVE'],
      );
      await away.iot.deleteCACertificate({ certificateId });
      const { certificateDescription: kept } = await home.iot.describeCACertificate({ certificateId });
      assert.deepEqual([kept?.status, kept?.customerVersion], ['ACTIVE', 1]);
      assert.deepEqual(
        (await home.iot.listCertificatesByCA({ caCertificateId: certificateId })).certificates?.length,
        2,
      );
    });
  }
});
