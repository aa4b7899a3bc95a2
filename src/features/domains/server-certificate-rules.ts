/**
 * What a server certificate must be to be presented under a domain name. ACM takes more than that: a certificate without serverAuth is imported and only
 * refused here. Source: seed 003, section 2; developer guide, "Creating and configuring custom domains"; spec identity 8, gateway 1.4.
 */
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { pemBlocks } from '../../pki/pem.ts';
import { readServerLeaf, type ServerLeaf } from '../../pki/server-leaf.ts';
import type { PresentedCertificate } from '../../tls/served-domain.ts';

/** Certificates of a chain, the leaf included. */
const chainMax = 5;
/** Of a chain, as DER. */
const chainBytesMax = 16 * 1024;
/** Names of a certificate. */
const namesMax = 4;
/** Whether a name of a certificate stands for a host, lower case: itself, or with a wildcard for its whole first label. RFC 6125 6.4.3. */
export const covers = (name: string, host: string): boolean =>
  name === host || (name.startsWith('*.') && host.indexOf('.') > 0 && name.slice(1) === host.slice(host.indexOf('.')));

/** The chain's certificates, leaf first; undefined when one cannot be read. */
const readChain = (chainPem: string): readonly X509Certificate[] | undefined => {
  try {
    const blocks = pemBlocks(chainPem, 'CERTIFICATE', chainMax + 1) ?? [];
    return blocks.length === 0 ? undefined : blocks.map((der) => new X509Certificate(der));
  } catch {
    return undefined;
  }
};

/** Undefined when its names or purposes cannot be read: OpenSSL takes what is no DER, and looks into few extensions. */
const readLeaf = (der: Uint8Array): ServerLeaf | undefined => {
  try {
    return readServerLeaf(der);
  } catch {
    return undefined;
  }
};

const unreadable = 'The server certificate cannot be read';

/** What is wrong with the chain for the domain, as a sentence; undefined: nothing. */
export const serverCertificateProblem = (chainPem: string, domainName: string, nowMs: number): string | undefined => {
  const chain = readChain(chainPem);
  const [first] = chain ?? [];
  if (!chain || !first) return unreadable;
  if (chain.length > chainMax) return `The chain of the server certificate has more than ${chainMax} certificates`;
  if (chain.reduce((bytes, { raw }) => bytes + raw.length, 0) > chainBytesMax) {
    return `The chain of the server certificate has more than ${chainBytesMax / 1024} KB`;
  }
  const leaf = readLeaf(first.raw);
  if (!leaf) return unreadable;
  if (!leaf.hasServerAuth) {
    return 'The server certificate does not have the extended key usage serverAuth (TLS Web Server Authentication)';
  }
  if (leaf.names.length > namesMax) return `The server certificate has more than ${namesMax} domain names`;
  if (!leaf.names.some((name) => covers(name, domainName))) {
    return `The domain name ${domainName} is not among the names of the server certificate`;
  }
  if (nowMs < leaf.notBeforeMs || nowMs > leaf.notAfterMs) return 'The server certificate is outside its validity';
  return undefined;
};

/** Whether another leaf may take the place of this one by itself: algorithm and names stay. Source: developer guide, "Managing custom domains". */
export const maySucceed = (before: ServerLeaf, after: ServerLeaf): boolean =>
  before.signatureAlgorithm === after.signatureAlgorithm &&
  (before.commonName === after.commonName || sameNames(before.names, after.names));

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name) => b.includes(name));

let rootsBySubject: ReadonlyMap<string, readonly X509Certificate[]> | undefined;

/** Mozilla's bundle as Node carries it, read once: some 150 certificates. */
const rootsOf = (subject: string): readonly X509Certificate[] => {
  if (!rootsBySubject) {
    const roots = new Map<string, X509Certificate[]>();
    for (const pem of rootCertificates) {
      const root = new X509Certificate(pem);
      roots.set(root.subject, [...(roots.get(root.subject) ?? []), root]);
    }
    rootsBySubject = roots;
  }
  return rootsBySubject.get(subject) ?? [];
};

const isIssued = (certificate: X509Certificate, issuer: X509Certificate): boolean => {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
};

/** Whether the chain leads to a public root: only then it needs nobody to vouch for it. */
export const isPubliclyTrusted = (chainPem: string): boolean => {
  const chain = readChain(chainPem);
  if (!chain) return false;
  for (const [index, certificate] of chain.entries()) {
    if (rootsOf(certificate.issuer ?? '').some((root) => isIssued(certificate, root))) return true;
    const above = chain[index + 1];
    if (!above || !isIssued(certificate, above)) return false;
  }
  return false;
};

/** RFC 4514 in one line, as far as Node's form goes. Node has no text for an empty name, whatever its types say. */
const oneLine = (name: string | undefined): string => name?.replaceAll('\n', ', ') ?? '';

/** Of a chain that is presented: whose it is at its end, and where a client gets what it must trust. `ownRoots` are this server's, as PEM. */
export const rootOfChain = (
  chainPem: string,
  ownRoots: string,
): Pick<PresentedCertificate, 'issuer' | 'root'> | undefined => {
  const chain = readChain(chainPem);
  const last = chain?.at(-1);
  if (!chain || !last) return undefined;
  const own = readChain(ownRoots) ?? [];
  const isOwn = chain.some((each) => own.some((root) => isIssued(each, root)));
  const root = isOwn ? 'server' : isPubliclyTrusted(chainPem) ? 'public' : isIssued(last, last) ? 'chain' : 'maker';
  return { issuer: oneLine(last.issuer), root };
};

/** The names of a chain's leaf; none when it cannot be read. */
export const namesOfChain = (chainPem: string): readonly string[] => {
  const leaf = readChain(chainPem)?.[0];
  return (leaf && readLeaf(leaf.raw)?.names) ?? [];
};
