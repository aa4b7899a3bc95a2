/** What an operation on domain configurations refuses, with the commands that lead to it after all. That they do is in test/stories/domain-calls.test.ts. Source: spec identity 8. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import type { Reason } from './record.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const certificate = (name: string): string => `arn:aws:acm:us-east-1:000000000000:certificate/${name}`;
const explained = (reason: Reason, detail: string, facts: Readonly<Record<string, string>>) =>
  explain(
    storedRecord(
      { ...{ account, eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP' }, ...{ reason, detail, facts } },
      { id: '1', atMs: 0, sequence: 1 },
    ),
    { account, apiUrl: 'http://127.0.0.1:4566' },
  );
const asked = {
  ...{ domainConfigurationName: '-mine', domainName: 'iot.example.com' },
  ...{ serverCertificateArn: certificate('server'), validationCertificateArn: certificate('validation') },
};

test('another server certificate is made, imported and named where the unfit one was', () => {
  const { sentence, commands } = explained('SERVER_CERTIFICATE_UNFIT', 'The server certificate has ended', asked);
  assert.equal(
    sentence,
    'The domain configuration "-mine" for iot.example.com was not created: the server certificate has ended.',
  );
  assert.equal(
    commands[0],
    "printf 'extendedKeyUsage = serverAuth\\nsubjectAltName = DNS:iot.example.com\\n' > server.ext",
  );
  assert.equal(
    commands.at(-1),
    `aws iot create-domain-configuration --domain-configuration-name='-mine' --domain-name iot.example.com --server-certificate-arns "$serverCertificateArn" --validation-certificate-arn ${certificate('validation')}`,
  );
  const { validationCertificateArn: _, ...alone } = asked;
  assert.match(
    explained('SERVER_CERTIFICATE_UNFIT', 'It has ended', alone).commands.at(-1) ?? '',
    /Arn"$/,
    'none was named',
  );
});

test('a validation certificate is requested, proven and named beside the server certificate', () => {
  const { commands } = explained('VALIDATION_CERTIFICATE_UNFIT', 'The validation certificate is not issued', asked);
  assert.match(commands[0] ?? '', /request-certificate --domain-name iot\.example\.com --validation-method DNS/);
  assert.equal(
    commands.at(-1),
    `aws iot create-domain-configuration --domain-configuration-name='-mine' --domain-name iot.example.com --server-certificate-arns ${certificate('server')} --validation-certificate-arn "$validationCertificateArn"`,
  );
});

const disable =
  'aws iot update-domain-configuration --domain-configuration-name mine --domain-configuration-status DISABLED';
test('what is ENABLED is disabled first, and deleted at once where that may be', () => {
  const kept = (facts: Readonly<Record<string, string>>) =>
    explained('DOMAIN_CONFIGURATION_KEPT', 'It must be disabled', { domainConfigurationName: 'mine', ...facts });
  assert.deepEqual(kept({ deletionDays: '0' }).commands, [
    disable,
    'aws iot delete-domain-configuration --domain-configuration-name mine',
  ]);
  const week = kept({ deletionDays: '7' });
  assert.match(week.cure, /7 days later:$/);
  assert.deepEqual(week.commands, [disable]);
  const early = kept({ deletionDays: '7', deletableAt: '2026-01-08T00:00:00.000Z' });
  assert.match(early.cure, /^Delete it from 2026-01-08T00:00:00\.000Z on\. .*`fleetgate clock --advance 7d`\.$/);
  assert.deepEqual(early.commands, []);
});
