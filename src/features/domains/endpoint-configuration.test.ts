/** What an account has set for its default endpoints is theirs whatever the server's `--domain` is. Source: API reference, UpdateDomainConfiguration. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { Fault } from '../../aws/fault.ts';
import { createSecretBox } from '../../pki/secret-box.ts';
import { migrate } from '../../store/migrate.ts';
import { openAccounts } from '../accounts/account.ts';
import { accounts } from '../accounts/feature.ts';
import { migrations as acmMigrations } from '../acm/migrations.ts';
import { tags } from '../tags/feature.ts';
import { createDomainConfiguration } from './create-domain-configuration.ts';
import { insertDomainConfiguration } from './domain-configuration.ts';
import { hostNamesOf, openEndpoints } from './endpoint.ts';
import { getDomainConfiguration } from './endpoint-configuration.ts';
import { migrations } from './migrations.ts';
import { openDomains } from './open-domains.ts';
import { describeDomainConfiguration } from './operations.ts';
import { updateDomainConfiguration } from './update-domain-configuration.ts';

const domainConfigurationName = 'iot:Data-ATS';
const tlsConfig = { securityPolicy: 'IoTSecurityPolicy_TLS12_1_2_2022_10' };
const newHost = hostNamesOf(testAccount, 'new.test')[domainConfigurationName];

const features = [accounts(), tags({}), { name: 'acm', migrations: acmMigrations }];

const start = async (t: TestContext, domainMigrations = migrations) => {
  const box = createSecretBox(randomBytes(32));
  const { store, bus, call } = await makeCall(t, {
    features: [...features, { name: 'domains', migrations: domainMigrations }],
  });
  const registry = openAccounts({ store, accountsMax: 10, now: Date.now });
  await registry.ensure(testAccount);
  return {
    store,
    /** A node with this `--domain` over the same store. */
    under(domain: string) {
      const endpoints = openEndpoints({ domain, names: [], hostName: 'myhost', ...testAccount }, registry);
      const served = openDomains({
        ...{ db: store.db, bus, endpoints, box, newId: randomUUID, trouble: () => undefined },
        ...{ ownRoots: '', invokeFunction: async () => undefined },
      });
      t.after(served.close);
      const services = { endpoints, box };
      return {
        securityPolicyOf: async (name: string) => {
          const resolution = await served.resolve(name);
          assert.ok(resolution.kind === 'account');
          assert.deepEqual(resolution.account, testAccount);
          return resolution.domain?.securityPolicy.name;
        },
        described: () => describeDomainConfiguration(services)({ domainConfigurationName }, call),
        update: (policy = tlsConfig) =>
          updateDomainConfiguration(services)({ domainConfigurationName, tlsConfig: policy }, call),
        create: (name: string) => createDomainConfiguration(services)({ domainConfigurationName: name }, call),
      };
    },
  };
};

test('another --domain leaves the security policy of the data endpoint as it was set, and names it anew', async (t) => {
  const { under } = await start(t);
  await under('old.test').update();
  const node = under('new.test');
  assert.equal(await node.securityPolicyOf(newHost), tlsConfig.securityPolicy);
  assert.equal(await node.securityPolicyOf('localhost'), tlsConfig.securityPolicy, 'plain names stand for it');
  const jobs = hostNamesOf(testAccount, 'new.test')['iot:Jobs'];
  assert.equal(await node.securityPolicyOf(jobs), undefined, 'another endpoint is none of it');
  const described = await node.described();
  assert.deepEqual([described.domainName, described.tlsConfig], [newHost, tlsConfig]);
  const later = { securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' };
  await node.update(later);
  assert.equal(await node.securityPolicyOf(newHost), later.securityPolicy);
});

test('a configuration that another account made for the name before it was an endpoint has no say in it', async (t) => {
  const { under, store } = await start(t);
  await under('old.test').update();
  await store.write(async (db) => {
    const of = await getDomainConfiguration(db, testAccount, domainConfigurationName, {
      domain: 'old.test',
      ...tlsConfig,
    });
    const other = { account: otherAccount, name: 'mine', domainName: newHost, domainType: 'CUSTOMER_MANAGED' } as const;
    assert.ok(await insertDomainConfiguration(db, { ...of, ...other }));
  });
  const node = under('new.test');
  await node.update();
  assert.equal(await node.securityPolicyOf(newHost), tlsConfig.securityPolicy);
  assert.equal((await store.db.selectFrom('domain_configurations').selectAll().execute()).length, 2);
});

test('what an earlier version kept by the name of the host counts on', async (t) => {
  const { under, store } = await start(t, migrations.slice(0, 1));
  await under('old.test').update();
  await store.write((db) =>
    db
      .updateTable('domain_configurations')
      .set({ domain_name: hostNamesOf(testAccount, 'old.test')[domainConfigurationName] })
      .execute(),
  );
  await migrate(store, [...features.flatMap((feature) => feature.migrations), ...migrations], 0);
  assert.equal(await under('new.test').securityPolicyOf(newHost), tlsConfig.securityPolicy);
});

test('no configuration is created with the name of a default endpoint', async (t) => {
  const { under } = await start(t);
  await assert.rejects(
    under('old.test').create(domainConfigurationName),
    (error) => error instanceof Fault && error.name === 'ResourceAlreadyExistsException',
  );
});

test('a configuration that is only named like an endpoint has no say in it', async (t) => {
  const { under, store } = await start(t);
  const node = under('new.test');
  await node.create('iot:Data');
  await store.write((db) => db.updateTable('domain_configurations').set({ status: 'DISABLED' }).execute());
  assert.equal(await node.securityPolicyOf(hostNamesOf(testAccount, 'new.test')['iot:Data']), undefined);
});
