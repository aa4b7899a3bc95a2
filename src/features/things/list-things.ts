import { iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { listThingRows, pageDefault, type Thing } from './thing.ts';

/** Rows read at a time while a filter is looking for matches. */
const chunkRows = 500;

/**
 * Rows that one request may read. A filter that found too few matches by then answers a short page with a token that continues:
 * callers follow the token, as with every listing.
 */
export const scannedRowsMax = 10_000;

/** Which things a filter lets through. Faults: InvalidRequestException for half a filter. */
const matcher = (input: {
  attributeName?: string | undefined;
  attributeValue?: string | undefined;
  usePrefixAttributeValue?: boolean | undefined;
}): ((thing: Thing) => boolean) | undefined => {
  const { attributeName: name, attributeValue: value, usePrefixAttributeValue: prefix } = input;
  if (name === undefined && value === undefined) return undefined;
  if (name === undefined || value === undefined) {
    throw new Fault('InvalidRequestException', 'attributeName and attributeValue must be given together');
  }
  return ({ attributes }) => {
    const own = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    return own !== undefined && (prefix ? own.startsWith(value) : own === value);
  };
};

/**
 * Things in name order, all or those with an attribute value. Source: API reference, ListThings; spec identity 6.
 * Faults: InvalidRequestException.
 */
export const listThings: Handler<'ListThings'> = async (input, call) => {
  const matches = matcher(input);
  const limit = input.maxResults ?? pageDefault;
  const things: Thing[] = [];
  let after = call.openMarker(input.nextToken);
  let scanned = 0;
  let more = true;
  while (more && things.length < limit && scanned < scannedRowsMax) {
    const wanted = matches ? chunkRows : limit + 1;
    const rows = await listThingRows(call.db, call.account, {
      after,
      limit: wanted,
      thingTypeName: input.thingTypeName,
    });
    more = rows.length === wanted;
    scanned += rows.length;
    for (const thing of rows) {
      if (things.length === limit) {
        more = true;
        break;
      }
      after = thing.thingName;
      if (!matches || matches(thing)) things.push(thing);
    }
  }
  return {
    things: things.map(({ thingName, thingTypeName, attributes, version }) => ({
      thingName,
      ...(thingTypeName !== undefined && { thingTypeName }),
      thingArn: iotArn(call.account, 'thing', thingName),
      attributes: { ...attributes },
      version,
    })),
    ...(more && { nextToken: call.sealMarker(after) }),
  };
};
