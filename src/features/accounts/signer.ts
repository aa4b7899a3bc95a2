/**
 * What whoever signs may do on the data plane. An account's root may do everything in its own account and region; users and roles what their policies say. Whose
 * account a request reaches is decided by the signature, so nothing here can reach another.
 */
import { Fault } from '../../aws/fault.ts';
import type { Admission, Authority, Signer } from '../../mqtt/authority.ts';
import type { Accounts } from './account.ts';

/** The rights of a root. They never change, and nothing that would end a connection can happen to them. */
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

/**
 * Lets a signer in; `admitIdentity` judges users and roles. Its account comes into being at this first use; where there are too many it is refused. Rejects when
 * the store cannot be asked.
 */
export const admitSigner = async (
  signer: Signer,
  accounts: Pick<Accounts, 'ensure'>,
  admitIdentity: (signer: Signer) => Promise<Admission>,
): Promise<Admission> => {
  try {
    await accounts.ensure(signer.account);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { refusal: 'LIMIT_EXCEEDED', account: undefined };
  }
  return signer.iam?.kind === 'root' ? { authority: signerAuthority(signer) } : admitIdentity(signer);
};
