/**
 * Mistakes with devices that are to be provisioned: the mistake is made, and made again, as devices do; `fleetgate explain` names its cause, whatever came later; the
 * cure is carried out, the printed commands as they stand and the rest as the sentence says; and then the device must come through. What one cure has uncovered
 * is cured next.
 */
import assert from 'node:assert/strict';
import type { Booted } from './harness.ts';
import { type Cured, carryOut, explainedAbout } from './refusal.ts';

/** One cause, and what is done about it. */
export interface Cause<Device> {
  /** The sentence. */
  readonly names: RegExp;
  /** What the cure says is to be done, where that is more than its commands. */
  readonly says?: RegExp;
  /** Does it, with what the commands printed and left in their folder, and answers the device as it is then. */
  readonly done?: (device: Device, left: Pick<Cured, 'folder' | 'output'>) => Promise<Device> | Device;
  /** Commands are printed, and carried out; or are another way than the one that is gone. Default: they are if nothing else is to be done. */
  readonly commands?: boolean | 'another way';
}

export interface Mistake<Device> {
  readonly device: Device;
  readonly causes: readonly Cause<Device>[];
  /** How often it is made before anybody asks; default 2. */
  readonly times?: number;
}

export interface Tried {
  readonly isProvisioned: boolean;
  readonly saw: readonly string[];
}

let lastCure: Promise<unknown> = Promise.resolve();
/** Cures are carried out one after the other: two that make the same policy, each unless it is there, are not told of each other. */
const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
  const turn = lastCure.then(work);
  lastCure = turn.catch(() => undefined);
  return turn;
};

export const makeMistake = async <Device>(
  booted: Booted,
  { device: first, causes, times = 2 }: Mistake<Device>,
  { subject, attempt }: { readonly subject: (device: Device) => string; attempt(device: Device): Promise<Tried> },
): Promise<Device> => {
  let device = first;
  for (const { names, says = /./, done, commands = done === undefined } of causes) {
    for (let time = 0; time < times; time++) {
      const { isProvisioned, saw } = await attempt(device);
      assert.ok(!isProvisioned, `refused, for ${names}: ${saw.join('; ')}`);
    }
    const told = await explainedAbout(booted, subject(device), names);
    assert.match(told.cure, says);
    assert.equal(told.commands.length > 0, commands !== false, told.printed);
    const left = commands === true ? await inTurn(() => carryOut(booted, told)) : { folder: '', output: '' };
    if (done) device = await done(device, left);
  }
  const { isProvisioned, saw } = await attempt(device);
  assert.ok(isProvisioned, saw.join('; '));
  return device;
};
