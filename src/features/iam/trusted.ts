/**
 * Whom a trust policy names is kept by id, as it was when the policy was written: a user or role that is deleted and made again under its name is another one, and is
 * not trusted until the policy is written again. Source: IAM user guide, "AWS JSON policy elements: Principal" (the ARN is saved as the principal's unique id).
 */
import { Fault } from '../../aws/fault.ts';
import { parseIamPolicy } from '../../iam/document.ts';
import type { Db } from '../../store/store.ts';
import { type Entity, entityArn, findEntity } from './entity.ts';

/** Ids by the ARNs of a policy. */
export type TrustedIds = Readonly<Record<string, string>>;

const entityForm = /^arn:aws:iam::([0-9]{12}):(user|role)\/(?:\S+\/)?([^/\s]+)$/;
const sessionForm = /^arn:aws:sts::([0-9]{12}):assumed-role\/([^/\s]+)\/[^/\s]+$/;

/** Undefined for an ARN that is nobody's here; null for one that names no user or role. */
const findNamed = async (db: Db, arn: string): Promise<Entity | undefined | null> => {
  const [, accountId = '', kind, name = ''] = entityForm.exec(arn) ?? [];
  if (kind === 'user' || kind === 'role') {
    const entity = await findEntity(db, accountId, kind, name);
    return entity && entityArn(accountId, entity) === arn ? entity : undefined;
  }
  const [, ownerId, roleName = ''] = sessionForm.exec(arn) ?? [];
  return ownerId === undefined ? null : findEntity(db, ownerId, 'role', roleName);
};

/** The ids of the users and roles that a trust policy names. Faults: MalformedPolicyDocumentException for one that does not exist. */
export const readTrustedIds = async (db: Db, trustPolicy: string): Promise<TrustedIds> => {
  const { statements } = parseIamPolicy(trustPolicy, 'trust');
  const ids: Record<string, string> = {};
  for (const arn of new Set(statements.flatMap(({ principals }) => principals?.aws ?? []))) {
    const named = await findNamed(db, arn);
    if (named === undefined) {
      throw new Fault('MalformedPolicyDocumentException', `Invalid principal in policy: "AWS":"${arn}"`);
    }
    if (named) ids[arn] = named.id;
  }
  return ids;
};
