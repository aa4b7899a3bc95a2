/**
 * What an IAM identity may do on the data plane: in its own account and region everything, since identities have no policies yet. Whose account a request
 * reaches is decided by the signature, so nothing here can reach another.
 */
import type { Authority, Signer } from '../../mqtt/authority.ts';

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
