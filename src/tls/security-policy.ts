/** TLS versions and cipher suites of a listener or domain. Source: spec gateway.md 1.3. */

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

export interface SecurityPolicy {
  /** AWS's name. */
  readonly name: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Suites of both versions in OpenSSL's notation. A suite that the linked OpenSSL does not have is ignored by it. */
  readonly ciphers: string;
  /** Suites of it that are spoken on port 443 only. */
  readonly only443?: string;
  /** Some suite needs finite-field Diffie-Hellman. */
  readonly dhe?: true;
}

const tls13Suites = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** The ECDHE part of "Set X" of gateway.md 1.3; AEAD before CBC. */
const ecdheSuites = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA384',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
];

/** The part of "Set X" without forward secrecy. */
const staticRsaSuites = [
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
];

const tls12Suites = [...ecdheSuites, ...staticRsaSuites];

const policyOf = (
  name: string,
  [minVersion, maxVersion]: readonly [TlsVersion, TlsVersion],
  suites: readonly string[],
  more: Pick<SecurityPolicy, 'only443' | 'dhe'> = {},
): SecurityPolicy =>
  Object.freeze({ name: `IoTSecurityPolicy_${name}`, minVersion, maxVersion, ciphers: suites.join(':'), ...more });

const only12 = ['TLSv1.2', 'TLSv1.2'] as const;
const both = ['TLSv1.2', 'TLSv1.3'] as const;

/** The policy of an endpoint that names no other. */
export const defaultSecurityPolicy = policyOf('TLS13_1_2_2022_10', both, [...tls13Suites, ...tls12Suites]);

/** All that a domain may name. AWS offers the three oldest in some of its regions only; here they are everywhere. */
export const securityPolicies: ReadonlyMap<string, SecurityPolicy> = new Map(
  [
    defaultSecurityPolicy,
    policyOf('TLS13_1_3_2022_10', ['TLSv1.3', 'TLSv1.3'], tls13Suites),
    policyOf('TLS12_1_2_2022_10', only12, tls12Suites),
    policyOf('TLS12_1_0_2016_01', only12, tls12Suites, { only443: 'AES128-SHA256' }),
    policyOf('TLS12_1_0_2015_01', only12, [...tls12Suites, 'DHE-RSA-AES256-SHA'], { dhe: true }),
    policyOf('TLS13_1_2_2022_01', both, [...tls13Suites.slice(0, 2), ...ecdheSuites, 'AES128-SHA', 'AES256-SHA']),
  ].map((policy) => [policy.name, policy]),
);

const elsewhere = new Map<SecurityPolicy, SecurityPolicy>();

/** The policy as it is spoken on a port; the same object each time. */
export const policyOnPort = (policy: SecurityPolicy, port: number): SecurityPolicy => {
  if (policy.only443 === undefined || port === 443) return policy;
  const known = elsewhere.get(policy);
  if (known) return known;
  const ciphers = policy.ciphers
    .split(':')
    .filter((suite) => suite !== policy.only443)
    .join(':');
  const without = Object.freeze({ ...policy, name: `${policy.name}-`, ciphers });
  elsewhere.set(policy, without);
  return without;
};
