/** Server certificates of the listeners: which names they carry, how they are made, and whether a stored one will still do. */
import { createPrivateKey, generateKeyPair, X509Certificate } from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import { promisify } from 'node:util';
import { AsnConvert } from '@peculiar/asn1-schema';
import { ExtendedKeyUsage, GeneralName, KeyUsageFlags, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { type Authorities, type Authority, backdatedMs, OwnCaProblem } from './authorities.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  keyIdentifierOf,
  keyUsage,
  plainExtension,
  subjectKeyIdentifier,
} from './build.ts';
import { commonName, newName, organization } from './name.ts';
import { pemBlocks, toPem } from './pem.ts';

export type ServerKeyKind = 'ec' | 'rsa';

export interface ServerCertificate {
  readonly region: string;
  /** Kind of its key. For an operator's certificate it may differ from the kind that was asked for. */
  readonly kind: ServerKeyKind;
  /** The leaf and what stands between it and a root; the root is not sent. */
  readonly chainPem: string;
  readonly privateKeyPem: string;
  readonly notAfterMs: number;
}

const dayMs = 24 * 60 * 60 * 1000;
export const serverCertificateLifetimeMs = 90 * dayMs;
/** With less than this left a certificate is replaced. */
export const renewBeforeMs = 30 * dayMs;

const hostName = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

/** Whether a certificate can carry this name: a host name, or an IP address. */
export const isServerName = (name: string): boolean =>
  (isIP(name) !== 0 && (isIPv4(name) || /^[0-9a-f:]+$/i.test(name))) || hostName.test(name);

/** DNS names and IP addresses, in this order. */
export const alternativeNames = (names: readonly string[]): SubjectAlternativeName =>
  new SubjectAlternativeName(
    names.map((name) => new GeneralName(isIP(name) === 0 ? { dNSName: name } : { iPAddress: name })),
  );

/** A subject's common name has at most 64 characters (RFC 5280 appendix A, ub-common-name). */
const subjectDer = (names: readonly string[]): Uint8Array => {
  const text = names.find((name) => name.length <= 64) ?? 'Fleetgate server';
  return new Uint8Array(AsnConvert.serialize(newName([organization, 'Fleetgate'], [commonName, text])));
};

const generate = promisify(generateKeyPair);
const authorityFor = (authorities: Authorities, kind: ServerKeyKind): Authority =>
  kind === 'ec' ? authorities.ecRoot : authorities.rsaRoot;

export interface ServerCertificateRequest {
  readonly region: string;
  readonly kind: ServerKeyKind;
  /** DNS names and IP addresses, in the order in which the certificate shall carry them. */
  readonly names: readonly string[];
}

/** Makes a key and its certificate. It ends after 90 days, and never after its issuer. */
export const mintServerCertificate = async (
  authorities: Authorities,
  { region, kind, names }: ServerCertificateRequest,
  nowMs: number,
): Promise<ServerCertificate> => {
  const authority = authorityFor(authorities, kind);
  const { publicKey, privateKey } =
    kind === 'rsa'
      ? await generate('rsa', { modulusLength: 2048 })
      : await generate('ec', { namedCurve: 'prime256v1' });
  const publicKeyDer = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const notAfterMs = Math.floor(Math.min(nowMs + serverCertificateLifetimeMs, authority.notAfterMs) / 1000) * 1000;
  const der = await buildCertificate(authority.issuer, {
    subjectDer: subjectDer(names),
    publicKeyDer,
    notBeforeMs: nowMs - backdatedMs,
    notAfterMs,
    extensions: [
      authorityKeyIdentifier(authority.issuer.keyIdentifier),
      subjectKeyIdentifier(keyIdentifierOf(publicKeyDer)),
      basicConstraints({ cA: false }),
      // Key encipherment is what the TLS 1.2 suites without (EC)DHE do; EC keys sign only.
      keyUsage(KeyUsageFlags.digitalSignature | (kind === 'rsa' ? KeyUsageFlags.keyEncipherment : 0)),
      plainExtension('2.5.29.37', new ExtendedKeyUsage(['1.3.6.1.5.5.7.3.1'])),
      plainExtension('2.5.29.17', alternativeNames(names)),
    ],
  });
  return {
    region,
    kind,
    chainPem: toPem('CERTIFICATE', der) + (kind === 'ec' ? authorities.ecRootByRsaRootPem : ''),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    notAfterMs,
  };
};

/** How one is kept: key and chain in one file, so that they cannot part. */
export const serializeServerCertificate = ({ chainPem, privateKeyPem }: ServerCertificate): string =>
  privateKeyPem + chainPem;

/** Certificates of a chain that are looked at; AWS allows five (spec gateway.md 1.4). */
const chainMax = 5;

/** A kept certificate that still serves the request: readable, ours, with exactly these names, and not due. Otherwise undefined: make another. */
export const readServerCertificate = (
  authorities: Authorities,
  { region, kind, names }: ServerCertificateRequest,
  text: string,
  nowMs: number,
): ServerCertificate | undefined => {
  try {
    const blocks = pemBlocks(text, 'CERTIFICATE', chainMax) ?? [];
    const certificate = new X509Certificate(blocks[0] ?? '');
    const notAfterMs = certificate.validToDate.getTime();
    const privateKey = createPrivateKey(text);
    const issuer = new X509Certificate(authorityFor(authorities, kind).certificatePem);
    const namesDer = Buffer.from(AsnConvert.serialize(alternativeNames(names)));
    const usable =
      certificate.checkPrivateKey(privateKey) &&
      certificate.verify(issuer.publicKey) &&
      certificate.raw.includes(namesDer) &&
      certificate.validFromDate.getTime() <= nowMs &&
      !isDue({ notAfterMs }, nowMs);
    if (!usable) return undefined;
    return {
      region,
      kind,
      chainPem: blocks.map((block) => toPem('CERTIFICATE', block)).join(''),
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      notAfterMs,
    };
  } catch {
    return undefined;
  }
};

/** Whether a certificate ends so soon that it must be replaced. */
export const isDue = ({ notAfterMs }: { readonly notAfterMs: number }, nowMs: number): boolean =>
  notAfterMs - nowMs < renewBeforeMs;

/** Reads what the operator gave instead of our own. Throws OwnCaProblem when a TLS client could not use it. */
export const readOperatorCertificate = (
  region: string,
  chainPem: string,
  keyPem: string,
  nowMs: number,
): ServerCertificate => {
  const blocks = pemBlocks(chainPem, 'CERTIFICATE', chainMax + 1);
  const [leaf] = blocks ?? [];
  if (!blocks || !leaf) throw new OwnCaProblem('The file of --server-cert holds no readable PEM certificate');
  if (blocks.length > chainMax)
    throw new OwnCaProblem(`The file of --server-cert holds more than ${chainMax} certificates`);
  try {
    const certificate = new X509Certificate(leaf);
    const privateKey = createPrivateKey(keyPem);
    const kind = privateKey.asymmetricKeyType;
    if (kind !== 'ec' && kind !== 'rsa') throw new OwnCaProblem(`The key of --server-key is ${kind}, not RSA or EC`);
    if (!certificate.checkPrivateKey(privateKey)) {
      throw new OwnCaProblem('The key of --server-key does not belong to the first certificate of --server-cert');
    }
    const notAfterMs = certificate.validToDate.getTime();
    if (notAfterMs < nowMs)
      throw new OwnCaProblem(`The certificate of --server-cert expired on ${certificate.validTo}`);
    return {
      region,
      kind,
      chainPem: blocks.map((block) => toPem('CERTIFICATE', block)).join(''),
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      notAfterMs,
    };
  } catch (cause) {
    if (cause instanceof OwnCaProblem) throw cause;
    throw new OwnCaProblem('The files of --server-cert and --server-key cannot be read as a certificate and its key', {
      cause,
    });
  }
};
