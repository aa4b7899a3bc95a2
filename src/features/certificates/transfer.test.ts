import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, type TestCall, testAccount, testStartMs } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import { attachPolicy } from '../policies/attach-policy.ts';
import { createPolicy } from '../policies/create-policy.ts';
import { policies } from '../policies/feature.ts';
import { attachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import {
  type CertificateMode,
  type CertificateStatus,
  certificateArn,
  findHoldersOfCertificate,
  insertCertificate,
} from './certificate.ts';
import { deleteCertificate } from './delete-certificate.ts';
import { acceptCertificateTransfer, cancelCertificateTransfer, rejectCertificateTransfer } from './end-transfer.ts';
import { migrations } from './migrations.ts';
import { describeCertificate, listCertificates, listOutgoingCertificates } from './operations.ts';
import { transferCertificate } from './transfer-certificate.ts';
import { updateCertificate } from './update-certificate.ts';

const certificateId = 'c'.repeat(64);
const target = otherAccount.accountId;
const third = { accountId: '222222222222', region: 'us-east-1' };
const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';

const insert = (
  { call, store }: Pick<TestCall, 'call' | 'store'>,
  {
    id = certificateId,
    status = 'INACTIVE' as CertificateStatus,
    certificateMode = 'DEFAULT' as CertificateMode,
    account = testAccount,
  } = {},
) =>
  store.write((db) =>
    insertCertificate(db, account, {
      certificateId: id,
      status,
      certificateMode,
      pem: 'not looked at here',
      caCertificateId: 'a'.repeat(64),
      generationId: 'one',
      createdAtMs: call.now(),
      notBeforeMs: 0,
      notAfterMs: testStartMs * 2,
    }),
  );
/** A certificate of `source`, which `owner` shall get; a minute passes between steps. */
const start = async (t: TestContext, options: Parameters<typeof insert>[1] = {}) => {
  const made = await makeCall(t, { features: [{ name: 'certificates', migrations }, things(), policies()] });
  await insert(made, options);
  made.advance(60_000);
  return { ...made, source: made.call, target: made.callAs(otherAccount), stranger: made.callAs(third) };
};
const send = (call: Call, input: Partial<Parameters<typeof transferCertificate>[0]> = {}) =>
  transferCertificate({ certificateId, targetAwsAccount: target, ...input }, call);
const describe = async (call: Call, id = certificateId) =>
  (await describeCertificate({ certificateId: id }, call)).certificateDescription ?? assert.fail();
const idsOf = async (call: Call) =>
  ((await listCertificates({}, call)).certificates ?? []).map(({ certificateId: id, status }) => [id, status]);
const at = (minutes: number): Date => new Date(testStartMs + minutes * 60_000);

test('a transfer: the target sees it PENDING_TRANSFER, and owns it after accepting (identity.md check 29)', async (t) => {
  const { source, target: owner, advance, changes } = await start(t);
  const before = await describe(source);
  assert.deepEqual(await send(source, { transferMessage: 'for you' }), {
    transferredCertificateArn: certificateArn(otherAccount, certificateId),
  });
  assert.deepEqual(await describe(source), {
    ...before,
    status: 'PENDING_TRANSFER',
    customerVersion: 2,
    lastModifiedDate: at(1),
    transferData: { transferMessage: 'for you', transferDate: at(1) },
  });
  assert.deepEqual(await idsOf(owner), [[certificateId, 'PENDING_TRANSFER']]);
  const seen = await describe(owner);
  assert.deepEqual(
    [seen.ownedBy, seen.status, seen.certificateArn],
    [testAccount.accountId, 'PENDING_TRANSFER', certificateArn(otherAccount, certificateId)],
  );
  assert.deepEqual(await listOutgoingCertificates({}, source), {
    outgoingCertificates: [
      {
        certificateArn: certificateArn(testAccount, certificateId),
        certificateId,
        transferredTo: target,
        transferDate: at(1),
        transferMessage: 'for you',
        creationDate: at(0),
      },
    ],
  });
  assert.deepEqual(await listOutgoingCertificates({}, owner), { outgoingCertificates: [] });

  advance(60_000);
  assert.deepEqual(await acceptCertificateTransfer({ certificateId: certificateId.toUpperCase() }, owner), {});
  assert.deepEqual(await describe(owner), {
    ...before,
    certificateArn: certificateArn(otherAccount, certificateId),
    ownedBy: target,
    previousOwnedBy: testAccount.accountId,
    customerVersion: 3,
    lastModifiedDate: at(2),
    transferData: { transferMessage: 'for you', transferDate: at(1), acceptDate: at(2) },
  });
  assert.deepEqual(
    [await idsOf(source), await listOutgoingCertificates({}, source)],
    [[], { outgoingCertificates: [] }],
  );
  assert.deepEqual(
    changes.map(({ account, kind, id }) => [account.accountId, kind, id]),
    [
      [testAccount.accountId, 'certificate', certificateId],
      [target, 'certificate', certificateId],
    ],
  );
  await assert.rejects(describe(source), fails('ResourceNotFoundException'));
});

test('setAsActive makes an accepted certificate ACTIVE at once (identity 2.6)', async (t) => {
  const { source, target: owner } = await start(t);
  await send(source);
  await acceptCertificateTransfer({ certificateId, setAsActive: true }, owner);
  assert.equal((await describe(owner)).status, 'ACTIVE');
});

test('a rejected certificate is back, INACTIVE, with the reason, and gone from the target (identity 2.6)', async (t) => {
  const { source, target: owner, advance } = await start(t);
  await send(source);
  advance(60_000);
  assert.deepEqual(await rejectCertificateTransfer({ certificateId, rejectReason: 'not mine' }, owner), {});
  const { status, ownedBy, customerVersion, transferData } = await describe(source);
  assert.deepEqual([status, ownedBy, customerVersion], ['INACTIVE', testAccount.accountId, 3]);
  assert.deepEqual(transferData, { transferDate: at(1), rejectDate: at(2), rejectReason: 'not mine' });
  assert.deepEqual(await idsOf(owner), []);
  // the next transfer begins anew
  advance(60_000);
  await send(source, { targetAwsAccount: third.accountId });
  assert.deepEqual((await describe(source)).transferData, { transferDate: at(3) });
});

test('a cancelled transfer leaves nothing but a new customerVersion (identity 2.6)', async (t) => {
  const { source, target: owner } = await start(t);
  await send(source);
  assert.deepEqual(await cancelCertificateTransfer({ certificateId }, source), {});
  const { status, customerVersion, transferData } = await describe(source);
  assert.deepEqual([status, customerVersion, transferData], ['INACTIVE', 3, {}]);
  assert.deepEqual(await idsOf(owner), []);
  await assert.rejects(acceptCertificateTransfer({ certificateId }, owner), fails('ResourceNotFoundException'));
});

const enders = {
  accept: acceptCertificateTransfer,
  reject: rejectCertificateTransfer,
  cancel: cancelCertificateTransfer,
} as const;
type Ender = keyof typeof enders;
const ends = Object.keys(enders) as Ender[];

test('after an accepted or rejected transfer every end of it is TransferAlreadyCompletedException (identity.md check 30)', async (t) => {
  for (const first of ['accept', 'reject'] as const) {
    const { source, target: owner } = await start(t);
    await send(source);
    await enders[first]({ certificateId }, owner);
    for (const end of ends) {
      for (const call of [source, owner]) {
        await assert.rejects(enders[end]({ certificateId }, call), fails('TransferAlreadyCompletedException'));
      }
    }
  }
});

test('only the target accepts or rejects, and only the source cancels; for anyone else there is no such certificate', async (t) => {
  const { source, target: owner, stranger, callAs } = await start(t);
  const nothing = fails('InvalidRequestException', /not being transferred by this account/);
  await assert.rejects(cancelCertificateTransfer({ certificateId }, source), nothing);
  await send(source);
  const mine = fails('InvalidRequestException', /not being transferred to this account/);
  await assert.rejects(acceptCertificateTransfer({ certificateId }, source), mine);
  await assert.rejects(rejectCertificateTransfer({ certificateId }, source), mine);
  await assert.rejects(cancelCertificateTransfer({ certificateId }, owner), nothing);
  for (const call of [stranger, callAs({ ...otherAccount, region: 'eu-west-1' })]) {
    for (const end of ends) {
      await assert.rejects(enders[end]({ certificateId }, call), fails('ResourceNotFoundException'));
    }
  }
  assert.equal((await describe(source)).status, 'PENDING_TRANSFER');
});

const refused: [what: string, options: Parameters<typeof insert>[1], fault: FaultName][] = [
  ['an ACTIVE certificate', { status: 'ACTIVE' }, 'CertificateStateException'],
  ['a REVOKED certificate', { status: 'REVOKED' }, 'CertificateStateException'],
  ['a certificate PENDING_ACTIVATION', { status: 'PENDING_ACTIVATION' }, 'CertificateStateException'],
  ['a certificate in SNI_ONLY mode', { certificateMode: 'SNI_ONLY' }, 'InvalidRequestException'],
  ['a certificate of another account', { account: third }, 'ResourceNotFoundException'],
];
for (const [what, options, fault] of refused) {
  test(`${what} is not transferred: ${fault} (identity 2.6)`, async (t) => {
    const { source, target: owner } = await start(t, options);
    await assert.rejects(send(source), fails(fault));
    assert.deepEqual(await idsOf(owner), []);
  });
}

test('nor to its own account, nor twice, nor to an account that has it: nothing is changed (identity 2.6)', async (t) => {
  const made = await start(t);
  const { source, target: owner } = made;
  const own = send(source, { targetAwsAccount: testAccount.accountId });
  await assert.rejects(own, fails('InvalidRequestException', /own account/));
  await insert(made, { account: otherAccount, certificateMode: 'SNI_ONLY' });
  await assert.rejects(send(source), fails('InvalidRequestException', /cannot be transferred to this account/));
  assert.equal((await describe(source)).status, 'INACTIVE');
  assert.deepEqual(await idsOf(owner), [[certificateId, 'INACTIVE']]);
  await send(source, { targetAwsAccount: third.accountId });
  const again = send(source, { targetAwsAccount: third.accountId });
  await assert.rejects(again, fails('CertificateStateException', /PENDING_TRANSFER/));
});

test('what is attached must be detached first: TransferConflictException (identity.md check 31)', async (t) => {
  const { source } = await start(t);
  const principal = certificateArn(testAccount, certificateId);
  await createPolicy({ policyName: 'p', policyDocument }, source);
  await attachPolicy({ policyName: 'p', target: principal }, source);
  await assert.rejects(send(source), fails('TransferConflictException', /Policies must be detached/));
  await createThing({ thingName: 't' }, source);
  await attachThingPrincipal({ thingName: 't', principal }, source);
  await assert.rejects(send(source), fails('TransferConflictException', /Things must be detached/));
  assert.equal((await describe(source)).status, 'INACTIVE');
});

test('while it waits nobody attaches anything to it, changes its status or deletes it, in either account', async (t) => {
  const { source, target: owner } = await start(t);
  await send(source);
  for (const call of [source, owner]) {
    const principal = certificateArn(call.account, certificateId);
    await createPolicy({ policyName: 'p', policyDocument }, call);
    await createThing({ thingName: 't' }, call);
    const waits = fails('InvalidRequestException', /is being transferred/);
    await assert.rejects(attachPolicy({ policyName: 'p', target: principal }, call), waits);
    await assert.rejects(attachThingPrincipal({ thingName: 't', principal }, call), waits);
    const state = fails('CertificateStateException');
    await assert.rejects(updateCertificate({ certificateId, newStatus: 'ACTIVE' }, call), state);
    await assert.rejects(deleteCertificate({ certificateId, forceDelete: true }, call), state);
  }
});

test('while it waits its source holds it in DEFAULT mode, and nobody else can; afterwards the target does (identity 2.3)', async (t) => {
  const made = await start(t);
  const { source, target: owner, store } = made;
  const holders = () => findHoldersOfCertificate(store.db, 'us-east-1', certificateId);
  await send(source);
  assert.deepEqual(await holders(), [{ account: testAccount, certificateMode: 'DEFAULT' }]);
  assert.equal(await insert(made, { account: third }), false);
  await acceptCertificateTransfer({ certificateId }, owner);
  assert.deepEqual(await holders(), [{ account: otherAccount, certificateMode: 'DEFAULT' }]);
  assert.equal(await insert(made, { account: third }), false);
  assert.equal(await insert(made, { account: testAccount }), false);
  assert.equal(await insert(made, { account: testAccount, certificateMode: 'SNI_ONLY' }), true);
});

test('a certificate goes on to the next account, and back', async (t) => {
  const { source, target: owner, stranger } = await start(t);
  const path = [source, owner, stranger, source];
  for (const [index, from] of path.slice(0, -1).entries()) {
    const to = path[index + 1] ?? assert.fail();
    await send(from, { targetAwsAccount: to.account.accountId });
    await acceptCertificateTransfer({ certificateId }, to);
    const { ownedBy, previousOwnedBy } = await describe(to);
    assert.deepEqual([ownedBy, previousOwnedBy], [to.account.accountId, from.account.accountId]);
    assert.deepEqual(await idsOf(from), []);
  }
});

test('ends that come at once: one of them is done (identity 2.6)', async (t) => {
  for (let round = 0; round < 5; round++) {
    const { source, target: owner } = await start(t);
    await send(source);
    const outcomes = await Promise.allSettled([
      acceptCertificateTransfer({ certificateId }, owner),
      rejectCertificateTransfer({ certificateId }, owner),
      cancelCertificateTransfer({ certificateId }, source),
      acceptCertificateTransfer({ certificateId }, owner),
    ]);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, JSON.stringify(outcomes));
    for (const outcome of outcomes) if (outcome.status === 'rejected') assert(outcome.reason instanceof Fault);
    assert.equal((await idsOf(source)).length + (await idsOf(owner)).length, 1);
  }
});

test('a transfer and an attachment that come at once: one of them is done', async (t) => {
  for (let round = 0; round < 5; round++) {
    const { source } = await start(t);
    await createPolicy({ policyName: 'p', policyDocument }, source);
    const principal = certificateArn(testAccount, certificateId);
    const outcomes = await Promise.allSettled([
      send(source),
      attachPolicy({ policyName: 'p', target: principal }, source),
    ]);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, JSON.stringify(outcomes));
  }
});

test('outgoing certificates come by creation, page by page (identity 1.2, 2.6)', async (t) => {
  const made = await start(t);
  const { source, advance } = made;
  const ids = ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(64));
  for (const [index, id] of ids.entries()) {
    await insert(made, { id });
    if (index % 2) advance(1);
  }
  for (const id of ids) await send(source, { certificateId: id });
  const all = async (ascendingOrder: boolean) => {
    const found: (string | undefined)[] = [];
    let marker: string | undefined;
    do {
      const page = await listOutgoingCertificates({ pageSize: 2, ascendingOrder, ...(marker && { marker }) }, source);
      found.push(...(page.outgoingCertificates ?? []).map(({ certificateId: id }) => id));
      marker = page.nextMarker;
    } while (marker !== undefined);
    return found;
  };
  assert.deepEqual(await all(true), ids);
  assert.deepEqual(await all(false), ids.toReversed());
  const foreign = listOutgoingCertificates({ marker: source.sealMarker('x') }, source);
  await assert.rejects(foreign, fails('InvalidRequestException'));
});
