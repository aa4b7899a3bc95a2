import type { AccountRegion } from '../aws/arn.ts';
import type { Bus } from './bus.ts';

/**
 * What a notice of change may be about.
 * `certificate`: status, deletion or transfer of one (id = certificateId). `principal`: the policies or things attached to one
 * (id = certificateId). `policy`: the default version of one (id = policyName). `thing`: attributes, type or deletion (id = thingName). `ca`:
 * registration, settings or deletion of one (id = caCertificateId). `logging`: the account's logging options or levels.
 * `domain`: creation, settings, certificate or deletion of a domain configuration (id = its domain name). `acm`: a certificate of ACM was imported
 * again or renewed (id = its ARN). `iam`: anything of the account's IAM, whatever the region (id = the account's).
 */
export type ChangeKind = 'certificate' | 'principal' | 'policy' | 'thing' | 'ca' | 'logging' | 'domain' | 'acm' | 'iam';

export interface Change {
  readonly account: AccountRegion;
  readonly kind: ChangeKind;
  readonly id: string;
}

const nothing = new Uint8Array(0);
const escapeToken = (token: string): string => encodeURIComponent(token).replaceAll('.', '%2E').replaceAll('*', '%2A');

/** Tells every node that cached copies of something are void. Sent after the commit; may be lost, so caches also age. */
export const noteChange = (bus: Bus, { account, kind, id }: Change): void =>
  bus.publish(`changed.${account.accountId}.${account.region}.${kind}.${escapeToken(id)}`, nothing);

/** Calls `receive` for every notice of change, of every account. Returns the end of it. */
export const onChange = (bus: Bus, receive: (change: Change) => void): (() => void) =>
  bus.subscribe('changed.>', (_payload, subject) => {
    const [, accountId = '', region = '', kind = '', id = ''] = subject.split('.');
    receive({ account: { accountId, region }, kind: kind as ChangeKind, id: decodeURIComponent(id) });
  });
