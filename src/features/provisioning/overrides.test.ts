/** What becomes of what exists already: the rules of override settings as tables. Source: spec provisioning.md 7.5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateStatus } from '../certificates/certificate.ts';
import type { Attributes } from '../things/thing.ts';
import type { CertificatePlan } from './prepare-provisioning.ts';
import { statusAfter } from './provision-certificate.ts';
import { attributesAfter } from './provision-thing.ts';
import { type ProvisioningErrorCode, ProvisioningFault } from './provisioning-fault.ts';

const refuses = (errorCode: ProvisioningErrorCode) => (error: unknown) =>
  error instanceof ProvisioningFault && error.errorCode === errorCode;

type Overrides = Parameters<typeof attributesAfter>[1]['overrides'];
const merge: Overrides = { attributePayload: 'MERGE' };
const replace: Overrides = { attributePayload: 'REPLACE' };
const keep: Overrides = { attributePayload: 'DO_NOTHING' };
const fail: Overrides = { attributePayload: 'FAIL' };
const conflict = 'ResourceConflicts';
const step = 'InvalidRequestException';

const attributeRows: [
  rule: string,
  before: Attributes,
  given: Attributes | undefined,
  overrides: Overrides,
  after: Attributes | string,
][] = [
  [
    'provisioning.md check 35: MERGE is the union, the template wins',
    { a: '1', b: '2' },
    { b: '3', c: '4' },
    merge,
    { a: '1', b: '3', c: '4' },
  ],
  ['MERGE with an empty value removes, as UpdateThing does', { a: '1', b: '2' }, { b: '' }, merge, { a: '1' }],
  ['MERGE of nothing changes nothing', { a: '1' }, {}, merge, { a: '1' }],
  [
    'provisioning.md check 35: REPLACE leaves the values of the template alone',
    { a: '1', b: '2' },
    { b: '3' },
    replace,
    { b: '3' },
  ],
  ['REPLACE by nothing leaves nothing', { a: '1' }, {}, replace, {}],
  ['REPLACE without AttributePayload in the template is no change', { a: '1' }, undefined, replace, { a: '1' }],
  ['provisioning.md check 35: DO_NOTHING changes nothing', { a: '1' }, { a: '2' }, keep, { a: '1' }],
  ['provisioning.md check 35: FAIL refuses', { a: '1' }, { a: '2' }, fail, conflict],
  ['FAIL refuses whatever exists, also what is equal', { a: '1' }, { a: '1' }, fail, conflict],
  ['FAIL for the thing type refuses, too', { a: '1' }, { a: '1' }, { thingTypeName: 'FAIL' }, conflict],
  ['FAIL for the groups refuses, too', { a: '1' }, undefined, { ...merge, thingGroups: 'FAIL' }, conflict],
  [
    'without an override equal attributes are no conflict',
    { a: '1', b: '2' },
    { b: '2', a: '1' },
    {},
    { a: '1', b: '2' },
  ],
  ['without an override an empty value is no attribute', { a: '1' }, { a: '1', b: '' }, {}, { a: '1' }],
  ['without an override other attributes refuse', { a: '1' }, { a: '2' }, {}, conflict],
  ['without an override fewer attributes refuse', { a: '1', b: '2' }, { a: '1' }, {}, conflict],
  ['without an override {} refuses a thing that has some', { a: '1' }, {}, {}, conflict],
  ['without an override and without AttributePayload: no change', { a: '1' }, undefined, {}, { a: '1' }],
  ['more than three after MERGE', { a: '1', b: '2' }, { c: '3', d: '4' }, merge, step],
  ['more than three to REPLACE by', {}, { a: '1', b: '2', c: '3', d: '4' }, replace, step],
  [
    'names are names: __proto__',
    { a: '1' },
    JSON.parse('{"__proto__":"2"}'),
    merge,
    JSON.parse('{"a":"1","__proto__":"2"}'),
  ],
];
for (const [rule, before, given, overrides, after] of attributeRows) {
  test(`attributes of an existing thing: ${rule}`, () => {
    const decide = () =>
      attributesAfter({ thingName: 'lamp', attributes: before }, { ...(given && { attributes: given }), overrides });
    if (after === conflict) assert.throws(decide, refuses(conflict));
    else if (after === step) assert.throws(decide, { name: step });
    else assert.deepEqual(decide(), after);
  });
}

type Row = [
  before: CertificateStatus,
  status: CertificatePlan['status'],
  override: CertificatePlan['override'],
  after: string,
];
const broken = 'ResourceRegistrationFailure';
const statusRows: Row[] = [
  ...(['DO_NOTHING', 'REPLACE', 'FAIL', undefined] as const).flatMap((override): Row[] => [
    // also check 13: the sample of just-in-time provisioning says DO_NOTHING and ends ACTIVE
    ['PENDING_ACTIVATION', 'ACTIVE', override, 'ACTIVE'],
    ['PENDING_ACTIVATION', 'INACTIVE', override, 'INACTIVE'],
    ['REVOKED', 'ACTIVE', override, broken],
    ['PENDING_TRANSFER', 'ACTIVE', override, broken],
  ]),
  ['ACTIVE', 'INACTIVE', 'DO_NOTHING', 'ACTIVE'],
  ['INACTIVE', 'ACTIVE', 'DO_NOTHING', 'INACTIVE'],
  ['ACTIVE', 'INACTIVE', 'REPLACE', 'INACTIVE'],
  ['INACTIVE', 'ACTIVE', 'REPLACE', 'ACTIVE'],
  ['ACTIVE', 'ACTIVE', 'FAIL', conflict],
  ['INACTIVE', 'ACTIVE', 'FAIL', conflict],
  ['ACTIVE', 'ACTIVE', undefined, 'ACTIVE'],
  ['INACTIVE', 'INACTIVE', undefined, 'INACTIVE'],
  ['ACTIVE', 'INACTIVE', undefined, conflict],
  ['INACTIVE', 'ACTIVE', undefined, conflict],
];
for (const [before, status, override, after] of statusRows) {
  test(`a certificate that is ${before}, Status ${status}, override ${override}: ${after}`, () => {
    const decide = () => statusAfter({ certificateId: 'a', status: before }, { status, ...(override && { override }) });
    if (after === conflict || after === broken) assert.throws(decide, refuses(after));
    else assert.equal(decide(), after);
  });
}
