/** Which server certificate a client is given, and in which TLS version. Source: spec gateway.md 1.3, 1.4 and the RFCs named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSecurityPolicy } from '../tls/security-policy.ts';
import type { ClientHello } from './client-hello.ts';
import { negotiatedVersion, type ServerKind, serverKind } from './server-kind.ts';

const plain: ClientHello = {
  legacyVersion: 0x0303,
  supportedVersions: undefined,
  cipherSuites: [0xc02b, 0xc02f],
  serverName: undefined,
  alpn: [],
  signatureAlgorithms: [0x0403, 0x0804, 0x0401],
  certificateSignatureAlgorithms: undefined,
  groups: [0x001d, 0x0017],
  sessionTicket: false,
  preSharedKey: false,
};

const versions: [hello: Partial<ClientHello>, expected: string | undefined, rule: string][] = [
  [{}, 'TLSv1.2', 'a hello without supported_versions is one of TLS 1.2'],
  [{ legacyVersion: 0x0302 }, undefined, 'TLS 1.1 is not offered'],
  [{ legacyVersion: 0x0304 }, 'TLSv1.2', 'a later legacy version is answered with TLS 1.2 (RFC 8446 4.1.2)'],
  [{ supportedVersions: [0x0a0a, 0x0304, 0x0303] }, 'TLSv1.3', 'the highest in common, GREASE passed over'],
  [{ supportedVersions: [0x0303] }, 'TLSv1.2', 'supported_versions may name only TLS 1.2'],
  [{ supportedVersions: [0x0302] }, undefined, 'supported_versions alone counts (RFC 8446 4.2.1)'],
];
for (const [hello, expected, rule] of versions) {
  test(`version ${expected}: ${rule}`, () =>
    assert.equal(negotiatedVersion({ ...plain, ...hello }, defaultSecurityPolicy), expected));
}

test('a policy of TLS 1.3 only does not fall back', () => {
  const strict = { ...defaultSecurityPolicy, minVersion: 'TLSv1.3' } as const;
  assert.equal(negotiatedVersion(plain, strict), undefined);
  assert.equal(negotiatedVersion({ ...plain, supportedVersions: [0x0304] }, strict), 'TLSv1.3');
});

const kinds: [version: 'TLSv1.2' | 'TLSv1.3', hello: Partial<ClientHello>, expected: ServerKind, rule: string][] = [
  ['TLSv1.3', {}, 'ec', 'EC is preferred'],
  ['TLSv1.3', { signatureAlgorithms: [0x0403] }, 'ec', 'a client of ECDSA only'],
  ['TLSv1.3', { signatureAlgorithms: [0x0804, 0x0401] }, 'rsa', 'a client of RSA only'],
  ['TLSv1.3', { signatureAlgorithms: [0x0503, 0x0804] }, 'rsa', 'ECDSA on another curve is no use (RFC 8446 4.2.3)'],
  ['TLSv1.3', { certificateSignatureAlgorithms: [0x0401] }, 'rsa', 'EC chains are signed with ECDSA (RFC 8446 4.2.3)'],
  ['TLSv1.3', { groups: [0x001d] }, 'ec', 'groups are for the key exchange only'],
  ['TLSv1.3', { signatureAlgorithms: undefined }, 'rsa', 'nothing to go by: OpenSSL sends the alert'],
  ['TLSv1.2', {}, 'ec', 'EC is preferred'],
  ['TLSv1.2', { cipherSuites: [0xc02f] }, 'rsa', 'the suite names the certificate'],
  ['TLSv1.2', { cipherSuites: [0x2f] }, 'rsa', 'static RSA'],
  ['TLSv1.2', { cipherSuites: [0xc02b] }, 'ec', 'ECDSA suites only'],
  ['TLSv1.2', { cipherSuites: [0xc02b], signatureAlgorithms: [0x0603] }, 'ec', 'the hash does not bind the curve'],
  ['TLSv1.2', { signatureAlgorithms: [0x0401, 0x0804] }, 'rsa', 'no ECDSA signature'],
  ['TLSv1.2', { groups: [0x0018] }, 'rsa', 'the curve of the certificate must be offered (RFC 8422 4)'],
  ['TLSv1.2', { groups: undefined }, 'ec', 'without the extension any curve will do (RFC 8422 4)'],
  ['TLSv1.2', { certificateSignatureAlgorithms: [0x0401] }, 'rsa', 'EC chains are signed with ECDSA'],
  ['TLSv1.2', { signatureAlgorithms: undefined }, 'rsa', 'SHA-1 is meant, so rather a suite without signature'],
  ['TLSv1.2', { signatureAlgorithms: undefined, cipherSuites: [0xc02b] }, 'ec', 'nothing else is possible'],
];
for (const [version, hello, expected, rule] of kinds) {
  test(`${version}, ${JSON.stringify(hello)}: ${expected}, ${rule}`, () =>
    assert.equal(serverKind({ ...plain, ...hello }, version), expected));
}
