/** The refusals of IAM in AWS's own words. Source: messages of the service as users report them; the API reference names the faults. */
import { Fault } from '../../aws/fault.ts';

/** 404. */
export const noSuch = (message: string): Fault => new Fault('NoSuchEntityException', message);
/** 409. */
export const alreadyExists = (message: string): Fault => new Fault('EntityAlreadyExistsException', message);
/** 409. */
export const deleteConflict = (message: string): Fault => new Fault('DeleteConflictException', message);
/** 409. */
export const overQuota = (quota: string, number: number): Fault =>
  new Fault('LimitExceededException', `Cannot exceed quota for ${quota}: ${number}`);
/** 400, code ValidationError. */
export const invalid = (message: string): Fault => new Fault('InvalidRequestException', message);

/** Where an operation falls back on the caller's own user, and the caller is none. */
export const notAUser = (): Fault => invalid('Must specify userName when calling with non-User credentials');
