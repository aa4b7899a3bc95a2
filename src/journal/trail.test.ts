import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalRecord, ProvisioningStep, StepName } from './record.ts';
import { stepsMax, storedRecord } from './stored-record.ts';
import { trailOf } from './trail.ts';

const claim = 'c1a1'.repeat(16);
const given = '91fe'.repeat(16);
const caId = 'caca'.repeat(16);
const stamp = { id: 'id', atMs: 0, sequence: 1 };
const recorded = (steps: readonly ProvisioningStep[], members: Partial<JournalRecord> = {}) =>
  storedRecord({ eventType: 'ProvisionDevice', status: 'Success', clientId: 'dev-1', steps, ...members }, stamp);
const done = (step: StepName, about: Partial<ProvisioningStep> = {}): ProvisioningStep => ({
  ...{ step, outcome: 'done', atMs: 7 },
  ...about,
});
/** A line as it is read: its mark and its words. */
const read = (steps: readonly ProvisioningStep[], members?: Partial<JournalRecord>): string[] =>
  trailOf(recorded(steps, members)).map(({ mark, text }) => `${mark} ${text}`);

test('a provisioning by claim is read from the connection to the attachments', () => {
  const steps = [
    done('connected', { subject: claim, how: 'claim' }),
    done('issued', { subject: given }),
    done('asked', { subject: 'fleet', how: 'thing' }),
    done('template', { subject: 'fleet', how: '3' }),
    done('token', { subject: given }),
    done('hook', { subject: 'check', how: 'Model Line' }),
    done('filled'),
    done('spent'),
    done('thing', { subject: 'dev-1', how: 'changed' }),
    done('policy', { subject: 'device', how: 'found' }),
    done('certificate', { subject: given, how: 'ACTIVE' }),
    done('attached', { subject: 'device', how: 'policy' }),
    done('attached', { subject: 'dev-1', how: 'thing' }),
  ];
  assert.deepEqual(read(steps, { facts: { parameterNames: 'SerialNumber Model' } }), [
    'done connected with the claim certificate c1a1c1a1 as "dev-1"',
    'done certificate 91fe91fe made for it',
    'done asked for its thing by the template "fleet", with SerialNumber, Model',
    'done template "fleet", version 3',
    'done ownership token accepted, which stands for the certificate 91fe91fe',
    'done hook "check" allowed it, with other values for Model, Line',
    'done parameters put into the template',
    'done ownership token spent',
    'done thing "dev-1" was there, and was changed',
    'done policy "device" found',
    'done certificate 91fe91fe is ACTIVE now',
    'done policy "device" attached to the certificate',
    'done thing "dev-1" attached to the certificate',
  ]);
});

test('a provisioning at the first connection names the CA', () => {
  const steps = [
    done('connected', { subject: given, how: 'own' }),
    done('registered', { subject: given, how: caId }),
    done('template'),
  ];
  assert.deepEqual(read(steps, { facts: { caCertificateId: caId } }), [
    'done connected with its own certificate 91fe91fe as "dev-1"',
    'done certificate 91fe91fe registered under the CA cacacaca that signed it',
    'done template of the CA cacacaca read',
  ]);
});

test('a first connection is told of, too: what was done, and that it is not let in', () => {
  const steps = [
    done('registered', { subject: given, how: caId }),
    done('announced', { subject: '$aws/events/certificates/registered/ca' }),
    done('started'),
    done('started', { subject: 'ship' }),
    done('admitted', { outcome: 'failed' }),
  ];
  const members = { eventType: 'Connection.AuthNError', status: 'Failure' } as const;
  assert.deepEqual(read(steps, { ...members, facts: { certificateStatus: 'PENDING_ACTIVATION' } }), [
    'done certificate 91fe91fe registered under the CA cacacaca that signed it',
    'done whoever subscribes to "$aws/events/certificates/registered/ca" was told',
    'done template of the CA set to work',
    'done template "ship" set to work',
    'failed let in: the certificate is PENDING_ACTIVATION',
  ]);
});

test('the failed step has the reason; what its unit had done is taken back; and what that leaves stands below', () => {
  const steps = [
    done('issued', { subject: given }),
    done('thing', { subject: 'dev-1', how: 'created', outcome: 'undone' }),
    done('policy', { subject: 'later', how: 'found', outcome: 'failed' }),
  ];
  assert.deepEqual(read(steps, { status: 'Failure', detail: 'Policy not found.' }), [
    'done certificate 91fe91fe made for it',
    'undone thing "dev-1" created (taken back)',
    'failed policy "later": Policy not found',
    'none nothing of the template remains, and the certificate is as it was before',
  ]);
});

for (const [detail, why] of [
  ['missing', 'none was sent'],
  ['used', 'it has served already, for another request'],
  ['expired', 'it is older than an hour'],
  ['of another claim', 'another claim was given it'],
] as const) {
  test(`a token that is not taken: ${detail}`, () => {
    const failed = read([done('token', { outcome: 'failed' })], { status: 'Failure', detail });
    assert.deepEqual(failed, [`failed ownership token: ${why}`]);
  });
}

test('what is no provisioning has no trail', () => {
  assert.deepEqual(trailOf(storedRecord({ eventType: 'Connect', status: 'Failure' }, stamp)), []);
});

test('names in steps are plain text, and of too many steps the last are kept, with the one that failed', () => {
  const steps = [
    ...Array.from({ length: 100 }, () => done('filled')),
    done('thing', { subject: 'a\u001b[2J', outcome: 'failed' }),
  ];
  const stored = recorded(steps, { status: 'Failure' });
  assert.equal(stored.steps?.length, stepsMax);
  assert.deepEqual(stored.steps.at(-1), { step: 'thing', outcome: 'failed', atMs: 7, subject: 'a\\u001b[2J' });
});
