/**
 * Whoever is refused chooses the client id, the host name, the topic and the certificate's subject. None of them does harm to the shell and the
 * terminal of the person who asks why: nothing of them is carried out, and no byte that a terminal obeys is printed (design.md 4).
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { connectDevice } from '../device.ts';
import { bash, makeIdentity } from '../harness.ts';
import { bootFleet, carryOut, explain, explainedAs } from '../refusal.ts';

/** Control, format and other characters that move a cursor, change a title, turn the text or cannot be seen. */
const obeyed = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** A client id, and how it is shown where that is not as it is. One that is shown otherwise is never part of a command. */
const clientIds: readonly (readonly [clientId: string, shown?: string])[] = [
  ['a$(touch x)`touch x`'],
  [`'; touch x; '"; touch x; "`],
  ['-rf *?${iot:ClientId} && touch x #'],
  ['--certificate'],
  ['ünï-キー-🔑'],
  ['a\ntouch x\n', 'a\\u000atouch x\\u000a'],
  ['\u001b]0;owned\u0007', '\\u001b]0;owned\\u0007'],
  ['\u001b[2J\u001b[1;1H', '\\u001b[2J\\u001b[1;1H'],
  ['\u009b2J', '\\u009b2J'],
  ['a\u202etxt.exe', 'a\\u202etxt.exe'],
  ['a\u200bb\ufeffc', 'a\\u200bb\\ufeffc'],
  ['a\rb\tc\u007f', 'a\\u000db\\u0009c\\u007f'],
];

test('client ids do no harm; where a cure is printed it works, and where it would not be safe there is none', async (t) => {
  const fleet = await bootFleet(t);
  for (const [index, [clientId, shown]] of clientIds.entries()) {
    const name = JSON.stringify(clientId);
    const device = await fleet.device(`sensor-${index}`);
    await assert.rejects(connectDevice(fleet.node, device, { clientId }), /not let in/, name);
    const told = await explain(fleet, '"$subject"', { env: { subject: clientId } });
    assert.equal(
      told.sentence.replace(/certificate \w{8}/, 'certificate'),
      `Client "${shown ?? clientId}" with certificate was refused iot:Connect on "client/${shown ?? clientId}": no policy is attached to the certificate.`,
    );
    assert.equal(told.printed.replaceAll('\n', '').search(obeyed), -1, name);
    if (shown !== undefined) {
      assert.deepEqual(told.commands, [], name);
      assert.match(told.cure, /No command is printed/);
      continue;
    }
    const { folder } = await carryOut(fleet, told);
    assert.deepEqual(await readdir(folder), [], `${name} left something behind`);
    const { client } = await connectDevice(fleet.node, device, { clientId });
    await client.endAsync();
  }
});

test('a client id that is no name at all is refused as AWS refuses it, and shown as it is (spec gateway.md 5.1)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  await assert.rejects(connectDevice(fleet.node, device, { clientId: '$(touch x)' }), /Identifier rejected/);
  const { sentence, commands, printed } = await explainedAs(fleet, /client id/);
  assert.equal(sentence, 'The client id is not allowed: a client id may not begin with $.');
  assert.deepEqual(commands, []);
  assert.match(printed, /^ {2}Client id +\$\(touch x\)$/m);
});

test('a host name, a topic and a subject do no harm either', async (t) => {
  const fleet = await bootFleet(t);
  const hostile = '\u001b]0;owned\u0007$(touch x)\u202e';
  const sensor = await fleet.device('sensor');
  await assert.rejects(connectDevice(fleet.node, sensor, { clientId: 'a', serverName: `${hostile}.example` }));
  const { sentence } = await explainedAs(fleet, /TLS/);
  assert.equal(
    sentence,
    'The client did not begin a TLS connection as it should: malformed ClientHello: host name (SNI).',
  );

  await fleet.policy('connect', [['iot:Connect', '*']]);
  const device = await fleet.device('publisher', { policyName: 'connect' });
  const connected = await connectDevice(fleet.node, device, { clientId: 'b' });
  connected.client.publish(`a/${hostile}`, 'x');
  await connected.closed();
  const byTopic = await explainedAs(fleet, /iot:Publish/);

  const { code, stderr } = await bash(
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout x.key -out x.crt -utf8 -subj "/CN=$subject" -days 1',
    { cwd: fleet.folder, env: { subject: hostile } },
  );
  assert.equal(code, 0, stderr);
  const files = { certFile: `${fleet.folder}/x.crt`, keyFile: `${fleet.folder}/x.key` };
  const stranger = { ...(await makeIdentity(fleet.folder, 'stranger')), ...files };
  await assert.rejects(connectDevice(fleet.node, stranger, { clientId: 'c' }), /not let in/);
  const bySubject = await explainedAs(fleet, /not registered/);

  for (const { printed, commands } of [byTopic, bySubject]) {
    assert.match(printed, /owned/);
    assert.equal(printed.replaceAll('\n', '').search(obeyed), -1);
    if (commands.length === 0) continue;
    const { folder } = await carryOut(fleet, { commands });
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name === 'x'),
      [],
    );
  }
});
