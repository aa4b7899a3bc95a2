import type { Feature } from '../../feature.ts';
import { attachThingPrincipal, detachThingPrincipal } from './attach-thing-principal.ts';
import { createThing } from './create-thing.ts';
import {
  listPrincipalThings,
  listPrincipalThingsV2,
  listThingPrincipals,
  listThingPrincipalsV2,
} from './list-attachments.ts';
import { listThings } from './list-things.ts';
import { migrations } from './migrations.ts';
import { deleteThing, describeThing } from './operations.ts';
import { thingsHolding } from './thing-principal.ts';
import { updateThing } from './update-thing.ts';

/**
 * The registry of things and of which certificate belongs to which. A thing never lets go of a certificate by force
 * (spec identity 2.5), so there is no `release`.
 */
export const things = (): Feature => ({
  name: 'things',
  migrations,
  operations: {
    iot: {
      CreateThing: createThing,
      DescribeThing: describeThing,
      ListThings: listThings,
      UpdateThing: updateThing,
      DeleteThing: deleteThing,
      AttachThingPrincipal: attachThingPrincipal,
      DetachThingPrincipal: detachThingPrincipal,
      ListThingPrincipals: listThingPrincipals,
      ListThingPrincipalsV2: listThingPrincipalsV2,
      ListPrincipalThings: listPrincipalThings,
      ListPrincipalThingsV2: listPrincipalThingsV2,
    },
  },
  holders: thingsHolding,
});
