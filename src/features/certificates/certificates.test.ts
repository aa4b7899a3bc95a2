import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeCall, makeFolder, otherAccount, type TestCall, testAccount, testStartMs } from '../../../test/call.ts';
import { openssl, version1Id, version1Pem } from '../../../test/openssl.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call, Feature, Holder } from '../../feature.ts';
import { keyIdentifierOf, keySigner } from '../../pki/build.ts';
import { deviceIssuance, deviceIssuerNameDer } from '../../pki/issue.ts';
import { createKeyPool, KeyPoolExhausted } from '../../pki/key-pool.ts';
import { type CertificateStatus, findCertificate, findHoldersOfCertificate, insertCertificate } from './certificate.ts';
import { certificates } from './feature.ts';

const ca = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const issue = deviceIssuance({
  nameDer: deviceIssuerNameDer,
  keyIdentifier: keyIdentifierOf(ca.publicKey.export({ type: 'spki', format: 'der' })),
  keyKind: 'ec',
  sign: keySigner(ca.privateKey),
});
const pool = createKeyPool({ keyPoolMax: 0 });
const slice = certificates({ issue, takeKeyPair: pool.take });

type Iot = Operations['iot'];
/** Calls an operation of the slice as api/ does: by name, which the types of a handler table cannot follow. */
const run = async <Name extends keyof Iot>(
  name: Name,
  input: Iot[Name]['input'],
  call: Call,
  feature: Feature = slice,
) => {
  const handler = feature.operations?.iot?.[name];
  assert(handler, name);
  return handler(input as never, call) as Promise<Iot[Name]['output']>;
};

const faults = (name: FaultName, message?: RegExp | string, members?: object) => (error: unknown) => {
  assert(error instanceof Fault, String(error));
  assert.equal(error.name, name);
  if (typeof message === 'string') assert.equal(error.message, message);
  else if (message) assert.match(error.message, message);
  if (members) assert.deepEqual(error.members, members);
  return true;
};

/** What other slices hold on to, and that they let go of policies when they are told. */
const attachments = (held: Map<string, Holder[]>): Feature => ({
  name: 'attachments',
  migrations: [],
  holders: async (_db, _account, arn) => held.get(arn) ?? [],
  release: async (_db, _account, arn) => {
    held.delete(arn);
  },
});

const start = async (t: TestContext): Promise<TestCall & { held: Map<string, Holder[]> }> => {
  const held = new Map<string, Holder[]>();
  return { ...(await makeCall(t, { features: [slice, attachments(held)] })), held };
};
const arnOf = (id: string, account = testAccount) => `arn:aws:iot:${account.region}:${account.accountId}:cert/${id}`;
const describe = async (certificateId: string, call: Call) =>
  (await run('DescribeCertificate', { certificateId }, call)).certificateDescription ?? assert.fail();
const register = (call: Call, input: Partial<Iot['RegisterCertificateWithoutCA']['input']> = {}) =>
  run('RegisterCertificateWithoutCA', { certificatePem: version1Pem, ...input }, call);
const makeCsr = async (t: TestContext, curve = 'prime256v1'): Promise<string> => {
  const folder = await makeFolder(t);
  await openssl(folder, 'ecparam', '-genkey', '-name', curve, '-noout', '-out', 'key.pem');
  await openssl(folder, 'req', '-new', '-key', 'key.pem', '-subj', '/O=Acme/CN=dev1', '-out', 'request.csr');
  return readFile(join(folder, 'request.csr'), 'utf8');
};

test('CreateKeysAndCertificate: INACTIVE, DEFAULT, version 1, until the end of 2049, and keys that fit (identity.md check 3, 4)', async (t) => {
  const { call, changes, store } = await start(t);
  const made = await run('CreateKeysAndCertificate', {}, call);
  const certificateId = made.certificateId ?? '';
  assert.equal(made.certificateArn, arnOf(certificateId));
  const x509 = new X509Certificate(made.certificatePem ?? '');
  assert.equal(x509.fingerprint256.replaceAll(':', '').toLowerCase(), certificateId);
  assert.equal(
    createPublicKey(made.keyPair?.PrivateKey ?? '').export({ type: 'spki', format: 'pem' }),
    made.keyPair?.PublicKey,
  );
  assert(x509.publicKey.equals(createPublicKey(made.keyPair?.PublicKey ?? '')));

  const { generationId, ...description } = await describe(certificateId, call);
  assert.match(generationId ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual(description, {
    certificateArn: arnOf(certificateId),
    certificateId,
    caCertificateId: undefined,
    status: 'INACTIVE',
    certificatePem: made.certificatePem,
    ownedBy: testAccount.accountId,
    previousOwnedBy: undefined,
    creationDate: new Date(testStartMs),
    lastModifiedDate: new Date(testStartMs),
    customerVersion: 1,
    transferData: {},
    validity: { notBefore: new Date(testStartMs - 120_000), notAfter: new Date(2_524_607_999_000) },
    certificateMode: 'DEFAULT',
  });
  assert.deepEqual(changes, [{ account: testAccount, kind: 'certificate', id: certificateId }]);
  const rows = await store.db.selectFrom('certificates').selectAll().execute();
  assert.doesNotMatch(JSON.stringify(rows), /PRIVATE KEY/);
});

test('setAsActive makes it ACTIVE, for keys and for a signing request', async (t) => {
  const { call } = await start(t);
  const keys = await run('CreateKeysAndCertificate', { setAsActive: true }, call);
  const csr = await run(
    'CreateCertificateFromCsr',
    { certificateSigningRequest: await makeCsr(t), setAsActive: true },
    call,
  );
  assert.equal((await describe(keys.certificateId ?? '', call)).status, 'ACTIVE');
  assert.equal((await describe(csr.certificateId ?? '', call)).status, 'ACTIVE');
});

test('CreateCertificateFromCsr certifies the key and subject of the request, anew each time (identity.md check 6)', async (t) => {
  const { call } = await start(t);
  const certificateSigningRequest = await makeCsr(t);
  const one = await run('CreateCertificateFromCsr', { certificateSigningRequest }, call);
  const two = await run('CreateCertificateFromCsr', { certificateSigningRequest }, call);
  assert.notEqual(one.certificateId, two.certificateId);
  const [a, b] = [one, two].map(({ certificatePem = '' }) => new X509Certificate(certificatePem));
  assert.equal(a?.subject, 'O=Acme\nCN=dev1');
  assert.equal(a?.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert(b && a?.publicKey.equals(b.publicKey));
});

test('a bad or weak signing request is InvalidRequestException (identity.md check 7; 2.3)', async (t) => {
  const { call } = await start(t);
  for (const certificateSigningRequest of ['hello', version1Pem, await makeCsr(t, 'secp256k1')]) {
    await assert.rejects(
      run('CreateCertificateFromCsr', { certificateSigningRequest }, call),
      faults('InvalidRequestException'),
    );
  }
  assert.deepEqual((await run('ListCertificates', {}, call)).certificates, []);
});

test('too many who wait for keys is ThrottlingException; another failure of the pool is not hidden (issue 2, PKI)', async (t) => {
  const { call } = await start(t);
  const failing = (error: Error) => certificates({ issue, takeKeyPair: () => Promise.reject(error) });
  const attempt = (error: Error) => run('CreateKeysAndCertificate', {}, call, failing(error));
  await assert.rejects(attempt(new KeyPoolExhausted('full')), faults('ThrottlingException'));
  await assert.rejects(attempt(new Error('no entropy')), /no entropy/);
});

test('a version 1 certificate is registered without its CA: INACTIVE and SNI_ONLY (identity.md check 8, 9, 10)', async (t) => {
  const { call, callAs, changes } = await start(t);
  const answer = await register(call);
  assert.deepEqual(answer, { certificateArn: arnOf(version1Id), certificateId: version1Id });
  const description = await describe(version1Id, call);
  assert.equal(description.status, 'INACTIVE');
  assert.equal(description.certificateMode, 'SNI_ONLY');
  assert.equal(description.certificatePem, version1Pem);
  assert.equal(changes.length, 1);
  await assert.rejects(
    register(call, { status: 'ACTIVE' }),
    faults('ResourceAlreadyExistsException', 'The certificate is already provisioned or registered', {
      resourceId: version1Id,
      resourceArn: arnOf(version1Id),
    }),
  );
  assert.equal((await describe(version1Id, call)).status, 'INACTIVE');
  await register(callAs(otherAccount), { status: 'ACTIVE' });
  await register(callAs({ ...testAccount, region: 'eu-west-1' }));
  assert.equal((await describe(version1Id, call)).status, 'INACTIVE');
  assert.equal((await describe(version1Id, callAs(otherAccount))).status, 'ACTIVE');
});

const initial: [status: string | undefined, outcome: CertificateStatus | FaultName][] = [
  [undefined, 'INACTIVE'],
  ['ACTIVE', 'ACTIVE'],
  ['INACTIVE', 'INACTIVE'],
  ['REVOKED', 'REVOKED'],
  ['PENDING_TRANSFER', 'CertificateStateException'],
  ['PENDING_ACTIVATION', 'CertificateStateException'],
  ['REGISTER_INACTIVE', 'CertificateStateException'],
];
for (const [status, outcome] of initial) {
  test(`registered without CA with status ${status}: ${outcome} (identity.md check 11; 2.3)`, async (t) => {
    const { call } = await start(t);
    // a value that the type does not know cannot come through the API's own checks; the enum's values can
    const registered = register(call, status === undefined ? {} : { status: status as CertificateStatus });
    if (outcome.endsWith('Exception')) {
      await assert.rejects(registered, faults('CertificateStateException'));
      await assert.rejects(describe(version1Id, call), faults('ResourceNotFoundException'));
    } else {
      await registered;
      assert.equal((await describe(version1Id, call)).status, outcome);
    }
  });
}

test('what is no certificate, or outside its validity, is CertificateValidationException (identity.md check 12)', async (t) => {
  const { call, advance } = await start(t);
  const invalid = (sentence: RegExp) => faults('CertificateValidationException', sentence);
  await assert.rejects(register(call, { certificatePem: 'hello' }), invalid(/no readable PEM block/));
  advance(100 * 365.25 * 24 * 60 * 60 * 1000);
  await assert.rejects(register(call), invalid(/expired on 2125-01-01/));
  advance(-200 * 365.25 * 24 * 60 * 60 * 1000);
  await assert.rejects(register(call), invalid(/not valid before 2025-01-01/));
});

const statuses: CertificateStatus[] = ['ACTIVE', 'INACTIVE', 'REVOKED', 'PENDING_TRANSFER', 'PENDING_ACTIVATION'];
/** From, then the outcome for each of `ACTIVE INACTIVE REVOKED`: `+` a change, `=` stays as it is, `-` CertificateStateException. */
const transitions: [from: CertificateStatus, outcomes: string][] = [
  ['ACTIVE', '=++'],
  ['INACTIVE', '+=+'],
  ['REVOKED', '--='],
  ['PENDING_TRANSFER', '---'],
  ['PENDING_ACTIVATION', '+++'],
];
const insertWith = (test: TestCall, status: CertificateStatus) =>
  test.store.write((db) =>
    insertCertificate(db, testAccount, {
      certificateId: version1Id,
      status,
      certificateMode: 'DEFAULT',
      pem: version1Pem,
      generationId: 'g',
      createdAtMs: testStartMs,
      notBeforeMs: 0,
      notAfterMs: 1,
    }),
  );
for (const [from, outcomes] of transitions) {
  for (const [index, to] of (['ACTIVE', 'INACTIVE', 'REVOKED'] as const).entries()) {
    const outcome = outcomes[index];
    test(`UpdateCertificate ${from} -> ${to}: ${outcome} (identity.md check 28; 2.4)`, async (t) => {
      const context = await start(t);
      const { call, changes, advance } = context;
      await insertWith(context, from);
      advance(5000);
      const update = run('UpdateCertificate', { certificateId: version1Id, newStatus: to }, call);
      if (outcome === '-') await assert.rejects(update, faults('CertificateStateException'));
      else assert.deepEqual(await update, {});
      const { status, customerVersion, lastModifiedDate } = await describe(version1Id, call);
      const changed = outcome === '+';
      assert.deepEqual(
        [status, customerVersion, lastModifiedDate?.getTime(), changes.length],
        [changed ? to : from, changed ? 2 : 1, changed ? testStartMs + 5000 : testStartMs, changed ? 1 : 0],
      );
    });
  }
}

test('no one may set a pending or the deprecated status, whatever the certificate (identity.md check 27; 2.4)', async (t) => {
  const context = await start(t);
  await insertWith(context, 'ACTIVE');
  for (const newStatus of ['PENDING_TRANSFER', 'PENDING_ACTIVATION', 'REGISTER_INACTIVE'] as const) {
    for (const certificateId of [version1Id, 'f'.repeat(64)]) {
      await assert.rejects(
        run('UpdateCertificate', { certificateId, newStatus }, context.call),
        faults('InvalidRequestException'),
      );
    }
  }
});

test('a certificate that this account does not hold is ResourceNotFoundException everywhere', async (t) => {
  const { call, callAs } = await start(t);
  await register(callAs(otherAccount));
  const certificateId = version1Id;
  const unknown = faults('ResourceNotFoundException', `The certificate ${version1Id} does not exist`);
  await assert.rejects(run('DescribeCertificate', { certificateId }, call), unknown);
  await assert.rejects(run('UpdateCertificate', { certificateId, newStatus: 'ACTIVE' }, call), unknown);
  await assert.rejects(run('DeleteCertificate', { certificateId, forceDelete: true }, call), unknown);
  assert.deepEqual((await run('ListCertificates', {}, call)).certificates, []);
});

const thing: Holder = { kind: 'thing', name: 'dev1' };
const policy: Holder = { kind: 'policy', name: 'AllowAll' };
const thingsFirst = `Things must be detached before deletion (arn: ${arnOf(version1Id)})`;
const policiesFirst = `Certificate policies must be detached before deletion (arn: ${arnOf(version1Id)})`;
const deletions: [status: CertificateStatus, held: Holder[], force: boolean, outcome: 'gone' | [FaultName, string]][] =
  [
    ['INACTIVE', [], false, 'gone'],
    ['REVOKED', [], false, 'gone'],
    ['PENDING_ACTIVATION', [], false, 'gone'],
    [
      'ACTIVE',
      [],
      true,
      ['CertificateStateException', `Certificate must be deactivated (not ACTIVE) before deletion. Id: ${version1Id}`],
    ],
    [
      'ACTIVE',
      [thing, policy],
      true,
      ['CertificateStateException', `Certificate must be deactivated (not ACTIVE) before deletion. Id: ${version1Id}`],
    ],
    [
      'PENDING_TRANSFER',
      [thing],
      true,
      ['CertificateStateException', `Certificate transfer must be ended before deletion. Id: ${version1Id}`],
    ],
    ['INACTIVE', [policy, thing], false, ['DeleteConflictException', thingsFirst]],
    ['INACTIVE', [thing], true, ['DeleteConflictException', thingsFirst]],
    ['INACTIVE', [policy], false, ['DeleteConflictException', policiesFirst]],
    ['INACTIVE', [policy], true, 'gone'],
    ['REVOKED', [policy], true, 'gone'],
  ];
for (const [status, holders, forceDelete, outcome] of deletions) {
  const holding = holders.map(({ kind }) => kind).join(' and ') || 'nothing';
  const result = outcome === 'gone' ? outcome : outcome[0];
  test(`DeleteCertificate ${status}, held by ${holding}${forceDelete ? ', by force' : ''}: ${result} (identity.md check 24; 2.5)`, async (t) => {
    const context = await start(t);
    const { call, held, changes } = context;
    await insertWith(context, status);
    held.set(arnOf(version1Id), holders);
    const deletion = run('DeleteCertificate', { certificateId: version1Id, forceDelete }, call);
    if (outcome === 'gone') {
      assert.deepEqual(await deletion, {});
      await assert.rejects(describe(version1Id, call), faults('ResourceNotFoundException'));
      assert.deepEqual(held.get(arnOf(version1Id)) ?? [], []);
      assert.deepEqual(changes, [{ account: testAccount, kind: 'certificate', id: version1Id }]);
    } else {
      await assert.rejects(deletion, faults(...outcome));
      assert.equal((await describe(version1Id, call)).status, status);
      assert.deepEqual(held.get(arnOf(version1Id)), holders);
      assert.deepEqual(changes, []);
    }
  });
}

test('after deletion the same certificate can be registered again, as a new generation', async (t) => {
  const { call } = await start(t);
  await register(call);
  const before = await describe(version1Id, call);
  await run('DeleteCertificate', { certificateId: version1Id.toUpperCase() }, call);
  await register(call);
  assert.notEqual((await describe(version1Id, call)).generationId, before.generationId);
});

test('ListCertificates: newest first, 25 a page, opaque markers of standard base64 (identity.md check 39; 1.2)', async (t) => {
  const { call, callAs, store, advance } = await start(t);
  const ids: string[] = [];
  const insertNext = () => {
    const certificateId = ids.length.toString(16).padStart(64, '0');
    ids.push(certificateId);
    return store.write((db) =>
      insertCertificate(db, testAccount, {
        certificateId,
        status: 'INACTIVE',
        certificateMode: 'DEFAULT',
        pem: '',
        generationId: 'g',
        createdAtMs: call.now(),
        notBeforeMs: 0,
        notAfterMs: 1,
      }),
    );
  };
  // three of each millisecond, so that pages end among equals
  while (ids.length < 30) {
    await insertNext();
    if (ids.length % 3 === 0) advance(1);
  }
  const list = (input: Iot['ListCertificates']['input']) => run('ListCertificates', input, call);
  const all = async (input: Iot['ListCertificates']['input']) => {
    const found: (string | undefined)[] = [];
    let marker: string | undefined;
    do {
      const page = await list(marker === undefined ? input : { ...input, marker });
      found.push(...(page.certificates ?? []).map(({ certificateId }) => certificateId));
      marker = page.nextMarker;
    } while (marker !== undefined);
    return found;
  };

  const first = await list({});
  assert.equal(first.certificates?.length, 25);
  assert.match(first.nextMarker ?? '', /^[A-Za-z0-9+/]+={0,2}$/);
  assert.deepEqual(first.certificates?.[0], {
    certificateArn: arnOf(ids[29] ?? ''),
    certificateId: ids[29],
    status: 'INACTIVE',
    certificateMode: 'DEFAULT',
    creationDate: new Date(testStartMs + 9),
  });
  assert.deepEqual(await all({}), ids.toReversed());
  assert.deepEqual(await all({ pageSize: 7 }), ids.toReversed());
  assert.deepEqual(await all({ pageSize: 1, ascendingOrder: true }), ids);
  assert.deepEqual(await all({ pageSize: 250, ascendingOrder: true }), ids);
  assert(!('nextMarker' in (await list({ pageSize: 30 }))));

  const marker = first.nextMarker ?? '';
  for (const call of [callAs(otherAccount), callAs({ ...testAccount, region: 'eu-west-1' })]) {
    await assert.rejects(run('ListCertificates', { marker }, call), faults('InvalidRequestException'));
  }
  await assert.rejects(list({ marker: call.sealMarker('by-name') }), faults('InvalidRequestException'));
});

test('per region at most one account holds a certificate in DEFAULT mode, and it is found first (identity 2.3)', async (t) => {
  const { store } = await start(t);
  const third = { accountId: '222222222222', region: 'us-east-1' };
  const elsewhere = { ...otherAccount, region: 'eu-west-1' };
  const insert = (account: typeof testAccount, certificateMode: 'DEFAULT' | 'SNI_ONLY') =>
    store.write((db) =>
      insertCertificate(db, account, {
        certificateId: version1Id,
        status: 'ACTIVE',
        certificateMode,
        pem: '',
        generationId: 'g',
        createdAtMs: 0,
        notBeforeMs: 0,
        notAfterMs: 1,
      }),
    );
  assert.equal(await insert(testAccount, 'SNI_ONLY'), true);
  assert.equal(await insert(otherAccount, 'DEFAULT'), true);
  assert.equal(await insert(third, 'DEFAULT'), false);
  assert.equal(await insert(testAccount, 'DEFAULT'), false);
  assert.equal(await insert(third, 'SNI_ONLY'), true);
  assert.equal(await insert(elsewhere, 'DEFAULT'), true);
  assert.deepEqual(await findHoldersOfCertificate(store.db, 'us-east-1', version1Id), [
    { account: otherAccount, certificateMode: 'DEFAULT' },
    { account: testAccount, certificateMode: 'SNI_ONLY' },
    { account: third, certificateMode: 'SNI_ONLY' },
  ]);
  assert.deepEqual(await findHoldersOfCertificate(store.db, 'us-east-1', 'f'.repeat(64)), []);
  assert.equal((await findCertificate(store.db, elsewhere, version1Id))?.ownedBy, elsewhere.accountId);
  assert.equal(await findCertificate(store.db, testAccount, version1Id.toUpperCase()), undefined);
});

test('statuses in the table above are all that there are', () => {
  assert.deepEqual(transitions.map(([from]) => from).toSorted(), statuses.toSorted());
});
