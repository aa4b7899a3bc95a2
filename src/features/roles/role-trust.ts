/** Whether a role's trust policy lets the credentials provider assume it for devices. Source: developer guide, "Authorizing direct calls to AWS services". */
import { type IamPolicy, parseIamPolicy } from '../../iam/document.ts';
import { MalformedIamPolicy } from '../../iam/malformed.ts';
import type { IamContext } from '../../iam/request.ts';
import { type TrustDecision, trustDecision } from '../../iam/trust.ts';

/** The principal that a trust policy has to name. */
const service = 'credentials.iot.amazonaws.com';

/** Undefined for what an older version took. */
const read = (trustPolicy: string): IamPolicy | undefined => {
  try {
    return parseIamPolicy(trustPolicy, 'trust');
  } catch (error) {
    if (error instanceof MalformedIamPolicy) return undefined;
    throw error;
  }
};

/** A trust policy that cannot be read lets nobody. */
export const trustsDevices = (trustPolicy: string, context: IamContext): TrustDecision => {
  const policy = read(trustPolicy);
  return policy
    ? trustDecision(policy, { service, action: 'sts:AssumeRole', context })
    : { allowed: false, reason: 'IMPLICIT_DENY' };
};
