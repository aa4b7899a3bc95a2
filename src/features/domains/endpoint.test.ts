import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { openAccounts } from '../accounts/account.ts';
import { accounts } from '../accounts/feature.ts';
import { type DomainSettings, type EndpointType, endpointTypes, openEndpoints, resolvedNamesMax } from './endpoint.ts';
import { addressReached, hostsLines } from './hosts.ts';

const settings: DomainSettings = { domain: 'localhost', names: ['Gate.Example.'], hostName: 'MyHost', ...testAccount };

const open = async (t: TestContext, changed: Partial<DomainSettings> = {}) => {
  const { store } = await makeCall(t, { features: [accounts()] });
  const registry = openAccounts({ store, accountsMax: 10, now: Date.now });
  await registry.ensure(testAccount);
  await registry.ensure(otherAccount);
  await registry.ensure({ ...testAccount, region: 'eu-west-1' });
  return openEndpoints({ ...settings, ...changed }, registry);
};

test('the names of the four endpoints have the form of AWS (identity 7) and differ between accounts', async (t) => {
  const endpoints = await open(t, { domain: 'fleet.example' });
  const forms: Record<EndpointType, RegExp> = {
    'iot:Data': /^a[a-z0-9]{13}\.iot\.us-east-1\.fleet\.example$/,
    'iot:Data-ATS': /^a[a-z0-9]{13}-ats\.iot\.us-east-1\.fleet\.example$/,
    'iot:CredentialProvider': /^a[a-z0-9]{13}\.credentials\.iot\.us-east-1\.fleet\.example$/,
    'iot:Jobs': /^a[a-z0-9]{13}\.jobs\.iot\.us-east-1\.fleet\.example$/,
  };
  const [own, other] = [endpoints.hostNames(testAccount), endpoints.hostNames(otherAccount)];
  for (const type of endpointTypes) {
    assert.match(own[type], forms[type]);
    assert.notEqual(own[type], other[type]);
  }
});

test('every endpoint name leads to its account, whatever its case and with a trailing dot; once met, without a promise', async (t) => {
  const endpoints = await open(t);
  for (const account of [testAccount, otherAccount, { ...testAccount, region: 'eu-west-1' }]) {
    for (const name of Object.values(endpoints.hostNames(account))) {
      for (const spelling of [name, name.toUpperCase(), `${name}.`]) {
        assert.deepEqual(await endpoints.resolve(spelling), { kind: 'account', account }, spelling);
      }
      assert.ok(!(endpoints.resolve(name) instanceof Promise));
    }
  }
});

test('plain names belong to the default account: localhost, the own name of the host, the configured ones (design 3)', async (t) => {
  const endpoints = await open(t, { domain: 'fleet.example' });
  for (const name of ['localhost', 'LOCALHOST.', 'myhost', 'gate.example', 'GATE.example']) {
    assert.deepEqual(endpoints.resolve(name), { kind: 'account', account: testAccount }, name);
  }
});

test('no server name, or an IP literal, is absent (gateway 1.1)', async (t) => {
  const endpoints = await open(t);
  for (const name of [undefined, '127.0.0.1', '10.0.0.1', '::1', '[::1]']) {
    assert.deepEqual(endpoints.resolve(name), { kind: 'absent' });
  }
});

test('everything else is unknown: never a part of a name, never another region, domain or prefix (gateway 1.1)', async (t) => {
  const endpoints = await open(t);
  const name = endpoints.hostNames(testAccount)['iot:Data-ATS'];
  const own = name.slice(0, 14);
  const strange = [
    '',
    '.',
    `x${name}`,
    `x.${name}`,
    `${name}.evil.example`,
    `${name}x`,
    `${name}..`,
    `evil${'.localhost'}`,
    'localhost.evil.example',
    'x.gate.example',
    'xgate.example',
    'iot.us-east-1.localhost',
    'us-east-1.localhost',
    name.replace('us-east-1', 'us-west-2'),
    name.replace('us-east-1', ''),
    name.replace('-ats', '-xyz'),
    name.replace('-ats', '-ats-ats'),
    name.replace('.localhost', '.amazonaws.com'),
    name.replace(own, `a${'b'.repeat(13)}`),
    name.replace(own, own.slice(1)),
    `${own}.localhost`,
    own,
    `${own}-ats.iot.us-east-1.x.localhost`,
    `a${'a'.repeat(70_000)}`,
    'lоcalhost', // a Cyrillic letter
    'local\u0000host',
  ];
  for (const text of strange) assert.deepEqual(await endpoints.resolve(text), { kind: 'unknown' }, text.slice(0, 80));
});

test('no string makes resolve throw, and none but the names of the accounts leads to one', async (t) => {
  const endpoints = await open(t);
  const name = endpoints.hostNames(testAccount)['iot:Data'];
  const near = fc
    .tuple(fc.nat(name.length), fc.string({ maxLength: 3 }))
    .map(([at, text]) => name.slice(0, at) + text + name.slice(at));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary' }), near), async (text) => {
      const { kind } = await endpoints.resolve(text);
      const [first = ''] = text.toLowerCase().split(/\.$/);
      const isName =
        Object.values(endpoints.hostNames(testAccount)).includes(first) ||
        ['localhost', 'myhost', 'gate.example'].includes(first);
      assert.equal(kind === 'account', isName);
    }),
  );
});

test('a name whose account comes into being later is found then: a refusal is not remembered', async (t) => {
  const { store } = await makeCall(t, { features: [accounts()] });
  const registry = openAccounts({ store, accountsMax: 10, now: Date.now });
  const endpoints = openEndpoints(settings, registry);
  const name = endpoints.hostNames(otherAccount)['iot:Data-ATS'];
  assert.deepEqual(await endpoints.resolve(name), { kind: 'unknown' });
  await registry.ensure(otherAccount);
  assert.deepEqual(await endpoints.resolve(name), { kind: 'account', account: otherAccount });
});

test('more names than resolvedNamesMax are resolved, and the memory of them is bounded', () => {
  let asked = 0;
  const endpoints = openEndpoints(settings, {
    findByEndpoint: (region) => {
      asked++;
      return { accountId: '000000000000', region };
    },
  });
  const name = (index: number) => `a${String(index).padStart(13, '0')}.iot.us-east-1.localhost`;
  for (let index = 0; index <= resolvedNamesMax; index++) endpoints.resolve(name(index));
  assert.equal(asked, resolvedNamesMax + 1);
  endpoints.resolve(name(resolvedNamesMax));
  assert.equal(asked, resolvedNamesMax + 1, 'the newest is remembered');
  endpoints.resolve(name(0));
  assert.equal(asked, resolvedNamesMax + 2, 'the first was forgotten');
});

test('fleetgate hosts: one line per name in the form of /etc/hosts, every name one that resolves (design 3)', async (t) => {
  const endpoints = await open(t);
  const lines = hostsLines([testAccount, otherAccount], { domain: 'localhost', address: '127.0.0.1' });
  assert.equal(lines.length, 8);
  for (const line of lines) {
    const [, address, name] = /^(\S+) (\S+)$/.exec(line) ?? [];
    assert.equal(address, '127.0.0.1');
    assert.equal((await endpoints.resolve(name)).kind, 'account');
  }
});

const reached: [host: string, localAddress: string | undefined, address: string, rule: string][] = [
  ['localhost', '127.0.0.1', '127.0.0.1', 'a name leads to this end of the connection'],
  ['localhost', '::1', '::1', 'of whichever family'],
  ['gate.example', '192.0.2.7', '192.0.2.7', 'also from another machine'],
  ['gate.example', '::ffff:192.0.2.7', '192.0.2.7', 'an IPv4 address stays one on a socket for both families'],
  ['198.51.100.1', '172.17.0.2', '198.51.100.1', 'the address that the caller wrote, where a container has another'],
  ['gate.example', undefined, '127.0.0.1', 'a connection that is gone'],
];
for (const [host, localAddress, address, rule] of reached) {
  test(`asked as ${host} at ${localAddress}, hosts prints ${address}: ${rule}`, () =>
    assert.equal(addressReached({ host, localAddress }), address));
}
