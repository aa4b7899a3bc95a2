import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { identityOf } from './create-thing.ts';
import { deleteThingRow, findThing, getThing } from './thing.ts';
import { listPrincipalsOfThing } from './thing-principal.ts';
import { expectVersion } from './update-thing.ts';

/** Source: API reference, DescribeThing. Faults: ResourceNotFoundException. */
export const describeThing: Handler<'DescribeThing'> = async (input, call) => {
  const thing = await getThing(call.db, call.account, input.thingName ?? '');
  return {
    defaultClientId: thing.thingName,
    ...identityOf(call.account, thing),
    ...(thing.thingTypeName !== undefined && { thingTypeName: thing.thingTypeName }),
    attributes: { ...thing.attributes },
    version: thing.version,
  };
};

/**
 * Deletes a thing; an unknown name is a success. Source: API reference, DeleteThing; spec identity 6 (the message is AWS's).
 * Faults: VersionConflictException, InvalidRequestException (principals are attached).
 */
export const deleteThing: Handler<'DeleteThing'> = async (input, call) => {
  const thingName = input.thingName ?? '';
  const deleted = await call.write(async (db) => {
    const thing = await findThing(db, call.account, thingName);
    if (!thing) return false;
    expectVersion(thing, input.expectedVersion);
    const attached = await listPrincipalsOfThing(db, call.account, thingName, { after: '', limit: 1 });
    if (attached.length > 0) {
      throw new Fault(
        'InvalidRequestException',
        `Cannot delete. Thing ${thingName} is still attached to one or more principals`,
      );
    }
    await deleteThingRow(db, call.account, thingName);
    return true;
  });
  if (deleted) call.changed('thing', thingName);
  return {};
};
