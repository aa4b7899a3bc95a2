/** The secrets that a store keeps sealed, of all slices: whether there are any, and whether the node's key opens them. Asked when a node starts. */
import type { Db } from '../store/store.ts';

/** Whether the store holds a secret that was not sealed by the box whose secrets begin with `own`; '': any secret at all. */
export const holdsSealed = async (db: Db, own = ''): Promise<boolean> => {
  const others = `${own}%`;
  const first = await Promise.all([
    db
      .selectFrom('iam_access_keys')
      .select('access_key_id')
      .where('sealed_secret', own === '' ? 'like' : 'not like', others)
      .limit(1)
      .executeTakeFirst(),
    db
      .selectFrom('acm_certificates')
      .select('certificate_uuid')
      .where('private_key', own === '' ? 'like' : 'not like', others)
      .limit(1)
      .executeTakeFirst(),
    db
      .selectFrom('domain_configurations')
      .select('name')
      .where('served_key_sealed', own === '' ? 'like' : 'not like', others)
      .limit(1)
      .executeTakeFirst(),
  ]);
  return first.some((row) => row !== undefined);
};
