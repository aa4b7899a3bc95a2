/**
 * What one account has in one region does not exist for another account, nor for the same account in another region (design 5; issue 6, acceptance 3). A table over
 * every handled operation of every service: an operation without a row fails the test. Strangers are the root of another account, one of its users, a session of
 * one of its roles, and the account itself in another region. Devices are told apart in isolation-mqtt.test.ts, domain names in isolation-domains.test.ts; what
 * crosses by intent is in cross-account.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iot from '@aws-sdk/client-iot';
import { operations } from '../../src/api/operations.ts';
import type { AccountRegion } from '../../src/aws/arn.ts';
import { arnPlaces } from '../arn-inputs.ts';
import { handledOperations } from '../handled.ts';
import { rootKeys } from '../iam-scene.ts';
import {
  allRowsOf,
  bootIsolation,
  bulkStrangers,
  changes,
  connectAs,
  hold,
  operationOf,
  outcomeOf,
  ownedBy,
  owner,
  registerInBulk,
  rowsOf,
  type Stranger,
  sendAway,
  withoutNames,
} from '../isolation-scene.ts';
import {
  accountWidePages,
  type Command,
  documentText,
  emptyLists,
  levelOf,
  missing,
  type Names,
  otherPages,
  pagedLists,
  type Row,
  table,
} from '../isolation-table.ts';

const handledIn = (isMeant: (service: string) => boolean): readonly string[] =>
  handledOperations()
    .filter(({ service }) => isMeant(service))
    .map(({ service, operation }) => `${service} ${operation}`);
const isRefusal = ({ answer }: Row): boolean => answer !== 'success';

/** Another account, or the owner's own account in another region. */
const elsewhere: Readonly<Record<string, (number: number) => AccountRegion>> = {
  'another account': (number) => ({ accountId: String(222_222_222_200 + number), region: owner.region }),
  'the same account in another region': (number) => ({ accountId: owner.accountId, region: `eu-west-${number}` }),
};

type Scene = Awaited<ReturnType<typeof bootIsolation>>;

const rootAt = (account: AccountRegion): Stranger => ({ account, keys: rootKeys(account.accountId) });
/** Who asks, and whether what is there is held against what is not: for the others of an account it is the same code behind its policies. */
const strangers: readonly (readonly [kind: string, make: (scene: Scene) => Promise<Stranger>, compared: boolean])[] = [
  ['the root of another account', async () => rootAt({ ...owner, accountId: '222222222221' }), true],
  [
    'an administrator of another account',
    ({ administrator }) => administrator({ ...owner, accountId: '222222222223' }),
    false,
  ],
  ['a session of a role of another account', ({ session }) => session({ ...owner, accountId: '222222222224' }), false],
  ['the same account in another region', async () => rootAt({ ...owner, region: 'eu-west-9' }), true],
];

const askAll = async (scene: Scene, kind: string, stranger: Stranger, compared: boolean): Promise<Set<string>> => {
  const { known, ghost, secrets, settle, clientsOf } = scene;
  const { account } = stranger;
  const isSameAccount = account.accountId === owner.accountId;
  const own = await settle(account);
  const clients = clientsOf(stranger);
  const asked = new Set<string>();
  // refusals first: what is made under the owner's names is the stranger's own from then on
  const rows = [...table.filter(isRefusal), ...table.filter((row) => !isRefusal(row))];
  for (const { answer, bySession = answer, accountWide, asks } of rows) {
    if (accountWide && isSameAccount) continue;
    const expected = kind.includes('session') ? bySession : answer;
    // the owner's ARNs as they are, and with the stranger's account and region in them
    for (const arnOf of compared ? [owner, account] : [owner]) {
      const [real, unreal] = [ownedBy(known, arnOf), ownedBy(ghost, arnOf)];
      const unrealCommands = asks(unreal, own);
      for (const [index, command] of asks(real, own).entries()) {
        const input = JSON.stringify(command.input);
        const what = `${operationOf(command)} ${input} by ${kind}`;
        if (arnOf !== owner && !/"arn:(?!aws:iam::aws:)/.test(input)) continue;
        asked.add(operationOf(command));
        const outcome = await outcomeOf(clients, command);
        assert.equal(outcome.answer, expected, `${what}: ${JSON.stringify(outcome)}`);
        const unrealCommand = unrealCommands[index];
        if (compared && unrealCommand && input !== JSON.stringify(unrealCommand.input)) {
          const unrealOutcome = await outcomeOf(clients, unrealCommand);
          const told = withoutNames(outcome, real);
          assert.equal(told, withoutNames(unrealOutcome, unreal), `${what} tells a difference`);
        }
        const heard = JSON.stringify(outcome);
        for (const secret of secrets) assert.ok(!heard.includes(secret), `${what} tells ${secret}`);
      }
    }
  }
  return asked;
};

test('isolation of accounts and regions (design 5; issue 6, acceptance 3)', async (t) => {
  const scene = await bootIsolation(t);
  const { booted, known, ghost, ownIdentity, knownDevice, clients, rootOf } = scene;

  for (const [kind, make, compared] of strangers) {
    await t.test(
      `no operation of ${kind} reaches what is there, or is answered otherwise than where nothing is`,
      async () => {
        const before = await allRowsOf(booted, owner);
        const empty = Object.keys(before).filter((name) => before[name]?.length === 0);
        // QoS 2 is for `--limits open` only
        assert.deepEqual(empty, ['mqtt_receipts'], 'the owner has rows in every table');
        const stranger = await make(scene);
        const { account } = stranger;
        const isSameAccount = account.accountId === owner.accountId;
        const asked = await askAll(scene, kind, stranger, compared);
        const handled = handledIn((service) => !isSameAccount || (service !== 'iam' && service !== 'sts'));
        const untried = handled.filter((operation) => !asked.has(operation));
        assert.deepEqual(untried, [], 'every handled operation was asked for');

        assert.deepEqual(changes(before, await allRowsOf(booted, owner)), [], 'the owner has what it had');
        const rows = JSON.stringify(await (isSameAccount ? rowsOf : allRowsOf)(booted, account));
        const name = isSameAccount ? `${owner.region}:${owner.accountId}:` : owner.accountId;
        assert.ok(!rows.includes(name), 'nothing of the stranger names the owner');
        assert.ok(knownDevice.client.connected, 'no stranger has ended a connection');
        assert.ok(!knownDevice.received.some((message) => message.endsWith('stranger')), 'nor sent it anything');
      },
    );
  }

  for (const account of [
    { ...owner, accountId: '222222222225' },
    { ...owner, region: 'eu-west-7' },
  ]) {
    await t.test(`no ARN of the owner's is taken anywhere in ${account.accountId} ${account.region}`, async () => {
      const isSameAccount = account.accountId === owner.accountId;
      const own = await scene.settle(account);
      // a root may assume no role at all
      const stranger = isSameAccount ? rootOf(account) : scene.clientsOf(await scene.administrator(account));
      const before = await allRowsOf(booted, owner);
      let asked = 0;
      for (const { name, words, arnsOf, ask } of arnPlaces()) {
        if (isSameAccount && /^(iam|sts) /.test(name)) continue;
        for (const [index, arn] of arnsOf(known).entries()) {
          // an account's roles are its own in every region
          if (isSameAccount && arn.startsWith('arn:aws:iam:')) continue;
          const outcome = await outcomeOf(stranger, ask(arn, own));
          const what = `${name} with ${arn}: ${JSON.stringify(outcome).slice(0, 500)}`;
          assert.notEqual(outcome.answer, 'success', what);
          const said = String(outcome.message);
          assert.ok(
            [arn, ...words].some((word) => said.includes(word)),
            `it is refused for what it names: ${what}`,
          );
          const unreal = await outcomeOf(stranger, ask(String(arnsOf(ghost)[index]), own));
          assert.equal(withoutNames(outcome, known), withoutNames(unreal, ghost), `${what} tells a difference`);
          asked += 1;
        }
      }
      t.diagnostic(`${asked} ARNs`);
      assert.deepEqual(changes(before, await allRowsOf(booted, owner)), []);
      const rows = JSON.stringify(await rowsOf(booted, account));
      assert.ok(!rows.includes(`${owner.region}:${owner.accountId}:`), 'nothing of the stranger names the owner');
    });
  }

  await t.test('what IAM has is the same in every region of its account', async () => {
    const there = rootOf({ ...owner, region: 'eu-west-8' });
    for (const command of accountWidePages(known, {})) {
      const here = await outcomeOf(clients, command);
      assert.equal(here.answer, 'success', operationOf(command));
      assert.deepEqual(await outcomeOf(there, command), here, operationOf(command));
    }
  });

  await t.test('every list of pages is tried', () => {
    const handled = handledIn(() => true);
    const paged = operations
      .filter(({ input }) => input?.members.some(({ name }) => /^(marker|nextToken)$/i.test(name)))
      // has one page always
      .filter(({ name }) => name !== 'ListTagsForResource' && !emptyLists.test(name))
      .map(({ service, name }) => `${service} ${name}`)
      .filter((name) => handled.includes(name));
    const tried = [...pagedLists(known), ...otherPages(), ...accountWidePages(known)];
    const rowed = [...tried, new iot.ListOutgoingCertificatesCommand({})].map(operationOf);
    assert.deepEqual(rowed.sort(), paged.sort());
  });

  for (const account of bulkStrangers) {
    const isSameAccount = account.accountId === owner.accountId;
    const kind = isSameAccount ? 'another region of the account' : 'another account';
    await t.test(`no list shows ${kind} anything, and no marker of a page is taken there`, async () => {
      const settled = await scene.settle(account);
      const stranger = rootOf(account);
      const { iot: client } = stranger;
      const taskId = await registerInBulk(client, account, 'own');
      const own = { ...settled, taskId };
      const { certificateArn, certificateId, policyName, thingName } = own;
      await client.updateCertificate({ certificateId, newStatus: 'INACTIVE' });
      await client.deleteCertificate({ certificateId });
      await client.registerCertificate({ certificatePem: own.certificatePem, setAsActive: true });
      await client.attachPolicy({ policyName, target: certificateArn });
      await client.attachThingPrincipal({ thingName, principal: certificateArn });
      const device = await connectAs(booted, stranger, ownIdentity, { name: thingName });
      await device.client.unsubscribeAsync('#');
      await client.setV2LoggingOptions({ defaultLogLevel: 'ERROR' });
      await client.send(levelOf(thingName));

      const mine = `own-policy|own-thing|own-template|own-alias|"versionId":1|${taskId}|${certificateId}|${own.caCertificateId}`;
      const lists: readonly (readonly [isOne: boolean, of: (names: Names, marker?: string) => readonly Command[]])[] = [
        [true, pagedLists],
        [false, (_, marker) => otherPages(marker)],
        [
          false,
          (names, Marker) => (isSameAccount ? [] : accountWidePages(names, { MaxItems: 1, ...(Marker && { Marker }) })),
        ],
      ];
      for (const [isOne, listsOf] of lists) {
        for (const [index, command] of listsOf(known).entries()) {
          const name = operationOf(command);
          const { output } = await outcomeOf(clients, command);
          const { nextMarker, nextToken, NextToken, Marker } = output as Record<string, string | undefined>;
          const marker = nextMarker ?? nextToken ?? NextToken ?? Marker;
          assert.ok(marker, `${name}: the owner has a second page`);
          const ask = async (given?: string) => {
            const asked = listsOf(own, given)[index];
            assert(asked);
            return outcomeOf(stranger, asked);
          };
          const forged = await ask(Buffer.from(marker, 'base64').fill(1).toString('base64'));
          assert.match(forged.answer, /^(InvalidRequestException|ValidationException|ValidationError)$/, name);
          assert.deepEqual(await ask(marker), forged, `${name}: the owner's marker is refused like a made-up one`);
          const listed = JSON.stringify(await ask());
          assert.match(listed, /"success"/);
          assert.ok(!/known|hidden/.test(listed), `${name}: ${listed}`);
          if (!isOne) continue;
          assert.doesNotMatch(listed, /next(Marker|Token)/, `${name}: one own item, one page`);
          assert.match(listed, new RegExp(mine), name);
        }
      }
      await device.client.endAsync();
    });
  }

  for (const [kind, at] of Object.entries(elsewhere)) {
    await t.test(`no transfer is listed or taken up by ${kind}, which has no part in it`, async () => {
      const { nextMarker: marker = '', outgoingCertificates: [known] = [] } =
        await clients.iot.listOutgoingCertificates({ pageSize: 1 });
      const certificateId = String(known?.certificateId);
      const { iot: client } = rootOf(at(1));
      const own = await sendAway(client);
      const listed = await client.listOutgoingCertificates({ pageSize: 1 });
      assert.deepEqual(
        [listed.outgoingCertificates?.map((each) => each.certificateId), listed.nextMarker],
        [[own], undefined],
      );
      await assert.rejects(client.listOutgoingCertificates({ pageSize: 1, marker }), {
        name: 'InvalidRequestException',
      });
      await assert.rejects(client.describeCertificate({ certificateId }), { name: missing });
      await assert.rejects(client.acceptCertificateTransfer({ certificateId }), { name: missing });
      await assert.rejects(client.rejectCertificateTransfer({ certificateId }), { name: missing });
      await assert.rejects(client.cancelCertificateTransfer({ certificateId }), { name: missing });
      const { certificateDescription } = await clients.iot.describeCertificate({ certificateId });
      assert.equal(certificateDescription?.status, 'PENDING_TRANSFER');
    });

    await t.test(
      `the same names in ${kind} are different things, and it has its own status of one certificate`,
      async () => {
        const { certificateId, certificatePem, policyName, thingName } = known;
        const account = at(2);
        const before = await allRowsOf(booted, owner);
        const { iot: client } = rootOf(account);
        const { certificateArn: target, policyArn } = ownedBy(known, account);
        await client.registerCertificateWithoutCA({ certificatePem, status: 'INACTIVE' });
        await client.createPolicy({ policyName, policyDocument: documentText('Namesake') });
        await client.createThing({ thingName, attributePayload: { attributes: { serial: 'namesake' } } });
        await client.attachPolicy({ policyName, target });
        await client.attachThingPrincipal({ thingName, principal: target });

        const policy = await client.getPolicy({ policyName });
        assert.deepEqual([policy.policyDocument, policy.policyArn], [documentText('Namesake'), policyArn]);
        const thing = await client.describeThing({ thingName });
        assert.deepEqual([thing.attributes, thing.version], [{ serial: 'namesake' }, 1]);
        const { certificateDescription: certificate } = await client.describeCertificate({ certificateId });
        assert.deepEqual(
          [certificate?.status, certificate?.ownedBy, certificate?.customerVersion],
          ['INACTIVE', account.accountId, 1],
        );
        await hold(client, known.caCertificatePem);
        const ofCa = { certificateId: known.caCertificateId };
        const { certificateDescription: ca } = await client.describeCACertificate(ofCa);
        assert.deepEqual([ca?.ownedBy, ca?.customerVersion], [account.accountId, 1]);

        // everything of the namesakes is changed and taken away again
        await client.updateCACertificate({ ...ofCa, newStatus: 'INACTIVE' });
        await client.deleteCACertificate(ofCa);
        await client.createPolicyVersion({ policyName, policyDocument: documentText('Changed'), setAsDefault: true });
        await client.deletePolicyVersion({ policyName, policyVersionId: '1' });
        await client.updateThing({ thingName, attributePayload: { attributes: { serial: 'changed' } } });
        await client.updateCertificate({ certificateId, newStatus: 'REVOKED' });
        const revoked = await client.describeCertificate({ certificateId });
        assert.equal(revoked.certificateDescription?.status, 'REVOKED');
        await client.detachThingPrincipal({ thingName, principal: target });
        await client.deleteThing({ thingName });
        await client.deleteCertificate({ certificateId, forceDelete: true });
        await client.deletePolicy({ policyName });

        assert.deepEqual(changes(before, await allRowsOf(booted, owner)), [], 'the owner has what it had');
        const left = await rowsOf(booted, account);
        for (const [name, rows] of Object.entries(left)) {
          if (name !== 'accounts') assert.deepEqual(rows, [], `nothing is left in ${name}`);
        }
      },
    );
  }
});
