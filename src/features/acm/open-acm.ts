/** What a node needs to issue certificates, and which names it takes without a proof. */
import { dnsLookup } from './dns-lookup.ts';
import { type Issuance, type IssuanceOptions, openIssuance } from './issuance.ts';
import type { RequestServices } from './request-certificate.ts';
import type { Proving } from './validation.ts';

export interface AcmOptions extends Omit<IssuanceOptions, 'isImmediate' | 'lookUp'> {
  /** 32 random bytes that all nodes of a store share. */
  readonly validationKey: Uint8Array;
  /** `address:port` each; without one those of the operating system. */
  readonly dnsServers: readonly string[];
  /** Tests: instead of a question to those servers. */
  readonly lookUp?: Proving['lookUp'];
  /** `--acm-validation immediate`. */
  readonly everyNameIsImmediate: boolean;
  /** The node listens on this machine alone. */
  readonly development: boolean;
}

/** Names that nobody can own, so that nobody could prove them. Source: RFC 6761 section 6. */
const reservedNames = /\.(localhost|test|example)$/;

export const openAcm = ({
  validationKey,
  dnsServers,
  everyNameIsImmediate,
  development,
  lookUp = dnsLookup(dnsServers),
  ...options
}: AcmOptions): RequestServices & { readonly issuance: Issuance } => ({
  validationKey,
  issuance: openIssuance({
    ...options,
    isImmediate: (name) => everyNameIsImmediate || (development && reservedNames.test(name)),
    lookUp,
  }),
});
