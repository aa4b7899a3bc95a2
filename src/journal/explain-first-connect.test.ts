import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import type { JournalRecord, Reason } from './record.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const certificateId = 'ab12cd34'.repeat(8);
const caCertificateId = 'ca12cd34'.repeat(8);
const explained = (members: Partial<JournalRecord>) => {
  const record: JournalRecord = { account, eventType: 'Connection.AuthNError', status: 'Failure', ...members };
  const known = { certificateId, clientId: 'dev1' };
  return explain(storedRecord({ ...known, ...record }, { id: 'id', atMs: 0, sequence: 1 }), {
    account,
    apiUrl: 'http://127.0.0.1:4566',
  });
};
const update = `aws iot update-ca-certificate --certificate-id ${caCertificateId}`;

const unknown: [reason: Reason, detail: string | undefined, sentence: RegExp, commands: readonly string[]][] = [
  ['CA_CERTIFICATE_INACTIVE', undefined, /the CA ca12cd34 .*but INACTIVE\.$/, [`${update} --new-status ACTIVE`]],
  [
    'AUTO_REGISTRATION_DISABLED',
    undefined,
    /the CA ca12cd34 .*but its auto-registration is off\.$/,
    [`${update} --new-auto-registration-status ENABLE`],
  ],
  ['CA_SIGNATURE_MISMATCH', undefined, /the CA ca12cd34 .*did not sign it\.$/, []],
  ['DEVICE_CERTIFICATE_INVALID', 'The RSA key has 1024 bits', /cannot be: The RSA key has 1024 bits\.$/, []],
];
for (const [reason, detail, sentence, commands] of unknown) {
  test(`${reason} of a known CA names the CA, and cures by it`, () => {
    const found = explained({ reason, ...(detail !== undefined && { detail }), facts: { caCertificateId } });
    assert.match(found.sentence, /"dev1" showed the certificate ab12cd34, which is not registered in account 0+/);
    assert.match(found.sentence, sentence);
    assert.deepEqual(found.commands, commands);
  });
}

const pending: [facts: Record<string, string>, sentence: RegExp, cure: RegExp, commands: readonly string[]][] = [
  [
    {},
    /PENDING_ACTIVATION: its CA ca12cd34 .*nobody has activated it since\.$/,
    /certificates\/registered\/\+/,
    [`aws iot update-certificate --certificate-id ${certificateId} --new-status ACTIVE`],
  ],
  [{ provisioning: 'STARTED' }, /the template of that CA has been set to work\.$/, /explain ab12cd34/, []],
  [
    { provisioning: 'STARTED', provisioningTemplateName: 'ship' },
    /the provisioning template "ship" of that CA has been set to work\.$/,
    /connect again/,
    [],
  ],
  [{ provisioning: 'QUEUE_FULL' }, /too many devices are being provisioned\.$/, /again later\.$/, []],
  [
    { provisioning: 'CA_CERTIFICATE_INACTIVE' },
    /INACTIVE now, so that its template is not carried out\.$/,
    /activate it:$/,
    [`${update} --new-status ACTIVE`],
  ],
  [
    { provisioning: 'AUTO_REGISTRATION_DISABLED' },
    /auto-registration is off now/,
    /switch it on:$/,
    [`${update} --new-auto-registration-status ENABLE`],
  ],
];
for (const [facts, sentence, cure, commands] of pending) {
  test(`a certificate that waits under its CA: ${JSON.stringify(facts)}`, () => {
    const found = explained({
      reason: 'DEVICE_CERTIFICATE_PENDING',
      facts: { certificateStatus: 'PENDING_ACTIVATION', caCertificateId, ...facts },
    });
    assert.match(found.sentence, sentence);
    assert.match(found.cure, cure);
    assert.deepEqual(found.commands, commands);
  });
}

const byName = { provisioningTemplateName: 'ship', caCertificateId };
const show = 'aws iot describe-provisioning-template --template-name ship --query templateBody --output text';
const failures: [facts: Record<string, string>, detail: string, cure: RegExp, commands: readonly string[]][] = [
  [
    { caCertificateId, errorCode: 'InvalidParameters' },
    "Parameters.Country: the certificate's subject has no C",
    /subject of the certificate/,
    [
      `aws iot describe-ca-certificate --certificate-id ${caCertificateId} --query registrationConfig.templateBody --output text`,
    ],
  ],
  [{ ...byName, errorCode: 'ResourceConflicts' }, 'The thing t differs', /OverrideSettings/, [show]],
  [{ ...byName, errorCode: 'ResourceRegistrationFailure' }, 'No policy p', /Create what the template names/, [show]],
  [{ ...byName, errorCode: 'ResourceNotFound' }, 'It does not exist', /Create that template/, []],
  [
    { ...byName, errorCode: 'InvalidRequest' },
    'Provisioning template ship is not enabled',
    /Enable it/,
    ['aws iot update-provisioning-template --template-name ship --enabled'],
  ],
  [{ ...byName, errorCode: 'InvalidRequest' }, 'Resources: no thing', /Correct the template/, [show]],
];
for (const [facts, detail, cure, commands] of failures) {
  test(`a template that could not be carried out: ${detail}`, () => {
    const reason = 'JUST_IN_TIME_PROVISIONING_FAILED';
    const found = explained({ eventType: 'ProvisionDevice', reason, detail, facts });
    assert.match(
      found.sentence,
      /^The certificate ab12cd34 was not provisioned by the .*template.* of its CA ca12cd34: /,
    );
    assert.ok(found.sentence.endsWith(`: ${detail}.`), found.sentence);
    assert.match(found.cure, cure);
    assert.match(found.cure, commands.length > 0 ? /:$/ : /\.$/);
    assert.deepEqual(found.commands, commands);
  });
}

test('a device that was provisioned, and one that came when too many did', () => {
  const facts = { caCertificateId, thingName: 'ship-1' };
  const { sentence } = explained({ eventType: 'ProvisionDevice', status: 'Success', facts });
  assert.equal(
    sentence,
    'The certificate ab12cd34 was provisioned by the template of its CA ca12cd34, as the thing "ship-1".',
  );
  const throttled = explained({ reason: 'THROTTLED', detail: 'verificationsPerSecondMax' });
  assert.match(throttled.sentence, /one of too many unknown certificates/);
  assert.doesNotMatch(throttled.cure, /rate-quotas/);
});

for (const reason of ['DEVICE_CERTIFICATE_EXPIRED', 'DEVICE_CERTIFICATE_NOT_YET_VALID'] as const) {
  test(`${reason} of a certificate that waits for its first day with us: a new one comes from its CA, not from this server`, () => {
    const { cure, commands } = explained({ reason, facts: { caCertificateId } });
    assert.match(cure, /give the device a new certificate of its CA\.$/);
    assert.deepEqual(commands, []);
  });
}
