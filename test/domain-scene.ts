/**
 * Domain configurations as stories need them: server certificates of a private CA, imported into ACM and vouched for by one that ACM has issued, and clients
 * that ask for a domain without any DNS. All of it through the public API. Names end in .test, which ACM validates at once.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import {
  type ACMClient,
  DescribeCertificateCommand,
  ImportCertificateCommand,
  RequestCertificateCommand,
} from '@aws-sdk/client-acm';
import type { CreateDomainConfigurationCommandInput, IoT } from '@aws-sdk/client-iot';
import type { StartOptions } from '../src/index.ts';
import { authorities, type KeyKind } from './ca.ts';
import { type Identity, put } from './harness.ts';
import type { MosquittoOptions } from './mosquitto.ts';
import { bootFleet, type Fleet } from './refusal.ts';
import { within } from './within.ts';

/** A server certificate with its key and its issuer, as ACM takes them. */
export interface ServerFiles {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
}

export interface ServerOptions {
  readonly key?: KeyKind;
  /** Extended key usage. */
  readonly usage?: string;
  readonly days?: number;
}

/** What a client sees of a domain. */
export interface Seen {
  readonly version: string | null;
  /** Of the server's key: `rsa` or `ec`. */
  readonly kind: string | undefined;
  /** Of the server's certificate. */
  readonly serialNumber: string;
  readonly socket: TLSSocket;
}

export interface VisitOptions {
  readonly identity?: Identity;
  readonly port?: number;
  readonly ca?: string;
  readonly tls?: 'TLSv1.2' | 'TLSv1.3';
  /** Of TLS 1.2. */
  readonly ciphers?: string;
  readonly sigalgs?: string;
  readonly alpn?: readonly string[];
}

/** Whose; the default account's in the default region without it. */
export interface Owner {
  readonly accountId?: string;
  readonly region?: string;
}

export interface Domains extends Fleet {
  readonly sdk: IoT;
  /** Of the private CA with a key of this kind: `rsa` or else P-256. */
  readonly caPem: (kind?: KeyKind) => Promise<string>;
  /** A server certificate of the private CA for one name. */
  server(name: string, domainName: string, options?: ServerOptions): Promise<ServerFiles>;
  /** Puts it into ACM, in the place of what `arn` names if that is given. */
  importServer(server: ServerFiles, arn?: string, owner?: Owner): Promise<string>;
  /** A certificate that ACM has issued for the name. */
  validation(domainName: string, owner?: Owner): Promise<string>;
  /** A domain of the customer with a certificate of the private CA. */
  customDomain(
    name: string,
    domainName: string,
    options?: ServerOptions & Owner & Partial<CreateDomainConfigurationCommandInput>,
  ): Promise<ServerFiles & { readonly serverArn: string; readonly validationArn: string }>;
  /** The name of an AWS_MANAGED domain configuration that is made here. */
  managedDomain(name: string, more?: Partial<CreateDomainConfigurationCommandInput>): Promise<string>;
  /** What mosquitto is given to connect to a name of this node as a device; names are looked up in what `fleetgate hosts` prints now. */
  under(host: string, device: Identity, more?: Partial<MosquittoOptions>): Promise<MosquittoOptions>;
  /** Ends a TLS handshake with a name; rejects when the server, or openssl here, does not want it. */
  visit(serverName: string, options?: VisitOptions): Promise<Seen>;
}

export const bootDomains = async (t: TestContext, options?: StartOptions): Promise<Domains> => {
  const fleet = await bootFleet(t, options);
  const { node, folder } = fleet;
  const sdk = fleet.iot();
  const maker = authorities(folder);
  const cas = new Map<'rsa' | 'ec', Promise<string>>();
  const caOf = (key: KeyKind = 'P-256'): { readonly name: string; readonly pem: Promise<string> } => {
    const kind = key.startsWith('rsa') ? 'rsa' : 'ec';
    const name = `ca-${kind}`;
    const pem = cas.get(kind) ?? maker.ca(name, { key: kind === 'rsa' ? 'rsa' : 'P-256' });
    cas.set(kind, pem);
    return { name, pem };
  };

  const server: Domains['server'] = async (
    name,
    domainName,
    { key = 'P-256', usage = 'serverAuth', days = 365 } = {},
  ) => {
    const extensions = `extendedKeyUsage=${usage}\nsubjectAltName=DNS:${domainName}\n`;
    const ca = caOf(key);
    const caPem = await ca.pem;
    await writeFile(join(folder, `${name}.ext`), extensions);
    const certificatePem = await maker.leaf(name, ca.name, { key, days, extras: ['-extfile', `${name}.ext`] });
    return {
      certificatePem,
      privateKeyPem: await readFile(join(folder, `${name}.key`), 'utf8'),
      caPem,
    };
  };
  const importServer: Domains['importServer'] = async ({ certificatePem, privateKeyPem, caPem }, arn, owner = {}) => {
    const { CertificateArn = '' } = await fleet.acm(owner.accountId, owner.region).send(
      new ImportCertificateCommand({
        Certificate: Buffer.from(certificatePem),
        PrivateKey: Buffer.from(privateKeyPem),
        CertificateChain: Buffer.from(caPem),
        ...(arn !== undefined && { CertificateArn: arn }),
      }),
    );
    return CertificateArn;
  };
  const issued = async (client: ACMClient, CertificateArn: string): Promise<void> => {
    for (;;) {
      const { Certificate } = await client.send(new DescribeCertificateCommand({ CertificateArn }));
      if (Certificate?.Status === 'ISSUED') return;
    }
  };
  const validation: Domains['validation'] = async (domainName, owner = {}) => {
    const client = fleet.acm(owner.accountId, owner.region);
    const request = new RequestCertificateCommand({ DomainName: domainName, ValidationMethod: 'DNS' });
    const { CertificateArn = '' } = await client.send(request);
    await within(issued(client, CertificateArn), `the certificate for ${domainName}`);
    return CertificateArn;
  };
  return {
    ...fleet,
    ...{ sdk, server, importServer, validation },
    caPem: (key) => caOf(key).pem,
    async customDomain(name, domainName, { key, usage, days, accountId, region, ...more } = {}) {
      const owner = { ...(accountId !== undefined && { accountId }), ...(region !== undefined && { region }) };
      const made = await server(name, domainName, {
        ...(key && { key }),
        ...(usage !== undefined && { usage }),
        ...(days !== undefined && { days }),
      });
      const [serverArn, validationArn] = await Promise.all([
        importServer(made, undefined, owner),
        validation(domainName, owner),
      ]);
      await fleet.iot(accountId, region).createDomainConfiguration({
        ...{ domainConfigurationName: name, domainName, ...more },
        ...{ serverCertificateArns: [serverArn], validationCertificateArn: validationArn },
      });
      return { ...made, serverArn, validationArn };
    },
    async managedDomain(name, more) {
      await sdk.createDomainConfiguration({ domainConfigurationName: name, ...more });
      const { domainName = '' } = await sdk.describeDomainConfiguration({ domainConfigurationName: name });
      return domainName;
    },
    async under(host, device, more = {}) {
      const { stdout } = await fleet.shell('fleetgate hosts');
      return fleet.as(device, { host, hostsFile: await put(folder, 'hosts', stdout), ...more });
    },
    async visit(serverName, { identity, port = node.mqttPort, ca, tls, ciphers, sigalgs, alpn } = {}) {
      const socket = connect({
        ...{
          host: '127.0.0.1',
          port,
          servername: serverName,
          ca: ca ?? [node.rootPem, ...(await Promise.all(cas.values()))],
        },
        ...(identity && { cert: identity.certificatePem, key: await readFile(identity.keyFile) }),
        ...(tls && { minVersion: tls, maxVersion: tls }),
        ...(ciphers !== undefined && { ciphers }),
        ...(sigalgs !== undefined && { sigalgs }),
        ...(alpn && { ALPNProtocols: [...alpn] }),
      });
      t.after(() => socket.destroy());
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      socket.once('secureConnect', resolve);
      socket.on('error', reject);
      await within(promise, `the handshake with ${serverName}`);
      const shown = socket.getPeerX509Certificate();
      return {
        version: socket.getProtocol(),
        kind: shown?.publicKey.asymmetricKeyType,
        serialNumber: shown?.serialNumber ?? '',
        socket,
      };
    },
  };
};
