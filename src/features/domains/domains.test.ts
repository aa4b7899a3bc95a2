/** Domain configurations: what may be created, what is served, when it may be deleted. Source: spec identity 8, gateway 1.1. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { authorities } from '../../../test/ca.ts';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import { noteChange } from '../../bus/changes.ts';
import { FunctionFailure } from '../../functions/failure.ts';
import { createSecretBox } from '../../pki/secret-box.ts';
import { openAccounts } from '../accounts/account.ts';
import { accounts } from '../accounts/feature.ts';
import { acmArn, type CertificateMaterial, insertImported, saveMaterial } from '../acm/acm-certificate.ts';
import { migrations as acmMigrations } from '../acm/migrations.ts';
import { tags } from '../tags/feature.ts';
import { createDomainConfiguration } from './create-domain-configuration.ts';
import { isEndpointName, openEndpoints } from './endpoint.ts';
import { followAcm } from './follow-acm.ts';
import { migrations } from './migrations.ts';
import { openDomains } from './open-domains.ts';
import { deleteDomainConfiguration, describeDomainConfiguration, listDomainConfigurations } from './operations.ts';
import { updateDomainConfiguration } from './update-domain-configuration.ts';

const folder = throwAwayFolder();
const make = authorities(folder);
await make.ca('ca');
const read = (name: string) => readFile(join(folder, name), 'utf8');
/** A server certificate for these names, signed by the private CA, with its key. */
const server = async (name: string, names: readonly string[], usage = 'serverAuth') => {
  await writeFile(
    join(folder, `${name}.ext`),
    `[ext]\nextendedKeyUsage = ${usage}\nsubjectAltName = ${names.map((it) => `DNS:${it}`).join(',')}\n`,
  );
  const certificatePem = await make.leaf(name, 'ca', { extras: ['-extfile', `${name}.ext`, '-extensions', 'ext'] });
  return { certificatePem, chainPem: await read('ca.crt'), privateKeyPem: await read(`${name}.key`), names };
};
const own = await server('own', ['iot.example.com']);
const successor = await server('successor', ['iot.example.com']);
const stranger = await server('stranger', ['other.example.com']);
const wildcard = await server('wildcard', ['*.example.com']);
const greedy = await server('greedy', ['iot.greedy.example', '*.example.com', '*.greedy.example']);
const client = await server('client', ['iot.example.com'], 'clientAuth');

const dayMs = 86_400_000;
const refused = (name: FaultName, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Fault, String(error));
  assert.equal(error.name, name, error.message);
  assert.match(error.message, message);
  return true;
};

const start = async (t: TestContext, customDomainDeletionDays = 0) => {
  const box = createSecretBox(randomBytes(32));
  let nowMs = Date.now() + 60_000;
  const bed = await makeCall(t, {
    features: [accounts(), tags({}), { name: 'acm', migrations: acmMigrations }, { name: 'domains', migrations }],
    now: () => nowMs,
  });
  const { store, bus, callAs } = bed;
  const registry = openAccounts({ store, accountsMax: 10, now: Date.now });
  await registry.ensure(testAccount);
  const endpoints = openEndpoints({ domain: 'example.test', names: [], hostName: 'myhost', ...testAccount }, registry);
  const services = { endpoints, box, customDomainDeletionDays };
  const asked: unknown[] = [];
  const answers: (() => unknown)[] = [];
  const served = openDomains({
    ...{ db: store.db, bus, endpoints, box, newId: randomUUID, trouble: () => undefined },
    ownRoots: '',
    invokeFunction: async ({ event }) => {
      asked.push(event);
      return answers.shift()?.();
    },
  });
  t.after(served.close);
  const followed = followAcm({ store, bus, box, now: () => nowMs, trouble: (error) => assert.fail(String(error)) });
  t.after(followed.close);

  type Server = typeof own;
  const addCertificate = async (certificate: Server, account: AccountRegion = testAccount): Promise<string> => {
    const uuid = randomUUID();
    await store.write((db) => insertImported(db, box, account, { ...material(certificate), uuid, nowMs }));
    return acmArn(account, uuid);
  };
  const importAgain = async (arn: string, certificate: Server): Promise<void> => {
    const uuid = arn.slice(arn.lastIndexOf('/') + 1);
    await store.write((db) => saveMaterial(db, box, testAccount, { ...material(certificate), uuid, nowMs }));
    noteChange(bus, { account: testAccount, kind: 'acm', id: arn });
    await followed.idle();
  };
  /** As RequestCertificate leaves it. */
  const addIssued = async (certificate: Server, account: AccountRegion = testAccount): Promise<string> => {
    const arn = await addCertificate(certificate, account);
    await store.write((db) =>
      db
        .updateTable('acm_certificates')
        .set({ certificate_type: 'AMAZON_ISSUED' })
        .where('certificate_uuid', '=', arn.slice(arn.lastIndexOf('/') + 1))
        .execute(),
    );
    return arn;
  };
  const as = (account: AccountRegion) => {
    const call = callAs(account);
    return {
      create: (input: Parameters<ReturnType<typeof createDomainConfiguration>>[0]) =>
        createDomainConfiguration(services)(input, call),
      update: (input: Parameters<ReturnType<typeof updateDomainConfiguration>>[0]) =>
        updateDomainConfiguration(services)(input, call),
      describe: (domainConfigurationName: string) =>
        describeDomainConfiguration(services)({ domainConfigurationName }, call),
      list: (input: Parameters<typeof listDomainConfigurations>[0] = {}) => listDomainConfigurations(input, call),
      remove: (domainConfigurationName: string) =>
        deleteDomainConfiguration(services)({ domainConfigurationName }, call),
    };
  };
  /** A customer's domain with a private certificate and its proof. */
  const createOwn = async (name = 'mine', account: AccountRegion = testAccount) => {
    const serverCertificateArn = await addCertificate(own, account);
    await as(account).create({
      ...{ domainConfigurationName: name, domainName: 'iot.example.com' },
      serverCertificateArns: [serverCertificateArn],
      validationCertificateArn: await addIssued(own, account),
    });
    return serverCertificateArn;
  };
  return {
    ...as(testAccount),
    ...{
      as,
      bed,
      box,
      now: () => nowMs,
      store,
      registry,
      endpoints,
      served,
      followed,
      ...{ asked, answers },
      addCertificate,
      addIssued,
      importAgain,
      createOwn,
    },
    move(ms: number) {
      nowMs += ms;
    },
  };
};

const material = ({ certificatePem, chainPem, privateKeyPem, names }: typeof own): CertificateMaterial => ({
  ...{ certificatePem, chainPem, privateKeyPem, names, domainName: names[0] ?? '' },
  ...{ keyAlgorithm: 'EC_prime256v1', keyUsages: [], extendedKeyUsages: [], notBeforeMs: 0, notAfterMs: 0 },
});

test('a domain of the customer is served from its creation on, with its certificate, and described with all members', async (t) => {
  const { createOwn, served, describe } = await start(t);
  assert.deepEqual(await served.resolve('iot.example.com'), { kind: 'unknown' });
  const arn = await createOwn();
  const resolution = await served.resolve('IOT.example.com.');
  assert.ok(resolution.kind === 'account' && resolution.domain?.certificate);
  assert.deepEqual(resolution.account, testAccount);
  assert.equal(resolution.domain.certificate.chainPem, own.certificatePem + own.chainPem);
  assert.equal(resolution.domain.certificate.privateKeyPem.trim(), own.privateKeyPem.trim());
  assert.equal(served.resolve('iot.example.com'), resolution, 'from memory, without a promise');
  const { domainConfigurationArn, lastStatusChangeDate, ...described } = await describe('mine');
  assert.match(
    domainConfigurationArn ?? '',
    /^arn:aws:iot:us-east-1:000000000000:domainconfiguration\/mine\/[a-z0-9]{5}$/,
  );
  assert.ok(lastStatusChangeDate);
  assert.deepEqual(described, {
    domainConfigurationName: 'mine',
    domainName: 'iot.example.com',
    serverCertificates: [{ serverCertificateArn: arn, serverCertificateStatus: 'VALID' }],
    domainConfigurationStatus: 'ENABLED',
    serviceType: 'DATA',
    domainType: 'CUSTOMER_MANAGED',
    tlsConfig: { securityPolicy: 'IoTSecurityPolicy_TLS13_1_2_2022_10' },
    ...{ authenticationType: 'DEFAULT', applicationProtocol: 'DEFAULT' },
  });
});

test('a name of ours is made up, under the domain of the endpoints, and served', async (t) => {
  const { create, describe, served } = await start(t);
  await create({ domainConfigurationName: 'managed' });
  const { domainName = '', domainType, serverCertificates } = await describe('managed');
  assert.match(domainName, /^d[a-z0-9]{20}-ats\.iot\.us-east-1\.example\.test$/);
  assert.deepEqual([domainType, serverCertificates], ['AWS_MANAGED', []]);
  const resolution = await served.resolve(domainName);
  assert.ok(resolution.kind === 'account' && resolution.domain && !resolution.domain.certificate);
});

test('identity.md check 41: a certificate without serverAuth is refused for a domain', async (t) => {
  const { create, addCertificate, addIssued, served } = await start(t);
  const serverCertificateArns = [await addCertificate(client)];
  await assert.rejects(
    create({
      ...{ domainConfigurationName: 'mine', domainName: 'iot.example.com', serverCertificateArns },
      validationCertificateArn: await addIssued(own),
    }),
    refused('CertificateValidationException', /serverAuth/),
  );
  assert.deepEqual(await served.resolve('iot.example.com'), { kind: 'unknown' });
});

test('identity.md check 42: a private certificate needs one that ACM has issued for the domain', async (t) => {
  const { create, describe, addCertificate, addIssued } = await start(t);
  const input = {
    ...{ domainConfigurationName: 'mine', domainName: 'iot.example.com' },
    serverCertificateArns: [await addCertificate(own)],
  };
  await assert.rejects(create(input), refused('CertificateValidationException', /validationCertificateArn/));
  const others: [arn: string, message: RegExp][] = [
    [await addCertificate(own), /must be one that ACM has issued/],
    [await addIssued(stranger), /not for the domain/],
    [acmArn(testAccount, randomUUID()), /does not exist/],
    [await addIssued(own, otherAccount), /not in this account/],
  ];
  for (const [validationCertificateArn, message] of others) {
    await assert.rejects(create({ ...input, validationCertificateArn }), refused('InvalidRequestException', message));
  }
  await create({ ...input, validationCertificateArn: await addIssued(own) });
  const { serverCertificates, ...described } = await describe('mine');
  assert.equal(serverCertificates?.[0]?.serverCertificateStatus, 'VALID');
  assert.ok(!('validationCertificateArn' in described));
});

test('identity.md check 43: what is enabled stays; a domain of the customer goes at once, one of ours after seven days', async (t) => {
  const { create, update, remove, createOwn, move, describe } = await start(t);
  await createOwn();
  await create({ domainConfigurationName: 'managed' });
  for (const name of ['mine', 'managed']) {
    await assert.rejects(remove(name), refused('InvalidRequestException', /must be disabled/));
    await update({ domainConfigurationName: name, domainConfigurationStatus: 'DISABLED' });
  }
  await remove('mine');
  await assert.rejects(describe('mine'), refused('ResourceNotFoundException', /mine/));
  const early = /^AWS Managed Domain Configuration must be disabled for at least 7 days before it can be deleted$/;
  await assert.rejects(remove('managed'), refused('InvalidRequestException', early));
  move(6 * dayMs);
  await update({ domainConfigurationName: 'managed', domainConfigurationStatus: 'DISABLED' });
  move(dayMs);
  await assert.rejects(remove('managed'), refused('InvalidRequestException', early), 'DISABLED was written again');
  move(6 * dayMs);
  await remove('managed');
});

test('with a period for domains of customers, seed 003 holds: seven days between disabling and deleting', async (t) => {
  const { update, remove, createOwn, move } = await start(t, 7);
  await createOwn();
  await update({ domainConfigurationName: 'mine', domainConfigurationStatus: 'DISABLED' });
  await assert.rejects(remove('mine'), refused('InvalidRequestException', /^Customer Managed .* 7 days/));
  move(7 * dayMs);
  await remove('mine');
});

test('a disabled domain is refused at the door, an enabled one served again; the rest is kept', async (t) => {
  const { update, createOwn, served } = await start(t);
  await createOwn();
  await update({ domainConfigurationName: 'mine', domainConfigurationStatus: 'DISABLED' });
  const off = await served.resolve('iot.example.com');
  assert.deepEqual(off, { kind: 'disabled', account: testAccount, name: 'mine' });
  await update({
    ...{ domainConfigurationName: 'mine', domainConfigurationStatus: 'ENABLED' },
    ...{ applicationProtocol: 'SECURE_MQTT', authenticationType: 'AWS_X509' },
    tlsConfig: { securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' },
  });
  const on = await served.resolve('iot.example.com');
  assert.ok(on.kind === 'account' && on.domain?.certificate);
  const { securityPolicy, applicationProtocol, authenticationType } = on.domain;
  assert.deepEqual(
    [securityPolicy.name, applicationProtocol, authenticationType],
    ['IoTSecurityPolicy_TLS13_1_3_2022_10', 'SECURE_MQTT', 'AWS_X509'],
  );
});

test('a certificate that is imported again is served at once; a bad one is not, and the configuration says why', async (t) => {
  const { createOwn, served, importAgain, describe } = await start(t);
  const arn = await createOwn();
  const chainNow = async () => {
    const resolution = await served.resolve('iot.example.com');
    return resolution.kind === 'account' ? resolution.domain?.certificate?.chainPem : undefined;
  };
  await importAgain(arn, successor);
  assert.equal(await chainNow(), successor.certificatePem + successor.chainPem);
  await importAgain(arn, stranger);
  assert.equal(await chainNow(), successor.certificatePem + successor.chainPem);
  const [invalid] = (await describe('mine')).serverCertificates ?? [];
  assert.equal(invalid?.serverCertificateStatus, 'INVALID');
  assert.match(invalid?.serverCertificateStatusDetail ?? '', /not among the names/);
  await importAgain(arn, own);
  assert.equal(await chainNow(), own.certificatePem + own.chainPem);
  assert.equal((await describe('mine')).serverCertificates?.[0]?.serverCertificateStatus, 'VALID');
});

test('what no notice told of is found by the periodic task', async (t) => {
  const { createOwn, store, followed, describe, bed } = await start(t);
  const arn = await createOwn();
  await store.write((db) =>
    db
      .updateTable('acm_certificates')
      .set({ certificate_pem: stranger.certificatePem })
      .where('certificate_uuid', '=', arn.slice(arn.lastIndexOf('/') + 1))
      .execute(),
  );
  await followed.task.run(0);
  assert.equal((await describe('mine')).serverCertificates?.[0]?.serverCertificateStatus, 'INVALID');
  const noticed = bed.changes.filter(({ kind }) => kind === 'domain').length;
  await followed.task.run(0);
  assert.equal(bed.changes.filter(({ kind }) => kind === 'domain').length, noticed, 'nothing to say twice');
});

test('a wildcard of a private certificate keeps others from nothing that its account has not proven to be its own', async (t) => {
  const { as, addCertificate, addIssued, createOwn } = await start(t);
  const proof = { ...greedy, names: ['iot.greedy.example', '*.greedy.example'] };
  await as(otherAccount).create({
    ...{ domainConfigurationName: 'greedy', domainName: 'iot.greedy.example' },
    serverCertificateArns: [await addCertificate(greedy, otherAccount)],
    validationCertificateArn: await addIssued(proof, otherAccount),
  });
  await createOwn();
  const covered = as(testAccount).create({
    ...{ domainConfigurationName: 'covered', domainName: 'mqtt.greedy.example' },
    serverCertificateArns: [await addCertificate({ ...greedy, ...(await server('m', ['mqtt.greedy.example'])) })],
    validationCertificateArn: await addIssued({ ...greedy, names: ['mqtt.greedy.example'] }),
  });
  await assert.rejects(covered, refused('InvalidRequestException', /covered/));
});

test('a private key that does not open is told of, and keeps no other domain from its new certificate', async (t) => {
  const { store, bed, createOwn, addCertificate, addIssued, as, box, now } = await start(t);
  const broken = await createOwn();
  const [serverCertificateArn, validationCertificateArn] = [
    await addCertificate(stranger, otherAccount),
    await addIssued(stranger, otherAccount),
  ];
  await as(otherAccount).create({
    ...{ domainConfigurationName: 'other', domainName: 'other.example.com' },
    ...{ serverCertificateArns: [serverCertificateArn], validationCertificateArn },
  });
  const replace = (arn: string, columns: object) =>
    store.write((db) =>
      db
        .updateTable('acm_certificates')
        .set(columns)
        .where('certificate_uuid', '=', arn.slice(arn.lastIndexOf('/') + 1))
        .execute(),
    );
  await replace(broken, { certificate_pem: successor.certificatePem, private_key: '1.00000000.AAAA' });
  await replace(serverCertificateArn, { certificate_pem: client.certificatePem });
  const told: string[] = [];
  const trouble = (error: unknown) => told.push(String(error));
  const again = followAcm({ store, bus: bed.bus, box, now, trouble });
  t.after(again.close);
  await again.task.run(0);
  assert.deepEqual([told.length, /^SecretUnreadable: /.test(told[0] ?? '')], [1, true]);
  const { serverCertificates } = await as(otherAccount).describe('other');
  assert.match(serverCertificates?.[0]?.serverCertificateStatusDetail ?? '', /serverAuth/);
});

test("a domain is one account's in one region, and so is what a wildcard certificate covers", async (t) => {
  const { as, createOwn, addCertificate, addIssued } = await start(t);
  await createOwn();
  await assert.rejects(createOwn('again'), refused('ResourceAlreadyExistsException', /iot\.example\.com/));
  await assert.rejects(
    createOwn('mine'),
    refused('ResourceAlreadyExistsException', /^Domain configuration with given name already exists\.$/),
  );
  await assert.rejects(createOwn('theirs', otherAccount), refused('InvalidRequestException', /in use/));
  const region = { ...testAccount, region: 'eu-west-1' };
  await assert.rejects(createOwn('elsewhere', region), refused('InvalidRequestException', /in use/));
  await as(otherAccount).create({
    ...{ domainConfigurationName: 'wild', domainName: 'a.example.com' },
    serverCertificateArns: [await addCertificate(wildcard, otherAccount)],
    validationCertificateArn: await addIssued(wildcard, otherAccount),
  });
  const covered = {
    ...{ domainConfigurationName: 'other', domainName: 'other.example.com' },
    serverCertificateArns: [await addCertificate(stranger)],
    validationCertificateArn: await addIssued(stranger),
  };
  await assert.rejects(as(testAccount).create(covered), refused('InvalidRequestException', /covered/));
  await assert.rejects(as(testAccount).describe('wild'), refused('ResourceNotFoundException', /wild/));
});

const wrong: [rule: string, input: Record<string, unknown>, message: RegExp][] = [
  ['a domain of the customer without certificate', { domainName: 'iot.example.com' }, /server certificate is needed/],
  ['certificates for a name of ours', { serverCertificateArns: [acmArn(testAccount, randomUUID())] }, /domainName/],
  ['another service', { serviceType: 'JOBS' }, /JOBS/],
  ['an unknown security policy', { tlsConfig: { securityPolicy: 'Mine' } }, /security policy Mine/],
  ['a pair that does not fit', { applicationProtocol: 'MQTT_WSS', authenticationType: 'AWS_X509' }, /MQTT_WSS/],
  ['half a pair', { applicationProtocol: 'SECURE_MQTT' }, /SECURE_MQTT goes with/],
  ['custom authorizers', { applicationProtocol: 'HTTPS', authenticationType: 'CUSTOM_AUTH' }, /custom authorizers/],
  ['an authorizer', { authorizerConfig: { defaultAuthorizerName: 'mine' } }, /authorizer mine does not exist/],
  [
    "another account's function",
    { clientCertificateConfig: { clientCertificateCallbackArn: 'arn:aws:lambda:us-east-1:111111111111:function:f' } },
    /clientCertificateCallbackArn/,
  ],
];
for (const [rule, input, message] of wrong) {
  test(`${rule} is refused`, async (t) => {
    const { create } = await start(t);
    await assert.rejects(
      create({ domainConfigurationName: 'mine', ...input }),
      refused('InvalidRequestException', message),
    );
  });
}

for (const domainName of ['localhost', 'myhost', 'nodots', '192.0.2.1', 'a..b', '-a.example.com', '*.example.com']) {
  test(`${domainName} is no domain name of a customer`, async (t) => {
    const { create, addCertificate } = await start(t);
    const serverCertificateArns = [await addCertificate(own)];
    await assert.rejects(
      create({ domainConfigurationName: 'mine', domainName, serverCertificateArns }),
      refused('InvalidRequestException', /domain name/),
    );
  });
}

test('an update changes the members that are given, and an empty object gives none', async (t) => {
  const { create, update, describe } = await start(t);
  const kept = {
    tlsConfig: { securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' },
    clientCertificateConfig: { clientCertificateCallbackArn: 'arn:aws:lambda:us-east-1:000000000000:function:f' },
  };
  await create({ domainConfigurationName: 'strict', ...kept });
  await update({ domainConfigurationName: 'strict', tlsConfig: {}, clientCertificateConfig: {} });
  const { tlsConfig, clientCertificateConfig } = await describe('strict');
  assert.deepEqual({ tlsConfig, clientCertificateConfig }, kept);
});

test('no name among the endpoints is to be had: not that of an account that is here, nor of one that may come, and both are refused alike', async (t) => {
  const { create, endpoints, registry, served, store, addCertificate } = await start(t);
  const later = { accountId: '222222222222', region: 'eu-west-1' };
  await registry.ensure(otherAccount);
  const serverCertificateArns = [await addCertificate(own)];
  const messageFor = async (domainName: string): Promise<string> => {
    const domainConfigurationName = 'mine';
    const error: unknown = await create({ domainConfigurationName, domainName, serverCertificateArns }).catch(
      (it) => it,
    );
    assert.ok(refused('InvalidRequestException', /belongs to this server/)(error));
    return (error as Fault).message.replace(domainName.replace(/\.$/, ''), '<name>');
  };
  const [here, nobody] = [otherAccount, later].map((account) => Object.values(endpoints.hostNames(account)));
  const made = ['b-ats.iot.us-east-1.example.test', 'a.b.iot.eu-west-1.example.test.'];
  const messages = new Set(await Promise.all([...(here ?? []), ...(nobody ?? []), ...made].map(messageFor)));
  assert.equal(messages.size, 1);

  // what it meant before it was somebody's is not remembered, whoever asks for it first
  const name = endpoints.hostNames(later)['iot:Data-ATS'];
  assert.deepEqual(await served.resolve(name), { kind: 'unknown' });
  await registry.ensure(later);
  assert.deepEqual(await served.resolve(name), { kind: 'account', account: later });
  // a configuration from when the server had another domain
  const second = { accountId: '333333333333', region: 'us-east-1' };
  const taken = endpoints.hostNames(second)['iot:Data-ATS'];
  await create({ domainConfigurationName: 'mine' });
  await store.write((db) => db.updateTable('domain_configurations').set({ domain_name: taken }).execute());
  await registry.ensure(second);
  assert.deepEqual(await served.resolve(taken), { kind: 'account', account: second });
});

test('names beside the endpoints are for everybody', () => {
  for (const name of ['iot.us-east-1.example.test', 'x.iot.nowhere.example.test', 'x.iot.us-east-1.example.com'])
    assert.equal(isEndpointName(name, 'example.test'), false, name);
  assert.ok(isEndpointName('x.iot.us-east-1.eu.iot.example.test', 'eu.iot.example.test'));
});

test('an account has at most ten configurations of its own, and lists them by name with the default endpoints', async (t) => {
  const { create, list } = await start(t);
  const names = Array.from({ length: 10 }, (_, index) => `name-${index}`);
  for (const domainConfigurationName of names) await create({ domainConfigurationName });
  await assert.rejects(create({ domainConfigurationName: 'more' }), refused('LimitExceededException', /10/));
  const listed: unknown[] = [];
  let marker: string | undefined;
  do {
    const page = await list({ pageSize: 4, ...(marker !== undefined && { marker }) });
    listed.push(...(page.domainConfigurations ?? []).map((it) => it.domainConfigurationName));
    marker = page.nextMarker;
  } while (marker !== undefined);
  assert.deepEqual(listed, ['iot:CredentialProvider', 'iot:Data-ATS', 'iot:Jobs', ...names]);
  const { domainConfigurations } = await list({ serviceType: 'JOBS' });
  assert.deepEqual(
    domainConfigurations?.map((it) => it.domainConfigurationName),
    ['iot:Jobs'],
  );
});

test('of the default endpoints only the TLS configuration of the data endpoint changes, plain names included', async (t) => {
  const { update, describe, endpoints, served } = await start(t);
  const domainConfigurationName = 'iot:Data-ATS';
  assert.equal((await describe(domainConfigurationName)).domainType, 'ENDPOINT');
  const tlsConfig = { securityPolicy: 'IoTSecurityPolicy_TLS12_1_2_2022_10' };
  await assert.rejects(
    update({ domainConfigurationName, domainConfigurationStatus: 'DISABLED' }),
    refused('InvalidRequestException', /domainConfigurationStatus/),
  );
  await assert.rejects(
    update({ domainConfigurationName: 'iot:Jobs', tlsConfig }),
    refused('InvalidRequestException', /iot:Jobs cannot be updated/),
  );
  await update({ domainConfigurationName, tlsConfig });
  for (const name of [endpoints.hostNames(testAccount)[domainConfigurationName], 'localhost']) {
    const resolution = await served.resolve(name);
    assert.ok(resolution.kind === 'account');
    assert.equal(resolution.domain?.securityPolicy.name, tlsConfig.securityPolicy, name);
  }
});

test('the function of a configuration is asked about client certificates, and isAuthenticated true alone lets in (developer guide, "Custom client certificate validation")', async (t) => {
  const { create, served, describe, asked, answers } = await start(t);
  const clientCertificateConfig = { clientCertificateCallbackArn: 'arn:aws:lambda:us-east-1:000000000000:function:f' };
  await create({ domainConfigurationName: 'asks', clientCertificateConfig });
  const { domainName = '', clientCertificateConfig: described } = await describe('asks');
  assert.deepEqual(described, clientCertificateConfig);
  const resolution = await served.resolve(domainName);
  assert.ok(resolution.kind === 'account' && resolution.domain?.acceptsClient);
  const { acceptsClient } = resolution.domain;
  const question = { certificateId: 'c0ffee', chain: [own.certificatePem, own.chainPem], serverName: domainName };
  const expected: readonly (readonly [answer: () => unknown, accepted: boolean, detail?: string])[] = [
    [() => ({ isAuthenticated: true, more: 1 }), true],
    [() => ({ isAuthenticated: false }), false],
    ...[{ isAuthenticated: 'true' }, {}, [], true, null, 'yes'].map(
      (answer) => [() => answer, false, 'isAuthenticated of its answer is neither true nor false'] as const,
    ),
    [() => assert.fail('what it was told'), false, 'the function could not be asked'],
    [
      () => Promise.reject(new FunctionFailure('timeout', 'A sentence of ours.', 'SECRET')),
      false,
      'A sentence of ours.',
    ],
  ];
  for (const [answer, accepted, detail] of expected) {
    answers.push(answer);
    assert.deepEqual(await acceptsClient(question), { accepted, ...(detail !== undefined && { detail }) });
  }
  assert.equal(asked.length, expected.length);
  const { connectionMetadata, ...event } = asked[0] as { connectionMetadata: { id: string } };
  assert.match(connectionMetadata.id, /^[\da-f-]{36}$/);
  assert.deepEqual(event, {
    ...{ principalId: 'c0ffee', serverName: domainName },
    clientCertificateChain: [own.certificatePem, own.chainPem],
  });
});
