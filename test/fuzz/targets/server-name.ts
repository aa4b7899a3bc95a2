/**
 * Names of hosts, as a ClientHello brings them and as domain configurations and certificates have them: a name belongs to an account as a whole or not at all.
 * The input is a server name, and after NUL a name of a certificate. Rules: spec gateway 1.1, identity 7; RFC 6125 6.4.3.
 */

import { hostOf } from '../../../src/api/host.ts';
import type { AccountRegion } from '../../../src/aws/arn.ts';
import { endpointPrefix } from '../../../src/features/accounts/account.ts';
import { hostNamesOf, isEndpointName, openEndpoints } from '../../../src/features/domains/endpoint.ts';
import { covers } from '../../../src/features/domains/server-certificate-rules.ts';
import { hold, type Target } from '../target.ts';

const domain = 'fleet.example';
const own: AccountRegion = { accountId: '000000000000', region: 'us-east-1' };
const all: readonly AccountRegion[] = [own, { ...own, region: 'eu-west-1' }, { ...own, accountId: '111111111111' }];
const byPrefix = new Map(all.map((account) => [`${endpointPrefix(account)}.${account.region}`, account]));
const accountOfName = new Map(
  all.flatMap((account) => Object.values(hostNamesOf(account, domain)).map((name) => [name, account])),
);
for (const plain of ['localhost', 'gate', 'iot.example.com']) accountOfName.set(plain, own);

const endpoints = openEndpoints(
  { ...own, domain, names: ['iot.example.com'], hostName: 'gate' },
  // as the store answers: not at once
  { findByEndpoint: (region, prefix) => Promise.resolve(byPrefix.get(`${prefix}.${region}`)) },
);

/** Label by label: a star stands for one whole label, the first, and something stands after it. */
const naiveCovers = (name: string, host: string): boolean => {
  const [labels, hostLabels] = [name.split('.'), host.split('.')];
  if (name === host) return true;
  return (
    labels[0] === '*' &&
    labels.length > 1 &&
    labels.length === hostLabels.length &&
    hostLabels[0] !== '' &&
    labels.slice(1).join('.') === hostLabels.slice(1).join('.')
  );
};

export default (): Target => ({
  corpus: [...accountOfName.keys(), 'IOT.Example.com.', 'x.y.iot.us-east-1.fleet.example', '127.0.0.1', '[::1]'].map(
    (name) => Buffer.from(`${name}\0*.${name.split('.').slice(1).join('.')}`),
  ),
  dictionary: [
    '.',
    '..',
    '*',
    '*.',
    '-ats',
    '.credentials',
    '.jobs',
    '.iot.',
    'us-east-1',
    domain,
    'A',
    '\0',
    '[',
    ']',
    ':',
    '%',
    'İ',
    '\n',
  ],
  bytesMax: 1024,
  async run(input) {
    const [name = '', certificateName = ''] = input.toString('utf8').split('\0');
    const plain = name.toLowerCase().replace(/\.$/, '');
    const resolution = await endpoints.resolve(name);
    const expected = accountOfName.get(plain);
    if (resolution.kind === 'account') {
      const { account } = resolution;
      hold(
        account.accountId === expected?.accountId && account.region === expected.region,
        'a name is of the account it was made for',
      );
    } else hold(expected === undefined, 'a name that was made is known');
    hold((await endpoints.resolve(name)).kind === resolution.kind, 'asked again, the same');
    hold(
      !accountOfName.has(plain) || !plain.endsWith(domain) || isEndpointName(plain, domain),
      'nobody may take the name of an endpoint',
    );
    hold(
      covers(certificateName, plain) === naiveCovers(certificateName, plain),
      'a star stands for one label, the first',
    );
    const host = hostOf(name);
    hold(host === undefined || (host.length > 0 && host.length <= 253), 'a host is a short name');
    return resolution.kind;
  },
});
