/** The key algorithms of ACM, by the words of its API. Source: spec identity 10 (the words of the model, not those that Describe answers on AWS). */
import type { KeyFacts } from '../../pki/algorithms.ts';

const ofCurve: Readonly<Record<string, KeyAlgorithm>> = {
  'P-256': 'EC_prime256v1',
  'P-384': 'EC_secp384r1',
  'P-521': 'EC_secp521r1',
};

export type KeyAlgorithm =
  | 'RSA_1024'
  | 'RSA_2048'
  | 'RSA_3072'
  | 'RSA_4096'
  | 'EC_prime256v1'
  | 'EC_secp384r1'
  | 'EC_secp521r1';

const rsaSizes: Readonly<Record<number, KeyAlgorithm>> = {
  1024: 'RSA_1024',
  2048: 'RSA_2048',
  3072: 'RSA_3072',
  4096: 'RSA_4096',
};

/** Undefined for a key that ACM does not take. */
export const keyAlgorithmOf = ({ keyType, keyBits = 0, curve = '' }: KeyFacts): KeyAlgorithm | undefined => {
  if (keyType === 'rsa') return rsaSizes[keyBits];
  return keyType === 'ec' ? ofCurve[curve] : undefined;
};
