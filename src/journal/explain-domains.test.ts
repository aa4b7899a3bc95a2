/** What a domain configuration refuses, with the command that changes it. Source: spec gateway.md 1.1 to 1.3. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DomainReason, explainDomain } from './explain-domains.ts';
import type { StoredRecord } from './stored-record.ts';

const record = (reason: DomainReason, facts: Readonly<Record<string, string>>): StoredRecord => ({
  ...{
    id: '1',
    sequence: 1,
    atMs: 0,
    lastAtMs: 0,
    repeats: 1,
    eventType: 'Connection.AuthNError',
    status: 'Failure',
    reason,
    facts,
  },
  tls: { serverName: 'iot.example.com' },
});
const explained = (reason: DomainReason, facts: Readonly<Record<string, string>>) =>
  explainDomain(reason, record(reason, facts));

test('a disabled domain configuration is named, and enabled by the command', () => {
  const { sentence, commands } = explained('DOMAIN_CONFIGURATION_DISABLED', { domainConfigurationName: "it's mine" });
  assert.match(sentence, /"iot\.example\.com" \(SNI\).*"it's mine", and that is DISABLED\.$/);
  assert.deepEqual(commands, [
    "aws iot update-domain-configuration --domain-configuration-name 'it'\\''s mine' --domain-configuration-status ENABLED",
  ]);
});

test('a client without a version of the security policy is told which policy that is', () => {
  const facts = { domainConfigurationName: 'strict', securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' };
  const { sentence, commands } = explained('TLS_VERSION_UNSUPPORTED', facts);
  assert.match(sentence, /"strict" speaks: its security policy is IoTSecurityPolicy_TLS13_1_3_2022_10/);
  assert.deepEqual(commands, [
    'aws iot update-domain-configuration --domain-configuration-name strict --tls-config securityPolicy=IoTSecurityPolicy_TLS13_1_2_2022_10',
  ]);
});

test('no other policy helps a client that is too old for the widest', () => {
  const facts = { domainConfigurationName: 'wide', securityPolicy: 'IoTSecurityPolicy_TLS13_1_2_2022_10' };
  assert.deepEqual(explained('TLS_VERSION_UNSUPPORTED', facts).commands, []);
});
