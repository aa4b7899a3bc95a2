/**
 * Two settings of ours, off unless a template has them as tags, which AWS's API takes as they are: how long the account honours certificates that the template
 * provisions, and whether a thing's old certificate is retired when its successor has come. A certificate is signed before RegisterThing names a template, so that
 * its own dates cannot follow one: the account's record ends earlier, and that is what admission goes by (docs/decisions/0006-rotation.md).
 */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { findCertificate } from '../certificates/certificate.ts';
import { activeAmong, endNoLaterThan, savePredecessors } from '../certificates/succession.ts';
import { type CheckSetting, listTags, type Tag } from '../tags/tag.ts';
import { listPrincipalsOfThing } from '../things/thing-principal.ts';
import type { Provisioned } from './provision.ts';
import { templateItem } from './provisioning-template.ts';

/** Tag keys. */
export const setting = {
  lifetimeDays: 'fleetgate:certificate-lifetime-days',
  retirePredecessor: 'fleetgate:retire-predecessor',
} as const;

/** Twenty years: nearly as long as the certificates of the service state themselves. */
export const lifetimeDaysMax = 7300;
const dayMs = 24 * 60 * 60 * 1000;

export interface Rotation {
  /** From when the certificate came into the account; undefined: as long as it states itself. */
  readonly lifetimeMs: number | undefined;
  readonly retirePredecessor: boolean;
}

const quoted = (value: string): string => JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}...` : value);
const refused = (message: string): Fault => new Fault('InvalidRequestException', message);

/** Judges one tag of a template. Faults: InvalidRequestException, also for a setting that there is not. */
export const checkRotationSetting: CheckSetting = ({ Key, Value }) => {
  switch (Key) {
    case setting.lifetimeDays:
      if (/^[1-9]\d{0,3}$/.test(Value) && Number(Value) <= lifetimeDaysMax) return;
      throw refused(`${Key} must be a number of days from 1 to ${lifetimeDaysMax}, not ${quoted(Value)}`);
    case setting.retirePredecessor:
      if (Value === 'true' || Value === 'false') return;
      throw refused(`${Key} must be true or false, not ${quoted(Value)}`);
    default:
      throw refused(`There is no setting ${quoted(Key)}: a template may have ${Object.values(setting).join(' and ')}`);
  }
};

/** What tags, which were judged when they were set, ask for. */
const rotationOf = (tags: readonly Tag[]): Rotation => {
  const values = new Map(tags.map(({ Key, Value }) => [Key, Value]));
  const days = values.get(setting.lifetimeDays);
  return {
    lifetimeMs: days === undefined ? undefined : Number(days) * dayMs,
    retirePredecessor: values.get(setting.retirePredecessor) === 'true',
  };
};

/** More active certificates than this, and the thing stands for many devices: then none is anybody's predecessor. */
export const predecessorsMax = 10;
/** Principals of a thing that are looked at, active or not. */
const principalsMax = 1000;

/** The other active certificates of a thing. */
const othersOf = async (
  db: Db,
  account: AccountRegion,
  thingName: string,
  ownId: string,
): Promise<readonly string[]> => {
  const prefix = iotArn(account, 'cert', '');
  const limit = principalsMax + 1;
  const attached = await listPrincipalsOfThing(db, account, thingName, { after: '', limit });
  if (attached.length === limit) return [];
  const ids = attached
    .filter(({ principal }) => principal.startsWith(prefix))
    .map(({ principal }) => principal.slice(prefix.length))
    .filter((certificateId) => certificateId !== ownId);
  const active = await activeAmong(db, account, ids);
  return active.length > predecessorsMax ? [] : active;
};

/** Inside the unit that provisions, when all else is done: carries out what the template's tags ask for. Without such tags it reads them, and no more. */
export const rotate = async (
  db: Db,
  account: AccountRegion,
  templateName: string,
  { certificateId, thingName }: Pick<Provisioned, 'certificateId' | 'thingName'>,
): Promise<void> => {
  const { lifetimeMs, retirePredecessor } = rotationOf(
    await listTags(db, account, templateItem(account, templateName).templateArn),
  );
  if (certificateId === undefined) return;
  if (lifetimeMs !== undefined) {
    const certificate = await findCertificate(db, account, certificateId);
    const notAfterMs = (certificate?.createdAtMs ?? 0) + lifetimeMs;
    await endNoLaterThan(db, account, { certificateId, notAfterMs: Math.floor(notAfterMs / 1000) * 1000 });
  }
  if (retirePredecessor && thingName !== undefined) {
    const certificateIds = await othersOf(db, account, thingName, certificateId);
    if (certificateIds.length > 0) await savePredecessors(db, account, certificateId, { thingName, certificateIds });
  }
};
