/** Keys and certificates for tests, made by the openssl on the path. */
import { execFileSync } from 'node:child_process';
import { hash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Identity {
  readonly keyPem: string;
  readonly certificatePem: string;
  /** Hex SHA-256 of the DER. */
  readonly certificateId: string;
  readonly keyFile: string;
  readonly certificateFile: string;
}

/** A folder that is removed when the test process ends. */
export const throwAwayFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetgate-test-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** A self-signed certificate. `names` become its subject alternative names, e.g. `DNS:localhost`; `subject` is in openssl's form. */
export const selfSigned = (
  folder: string,
  name: string,
  kind: 'ec' | 'rsa',
  names?: string,
  subject = `/CN=${name}`,
): Identity => {
  const keyFile = join(folder, `${name}.key`);
  const certificateFile = join(folder, `${name}.crt`);
  const key = kind === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['rsa:2048'];
  const files = ['-nodes', '-keyout', keyFile, '-out', certificateFile, '-days', '30', '-subj', subject];
  const extension = names === undefined ? [] : ['-addext', `subjectAltName=${names}`];
  execFileSync('openssl', ['req', '-x509', '-newkey', ...key, ...files, ...extension], { stdio: 'pipe' });
  const certificatePem = readFileSync(certificateFile, 'latin1');
  const certificateId = hash('sha256', new X509Certificate(certificatePem).raw, 'hex');
  return { keyPem: readFileSync(keyFile, 'latin1'), certificatePem, certificateId, keyFile, certificateFile };
};

/** Writes `text` into the folder and returns the path. */
export const fileOf = (folder: string, name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
