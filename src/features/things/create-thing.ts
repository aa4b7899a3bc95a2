import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { applyAttributes, attributesText, getThing, insertThing, type Thing } from './thing.ts';

/** Neither thing types nor billing groups can be created in this version, so no name of one exists. */
export const refuseThingType = (thingTypeName: string | undefined): void => {
  if (thingTypeName !== undefined) {
    throw new Fault(
      'ResourceNotFoundException',
      `Thing type ${thingTypeName} does not exist; thing types are not available in this version of Fleetgate`,
    );
  }
};

export const refuseBillingGroup = (billingGroupName: string | undefined): void => {
  if (billingGroupName !== undefined) {
    throw new Fault(
      'ResourceNotFoundException',
      `Billing group ${billingGroupName} does not exist; billing groups are not available in this version of Fleetgate`,
    );
  }
};

/** What CreateThing and DescribeThing say of who a thing is. */
export const identityOf = (account: AccountRegion, { thingName, thingId }: Pick<Thing, 'thingName' | 'thingId'>) => ({
  thingName,
  thingArn: iotArn(account, 'thing', thingName),
  thingId,
});

/**
 * Creates a thing; again with the same configuration: success, with the thingId of the first time.
 * Source: API reference, CreateThing; spec identity 6. Message of the conflict: Observed, in published output of AWS.
 * Assumed: its resourceId is the thingId.
 * Faults: ResourceAlreadyExistsException (other attributes), ResourceNotFoundException (thing type, billing group), InvalidRequestException.
 */
export const createThing: Handler<'CreateThing'> = async (input, call) => {
  const thingName = input.thingName ?? '';
  refuseThingType(input.thingTypeName);
  refuseBillingGroup(input.billingGroupName);
  const attributes = applyAttributes({}, input.attributePayload?.attributes ?? {});
  const thingId = call.newId();
  return call.write(async (db) => {
    if (await insertThing(db, call.account, { thingName, thingId, attributes, createdAtMs: call.now() })) {
      return identityOf(call.account, { thingName, thingId });
    }
    const existing = await getThing(db, call.account, thingName);
    if (attributesText(existing.attributes) !== attributesText(attributes)) {
      throw new Fault(
        'ResourceAlreadyExistsException',
        `Thing ${thingName} already exists in account with different attributes`,
        { resourceId: existing.thingId, resourceArn: iotArn(call.account, 'thing', thingName) },
      );
    }
    return identityOf(call.account, existing);
  });
};
