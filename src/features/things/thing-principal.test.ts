import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCall, otherAccount } from '../../../test/call.ts';
import { certificateArn } from '../certificates/certificate.ts';
import { migrations } from '../certificates/migrations.ts';
import { things } from './feature.ts';
import { insertThing } from './thing.ts';
import { findConnectionThings, insertAttachment } from './thing-principal.ts';

const features = [{ name: 'certificates', migrations }, things()];
const certificateId = 'a'.repeat(64);

type Attached = [thingName: string, type: 'EXCLUSIVE_THING' | 'NON_EXCLUSIVE_THING'];
const cases: [
  attached: Attached[],
  clientId: string,
  thing: string | undefined,
  shown: string | undefined,
  rule: string,
][] = [
  [[], 'dev1', undefined, undefined, 'a thing that exists but is not attached does not count'],
  [[['dev1', 'NON_EXCLUSIVE_THING']], 'dev1', 'dev1', 'dev1', 'attached, and named like the client id'],
  [[['dev1', 'NON_EXCLUSIVE_THING']], 'other', undefined, 'dev1', 'attached, but not named like the client id'],
  [[['dev1', 'NON_EXCLUSIVE_THING']], 'DEV1', undefined, 'dev1', 'names are compared exactly'],
  [[['dev1', 'EXCLUSIVE_THING']], 'other', 'dev1', 'dev1', 'an exclusive thing counts for every client id'],
  [
    [
      ['dev1', 'NON_EXCLUSIVE_THING'],
      ['dev2', 'NON_EXCLUSIVE_THING'],
    ],
    'dev2',
    'dev2',
    'dev2',
    'of several, the one named like the client id',
  ],
  [
    [
      ['dev2', 'NON_EXCLUSIVE_THING'],
      ['dev1', 'NON_EXCLUSIVE_THING'],
    ],
    '',
    undefined,
    'dev1',
    'of several without a match none, and the first for a cure',
  ],
];
for (const [attached, clientId, thing, shown, rule] of cases) {
  test(`the thing of a connection as "${clientId}" is ${thing ?? 'none'}: ${rule} (policy 4.4)`, async (t) => {
    const { call } = await makeCall(t, { features });
    await call.write(async (db) => {
      for (const thingName of ['dev1', 'dev2']) {
        const attributes = { site: thingName };
        await insertThing(db, call.account, { thingName, thingId: thingName, attributes, createdAtMs: 0 });
      }
      const principal = certificateArn(call.account, certificateId);
      for (const [thingName, thingPrincipalType] of attached) {
        await insertAttachment(db, call.account, { thingName, principal, thingPrincipalType }, 0);
      }
    });
    const [found] = await findConnectionThings(call.db, call.account, [{ certificateId, clientId }]);
    assert.equal(found?.thing?.thingName, thing);
    assert.equal(found?.thing?.attributes['site'], thing);
    assert.equal(found?.attachedThingName, shown);
  });
}

test('many connections are answered in the order they were asked, each for its own certificate and account', async (t) => {
  const { call, callAs } = await makeCall(t, { features });
  const ids = ['b', 'c'].map((digit) => digit.repeat(64));
  await call.write(async (db) => {
    for (const [index, id] of ids.entries()) {
      const thingName = `dev${index}`;
      await insertThing(db, call.account, { thingName, thingId: thingName, attributes: {}, createdAtMs: 0 });
      const principal = certificateArn(call.account, id);
      await insertAttachment(db, call.account, { thingName, principal, thingPrincipalType: 'NON_EXCLUSIVE_THING' }, 0);
    }
  });
  const [first = '', second = ''] = ids;
  const asked = [
    { certificateId: second, clientId: 'dev1' },
    { certificateId: first, clientId: 'dev1' },
    { certificateId: 'd'.repeat(64), clientId: 'dev1' },
    { certificateId: first, clientId: 'dev0' },
    { certificateId: first, clientId: 'dev0' },
  ];
  const found = await findConnectionThings(call.db, call.account, asked);
  assert.deepEqual(
    found.map(({ thing }) => thing?.thingName),
    ['dev1', undefined, undefined, 'dev0', 'dev0'],
  );
  const theirs = callAs(otherAccount);
  const ofTheirs = await findConnectionThings(theirs.db, otherAccount, [{ certificateId: first, clientId: 'dev0' }]);
  assert.equal(ofTheirs[0]?.thing, undefined);
});
