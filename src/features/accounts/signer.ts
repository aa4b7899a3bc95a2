/**
 * What an IAM identity may do on the data plane: in its own account and region everything, since identities have no policies yet. Whose account a request
 * reaches is decided by the signature, so nothing here can reach another.
 */
import { Fault } from '../../aws/fault.ts';
import type { Admission, Authority, Signer } from '../../mqtt/authority.ts';
import type { Accounts } from './account.ts';

/** The rights of whoever signed. They never change, and nothing that would end a connection can happen to them. */
export const signerAuthority = ({ account, userId, arn }: Signer): Authority => ({
  account,
  principalId: userId,
  revision: 1,
  stale: () => undefined,
  allows: () => true,
  weigh: () => ({ decision: 'ALLOWED', statements: [], unresolved: [] }),
  facts: () => ({ principalArn: arn }),
  onLost: () => undefined,
  release: () => undefined,
});

/** Lets a signer in. Its account comes into being at this first use; where there are too many it is refused. Rejects when the store cannot be asked. */
export const admitSigner = async (signer: Signer, accounts: Pick<Accounts, 'ensure'>): Promise<Admission> => {
  try {
    await accounts.ensure(signer.account);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { refusal: 'LIMIT_EXCEEDED', account: undefined };
  }
  return { authority: signerAuthority(signer) };
};
