/**
 * The service's own certificate authorities: an RSA root, an EC root, the EC root once more as the RSA root certifies it, and the CA that
 * issues device certificates. Server certificates come from the roots, so that a client which trusts either root accepts the EC chain
 * (the cross-certificate is sent along) and one which knows only RSA meets nothing else. They are made once and kept.
 */
import { createPrivateKey, generateKeyPair, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, KeyUsageFlags } from '@peculiar/asn1-x509';
import { writeFolderAtomically } from './atomic-file.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  type Issuer,
  keyIdentifierOf,
  keySigner,
  keyUsage,
  subjectKeyIdentifier,
} from './build.ts';
import { deviceIssuerNameDer, deviceNotAfterMs } from './issue.ts';
import { commonName, newName, organization } from './name.ts';
import { toPem } from './pem.ts';

/** The service's own CA, or a certificate that the operator gave, cannot be used. `message` is a sentence for the operator. */
export class OwnCaProblem extends Error {
  override readonly name = 'OwnCaProblem';
}

export interface Authority {
  readonly certificatePem: string;
  readonly notAfterMs: number;
  readonly issuer: Issuer;
}

export interface Authorities {
  readonly rsaRoot: Authority;
  readonly ecRoot: Authority;
  /** The EC root's key and name, certified by the RSA root. */
  readonly ecRootByRsaRootPem: string;
  readonly deviceCa: Authority;
}

const dayMs = 24 * 60 * 60 * 1000;
/** Clients whose clock is behind by less accept what we issue. */
export const backdatedMs = dayMs;
/** The authorities outlive what they issue: 20 years, and at least the device certificates. */
const authorityLifetimeMs = 20 * 365 * dayMs;

const nameDer = (text: string): Uint8Array =>
  new Uint8Array(AsnConvert.serialize(newName([organization, 'Fleetgate'], [commonName, text])));
const signing = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
const certificateAuthority = { cA: true } as const;
/** A CA below which only leaves stand. */
const lastAuthority = { cA: true, pathLenConstraint: 0 } as const;

const generate = promisify(generateKeyPair);

interface KeyedIssuer extends Issuer {
  readonly publicKeyDer: Uint8Array;
  readonly privateKey: KeyObject;
}

const keyedIssuer = (subjectDer: Uint8Array, publicKey: KeyObject, privateKey: KeyObject): KeyedIssuer => {
  const publicKeyDer = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  return {
    nameDer: subjectDer,
    keyIdentifier: keyIdentifierOf(publicKeyDer),
    keyKind: privateKey.asymmetricKeyType === 'ec' ? 'ec' : 'rsa',
    sign: keySigner(privateKey),
    publicKeyDer,
    privateKey,
  };
};

const newIssuer = async (subjectDer: Uint8Array, kind: 'rsa' | 'ec'): Promise<KeyedIssuer> => {
  const pair =
    kind === 'rsa'
      ? await generate('rsa', { modulusLength: 2048 })
      : await generate('ec', { namedCurve: 'prime256v1' });
  return keyedIssuer(subjectDer, pair.publicKey, pair.privateKey);
};

/** Makes all keys and certificates at once; answers the files by name. Takes some 150 ms of the thread pool. */
const createAuthorities = async (nowMs: number): Promise<Record<string, string>> => {
  const [rsaRoot, ecRoot, deviceCa] = await Promise.all([
    newIssuer(nameDer('Fleetgate RSA Root CA'), 'rsa'),
    newIssuer(nameDer('Fleetgate EC Root CA'), 'ec'),
    newIssuer(deviceIssuerNameDer, 'rsa'),
  ]);
  const validity = {
    notBeforeMs: nowMs - backdatedMs,
    notAfterMs: Math.max(nowMs + authorityLifetimeMs, deviceNotAfterMs),
  };
  const certify = async (
    issuer: KeyedIssuer,
    subject: KeyedIssuer,
    constraints: { cA: true; pathLenConstraint?: number },
  ): Promise<string> => {
    const der = await buildCertificate(issuer, {
      subjectDer: subject.nameDer,
      publicKeyDer: subject.publicKeyDer,
      ...validity,
      extensions: [
        ...(issuer === subject ? [] : [authorityKeyIdentifier(issuer.keyIdentifier)]),
        subjectKeyIdentifier(subject.keyIdentifier),
        basicConstraints(constraints),
        keyUsage(signing),
      ],
    });
    return toPem('CERTIFICATE', der);
  };
  const keyPem = ({ privateKey }: KeyedIssuer): string =>
    privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const [rsaRootPem, ecRootPem, ecRootByRsaRootPem, deviceCaPem] = await Promise.all([
    certify(rsaRoot, rsaRoot, certificateAuthority),
    certify(ecRoot, ecRoot, certificateAuthority),
    certify(rsaRoot, ecRoot, lastAuthority),
    certify(rsaRoot, deviceCa, lastAuthority),
  ]);
  return {
    'rsa-root.pem': rsaRootPem,
    'rsa-root.key': keyPem(rsaRoot),
    'ec-root.pem': ecRootPem,
    'ec-root.key': keyPem(ecRoot),
    'ec-root-by-rsa-root.pem': ecRootByRsaRootPem,
    'device-ca.pem': deviceCaPem,
    'device-ca.key': keyPem(deviceCa),
  };
};

const readAuthority = async (folder: string, name: string): Promise<Authority> => {
  const [certificatePem, keyPem] = await Promise.all([
    readFile(join(folder, `${name}.pem`), 'utf8'),
    readFile(join(folder, `${name}.key`), 'utf8'),
  ]);
  const certificate = new X509Certificate(certificatePem);
  const privateKey = createPrivateKey(keyPem);
  if (!certificate.checkPrivateKey(privateKey)) throw new Error(`${name}.key does not belong to ${name}.pem`);
  const { tbsCertificate } = AsnConvert.parse(certificate.raw, Certificate);
  const subjectDer = new Uint8Array(AsnConvert.serialize(tbsCertificate.subject));
  return {
    certificatePem,
    notAfterMs: certificate.validToDate.getTime(),
    issuer: keyedIssuer(subjectDer, certificate.publicKey, privateKey),
  };
};

const readAuthorities = async (folder: string): Promise<Authorities> => {
  const [rsaRoot, ecRoot, ecRootByRsaRootPem, deviceCa] = await Promise.all([
    readAuthority(folder, 'rsa-root'),
    readAuthority(folder, 'ec-root'),
    readFile(join(folder, 'ec-root-by-rsa-root.pem'), 'utf8'),
    readAuthority(folder, 'device-ca'),
  ]);
  return { rsaRoot, ecRoot, ecRootByRsaRootPem, deviceCa };
};

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );

/**
 * The authorities in `folder`, made at the first start. What is there but cannot be read is never replaced: devices trust it.
 * Throws OwnCaProblem.
 */
export const openAuthorities = async (folder: string, nowMs: number): Promise<Authorities> => {
  if (!(await exists(folder))) {
    try {
      await writeFolderAtomically(folder, await createAuthorities(nowMs));
    } catch (cause) {
      // Somebody else may have been faster; otherwise the folder cannot be written.
      if (!(await exists(folder))) {
        throw new OwnCaProblem(`The certificate authority cannot be written to ${folder}: ${String(cause)}`, { cause });
      }
    }
  }
  try {
    return await readAuthorities(folder);
  } catch (cause) {
    throw new OwnCaProblem(
      `The certificate authority in ${folder} cannot be read: restore it from a backup, or delete the data folder to start anew`,
      { cause },
    );
  }
};
