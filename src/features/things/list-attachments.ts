/** The four listings of which principals and things are attached. Source: API reference; spec identity 4.2. */
import type { Call, Handler } from '../../feature.ts';
import { getPrincipalCertificate } from './principal.ts';
import { getThing, pageDefault } from './thing.ts';
import {
  type Attachment,
  listPrincipalsOfThing,
  listThingsOfPrincipal,
  type ThingPrincipalType,
} from './thing-principal.ts';

interface Asked {
  readonly nextToken?: string | undefined;
  readonly maxResults?: number | undefined;
  readonly thingPrincipalType?: ThingPrincipalType | undefined;
}

/** One page of attachments; `cursor` is what the list is ordered by. */
const pageOf = async (
  asked: Asked,
  call: Call,
  read: (page: {
    after: string;
    limit: number;
    thingPrincipalType: ThingPrincipalType | undefined;
  }) => Promise<readonly Attachment[]>,
  cursor: (attachment: Attachment) => string,
): Promise<{ items: readonly Attachment[]; token: { nextToken?: string } }> => {
  const limit = asked.maxResults ?? pageDefault;
  const after = call.openMarker(asked.nextToken);
  const rows = await read({ after, limit: limit + 1, thingPrincipalType: asked.thingPrincipalType });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, token: rows.length > limit && last ? { nextToken: call.sealMarker(cursor(last)) } : {} };
};

const principalsPage = async (thingName: string, asked: Asked, call: Call) => {
  await getThing(call.db, call.account, thingName);
  return pageOf(
    asked,
    call,
    (page) => listPrincipalsOfThing(call.db, call.account, thingName, page),
    ({ principal }) => principal,
  );
};

const thingsPage = async (principal: string, asked: Asked, call: Call) => {
  await getPrincipalCertificate(call.db, call.account, principal);
  return pageOf(
    asked,
    call,
    (page) => listThingsOfPrincipal(call.db, call.account, principal, page),
    ({ thingName }) => thingName,
  );
};

/** Faults: ResourceNotFoundException (thing). */
export const listThingPrincipals: Handler<'ListThingPrincipals'> = async (input, call) => {
  const { items, token } = await principalsPage(input.thingName ?? '', input, call);
  return { principals: items.map(({ principal }) => principal), ...token };
};

/** Faults: ResourceNotFoundException (thing). */
export const listThingPrincipalsV2: Handler<'ListThingPrincipalsV2'> = async (input, call) => {
  const { items, token } = await principalsPage(input.thingName ?? '', input, call);
  return {
    thingPrincipalObjects: items.map(({ principal, thingPrincipalType }) => ({ principal, thingPrincipalType })),
    ...token,
  };
};

/** Faults: ResourceNotFoundException (certificate), InvalidRequestException (no certificate ARN). */
export const listPrincipalThings: Handler<'ListPrincipalThings'> = async (input, call) => {
  const { items, token } = await thingsPage(input.principal ?? '', input, call);
  return { things: items.map(({ thingName }) => thingName), ...token };
};

/** Faults: ResourceNotFoundException (certificate), InvalidRequestException (no certificate ARN). */
export const listPrincipalThingsV2: Handler<'ListPrincipalThingsV2'> = async (input, call) => {
  const { items, token } = await thingsPage(input.principal ?? '', input, call);
  return {
    principalThingObjects: items.map(({ thingName, thingPrincipalType }) => ({ thingName, thingPrincipalType })),
    ...token,
  };
};
