/**
 * A device that its policies do not let do what it asks: refused as AWS refuses it (spec gateway.md 5, policy.md 7), explained by the first cause
 * among the statements weighed, and allowed after the commands that the explanation prints.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DetachPolicyCommand,
} from '@aws-sdk/client-iot';
import { connectDevice } from '../device.ts';
import { publish, subscribe, subscribeAndLeave } from '../mosquitto.ts';
import {
  type Allow,
  bootFleet,
  carryOut,
  explain,
  explainedAs,
  noConnack,
  noPuback,
  published,
  walk,
} from '../refusal.ts';

const connects: Allow = ['iot:Connect', 'client/*'];

test('no policy: allowed what it asks for, one by one', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor');
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'a/b'),
    refusals: [
      [
        noConnack,
        /^Client "sensor-1" .* refused iot:Connect on "client\/sensor-1": no policy is attached to the certificate\.$/,
      ],
      [noPuback, /refused iot:Publish on "topic\/a\/b": none of its policies allows that action\.$/],
    ],
    success: published,
  });
});

test('a policy detached while connected: the next publish closes the connection (v3, spec gateway.md 5.5); attached again', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const connected = await connectDevice(fleet.node, device, { clientId: 'sensor-1' });
  await connected.client.publishAsync('a/b', 'before', { qos: 1 });
  const target = fleet.certificateArn(device);
  await fleet.client.send(new DetachPolicyCommand({ policyName: 'everything', target }));
  connected.client.publish('a/b', 'after', { qos: 1 });
  await connected.closed();
  const told = await explainedAs(
    fleet,
    /refused iot:Publish on "topic\/a\/b": no policy is attached to the certificate/,
  );
  assert.deepEqual(told.commands, [`aws iot attach-policy --policy-name everything --target ${target}`]);
  await carryOut(fleet, told);
  assert.match((await publish(fleet.as(device), 'a/b')).printed, published);
});

test('a client id that is not the thing of the certificate, for client/${iot:Connection.Thing.ThingName} (spec policy.md 4.4)', async (t) => {
  const fleet = await bootFleet(t);
  await fleet.policy('things', [
    ['iot:Connect', 'client/${iot:Connection.Thing.ThingName}'],
    ['iot:Publish', 'topic/*'],
  ]);
  const device = await fleet.device('sensor', { policyName: 'things' });
  const principal = fleet.certificateArn(device);
  await fleet.client.send(new CreateThingCommand({ thingName: 'sensor-7' }));
  await fleet.client.send(new AttachThingPrincipalCommand({ thingName: 'sensor-7', principal }));
  assert.match((await publish(fleet.as(device, { clientId: 'sensor-7' }), 'a/b')).printed, published);
  const cause =
    /\$\{iot:Connection\.Thing\.ThingName\} in .* of policy "things" version 1 has no value, because no thing named like the client id is attached/;
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'a/b'),
    refusals: [[noConnack, cause]],
    success: published,
  });
});

test('an explicit Deny: named by its Sid, and left out of a new version of its policy (spec policy.md 3)', async (t) => {
  const fleet = await bootFleet(t);
  const policyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'iot:*', Resource: '*' },
      { Sid: 'NoSecrets', Effect: 'Deny', Action: 'iot:Publish', Resource: 'arn:aws:iot:us-east-1:*:topic/secret/*' },
    ],
  });
  await fleet.client.send(new CreatePolicyCommand({ policyName: 'guarded', policyDocument }));
  const device = await fleet.device('sensor', { policyName: 'guarded' });
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'secret/x'),
    refusals: [[noPuback, /: statement "NoSecrets" of policy "guarded" version 1 denies it, and a Deny outweighs/]],
    success: published,
  });
});

for (const [version, seen] of [
  [4, noPuback],
  [5, /received PUBACK \(Mid: 1, RC:135\)/],
] as const) {
  test(`a publish outside the policy, MQTT ${version === 5 ? '5: PUBACK 0x87' : '3.1.1: closed without PUBACK'} (spec gateway.md 5.5)`, async (t) => {
    const fleet = await bootFleet(t);
    await fleet.policy('own', [connects, ['iot:Publish', 'topic/own/*']]);
    const device = await fleet.device('sensor', { policyName: 'own' });
    await walk(fleet, {
      attempt: () => publish(fleet.as(device, { version }), 'other/x'),
      refusals: [
        [
          seen,
          /refused iot:Publish on "topic\/other\/x": .* of policy "own" version 1 allows iot:Publish only on other resources\.$/,
        ],
      ],
      success: published,
    });
  });
}

for (const [version, refused, granted] of [
  [4, /Subscribed \(mid: 1\): 128\n/, /Subscribed \(mid: 1\): 1\n/],
  [5, /Subscribed \(mid: 1\): 135\n/, /Subscribed \(mid: 1\): 1\n/],
] as const) {
  test(`a subscription outside the policy, MQTT ${version === 5 ? '5: 0x87' : '3.1.1: 0x80'}, and the connection stays (spec gateway.md 5.6)`, async (t) => {
    const fleet = await bootFleet(t);
    await fleet.policy('own', [connects, ['iot:Subscribe', 'topicfilter/own/*']]);
    const device = await fleet.device('sensor', { policyName: 'own' });
    await walk(fleet, {
      attempt: () => subscribeAndLeave(fleet.as(device, { version }), 'other/+'),
      refusals: [
        [
          refused,
          /refused iot:Subscribe on "topicfilter\/other\/\+": .* of policy "own" version 1 allows iot:Subscribe only on other resources\.$/,
        ],
      ],
      success: granted,
    });
  });
}

test('a message outside the policy is not delivered, and the connection stays (iot:Receive, spec gateway.md 5.7)', async (t) => {
  const fleet = await bootFleet(t);
  await fleet.policy('own', [connects, ['iot:Subscribe', '*'], ['iot:Receive', 'topic/own/*']]);
  const device = await fleet.device('sensor', { policyName: 'own' });
  const sender = await fleet.device('sender', { policyName: 'everything' });
  const send = (topic: string, message: string) => publish(fleet.as(sender, { clientId: 'sender' }), topic, message);
  const subscriber = await subscribe(t, fleet.as(device), 'own/#', 'other/#');

  await send('other/x', 'first');
  await send('own/x', 'second');
  await subscriber.until('own/x second');
  assert.doesNotMatch(subscriber.soFar(), /first/);
  const told = await explainedAs(
    fleet,
    /^Client "sensor-1" .* refused iot:Receive on "topic\/other\/x": .* of policy "own" version 1 allows iot:Receive only on other resources\.$/,
  );
  await carryOut(fleet, told);
  await send('other/x', 'third');
  await subscriber.until('other/x third');
  assert.doesNotMatch(subscriber.soFar(), /first/);
});

test('explain finds the same refusal by client id, by certificate id and by its first digits', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor');
  await publish(fleet.as(device), 'a/b');
  const last = await explainedAs(fleet, /no policy is attached/);
  for (const subject of ['sensor-1', device.certificateId, device.certificateId.slice(0, 8)]) {
    assert.deepEqual(await explain(fleet, subject), last, subject);
  }
  const { code, stdout } = await fleet.shell('fleetgate explain sensor-2');
  assert.equal(code, 1);
  assert.match(stdout, /^The journal has no record of that certificate id or client id in account 000000000000, /);
});
