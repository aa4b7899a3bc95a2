/** A client that only connects with a will, and leaves without a word or with one. Its wills are not acknowledged by anybody: they may come, or must not. */
import type { Version } from '../raw-mqtt.ts';
import { dial } from './wire.ts';
import { between, chance, type World } from './world.ts';

export const willTopic = (clientId: string): string => `w/${clientId}`;

export const leaveWills = async (
  world: World,
  { clientId, version }: { readonly clientId: string; readonly version: Version },
): Promise<void> => {
  for (let number = 1; !world.isStopping; number++) {
    const will = `${clientId}/${number}/${Math.random()}`;
    const isIn = Promise.withResolvers<void>();
    const wire = await dial(await world.place, {
      connect: {
        clientId,
        protocolVersion: version,
        will: { topic: willTopic(clientId), payload: Buffer.from(will), qos: 1, retain: false },
      },
      connecting: () => world.ledger.armed(will),
      hear: (packet) => (packet.cmd === 'connack' ? isIn.resolve() : world.unexpected(clientId, packet)),
    });
    if (wire === undefined) continue;
    await Promise.race([isIn.promise, wire.closed]);
    await Promise.race([world.later(between(20, 150)), wire.closed]);
    if (wire.isClosed) {
      world.lost(clientId);
    } else if (chance(0.7)) {
      wire.drop();
    } else {
      world.ledger.disarmed(will);
      wire.send({ cmd: 'disconnect' });
      await wire.closed;
    }
  }
};
