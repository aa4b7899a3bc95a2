/**
 * A claim is stolen. Whoever has it and knows a device's serial number gets that device's identity, and shows when it uses it: the device's connection ends with
 * DUPLICATE_CLIENT_ID. Then the fleet is given a new claim, what the old one brought is revoked, and every device provisions itself again. Source: seed "fleet
 * provisioning by claim", its last section; issue "Provisioning", acceptance 1.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DescribeCertificateCommand,
  ListThingPrincipalsCommand,
  ListThingsCommand,
  SetV2LoggingOptionsCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import {
  connectFleetDevice,
  createTopic,
  type FleetDevice,
  fleetTemplate,
  type KeyedCertificate,
  provisionTopic,
} from '../fleet.ts';
import { accountId, type Claim, invalidToken, issued, openScene, refused } from '../fleet-scene.ts';
import { readJournal } from '../journal.ts';
import { type LogEvent, readLog } from '../log-events.ts';

const templateName = 'wapa5pow-template';
const serials = ['1', '2', '3'];
/** Serial numbers that were made, as the hook's database has them. */
const hook = `export const handler = async ({ parameters, clientId }) => ({
  allowProvisioning: ${JSON.stringify(serials)}.includes(parameters.SerialNumber) && clientId === parameters.SerialNumber,
});`;

/** A device of the fleet: its serial number, the claim that it was given last, and the identity that it has. */
interface Device {
  readonly serial: string;
  claim: Claim;
  identity: KeyedCertificate & { readonly certificateId: string };
  connection: FleetDevice;
}

test('a stolen claim shows, and the fleet gets rid of it', async (t) => {
  const scene = await openScene(t, { known: hook });
  const { node, claim: stolen, newClaim, template, refusal, shell, dataFolder } = scene;
  const client = scene.iot();
  await template(templateName, fleetTemplate('device', `${templateName}-`), { hook: 'known' });
  const roleArn = `arn:aws:iam::${accountId}:role/logging`;
  await client.send(new SetV2LoggingOptionsCommand({ roleArn, defaultLogLevel: 'ERROR' }));

  const open: FleetDevice[] = [];
  t.after(() => Promise.all(open.map((each) => each.end())));
  const connect = async (clientId: string, as: KeyedCertificate, localAddress = '127.0.0.1'): Promise<FleetDevice> => {
    const connection = await connectFleetDevice(node, as, { clientId, localAddress });
    open.push(connection);
    return connection;
  };
  const provision = async (serial: string, claim: Claim, from?: string) => {
    const asking = await connect(serial, claim, from);
    const made = issued(await asking.request(createTopic));
    const { certificateOwnershipToken } = made;
    const request = { certificateOwnershipToken, parameters: { SerialNumber: serial } };
    const born = await asking.request(provisionTopic(templateName), request);
    assert.equal(born.members['thingName'], `${templateName}-${serial}`);
    await asking.end();
    return made;
  };
  /** Its identity, if that is let in; else a new one by the claim that it has. */
  const comeUp = async (device: Pick<Device, 'serial' | 'claim'> & Partial<Device>): Promise<Device> => {
    const { serial, claim } = device;
    const known = device.identity && (await connect(serial, device.identity).catch(() => undefined));
    if (known && device.identity) return { serial, claim, identity: device.identity, connection: known };
    const identity = await provision(serial, claim);
    return { serial, claim, identity, connection: await connect(serial, identity) };
  };
  const talk = async ({ serial, connection }: Device): Promise<void> => {
    const topic = `sdk/test/${serial}`;
    const heard = new Promise((resolve) => connection.client.once('message', (on) => resolve(on)));
    await connection.client.subscribeAsync(topic, { qos: 1 });
    await connection.client.publishAsync(topic, 'Hello world!', { qos: 1 });
    assert.equal(await heard, topic);
  };
  let fleet = await Promise.all(serials.map((serial) => comeUp({ serial, claim: stolen })));
  const [first = assert.fail()] = fleet;
  await Promise.all(fleet.map(talk));

  // the thief: a serial number of his own invention is no use, that of a device is
  const thief = '127.0.0.2';
  await t.test('the hook lets nobody in whom it does not know', async () => {
    const guessing = await connect('4', stolen, thief);
    const { certificateOwnershipToken } = issued(await guessing.request(createTopic));
    const request = { certificateOwnershipToken, parameters: { SerialNumber: '4' } };
    assert.deepEqual(refused(await guessing.request(provisionTopic(templateName), request)), [403, 'AccessDenied']);
    await guessing.end();
  });
  /** That the newest refusal of device 1 is that another took its client id: who, by which certificate, from where. */
  const assertTaken = async (byCertificate: string): Promise<void> => {
    const { records } = await readJournal(node, node.account, { clientId: '1', failures: 'true', limit: '1' });
    const [{ record, sentence, cure } = assert.fail()] = records;
    assert.deepEqual(
      [record.reason, record.certificateId, record.sourceIp],
      ['DUPLICATE_CLIENT_ID', first.identity.certificateId, '127.0.0.1'],
    );
    const peers = new RegExp(
      `127\\.0\\.0\\.2 port \\d+ \\(principal ${byCertificate}\\) took it from 127\\.0\\.0\\.1 port \\d+ \\(principal ${first.identity.certificateId}\\)`,
    );
    assert.match(sentence, peers);
    assert.ok(
      cure.includes(`the certificate ${byCertificate.slice(0, 8)} is in no device of yours, it is a stolen claim`),
    );
    const isIt = ({ reason, details }: LogEvent): boolean =>
      reason === 'DUPLICATE_CLIENT_ID' && peers.test(String(details));
    const event = (await readLog(node, dataFolder, isIt)).find(isIt);
    const { logLevel, eventType, status, clientId, principalId, sourceIp } = event ?? {};
    assert.deepEqual(
      { logLevel, eventType, status, clientId, principalId, sourceIp },
      {
        ...{ logLevel: 'ERROR', eventType: 'Disconnect', status: 'Failure', clientId: '1' },
        ...{ principalId: first.identity.certificateId, sourceIp: '127.0.0.1' },
      },
    );
    const { stdout } = await shell('fleetgate explain 1');
    assert.match(stdout, peers);
  };
  // as the hook takes a serial number from the client of that id alone, the device loses its connection to the claim itself
  const booty = await provision('1', stolen, thief);
  await first.connection.closed();
  await t.test(
    'the claim that takes the client id of a device shows, with both peers, in the journal, the log and the command',
    () => assertTaken(stolen.certificateId),
  );
  const back = await comeUp(first);
  assert.equal(back.identity, first.identity, 'its certificate is as good as before');
  const impostor = await connect('1', booty, thief);
  await back.connection.closed();
  await t.test('so does the certificate that was got by it', () => assertTaken(booty.certificateId));

  // he has one more certificate in hand, whose token he has not used yet
  const hoarding = await connect('2-thief', stolen, thief);
  const hoarded = issued(await hoarding.request(createTopic));

  // 1. a new claim for each device; the old one lets nobody in any more, and ends who is there
  const claim = await newClaim();
  fleet = fleet.map((device) => ({ ...device, claim }));
  const status = async (certificateId: string): Promise<string | undefined> =>
    (await client.send(new DescribeCertificateCommand({ certificateId }))).certificateDescription?.status;
  const revoke = (certificateId: string) =>
    client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));
  await revoke(stolen.certificateId);
  await hoarding.closed();
  // 2. what the old claim brought is revoked: every certificate of the fleet's things
  const { things = [] } = await client.send(new ListThingsCommand({}));
  const old: string[] = [];
  for (const { thingName } of things) {
    const { principals = [] } = await client.send(new ListThingPrincipalsCommand({ thingName }));
    old.push(...principals.map((principal) => principal.replace(/^.*\//, '')));
  }
  const expected = [...fleet.map(({ identity }) => identity), booty].map(({ certificateId }) => certificateId);
  assert.deepEqual(old.sort(), expected.sort());
  for (const certificateId of old) await revoke(certificateId);
  await Promise.all([impostor, ...fleet.slice(1).map(({ connection }) => connection)].map((each) => each.closed()));

  // 3. each device finds its certificate refused, and comes again with the new claim
  fleet = await Promise.all(fleet.map(comeUp));
  await Promise.all(fleet.map(talk));
  assert.deepEqual(
    (await client.send(new ListThingsCommand({}))).things?.map(({ thingName }) => thingName),
    [...serials.map((serial) => `${templateName}-${serial}`)],
  );
  for (const { serial, identity } of fleet) {
    assert.ok(!old.includes(identity.certificateId), serial);
    assert.equal(await status(identity.certificateId), 'ACTIVE');
  }

  await t.test(
    'the thief has nothing left: not the claim, not what it brought, not the token that he kept',
    async () => {
      for (const [clientId, as, reason] of [
        ['thief-claim', stolen, 'DEVICE_CERTIFICATE_REVOKED'],
        ['thief-booty', booty, 'DEVICE_CERTIFICATE_REVOKED'],
        ['thief-hoarded', hoarded, 'DEVICE_CERTIFICATE_PENDING'],
      ] as const) {
        await assert.rejects(connect(clientId, as, thief), /not let in/, clientId);
        assert.equal((await refusal(clientId)).reason, reason);
      }
      // not even with the new claim, should he get that too
      const again = await connect('2', claim, thief);
      const { certificateOwnershipToken } = hoarded;
      const request = { certificateOwnershipToken, parameters: { SerialNumber: '2' } };
      assert.deepEqual(refused(await again.request(provisionTopic(templateName), request)), invalidToken);
      assert.equal(await status(hoarded.certificateId), 'PENDING_ACTIVATION');
    },
  );
});
