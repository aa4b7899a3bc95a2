/** Mistakes in provisioning by claim that take their time, by the clock of the node. Source: issue "Provisioning", acceptance 6; spec provisioning.md 4.3, 5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreateProvisioningClaimCommand } from '@aws-sdk/client-iot';
import { type Program, runDevice } from '../claim-device.ts';
import { fleetTemplate, type KeyedCertificate } from '../fleet.ts';
import { openScene } from '../fleet-scene.ts';
import { type Cause, makeMistake } from '../mistakes.ts';
import { explainedAbout } from '../refusal.ts';

const minuteMs = 60_000;

test('devices and people that take their time', async (t) => {
  const scene = await openScene(t);
  const { node } = scene;
  await scene.template('fleet', fleetTemplate('device', 'fleet-'));
  const device = (clientId: string, more: Partial<Program> = {}): Program => ({
    ...{ clientId, claim: scene.claim, templateName: 'fleet', parameters: { SerialNumber: clientId } },
    ...more,
  });
  /** By one who is trusted, with the command that the cure prints. */
  const newClaim = async (): Promise<KeyedCertificate> => {
    const made = await scene.iot().send(new CreateProvisioningClaimCommand({ templateName: 'fleet' }));
    return { certificatePem: String(made.certificatePem), privateKey: String(made.keyPair?.PrivateKey) };
  };
  const withNewClaim: NonNullable<Cause<Program>['done']> = ({ waits: _, ...each }, { output }) => {
    const { certificatePem, keyPair } = JSON.parse(output);
    return { ...each, claim: { certificatePem, privateKey: keyPair.PrivateKey } };
  };
  const cured = (made: Program, ...causes: readonly Cause<Program>[]) =>
    makeMistake<Program>(
      scene,
      { device: made, causes },
      { subject: ({ clientId }) => clientId, attempt: (each) => runDevice(node, each) },
    );

  await t.test('a token that is older than an hour; its certificate has been deleted meanwhile', async () => {
    const { given } = await runDevice(node, device('late', { asksForNoThing: true }));
    assert.ok(given);
    await node.clock.advance(61 * minuteMs);
    await cured(device('late', { kept: given }), {
      names: /"late" asked for its thing by .* with an ownership token that is older than an hour\.$/,
      says: /^Let the device ask for a new certificate, and for its thing within the hour/,
      done: ({ kept: _, ...each }) => each,
    });
  });

  await t.test('a device that never asks for its thing, and comes with its certificate after an hour', async () => {
    const { given } = await runDevice(node, device('forgetful', { asksForNoThing: true }));
    await node.clock.advance(61 * minuteMs);
    await assert.rejects(scene.device('forgetful', given));
    const { cure } = await explainedAbout(
      scene,
      'forgetful',
      /not registered in .* any more: it was made for a claim on \S+, and nobody has been provisioned with it\.$/,
    );
    assert.match(cure, /^Let the device come with its claim again, and ask for its thing within the hour/);
    assert.ok((await runDevice(node, device('forgetful'))).isProvisioned);
  });

  await t.test('the claim of a trusted user is used after five minutes', async () => {
    const claim = await newClaim();
    await node.clock.advance(6 * minuteMs);
    await cured(device('slow-user', { claim }), {
      names: /"slow-user" showed the claim of a trusted user, which has expired after five minutes\.$/,
      says: /^Let the trusted user make a new claim, and the device use it at once/,
      commands: true,
      done: withNewClaim,
    });
  });

  await t.test('a session with the claim of a trusted user takes longer than five minutes', async () => {
    const waits = () => node.clock.advance(5 * minuteMs + 1000);
    await cured(device('slow-session', { claim: await newClaim(), waits }), {
      names:
        /"slow-session" (?:was disconnected, because a session with a claim of a trusted user lasts five minutes|showed the claim of a trusted user, which has expired)/,
      says: /^Let the trusted user make a new claim, and the device use it at once/,
      commands: true,
      done: withNewClaim,
    });
  });
});
