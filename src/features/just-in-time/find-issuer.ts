/**
 * Which registered CA stands behind a certificate that nobody has registered. The direct issuer alone counts: a CA whose subject is the certificate's issuer, byte
 * by byte, and whose key verifies its signature; what else the device has sent of its chain is not looked at. Source: spec provisioning.md 2.1, 2.4.
 */
import { X509Certificate } from 'node:crypto';
import { type AccountRegion, sameAccount } from '../../aws/arn.ts';
import { CertificateProblem, type ParsedCertificate, parseCertificate } from '../../pki/certificate.ts';
import { isSignedBy, namesIn } from '../../pki/issued-by.ts';
import type { Db } from '../../store/store.ts';
import { type CaCertificate, type CaHolder, findCaHolders, findCasOfIssuer } from '../cas/ca-certificate.ts';

/** What was found. `issuers`: the account's CAs that signed it; empty when CAs of that name are registered, and none of them did. */
export interface Issued {
  readonly account: AccountRegion;
  readonly certificate: ParsedCertificate;
  readonly issuers: readonly CaCertificate[];
  /** The CAs of the issuer's name, whoever signed; at least one. */
  readonly namesakes: readonly CaCertificate[];
}

export interface FindIssuerOptions {
  readonly db: Db;
  /** Asked before each signature, and before the certificate is read at all; false: not now. */
  readonly mayVerify: () => boolean;
}

const issuerOf = (der: Uint8Array): Uint8Array | undefined => {
  try {
    return namesIn(der).issuerDer;
  } catch (cause) {
    if (cause instanceof CertificateProblem) return undefined;
    throw cause;
  }
};

const parse = (der: Uint8Array): ParsedCertificate | undefined => {
  try {
    return parseCertificate(der);
  } catch (cause) {
    if (cause instanceof CertificateProblem) return undefined;
    throw cause;
  }
};

/** Those of the holdings whose CA signed the certificate; undefined: not all could be looked at now. Who calls has asked for the first signature. */
const signersAmong = (
  certificate: ParsedCertificate,
  holders: readonly CaHolder[],
  mayVerify: () => boolean,
): readonly CaHolder[] | undefined => {
  const signers: CaHolder[] = [];
  for (const [index, holder] of holders.entries()) {
    if (index > 0 && !mayVerify()) return undefined;
    // it could be parsed when it was registered
    const { raw: der } = new X509Certificate(holder.ca.certificatePem);
    if (isSignedBy(certificate, { der })) signers.push(holder);
  }
  return signers;
};

/**
 * Looks among the CAs of an account. Without an account, where a connection had no SNI: among those of the region in DEFAULT mode, and only if all that signed belong
 * to one account (design 3). Undefined: no CA of that name, or no single account; most strangers end here, at the price of one lookup by index. `throttled`:
 * `mayVerify` has said no.
 */
export const findIssuer = async (
  { db, mayVerify }: FindIssuerOptions,
  der: Uint8Array,
  where: AccountRegion | { readonly region: string },
): Promise<Issued | 'throttled' | undefined> => {
  const issuerDer = issuerOf(der);
  if (!issuerDer) return undefined;
  const account = 'accountId' in where ? where : undefined;
  const holders = account
    ? (await findCasOfIssuer(db, account, issuerDer)).map((ca) => ({ account, ca }))
    : (await findCaHolders(db, where.region, issuerDer)).filter(({ ca }) => ca.certificateMode === 'DEFAULT');
  if (holders.length === 0) return undefined;
  if (!mayVerify()) return 'throttled';
  const certificate = parse(der);
  if (!certificate) return undefined;
  const signers = signersAmong(certificate, holders, mayVerify);
  if (!signers) return 'throttled';
  const owner = account ?? signers[0]?.account;
  if (!owner || signers.some((signer) => !sameAccount(signer.account, owner))) return undefined;
  return {
    account: owner,
    certificate,
    issuers: signers.map(({ ca }) => ca),
    namesakes: holders.map(({ ca }) => ca),
  };
};
