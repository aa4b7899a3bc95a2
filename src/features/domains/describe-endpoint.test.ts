import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Arrival } from '../../feature.ts';
import { openAccounts } from '../accounts/account.ts';
import { accounts } from '../accounts/feature.ts';
import { describeEndpoint } from './describe-endpoint.ts';
import { type EndpointType, hostNamesOf, openEndpoints } from './endpoint.ts';

const overLoopback: Arrival = { host: 'localhost', loopback: true };
const over = (host: string): Arrival => ({ host, loopback: false });

const bootDomains = async (t: TestContext, domain = 'localhost') => {
  const { store, callAs } = await makeCall(t, { features: [accounts()] });
  const registry = openAccounts({ store, accountsMax: 10, now: Date.now });
  const names = ['gate.example', '192.0.2.7'];
  const handler = describeEndpoint(openEndpoints({ domain, names, hostName: 'myhost', ...testAccount }, registry));
  return async (endpointType: string | undefined, arrival: Arrival, account: AccountRegion = testAccount) => {
    const answer = await handler({ endpointType }, { ...callAs(account), arrival });
    return answer.endpointAddress;
  };
};
const nameOf = (account: AccountRegion, type: EndpointType, domain = 'localhost') => hostNamesOf(account, domain)[type];

const cases: [arrival: Arrival, expected: string, rule: string][] = [
  [overLoopback, 'localhost', 'over loopback: localhost'],
  [{ host: 'gate.example', loopback: true }, 'localhost', 'over loopback by another name: localhost'],
  [over('gate.example'), 'gate.example', 'a configured name that the caller used'],
  [over('myhost'), 'myhost', 'the own name of the host'],
  [over('evil.example'), nameOf(testAccount, 'iot:Data-ATS'), 'never a Host that is not in the list'],
  [over('192.0.2.7'), nameOf(testAccount, 'iot:Data-ATS'), 'never an IP address, not even a configured one'],
];
for (const [arrival, expected, rule] of cases) {
  test(`default account, no domain configured: ${rule} (design 3)`, async (t) => {
    const describe = await bootDomains(t);
    assert.equal(await describe('iot:Data-ATS', arrival), expected);
  });
}

test('another account, or another region of the default account, is told its own name', async (t) => {
  const describe = await bootDomains(t);
  const otherRegion = { ...testAccount, region: 'eu-west-1' };
  for (const account of [otherAccount, otherRegion]) {
    assert.equal(await describe('iot:Data-ATS', overLoopback, account), nameOf(account, 'iot:Data-ATS'));
  }
});

test('with a domain of its own every account is told the name below it', async (t) => {
  const describe = await bootDomains(t, 'fleet.example');
  for (const account of [testAccount, otherAccount]) {
    const expected = nameOf(account, 'iot:Data-ATS', 'fleet.example');
    assert.equal(await describe('iot:Data-ATS', overLoopback, account), expected);
    assert.equal(await describe('iot:Data-ATS', over('gate.example'), account), expected);
  }
});

const types: [asked: string | undefined, type: EndpointType][] = [
  [undefined, 'iot:Data'],
  ['iot:Data', 'iot:Data'],
  ['IoT:Data-ATS', 'iot:Data-ATS'],
  ['iot:data-ats', 'iot:Data-ATS'],
  ['IOT:CREDENTIALPROVIDER', 'iot:CredentialProvider'],
  ['iot:Jobs', 'iot:Jobs'],
];
for (const [asked, type] of types) {
  test(`endpoint type ${asked ?? 'absent'} is ${type} (identity.md check 40; 7)`, async (t) => {
    const describe = await bootDomains(t, 'fleet.example');
    assert.equal(await describe(asked, overLoopback), nameOf(testAccount, type, 'fleet.example'));
  });
}

for (const asked of ['iot:Nonsense', '', 'Data-ATS', 'iot:Data-ATS ', '__proto__']) {
  test(`endpoint type '${asked}' is InvalidRequestException (identity 7)`, async (t) => {
    const describe = await bootDomains(t);
    await assert.rejects(describe(asked, overLoopback), { name: 'InvalidRequestException' });
  });
}
