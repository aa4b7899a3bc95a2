/** Keys and certificates of a bench run, made by openssl: one CA, one server certificate, and devices that this CA signed, all EC P-256. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Device {
  readonly name: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Identities {
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  readonly devices: readonly Device[];
}

/** Devices of one run: connections beyond that share certificates, as several connections of one device do. */
const deviceCount = 64;

const openssl = (folder: string, args: readonly string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
};
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256', '-days', '30'];

export const makeIdentities = (folder: string): Identities => {
  const issue = (name: string, ...extensions: string[]): Device => {
    const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', `/CN=${name}`];
    const wanted = ['basicConstraints=critical,CA:FALSE', ...extensions].flatMap((one) => ['-addext', one]);
    openssl(folder, ['req', '-x509', ...signer, ...newKey, '-keyout', keyFile, '-out', certFile, ...wanted]);
    return { name, certFile, keyFile };
  };
  const ca = ['-subj', '/CN=bench CA', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  openssl(folder, ['req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', ...ca]);
  const server = issue('localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  return {
    caFile: join(folder, 'ca.crt'),
    serverCertFile: server.certFile,
    serverKeyFile: server.keyFile,
    devices: Array.from({ length: deviceCount }, (_, index) => issue(`device-${index}`)),
  };
};

export const pemOf = (file: string): string => readFileSync(file, 'latin1');
