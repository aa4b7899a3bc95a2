import type { Db } from '../../store/store.ts';
import { deleteConflict } from './faults.ts';
import { inlinePoliciesOf } from './inline-policy.ts';
import { attachedTo } from './policy-attachment.ts';

/** Refuses to delete what still bears policies. Faults: DeleteConflictException. */
export const assertBare = async (db: Db, accountId: string, entityId: string): Promise<void> => {
  if ((await attachedTo(db, accountId, entityId)).length > 0) {
    throw deleteConflict('Cannot delete entity, must detach all policies first.');
  }
  if ((await inlinePoliciesOf(db, accountId, entityId)).length > 0) {
    throw deleteConflict('Cannot delete entity, must delete policies first.');
  }
};
