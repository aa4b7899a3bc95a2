import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { iotArn } from '../../aws/arn.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { certificateArn, insertCertificate } from '../certificates/certificate.ts';
import { migrations } from '../certificates/migrations.ts';
import { attachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import { attachPolicy } from './attach-policy.ts';
import { createPolicy, createPolicyVersion } from './create-policy.ts';
import { policies } from './feature.ts';
import { getEffectivePolicies } from './get-effective-policies.ts';

const principal = certificateArn(testAccount, 'a'.repeat(64));
const documentOf = (resource: string): string =>
  `{ "Version":"2012-10-17",\n"Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"${resource}"}]}\n`;

/** A certificate with the policies `first` and `second` (in its version 2) and a thing. */
const make = async (t: TestContext) => {
  const made = await makeCall(t, { features: [{ name: 'certificates', migrations }, things(), policies()] });
  const { call } = made;
  await call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId: 'a'.repeat(64),
      status: 'REVOKED',
      certificateMode: 'SNI_ONLY',
      pem: 'not looked at here',
      generationId: 'g',
      createdAtMs: testStartMs,
      notBeforeMs: 0,
      notAfterMs: testStartMs * 2,
    }),
  );
  for (const policyName of ['second', 'first']) {
    await createPolicy({ policyName, policyDocument: documentOf('arn:1') }, call);
    await attachPolicy({ policyName, target: principal }, call);
  }
  await createPolicyVersion({ policyName: 'second', policyDocument: documentOf('arn:2'), setAsDefault: true }, call);
  await createPolicyVersion({ policyName: 'second', policyDocument: documentOf('arn:3') }, call);
  await createPolicy({ policyName: 'unattached', policyDocument: documentOf('arn:4') }, call);
  await createThing({ thingName: 'lamp' }, call);
  await attachThingPrincipal({ thingName: 'lamp', principal }, call);
  return made;
};

const attached = [
  {
    policyName: 'first',
    policyArn: 'arn:aws:iot:us-east-1:000000000000:policy/first',
    policyDocument: documentOf('arn:1'),
  },
  {
    policyName: 'second',
    policyArn: 'arn:aws:iot:us-east-1:000000000000:policy/second',
    policyDocument: documentOf('arn:2'),
  },
];
type Input = Parameters<Handler<'GetEffectivePolicies'>>[0];

const answers: [rule: string, input: Input, expected: object[]][] = [
  ['a principal: what is attached, in the default versions, byte for byte', { principal }, attached],
  ['a principal and its thing: each once (check 40)', { principal, thingName: 'lamp' }, attached],
  ['a thing alone: the policies of its groups, of which there are none', { thingName: 'lamp' }, []],
  ['a pool alone: the policies of its role, of which there are none', { cognitoIdentityPoolId: 'us-east-1:pool' }, []],
];
for (const [rule, input, expected] of answers) {
  test(`GetEffectivePolicies of ${rule} (policy 8)`, async (t) => {
    const { call } = await make(t);
    assert.deepEqual(await getEffectivePolicies(input, call), { effectivePolicies: expected });
  });
}

const refusals: [rule: string, input: Input, name: FaultName, message: RegExp][] = [
  ['nothing is named', {}, 'InvalidRequestException', /^Name a principal/],
  ['the thing is unknown', { principal, thingName: 'ghost' }, 'ResourceNotFoundException', /ghost/],
  [
    'the certificate is unknown',
    { principal: certificateArn(testAccount, 'e'.repeat(64)) },
    'ResourceNotFoundException',
    /eeee does not exist$/,
  ],
  [
    'the thing group is unknown',
    { principal: iotArn(testAccount, 'thinggroup', 'g') },
    'ResourceNotFoundException',
    /Thing group g/,
  ],
  [
    'the principal is a Cognito identity',
    { principal: 'us-east-1:0a1b2c3d-0000-4000-8000-000000000000' },
    'InvalidRequestException',
    /Cognito/,
  ],
  ['the principal is none', { principal: 'me' }, 'InvalidRequestException', /Invalid Target: me/],
];
for (const [rule, input, name, message] of refusals) {
  test(`GetEffectivePolicies is refused when ${rule}: ${name} (policy 8)`, async (t) => {
    const { call } = await make(t);
    await assert.rejects(getEffectivePolicies(input, call), { name, message });
  });
}

test('another account has neither the thing nor the certificate', async (t) => {
  const { callAs } = await make(t);
  const other = callAs(otherAccount);
  const unknown = { name: 'ResourceNotFoundException' };
  await assert.rejects(getEffectivePolicies({ thingName: 'lamp' }, other), unknown);
  await assert.rejects(getEffectivePolicies({ principal }, other), unknown);
  await assert.rejects(
    getEffectivePolicies({ principal: certificateArn(otherAccount, 'a'.repeat(64)) }, other),
    unknown,
  );
});
