/**
 * What may be imported: one leaf in PEM, its private key in clear, and the chain above it. Extended key usage and names are not looked at here; whoever presents
 * the certificate does (spec identity 10, check 41). Source: API reference, ImportCertificate; ACM user guide, "Prerequisites for importing ACM certificates" and
 * "Certificate import problems". The sentences are AWS's where they are known (AWS Knowledge Center, "acm-import-troubleshooting").
 * Assumed: the order of the checks, and that every certificate of the chain must be valid now.
 */
import { createPrivateKey, type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import { Fault } from '../../aws/fault.ts';
import { CertificateProblem, type ParsedCertificate, parseCertificate } from '../../pki/certificate.ts';
import { isSignedBy, mayIssue, namesAsIssuer } from '../../pki/issued-by.ts';
import { pemBlocks } from '../../pki/pem.ts';
import type { CertificateMaterial } from './acm-certificate.ts';
import { keyAlgorithmOf } from './key-algorithm.ts';
import { usageNamesOf } from './usage-names.ts';

/** Certificates of a chain above the leaf: more than any CA has, and each costs a signature. One more is refused. */
export const chainCertificatesMax = 10;
/** Of one certificate of the chain, in DER: the bound that the model has for the text of the leaf. */
const certificateBytesMax = 32_768;
/** Characters of the address of an OCSP responder in a certificate. Source: API reference, ImportCertificate. */
const ocspAddressMax = 1000;

/** How Node begins such an address. */
const ocspLine = 'OCSP - URI:';

const invalid = (message: string): Fault => new Fault('ValidationException', message);

const parse = (der: Uint8Array): ParsedCertificate => {
  try {
    return parseCertificate(der);
  } catch (cause) {
    if (cause instanceof CertificateProblem) throw unparsable();
    throw cause;
  }
};
const unparsable = (): Fault => invalid('Unable to parse certificate. Please ensure the certificate is in PEM format.');

const readLeaf = (text: string): ParsedCertificate => {
  const blocks = pemBlocks(text, 'CERTIFICATE', 2);
  const [der, second] = blocks ?? [];
  if (!der) throw unparsable();
  if (second) {
    throw invalid(
      'The certificate field contains more than one certificate. You can specify only one certificate in this field.',
    );
  }
  return parse(der);
};

const assertInForce = ({ notBeforeMs, notAfterMs }: ParsedCertificate, what: string, nowMs: number): void => {
  if (nowMs > notAfterMs) throw invalid(`${what} has expired.`);
  if (nowMs < notBeforeMs) throw invalid(`${what} is not valid yet.`);
};

const assertLeaf = (leaf: ParsedCertificate, nowMs: number): void => {
  if (leaf.version !== 3) throw invalid('The certificate is not an X.509 version 3 certificate.');
  if (leaf.issuer === '') throw invalid('The issuer of the certificate is empty.');
  assertInForce(leaf, 'The certificate', nowMs);
  const { infoAccess = '' } = new X509Certificate(leaf.der);
  const responders = infoAccess.split('\n').filter((line) => line.startsWith(ocspLine));
  if (responders.some((line) => line.length > ocspLine.length + ocspAddressMax)) {
    throw invalid(`The OCSP authority URL of the certificate has more than ${ocspAddressMax} characters.`);
  }
};

const isEncrypted = (text: string): boolean =>
  text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----') || /^Proc-Type: ?4,ENCRYPTED/m.test(text);

/** A key whose halves do not belong together would only show itself when a client connects. */
const signsFor = (key: KeyObject, leaf: X509Certificate): boolean => {
  try {
    const proof = Buffer.from('a key signs for its certificate');
    return leaf.checkPrivateKey(key) && verify('sha256', proof, leaf.publicKey, sign('sha256', proof, key));
  } catch {
    return false;
  }
};

const readPrivateKey = (text: string, leaf: ParsedCertificate): string => {
  if (isEncrypted(text)) throw invalid('Your private key should not be encrypted.');
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    // not the cause: OpenSSL's sentences are about the bytes of a secret
    throw invalid('The private key is not supported.');
  }
  if (!signsFor(key, new X509Certificate(leaf.der))) {
    throw invalid('The private key does not match the certificate.');
  }
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
};

const isIssuedBy = (certificate: ParsedCertificate, issuer: ParsedCertificate): boolean =>
  namesAsIssuer(certificate, issuer) && (mayIssue(issuer) || issuer.version === 1) && isSignedBy(certificate, issuer);

const readChain = (leaf: ParsedCertificate, text: string | undefined, nowMs: number): string | undefined => {
  if (text === undefined) {
    if (namesAsIssuer(leaf, leaf) && isSignedBy(leaf, leaf)) return undefined;
    throw invalid(
      'Provided certificate is not a valid self signed. Please provide either a valid self-signed certificate or certificate chain.',
    );
  }
  const blocks = pemBlocks(text, 'CERTIFICATE', chainCertificatesMax + 1);
  if (!blocks || blocks.length === 0) {
    throw invalid('Unable to parse certificate chain. Please ensure the certificate chain is in PEM format.');
  }
  if (blocks.length > chainCertificatesMax) {
    throw invalid(`The certificate chain has more than ${chainCertificatesMax} certificates.`);
  }
  if (blocks.some(({ length }) => length > certificateBytesMax)) {
    throw invalid(`A certificate of the certificate chain has more than ${certificateBytesMax} bytes.`);
  }
  const chain = blocks.map(parse);
  for (const [index, certificate] of chain.entries()) {
    if (!isIssuedBy(chain[index - 1] ?? leaf, certificate)) {
      throw invalid('Could not validate the certificate with the certificate chain.');
    }
    assertInForce(certificate, 'A certificate of the certificate chain', nowMs);
  }
  return chain.map(({ pem }) => pem).join('');
};

export interface Imported {
  readonly certificate: Uint8Array;
  readonly privateKey: Uint8Array;
  readonly chain: Uint8Array | undefined;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Checks an import and takes it apart. Costs some milliseconds at most. Faults: ValidationException. */
export const readImport = ({ certificate, privateKey, chain }: Imported, nowMs: number): CertificateMaterial => {
  const leaf = readLeaf(text(certificate));
  assertLeaf(leaf, nowMs);
  const keyAlgorithm = keyAlgorithmOf(leaf);
  if (keyAlgorithm === undefined) {
    throw invalid(
      leaf.keyType === 'rsa'
        ? 'The private key length is not supported for key algorithm.'
        : 'The private key is not supported.',
    );
  }
  const privateKeyPem = readPrivateKey(text(privateKey), leaf);
  const chainPem = readChain(leaf, chain && text(chain), nowMs);
  return {
    ...namesOf(leaf),
    ...usages(leaf),
    keyAlgorithm,
    certificatePem: leaf.pem,
    chainPem,
    privateKeyPem,
    notBeforeMs: leaf.notBeforeMs,
    notAfterMs: leaf.notAfterMs,
  };
};

const namesOf = ({ policyFields }: ParsedCertificate): Pick<CertificateMaterial, 'domainName' | 'names'> => {
  const { CommonName = [], AlternativeName } = policyFields.subject;
  const commonName = CommonName.at(-1)?.toLowerCase();
  const names = AlternativeName
    ? (AlternativeName.DNSName ?? []).map((name) => name.toLowerCase())
    : commonName === undefined
      ? []
      : [commonName];
  const domainName = commonName ?? names[0] ?? '';
  // no store keeps that character in a text, and no name needs it
  if ([domainName, ...names].some((name) => name.includes('\0'))) throw unparsable();
  return { domainName, names: [...new Set(names)] };
};

const usages = ({ der }: ParsedCertificate): Pick<CertificateMaterial, 'keyUsages' | 'extendedKeyUsages'> => {
  try {
    const { keyUsages, extendedKeyUsages } = usageNamesOf(der);
    return { keyUsages, extendedKeyUsages: extendedKeyUsages.map(({ Name }) => Name) };
  } catch {
    throw unparsable();
  }
};
