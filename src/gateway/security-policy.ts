/** TLS versions and cipher suites of a listener or domain. Source: spec gateway.md 1.3. */

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

export interface SecurityPolicy {
  /** AWS's name. */
  readonly name: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Suites of both versions in OpenSSL's notation. A suite that the linked OpenSSL does not have is ignored by it. */
  readonly ciphers: string;
}

const tls13Suites = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** "Set X" of gateway.md 1.3; AEAD before CBC, forward secrecy before static RSA. */
const tls12Suites = [
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
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
];

/** The policy of an endpoint that names no other. */
export const defaultSecurityPolicy: SecurityPolicy = {
  name: 'IoTSecurityPolicy_TLS13_1_2_2022_10',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: [...tls13Suites, ...tls12Suites].join(':'),
};
