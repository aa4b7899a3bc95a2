/** A signature that does not hold, as the journal keeps it. Facts: journal/explain-keys.ts. */
import { type KeyFacts, SignatureFault } from '../api/signature-fault.ts';
import { Fault } from '../aws/fault.ts';
import type { JournalRecord } from '../journal/record.ts';

const keyFacts = ({ keyProblem, accessKeyId, owner }: KeyFacts): Readonly<Record<string, string>> => {
  const { iam, arn, accountId, roleArn } = owner ?? {};
  return {
    keyProblem,
    ...(accessKeyId !== undefined && { accessKeyId }),
    ...(accountId !== undefined && { keyAccountId: accountId }),
    ...(arn !== undefined && arn !== '' && { principalArn: arn }),
    ...(iam?.kind === 'user' && { userName: iam.userName }),
    ...(iam?.kind === 'role' && { roleName: iam.roleName, sessionName: iam.sessionName }),
    ...(roleArn !== undefined && { roleArn }),
    ...(iam?.kind === 'role' && iam.device && { certificateId: iam.device.certificateId }),
  };
};

type SignatureRecord = Pick<JournalRecord, 'reason' | 'detail' | 'account' | 'facts'>;

/** Undefined for what is no fault of a signature. */
export const signatureRecord = (error: unknown): SignatureRecord | undefined => {
  if (error instanceof SignatureFault) {
    const { problem, detail, key } = error;
    const account = key?.account;
    return {
      ...{ reason: `SECURITY_TOKEN_${problem}`, detail },
      ...(key && { facts: keyFacts(key) }),
      ...(account && { account }),
    };
  }
  if (!(error instanceof Fault)) return undefined;
  if (error.name === 'IncompleteSignatureException') {
    return { reason: 'SECURITY_TOKEN_INVALID', detail: 'the signature cannot be read' };
  }
  return error.name === 'MissingAuthenticationTokenException' ? { reason: 'NOT_AUTHENTICATED' } : undefined;
};
