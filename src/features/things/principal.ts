/**
 * What a `principal` or `target` member may name: a certificate, a thing group or a Cognito identity (spec policy 1, identity 4).
 * This version knows certificates only; the others answer a fault that says so.
 */
import { type AccountRegion, iotArn, parseArn, sameAccount } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { findCertificate } from '../certificates/certificate.ts';

export type PrincipalName =
  /** A certificate ARN of this account and region; whether it is registered is another question. */
  | { readonly kind: 'certificate'; readonly certificateId: string }
  | { readonly kind: 'thinggroup'; readonly name: string }
  | { readonly kind: 'cognito' }
  /** An ARN of another account or region: as good as unknown, so that nobody learns what others hold. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'unreadable' };

const cognitoPattern = /^[a-z]{2}(-[a-z]+)+-[0-9]+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Sorts a principal or target by its form alone. Any text is fit to be asked. */
export const readPrincipal = (text: string, account: AccountRegion): PrincipalName => {
  const arn = parseArn(text);
  if (!arn) return cognitoPattern.test(text) ? { kind: 'cognito' } : { kind: 'unreadable' };
  if (arn.service !== 'iot') return { kind: 'unreadable' };
  if (!sameAccount(arn, account)) return { kind: 'foreign' };
  const { resourceType, resourceName } = arn;
  // compared as a whole: one certificate must not be known under two spellings
  if (resourceType === 'cert' && text === iotArn(account, 'cert', resourceName)) {
    return { kind: 'certificate', certificateId: resourceName };
  }
  if (resourceType === 'thinggroup' && text === iotArn(account, 'thinggroup', resourceName)) {
    return { kind: 'thinggroup', name: resourceName };
  }
  return { kind: 'unreadable' };
};

/** Names of principals are cut to this length, in characters, in messages. */
const shownMax = 256;
export const shownPrincipal = (text: string): string =>
  text.length > shownMax ? `${text.slice(0, shownMax)}...` : text;

export const cognitoUnavailable = (): Fault =>
  new Fault(
    'InvalidRequestException',
    'Amazon Cognito identities are not available in this version of Fleetgate; use a certificate ARN',
  );

export const unknownCertificate = (principal: string): Fault =>
  new Fault('ResourceNotFoundException', `The certificate ${shownPrincipal(principal)} does not exist`);

/**
 * The certificateId of a principal that is registered in this account and region, whatever its status.
 * Faults: ResourceNotFoundException (no such certificate here), InvalidRequestException (another kind of principal, or none).
 */
export const getPrincipalCertificate = async (db: Db, account: AccountRegion, principal: string): Promise<string> => {
  const named = readPrincipal(principal, account);
  if (named.kind === 'cognito') throw cognitoUnavailable();
  if (named.kind === 'thinggroup' || named.kind === 'unreadable') {
    throw new Fault('InvalidRequestException', `Invalid principal: ${shownPrincipal(principal)}`);
  }
  const found = named.kind === 'certificate' && (await findCertificate(db, account, named.certificateId));
  if (named.kind === 'foreign' || !found) throw unknownCertificate(principal);
  return named.certificateId;
};
