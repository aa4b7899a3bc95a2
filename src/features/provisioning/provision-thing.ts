/** The thing of a provisioning: made, or changed as far as the template's override settings say. Source: spec provisioning.md 7.2, 7.5. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import type { ProvisionedThing } from '../../templates/evaluate.ts';
import { refuseBillingGroup, refuseThingType } from '../things/create-thing.ts';
import {
  type Attributes,
  applyAttributes,
  attributesText,
  findThing,
  insertThing,
  saveAttributes,
  type Thing,
} from '../things/thing.ts';
import { ProvisioningFault } from './provisioning-fault.ts';

const conflict = (message: string): ProvisioningFault => new ProvisioningFault('ResourceConflicts', message);

/** Faults: Fault, or ProvisioningFault, for the name of anything that this version cannot have. */
const refuseGroupings = ({ thingTypeName, thingGroups = [], billingGroupName }: ProvisionedThing): void => {
  refuseThingType(thingTypeName);
  refuseBillingGroup(billingGroupName);
  const [thingGroup] = thingGroups;
  if (thingGroup !== undefined) {
    throw new ProvisioningFault(
      'ResourceRegistrationFailure',
      `Thing group ${thingGroup} does not exist; thing groups are not available in this version of Fleetgate`,
    );
  }
};

/**
 * The attributes that an existing thing is left with. Assumed: FAIL stops whenever the thing exists, also if it has what the template asks for; without an override
 * what is equal, or not in the template, is no conflict.
 * Faults: ProvisioningFault (ResourceConflicts), InvalidRequestException (more attributes than a thing may have).
 */
export const attributesAfter = (
  { thingName, attributes: before }: Pick<Thing, 'thingName' | 'attributes'>,
  { attributes: given, overrides }: Pick<ProvisionedThing, 'attributes' | 'overrides'>,
): Attributes => {
  const stopping = Object.entries(overrides).find(([, override]) => override === 'FAIL');
  if (stopping) {
    throw conflict(`Thing ${thingName} exists already, and the template's OverrideSettings say FAIL`);
  }
  if (given === undefined) return before;
  switch (overrides.attributePayload) {
    case 'DO_NOTHING':
      return before;
    case 'MERGE':
      return applyAttributes(before, given);
    case 'REPLACE':
      return applyAttributes({}, given);
    default: {
      const wanted = applyAttributes({}, given);
      if (attributesText(wanted) === attributesText(before)) return before;
      throw conflict(
        `Thing ${thingName} exists already with other attributes, and the template has no OverrideSettings for AttributePayload`,
      );
    }
  }
};

/** Inside a unit. Answers what became of the thing. Faults: ProvisioningFault, Fault. */
export const provisionThing = async (
  db: Db,
  account: AccountRegion,
  thing: ProvisionedThing,
  { thingId, nowMs }: { readonly thingId: string; readonly nowMs: number },
): Promise<'created' | 'changed' | 'kept'> => {
  const { thingName } = thing;
  refuseGroupings(thing);
  const existing = await findThing(db, account, thingName);
  if (!existing) {
    const attributes = applyAttributes({}, thing.attributes ?? {});
    await insertThing(db, account, { thingName, thingId, attributes, createdAtMs: nowMs });
    return 'created';
  }
  const attributes = attributesAfter(existing, thing);
  if (attributesText(attributes) === attributesText(existing.attributes)) return 'kept';
  await saveAttributes(db, account, existing, attributes);
  return 'changed';
};
