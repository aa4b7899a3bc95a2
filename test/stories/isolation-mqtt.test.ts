/**
 * Accounts and regions share a port, and nothing else (design 5): not a topic, not a client id, not a certificate's status, not a line of the journal.
 * Each is reached by the name that DescribeEndpoint gives for it. Another account and the same account in another region are told apart alike.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  DescribeEndpointCommand,
  DetachPolicyCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { type AccountRegion, iotArn } from '../../src/aws/arn.ts';
import { type Identity, makeIdentity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { bootSides, type Side } from '../sides.ts';

const owner: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };
const strangers: Readonly<Record<string, AccountRegion>> = {
  'another account': { accountId: '222222222222', region: 'us-east-1' },
  'the same account in another region': { accountId: '111111111111', region: 'eu-west-1' },
};
/** The owner's side and the stranger's. */
const bootBoth = async (t: TestContext, stranger: AccountRegion) => {
  const { sides, ...booted } = await bootSides(t, [owner, stranger]);
  const [own, foreign] = sides;
  assert(own && foreign);
  return { ...booted, own, foreign };
};

for (const [kind, stranger] of Object.entries(strangers)) {
  test(`${kind}: the same certificate and client id on both sides, the same topics, and no message or takeover crosses`, async (t) => {
    const { folder, own, foreign } = await bootBoth(t, stranger);
    assert.notEqual(own.serverName, foreign.serverName);
    const identity = await makeIdentity(folder, 'twin');
    for (const side of [own, foreign]) await side.welcome(identity);

    const mine = await own.connect(identity, { clientId: 'twin', version: 5 });
    const theirs = await foreign.connect(identity, { clientId: 'twin', version: 5 });
    const theirShare = await foreign.connect(identity, { clientId: 'share' });
    for (const device of [mine, theirs]) await device.client.subscribeAsync(['#', 'fleet/+'], { qos: 1 });
    await theirShare.client.subscribeAsync('$share/all/#');

    for (const qos of [0, 1] as const) {
      mine.client.publish('fleet/temperature', `mine${qos}`, { qos });
      theirs.client.publish('fleet/temperature', `theirs${qos}`, { qos });
      await Promise.all([
        mine.until(`fleet/temperature mine${qos}`),
        theirs.until(`fleet/temperature theirs${qos}`),
        theirShare.until(`fleet/temperature theirs${qos}`),
      ]);
    }
    const dying = await own.connect(identity, { clientId: 'dying', will: { topic: 'fleet/will', payload: 'mine' } });
    dying.socket.destroy();
    await mine.until('fleet/will mine');

    // whatever was on its way to the other side has arrived before these
    theirs.client.publish('fleet/end', 'theirs');
    await Promise.all([theirs.until('fleet/end theirs'), theirShare.until('fleet/end theirs')]);
    mine.client.publish('fleet/end', 'mine');
    await mine.until('fleet/end mine');
    for (const message of mine.received) assert.match(message, / mine/);
    for (const message of [...theirs.received, ...theirShare.received]) assert.match(message, / theirs/);
    assert.ok(mine.client.connected && theirs.client.connected, 'neither took the client id of the other');
  });

  test(`${kind}: a change of the same certificate's status or policies on one side leaves the other's connection alone`, async (t) => {
    const { folder, own, foreign } = await bootBoth(t, stranger);
    const identity = await makeIdentity(folder, 'twin');
    for (const side of [own, foreign]) await side.welcome(identity);
    const mine = await own.connect(identity, { clientId: 'twin' });
    await mine.client.subscribeAsync('fleet/+');

    const theirs = await foreign.connect(identity, { clientId: 'twin' });
    const target = iotArn(stranger, 'cert', identity.certificateId);
    await foreign.iot.send(new DetachPolicyCommand({ policyName: 'everything', target }));
    theirs.client.publish('fleet/a', 'theirs');
    await theirs.closed(); // denied, MQTT 3.1.1
    mine.client.publish('fleet/a', 'mine1');
    await mine.until('fleet/a mine1');

    await foreign.iot.send(new AttachPolicyCommand({ policyName: 'everything', target }));
    const again = await foreign.connect(identity, { clientId: 'twin' });
    const { certificateId } = identity;
    await foreign.iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));
    await again.closed();
    await assert.rejects(foreign.connect(identity, { clientId: 'twin' }));
    mine.client.publish('fleet/a', 'mine2');
    await mine.until('fleet/a mine2');
    await mine.client.endAsync();
    await own.connect(identity, { clientId: 'twin' });
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${kind}: a certificate is refused at the other's endpoint, also on a resumed ${version} session, and is explained like one that nobody has`, async (t) => {
      const { node, folder, own, foreign } = await bootBoth(t, stranger);
      const [known, unknown] = [await makeIdentity(folder, 'known'), await makeIdentity(folder, 'unknown')];
      await own.welcome(known);
      const device = await own.connect(known, { clientId: 'device', tls: version });
      const session = await device.session;

      await assert.rejects(foreign.connect(known, { clientId: 'probe', tls: version }));
      await assert.rejects(foreign.connect(unknown, { clientId: 'probe', tls: version }));
      const told = async ({ certificateId, certificatePem }: Identity): Promise<string> => {
        const { records } = await readJournal(node, stranger, { certificateId });
        const [newest] = records;
        assert.equal(records.length, 1);
        assert.equal(newest?.record.reason, 'DEVICE_CERTIFICATE_NOT_REGISTERED');
        assert.deepEqual(newest.record.account, stranger);
        const { id, atMs, lastAtMs, sequence, sourcePort, ...record } = newest.record;
        return JSON.stringify({ ...newest, record })
          .replaceAll(JSON.stringify(certificatePem).slice(1, -1), '<pem>')
          .replaceAll(certificateId, '<id>')
          .replaceAll(certificateId.slice(0, 8), '<short id>')
          .replaceAll(/CN=(un)?known/g, '<subject>')
          .replaceAll(/"not(Before|After)Ms":\d+/g, '<date>');
      };
      assert.equal(await told(known), await told(unknown));

      await assert.rejects(foreign.connect(known, { clientId: 'probe', tls: version, session }));
      const { records } = await readJournal(node, stranger, { certificateId: known.certificateId });
      assert.ok(records.every(({ record }) => record.reason === 'DEVICE_CERTIFICATE_NOT_REGISTERED'));
      // the resumption itself works, where the server certificate is the same: it is only not what decides
      const resumed = await own.connect(known, { clientId: 'device', tls: version, session });
      assert.ok(resumed.socket.isSessionReused());
      await resumed.client.endAsync();
    });
  }

  test(`${kind}: each reads its own journal alone, and explain tells the other nothing`, async (t) => {
    const { node, folder, shell, iot, own, foreign } = await bootBoth(t, stranger);
    const identities = new Map<Side, Identity>();
    for (const [side, name] of [[own, 'mine'] as const, [foreign, 'theirs'] as const]) {
      const identity = await makeIdentity(folder, name);
      identities.set(side, identity);
      await side.welcome(identity);
      const device = await side.connect(identity, { clientId: `${name}-welcome` });
      await device.client.endAsync();
      await device.closed();
      await assert.rejects(side.connect(await makeIdentity(folder, `${name}-stray`), { clientId: `${name}-refused` }));
    }
    for (const [side, name] of [[own, 'mine'] as const, [foreign, 'theirs'] as const]) {
      const { records } = await readJournal(node, side.account);
      for (const { record } of records) assert.deepEqual(record.account, side.account);
      const clientIds = new Set(records.map(({ record }) => record.clientId));
      assert.deepEqual([...clientIds].sort(), [`${name}-refused`, `${name}-welcome`]);
    }

    const { certificateId = '' } = identities.get(own) ?? {};
    const questions: Record<string, string>[] = [
      { certificateId },
      { clientId: 'mine-refused' },
      { subject: certificateId.slice(0, 8) },
      { subject: 'mine-welcome' },
      { subject: 'mine-refused', failures: 'true', last: 'true' },
    ];
    for (const question of questions) {
      assert.deepEqual((await readJournal(node, stranger, question)).records, [], JSON.stringify(question));
      assert.notDeepEqual((await readJournal(node, owner, question)).records, [], JSON.stringify(question));
    }
    const { accountId, region } = stranger;
    const as = `--account ${accountId} --region ${region}`;
    const explained = await shell(
      `fleetgate explain last ${as}; fleetgate explain mine-refused ${as}; fleetgate explain ${certificateId} ${as}; true`,
    );
    assert.match(explained.stdout, /The client "theirs-refused" showed/);
    assert.doesNotMatch(explained.stdout, /"mine|000000000000/);
    // whoever may ask in the other region as well is told to, with what was asked here; where another account has been is nobody's business
    await iot(owner.accountId, 'ap-south-1').send(new DescribeEndpointCommand({}));
    const { otherRegions } = Object(await readJournal(node, stranger, { clientId: 'mine-refused' }));
    assert.deepEqual(otherRegions, accountId === owner.accountId ? ['ap-south-1', owner.region] : []);
    const commands = explained.stdout.match(/^ {2}fleetgate explain .*--region .*$/gm) ?? [];
    if (accountId !== owner.accountId) return assert.deepEqual(commands, []);
    assert.deepEqual(
      commands,
      ['mine-refused', certificateId].map(
        (it) => `  fleetgate explain ${it} --account ${accountId} --region us-east-1`,
      ),
    );
    const there = await shell(commands.join('\n'));
    assert.match(there.stdout, /The client "mine-refused" showed/);
    assert.match(there.stdout, /"mine-welcome"/);
    assert.doesNotMatch(there.stdout, /"theirs/);
    assert.match(
      explained.stdout,
      /^The journal has no record of that .* region eu-west-1\. Another region has one:$/m,
    );
  });
}
