/**
 * Compiled policies, shared: thousands of devices have the same few policies, so what one certificate's policies come to is compiled once and kept
 * under the versions it was made of. A version's text never changes, so nothing here ever goes stale; it is only dropped to make room.
 */
import { type AccountRegion, accountKey, iotArn } from '../../aws/arn.ts';
import { MalformedPolicy } from '../../policy/malformed.ts';
import { type CompiledPolicy, compilePolicy, joinPolicies, type PolicySet } from '../../policy/policy-set.ts';
import type { Db } from '../../store/store.ts';
import type { OperativePolicy } from './policy-attachment.ts';
import { readDocuments } from './policy-version.ts';

/** What a certificate's policies come to. Equal policies give the same object. */
export interface Rights {
  readonly set: PolicySet;
  /** In name order. */
  readonly policyNames: readonly string[];
  /** The document of one of them on one line, by its name; absent when it is longer than `shownDocumentCharactersMax`. */
  readonly documents: ReadonlyMap<string, string>;
}

/** Characters of a document, without its insignificant white space, that a cure may quote. */
const shownDocumentCharactersMax = 4096;

interface Compiled {
  readonly policyName: string;
  readonly policy: CompiledPolicy;
  readonly shown: string | undefined;
}

/** Nothing granted: a certificate without policies. */
export const noRights: Rights = { set: joinPolicies([]), policyNames: [], documents: new Map() };

/** A map that forgets what was not asked for longest, beyond `max` entries. */
const recentMap = <Value>(max: number) => {
  const entries = new Map<string, Value>();
  return {
    get(key: string): Value | undefined {
      const value = entries.get(key);
      if (value !== undefined) {
        entries.delete(key);
        entries.set(key, value);
      }
      return value;
    },
    set(key: string, value: Value): void {
      entries.set(key, value);
      for (const oldest of entries.keys()) {
        if (entries.size <= max) break;
        entries.delete(oldest);
      }
    },
    size: () => entries.size,
  };
};

export interface RightsCache {
  /**
   * The rights that policies give together. Undefined when one of their versions is gone by now: the list is out of date and must be read again.
   * A stored document that cannot be understood grants nothing, and neither does anything beside it: a Deny might be in it.
   */
  rightsOf(db: Db, account: AccountRegion, policies: readonly OperativePolicy[]): Promise<Rights | undefined> | Rights;
  /** Sets and single policies held, for tests. */
  sizes(): { readonly sets: number; readonly policies: number };
}

/** `setsMax` bounds the sets kept and, apart from them, the single policies; beyond it the least recently used is compiled anew when asked for. */
export const createRightsCache = ({ setsMax }: { setsMax: number }): RightsCache => {
  const sets = recentMap<Rights>(setsMax);
  const compiled = recentMap<Compiled>(setsMax);
  const keyOf = (account: AccountRegion, { generationId, policyName, version }: OperativePolicy): string =>
    `${accountKey(account)}/${policyName}/${generationId}/${version}`;

  const compile = async (
    db: Db,
    account: AccountRegion,
    policies: readonly OperativePolicy[],
    key: string,
  ): Promise<Rights | undefined> => {
    const missing = policies.filter((policy) => !compiled.get(keyOf(account, policy)));
    const documents = new Map((await readDocuments(db, account, missing)).map((one) => [one.policyName, one.text]));
    const parts: Compiled[] = [];
    for (const policy of policies) {
      const known = compiled.get(keyOf(account, policy));
      const text = documents.get(policy.policyName);
      if (!known && text === undefined) return undefined;
      const part = known ?? compileOne(account, policy, text ?? '');
      if (!part) return { ...noRights, policyNames: policies.map(({ policyName }) => policyName) };
      compiled.set(keyOf(account, policy), part);
      parts.push(part);
    }
    const rights: Rights = {
      set: joinPolicies(parts.map(({ policy }) => policy)),
      policyNames: parts.map(({ policyName }) => policyName),
      documents: new Map(
        parts.flatMap(({ policyName, shown }) => (shown === undefined ? [] : [[policyName, shown] as const])),
      ),
    };
    sets.set(key, rights);
    return rights;
  };

  return {
    rightsOf(db, account, policies) {
      if (policies.length === 0) return noRights;
      const key = policies.map((policy) => keyOf(account, policy)).join(' ');
      return sets.get(key) ?? compile(db, account, policies, key);
    },
    sizes: () => ({ sets: sets.size(), policies: compiled.size() }),
  };
};

const compileOne = (
  account: AccountRegion,
  { policyName, version }: OperativePolicy,
  text: string,
): Compiled | undefined => {
  const policyArn = iotArn(account, 'policy', policyName);
  try {
    const policy = compilePolicy({ policyName, policyArn, policyVersionId: String(version), text });
    const shown = JSON.stringify(JSON.parse(text));
    return { policyName, policy, shown: shown.length > shownDocumentCharactersMax ? undefined : shown };
  } catch (cause) {
    if (cause instanceof MalformedPolicy) return undefined;
    throw cause;
  }
};
