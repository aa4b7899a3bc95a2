/** The steps of an example, each first done wrong in every way that a person might, then right. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import type { Packet } from 'mqtt-packet';
import type { FleetNode } from '../src/index.ts';
import type { authorities, LeafOptions } from './ca.ts';
import { certificateIdOf, type Identity } from './harness.ts';
import { dial } from './raw-mqtt.ts';

/** What is wrong, the attempt, and how it is refused: what an SDK client throws, or the lines that a device hears. */
export type Wrong = readonly [
  what: string,
  attempt: () => Promise<unknown>,
  refused: ((error: Error) => true) | string[],
];

export interface Step {
  /** As the example prints it. */
  readonly step: string;
  readonly wrong: readonly Wrong[];
  readonly right?: () => Promise<unknown>;
  /** What is wrong only once it was done. */
  readonly afterwards?: readonly Wrong[];
}

const refuse = async (t: TestContext, step: string, wrong: readonly Wrong[]): Promise<void> => {
  for (const [what, attempt, refused] of wrong) {
    await t.test(`${step}: ${what}`, async () => {
      if (typeof refused === 'function') await assert.rejects(attempt(), refused);
      else assert.deepEqual(await attempt(), refused);
    });
  }
};

/** Does the steps one after the other. They must be those of the example, all of them and in its order. */
export const takeSteps = async (t: TestContext, example: string, steps: readonly Step[]): Promise<void> => {
  const printed = (await readFile(example, 'utf8')).matchAll(/^step '(.*)'$/gm);
  assert.deepEqual(
    steps.map(({ step }) => step),
    Array.from(printed, ([, step]) => step),
  );
  for (const { step, wrong, right, afterwards = [] } of steps) {
    await refuse(t, step, wrong);
    await right?.();
    await refuse(t, step, afterwards);
  }
};

/** A device with a certificate of a CA; both are files of the folder. */
export const makeDevice = async (
  folder: string,
  maker: ReturnType<typeof authorities>,
  { name, ca, ...options }: LeafOptions & { readonly name: string; readonly ca: string },
): Promise<Identity> => {
  const certificatePem = await maker.leaf(name, ca, options);
  const files = { certFile: `${folder}/${name}.crt`, keyFile: `${folder}/${name}.key` };
  return { ...files, certificatePem, certificateId: certificateIdOf(certificatePem) };
};

/** What a device hears that connects and says this: lines up to the end, or until everything is answered. */
export const hears = async (
  node: FleetNode,
  identity: Identity,
  { clientId, serverName, says = [] }: { clientId: string; serverName?: string; says?: readonly Packet[] },
): Promise<string[]> => {
  const raw = await dial(node, 4, { identity, ...(serverName !== undefined && { serverName }) });
  raw.send({ cmd: 'connect', clientId, clean: true, keepalive: 60, protocolId: 'MQTT', protocolVersion: 4 });
  raw.send(says);
  const lines = await raw.heard(1);
  raw.socket.destroy();
  return lines;
};
