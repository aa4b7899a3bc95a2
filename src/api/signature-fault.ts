/** How a signature fails: what the caller is told, and what a journal may keep of it. Source: spec identity 1, gateway 8; IAM user guide, "Troubleshoot Signature Version 4 signing". */
import type { AccountRegion } from '../aws/arn.ts';
import { Fault, type FaultName } from '../aws/fault.ts';
import type { KeyOver, KnownIdentity } from '../aws/identity.ts';
import { stringToSign } from '../aws/sigv4.ts';
import type { Claim } from './signature.ts';

/** What is wrong with a signature that can be read, in the distinction of AWS's logs (spec gateway 8: SECURITY_TOKEN_...). */
export type SignatureProblem = 'EXPIRED' | 'INVALID' | 'SIGNATURE_MISMATCH';

/** Whose a key is, without its secret and its token: a fault may come into a log. */
export type KeyOwner = Pick<KnownIdentity, 'accountId' | 'arn' | 'iam' | 'roleArn'>;
const ownerOf = ({ accountId, arn, iam, roleArn }: KnownIdentity): KeyOwner => ({
  ...{ accountId, arn },
  ...(iam && { iam }),
  ...(roleArn !== undefined && { roleArn }),
});

/** What is known of a key whose signature does not hold: names, for the journal. */
export interface KeyFacts {
  /** `UNKNOWN`, `TOKEN_MISSING`, `TOKEN_INVALID`, `SECRET`: another secret was signed with; or why the key is over. */
  readonly keyProblem: KeyOver | 'UNKNOWN' | 'TOKEN_MISSING' | 'TOKEN_INVALID' | 'SECRET';
  /** Absent where what was sent in its place has not the form of one: it might be a secret. */
  readonly accessKeyId?: string;
  readonly owner?: KeyOwner;
  /** Absent unless the request has proven it, by a signature that was right but for the end of its key. */
  readonly account?: AccountRegion;
}

interface SignatureFaultFacts {
  readonly problem: SignatureProblem;
  readonly detail: string;
  readonly key?: KeyFacts;
}

/** A signature that does not hold. `detail` says why in words that repeat nothing of the request, so that a journal may keep it. */
export class SignatureFault extends Fault {
  readonly problem: SignatureProblem;
  readonly detail: string;
  readonly key: KeyFacts | undefined;
  constructor(name: FaultName, message: string, { problem, detail, key }: SignatureFaultFacts) {
    super(name, message);
    this.problem = problem;
    this.detail = detail;
    this.key = key;
  }
}

export const invalid = (message: string, detail: string, problem: SignatureProblem = 'INVALID'): Fault =>
  new SignatureFault('InvalidSignatureException', message, { problem, detail });
const notKnown = 'the access key, or its session token, is not known here';
export const unrecognized = (key: KeyFacts, detail = notKnown): Fault =>
  new SignatureFault('UnrecognizedClientException', 'The security token included in the request is invalid.', {
    ...{ problem: 'INVALID', detail, key },
  });

/** An access key that is in use, and no secret that was sent in its place. Source: IAM user guide, "IAM identifiers"; design 3 (development keys). */
const accessKeyShape = /^(?:A[KS]IA[A-Z0-9]{12,28}|(?:ASIA)?[0-9]{12}|test)$/;
const shownKey = ({ accessKeyId }: Claim): Pick<KeyFacts, 'accessKeyId'> =>
  accessKeyShape.test(accessKeyId) ? { accessKeyId } : {};

/** Why a key is not known. */
export const strangeKey = (claim: Claim): KeyFacts => {
  const ofToken = /^ASIA/.test(claim.accessKeyId) ? ('TOKEN_MISSING' as const) : ('UNKNOWN' as const);
  return { ...shownKey(claim), keyProblem: claim.sessionToken === undefined ? ofToken : 'TOKEN_INVALID' };
};

const overDetails: Readonly<Record<KeyOver, string>> = {
  INACTIVE: 'the access key is Inactive',
  EXPIRED: 'the session token has expired',
  GONE: 'the user or role of the session is gone',
};

/** Of a key that is over; `account` where it was proven all the same. */
export const overFault = (
  keyProblem: KeyOver,
  claim: Claim,
  { identity, account }: { readonly identity?: KnownIdentity; readonly account?: AccountRegion },
): Fault => {
  const known = { ...(identity && { owner: ownerOf(identity) }), ...(account && { account }) };
  const key: KeyFacts = { ...shownKey(claim), ...known, keyProblem };
  const detail = overDetails[keyProblem];
  if (keyProblem !== 'EXPIRED') return unrecognized(key, detail);
  return new SignatureFault('ExpiredTokenException', 'The security token included in the request is expired', {
    ...{ problem: 'EXPIRED', detail, key },
  });
};

/** Signed with another secret, or something else than came: `canonical`. */
export const mismatch = (canonical: string, claim: Claim, identity: KnownIdentity): Fault => {
  const key: KeyFacts = { ...shownKey(claim), keyProblem: 'SECRET', owner: ownerOf(identity) };
  return new SignatureFault(
    'InvalidSignatureException',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. ' +
      `Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'${canonical}'\n\n` +
      `The String-to-Sign should have been\n'${stringToSign(claim.amzDate, claim.scope, canonical)}'\n`,
    {
      ...{ problem: 'SIGNATURE_MISMATCH', key },
      detail: 'the signature is another one than that of the request as it came',
    },
  );
};
