import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { refuseThingType } from './create-thing.ts';
import { applyAttributes, getThing, saveAttributes, type Thing } from './thing.ts';

/** Faults: VersionConflictException unless the caller names no version, or the present one. */
export const expectVersion = (thing: Thing, expectedVersion: number | undefined): void => {
  if (expectedVersion !== undefined && expectedVersion !== thing.version) {
    throw new Fault(
      'VersionConflictException',
      `The version of thing ${thing.thingName} is ${thing.version}, not the expected ${expectedVersion}`,
    );
  }
};

/**
 * Changes the attributes of a thing: `merge` keeps what is not named, otherwise all are replaced; an empty value removes.
 * No attributes in the request: they stay. The version rises by one at each success. Source: API reference, UpdateThing; spec identity 6.
 * Faults: ResourceNotFoundException, VersionConflictException, InvalidRequestException.
 */
export const updateThing: Handler<'UpdateThing'> = async (input, call) => {
  const thingName = input.thingName ?? '';
  if (input.removeThingType && input.thingTypeName !== undefined) {
    throw new Fault('InvalidRequestException', 'removeThingType and thingTypeName cannot be given together');
  }
  refuseThingType(input.thingTypeName);
  await call.write(async (db) => {
    const thing = await getThing(db, call.account, thingName);
    expectVersion(thing, input.expectedVersion);
    const given = input.attributePayload?.attributes;
    const before = input.attributePayload?.merge || given === undefined ? thing.attributes : {};
    await saveAttributes(db, call.account, thing, applyAttributes(before, given ?? {}));
  });
  call.changed('thing', thingName);
  return {};
};
