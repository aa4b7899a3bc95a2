/** Scenes of attacks on provisioning: the guide's claim as it is printed, and clients by hand. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { CreatePolicyCommand } from '@aws-sdk/client-iot';
import type { StartOptions } from '../src/index.ts';
import { type ConnectFields, connectPacket } from './conformance/bed.ts';
import { claimPolicy, fleetTemplate } from './fleet.ts';
import { identityOf, openScene, type Scene } from './fleet-scene.ts';
import type { Identity } from './harness.ts';
import { dial, type RawMqtt, type Received, shown, type Version } from './raw-mqtt.ts';

export interface Attack extends Scene {
  /** Its policy is that of the guide: `create/*`, and one template, `fleet`. There is another one, `other`. */
  readonly guided: Identity;
  /** A certificate with this policy, as files of this name. */
  identity(name: string, policyName: string): Promise<Identity>;
  /** A connected client by hand, and its CONNACK. */
  enter(version: Version, identity: Identity, fields: ConnectFields): Promise<Entered>;
}

export interface Entered {
  readonly client: RawMqtt;
  readonly connack: Extract<Received, { cmd: 'connack' }>;
}

export const openAttack = async (t: TestContext, options?: StartOptions): Promise<Attack> => {
  const scene = await openScene(t, {}, options);
  const { node, folder, newClaim, template } = scene;
  const policyDocument = claimPolicy('fleet', 'create');
  await scene.iot().send(new CreatePolicyCommand({ policyName: 'guide', policyDocument }));
  await template('fleet', fleetTemplate('device', 'fleet-'));
  await template('other', fleetTemplate('device', 'other-'));
  const identity = async (name: string, policyName: string) => identityOf(folder, name, await newClaim(policyName));
  return {
    ...scene,
    identity,
    guided: await identity('guided', 'guide'),
    async enter(version, as, fields) {
      const client = await dial(node, version, { identity: as });
      t.after(() => client.socket.destroy());
      client.send(connectPacket(version, fields));
      const connack = await client.next();
      assert.ok(connack.cmd === 'connack' && shown(connack).startsWith('CONNACK 0x00'), shown(connack));
      return { client, connack };
    },
  };
};
