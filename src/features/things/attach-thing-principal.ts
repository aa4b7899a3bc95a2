import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { assertNotInTransfer } from '../certificates/certificate.ts';
import { getPrincipalCertificate, shownPrincipal } from './principal.ts';
import { getThing } from './thing.ts';
import { deleteAttachment, insertAttachment } from './thing-principal.ts';

/**
 * Attaches a certificate, of any status but PENDING_TRANSFER, to a thing; the same attachment again is a success.
 * Source: API reference, AttachThingPrincipal; spec identity 4.2 (exclusive things).
 * Faults, in this order: ResourceNotFoundException (thing, then certificate), InvalidRequestException.
 */
export const attachThingPrincipal: Handler<'AttachThingPrincipal'> = async (input, call) => {
  const { thingName = '', principal = '', thingPrincipalType = 'NON_EXCLUSIVE_THING' } = input;
  const changed = await call.write(async (db) => {
    await getThing(db, call.account, thingName);
    const certificateId = await getPrincipalCertificate(db, call.account, principal);
    await assertNotInTransfer(db, call.account, certificateId);
    const isNew = await insertAttachment(db, call.account, { thingName, principal, thingPrincipalType }, call.now());
    return isNew ? certificateId : undefined;
  });
  if (changed !== undefined) call.changed('principal', changed);
  return {};
};

/**
 * Ends an attachment, at once (AWS: within seconds). Source: API reference, DetachThingPrincipal; spec identity 4.2.
 * Faults: ResourceNotFoundException (thing, certificate, or the two are not attached), InvalidRequestException.
 */
export const detachThingPrincipal: Handler<'DetachThingPrincipal'> = async (input, call) => {
  const { thingName = '', principal = '' } = input;
  const certificateId = await call.write(async (db) => {
    await getThing(db, call.account, thingName);
    const found = await getPrincipalCertificate(db, call.account, principal);
    if (!(await deleteAttachment(db, call.account, { thingName, principal }))) {
      throw new Fault(
        'ResourceNotFoundException',
        `The principal ${shownPrincipal(principal)} is not attached to thing ${thingName}`,
      );
    }
    return found;
  });
  call.changed('principal', certificateId);
  return {};
};
