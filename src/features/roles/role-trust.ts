/** Whether a role's trust policy lets the credentials provider assume it for devices. Source: developer guide, "Authorizing direct calls to AWS services". */
import type { IamContext } from '../../iam/request.ts';
import { decideKeptTrust, type TrustDecision } from '../../iam/trust.ts';

/** The principal that a trust policy has to name. */
const service = 'credentials.iot.amazonaws.com';

export const trustsDevices = (trustPolicy: string, context: IamContext): TrustDecision =>
  decideKeptTrust(trustPolicy, { service, action: 'sts:AssumeRole', context });
