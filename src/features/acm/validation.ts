/**
 * The proof that an account controls a name: a CNAME record that only whoever keeps the name's zone can make. The record of one name is the same for every
 * request of an account, in every region, and a wildcard has that of the name behind it, so that a record once made serves all certificates and their renewals.
 * Source: ACM user guide, "DNS validation"; spec identity 10 (the forms of name and value).
 */
import { createHmac } from 'node:crypto';

export interface DomainValidation {
  /** As it stands in the certificate, e.g. `*.example.com`. */
  readonly domainName: string;
  readonly status: 'PENDING_VALIDATION' | 'SUCCESS' | 'FAILED';
  /** e.g. `_<32 hex>.example.com.`. */
  readonly recordName: string;
  /** e.g. `_<32 hex>.<10 letters>.acm-validations.aws.`. */
  readonly recordValue: string;
}

const letters = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => String.fromCharCode(97 + (byte % 26))).join('');

/** What has to be proven of `names`, lower case. `key`: 32 random bytes that all nodes of a store share; without it nobody knows the record of another account. */
export const validationOf = (
  key: Uint8Array,
  accountId: string,
  names: readonly string[],
): readonly DomainValidation[] =>
  names.map((domainName) => {
    const zone = domainName.replace(/^\*\./, '');
    const bytes = createHmac('sha512', key)
      .update(JSON.stringify(['acm-validation', accountId, zone]))
      .digest();
    return {
      domainName,
      status: 'PENDING_VALIDATION',
      recordName: `_${bytes.toString('hex', 0, 16)}.${zone}.`,
      recordValue: `_${bytes.toString('hex', 16, 32)}.${letters(bytes.subarray(32, 42))}.acm-validations.aws.`,
    };
  });

export interface Proving {
  /** Whether a name needs no proof. */
  isImmediate(domainName: string): boolean;
  /** The targets of the CNAME records of a name, as `dns-lookup.ts` looks them up. */
  lookUp(name: string): Promise<readonly string[] | undefined>;
}

const normalized = (name: string): string => name.toLowerCase().replace(/\.$/, '');

/** Questions at once about one certificate. How many and for how long is the bound of who asks. */
const lookUpsMax = 4;

/**
 * Looks at what is not proven yet, each record once. When nobody answers, the rest is left for the next time, so that a DNS server that is away
 * costs one wait and not a hundred.
 */
export const prove = async (
  validation: readonly DomainValidation[],
  { isImmediate, lookUp }: Proving,
): Promise<readonly DomainValidation[]> => {
  const isProven = (option: DomainValidation): boolean => option.status === 'SUCCESS' || isImmediate(option.domainName);
  const wanted = [...new Set(validation.filter((option) => !isProven(option)).map(({ recordName }) => recordName))];
  const found = new Map<string, readonly string[]>();
  let answered = true;
  const worker = async (): Promise<void> => {
    while (answered) {
      const recordName = wanted.shift();
      if (recordName === undefined) return;
      const targets = await lookUp(normalized(recordName));
      if (targets) found.set(recordName, targets.map(normalized));
      else answered = false;
    }
  };
  await Promise.all(Array.from({ length: lookUpsMax }, worker));
  return validation.map((option) => {
    const isThere = found.get(option.recordName)?.includes(normalized(option.recordValue)) ?? false;
    return { ...option, status: isThere || isProven(option) ? 'SUCCESS' : 'PENDING_VALIDATION' };
  });
};

export const isWholly = (validation: readonly DomainValidation[], status: DomainValidation['status']): boolean =>
  validation.every((option) => option.status === status);

/** The same, to be proven anew. */
export const unproven = (validation: readonly DomainValidation[]): readonly DomainValidation[] =>
  validation.map((option) => ({ ...option, status: 'PENDING_VALIDATION' }));
