/**
 * The managed policies of AWS that devices' owners use, as every account has them: attachable, and nobody's to change. Texts and versions are those that AWS
 * publishes (AWS managed policy reference). Assumed: the ids, and that a policy is as old as its version.
 */
import policies from './aws-managed-policies.json' with { type: 'json' };
import { derivedIamId } from './ids.ts';

/** A managed policy, of AWS or an account's own. */
export interface ManagedPolicy {
  readonly arn: string;
  readonly policyName: string;
  /** Begins and ends in `/`. */
  readonly path: string;
  readonly policyId: string;
  readonly description: string | undefined;
  readonly defaultVersion: number;
  /** The highest version ever given, whether it still exists or not. */
  readonly lastVersion: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Nobody's to change. */
  readonly ofAws: boolean;
}

interface AwsManaged {
  readonly policy: ManagedPolicy;
  readonly document: string;
}

const builtIn = (given: (typeof policies)[number]): AwsManaged => {
  const arn = `arn:aws:iam::aws:policy${given.path}${given.name}`;
  const createdAtMs = Date.parse(given.date);
  return {
    policy: {
      arn,
      policyName: given.name,
      path: given.path,
      policyId: derivedIamId('policy', arn),
      description: given.description,
      defaultVersion: given.version,
      lastVersion: given.version,
      createdAtMs,
      updatedAtMs: createdAtMs,
      ofAws: true,
    },
    document: JSON.stringify(given.document, null, 2),
  };
};

const byArn: ReadonlyMap<string, AwsManaged> = new Map(
  policies.map(builtIn).map((managed) => [managed.policy.arn, managed]),
);

/** By name. */
export const awsManagedPolicies: readonly ManagedPolicy[] = [...byArn.values()].map(({ policy }) => policy);

export const findAwsManaged = (arn: string): AwsManaged | undefined => byArn.get(arn);
