/**
 * The service's own PKI, kept in one folder: `authority/` holds the CAs, `server/` one file per region and kind of key. Lifetimes follow the
 * real clock, never the one that tests move. Server certificates are made at first use and replaced while the server runs, well before
 * they end and whenever the names change.
 */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { preparePrivateFolder, writeFileAtomically } from './atomic-file.ts';
import { OwnCaProblem, openAuthorities } from './authorities.ts';
import type { Issuer } from './build.ts';
import { type IssueServerCertificate, serverIssuance } from './issue-server.ts';
import {
  isDue,
  isServerName,
  mintServerCertificate,
  readOperatorCertificate,
  readServerCertificate,
  type ServerCertificate,
  type ServerCertificateRequest,
  type ServerKeyKind,
  serializeServerCertificate,
} from './server-certificate.ts';

export interface OwnCaOptions {
  /** Suffix of the account endpoints, e.g. `localhost`. */
  readonly domain: string;
  readonly defaultRegion: string;
  /** Plain names, beside `localhost` and the host's own, that belong to the default region: host names or IP addresses. */
  readonly names?: readonly string[];
  /** The host's own name; from the operating system when absent. */
  readonly hostName?: string;
  /** PEM files that take the place of our own certificate in the default region. They are read again when they change. */
  readonly operator?: { readonly certFile: string; readonly keyFile: string };
  /** Milliseconds since the epoch; the real clock when absent. */
  readonly realNow?: () => number;
  /** Is told what kept a renewal from happening (the old certificate stays) or a certificate from its file. By default a warning of the process. */
  readonly onProblem?: (problem: unknown) => void;
}

export interface OwnCa {
  /** What clients are told to trust: the RSA root, then the EC root. Public. */
  readonly rootPem: string;
  /** Each of them alone, for trust stores that take one certificate a file. The RSA root vouches for everything, the EC root for the EC chain. */
  readonly rootPems: { readonly rsa: string; readonly ec: string };
  /** Signs device certificates. */
  readonly deviceIssuer: Issuer;
  /** Signs server certificates for names of customers. */
  readonly issueServerCertificate: IssueServerCertificate;
  /** The certificate that the endpoints of this region present. Throws OwnCaProblem for a strange region or one too many. */
  serverCertificate(region: string, kind: ServerKeyKind): Promise<ServerCertificate>;
  /** Calls `receive` with each certificate that takes the place of another, and the kind of key under which it was asked for. */
  onRenewed(receive: (renewed: ServerCertificate, askedFor: ServerKeyKind) => void): () => void;
  /** Replaces what is due now. A timer does it every hour. */
  renewDue(): Promise<void>;
  close(): void;
}

/** Regions that may get a server certificate; accounts, and with them regions, come into being by first use. */
export const serverRegionsMax = 1000;
const renewalCheckMs = 60 * 60 * 1000;
const regionName = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

/** The names of the default region's certificate that hold without any configuration. */
const alwaysNames = ['localhost', '127.0.0.1', '::1'];

const checkNames = ({ names = [], domain }: OwnCaOptions): void => {
  const wrong = [...names, domain].find((name) => !isServerName(name));
  if (wrong !== undefined) throw new OwnCaProblem(`${JSON.stringify(wrong)} is not a host name or an IP address`);
};

/** Opens the PKI in `folder`, making what is missing. Throws OwnCaProblem with a sentence. */
export const openOwnCa = async (folder: string, options: OwnCaOptions): Promise<OwnCa> => {
  const { domain, defaultRegion, names = [], operator, realNow = Date.now } = options;
  const {
    onProblem = (problem) => process.emitWarning(`Server certificates were not renewed or kept: ${String(problem)}`),
  } = options;
  checkNames(options);
  const serverFolder = join(folder, 'server');
  try {
    await preparePrivateFolder(folder);
    await preparePrivateFolder(serverFolder);
  } catch (cause) {
    throw new OwnCaProblem(`The folder ${folder} cannot be used: ${String(cause)}`, { cause });
  }
  const authorities = await openAuthorities(join(folder, 'authority'), realNow());
  const ownName = (options.hostName ?? hostname()).toLowerCase();
  const plainNames = [
    ...new Set([
      ...alwaysNames,
      ...(isServerName(ownName) ? [ownName] : []),
      ...names.map((name) => name.toLowerCase()),
    ]),
  ];

  const requestFor = (region: string, kind: ServerKeyKind): ServerCertificateRequest => ({
    region,
    kind,
    names: [
      ...(region === defaultRegion ? plainNames : []),
      ...['', 'credentials.', 'jobs.'].map((service) => `*.${service}iot.${region}.${domain.toLowerCase()}`),
    ],
  });
  const readOperator = async (files: {
    readonly certFile: string;
    readonly keyFile: string;
  }): Promise<ServerCertificate> => {
    const texts = await Promise.all([readFile(files.certFile, 'utf8'), readFile(files.keyFile, 'utf8')]).catch(
      (cause) => {
        throw new OwnCaProblem(`The files of --server-cert and --server-key cannot be opened: ${String(cause)}`, {
          cause,
        });
      },
    );
    return readOperatorCertificate(defaultRegion, ...texts, realNow());
  };
  let operatorCertificate = operator && (await readOperator(operator));

  const mint = async (request: ServerCertificateRequest): Promise<ServerCertificate> => {
    const minted = await mintServerCertificate(authorities, request, realNow());
    const file = join(serverFolder, `${request.region}-${request.kind}.pem`);
    // on a full disk devices still get in: the certificate lives in memory, and the next start makes another
    await writeFileAtomically(file, serializeServerCertificate(minted)).catch(onProblem);
    return minted;
  };
  const load = async (request: ServerCertificateRequest): Promise<ServerCertificate> => {
    const file = join(serverFolder, `${request.region}-${request.kind}.pem`);
    const text = await readFile(file, 'utf8').catch(() => '');
    return readServerCertificate(authorities, request, text, realNow()) ?? mint(request);
  };

  const leaves = new Map<string, Promise<ServerCertificate>>();
  const receivers = new Set<(renewed: ServerCertificate, askedFor: ServerKeyKind) => void>();
  const announce = (renewed: ServerCertificate, askedFor: ServerKeyKind): void => {
    for (const receive of receivers) receive(renewed, askedFor);
  };

  const renewOwn = async (key: string, leaf: Promise<ServerCertificate>): Promise<void> => {
    const { region, kind, ...current } = await leaf;
    if (!isDue(current, realNow())) return;
    const renewed = await mint(requestFor(region, kind));
    leaves.set(key, Promise.resolve(renewed));
    announce(renewed, kind);
  };
  const renewOperator = async (files: { readonly certFile: string; readonly keyFile: string }): Promise<void> => {
    const found = await readOperator(files);
    if (found.chainPem === operatorCertificate?.chainPem && found.privateKeyPem === operatorCertificate.privateKeyPem)
      return;
    operatorCertificate = found;
    announce(found, 'ec');
    announce(found, 'rsa');
  };
  const renewDue = async (): Promise<void> => {
    const work = [...leaves].map(([key, leaf]) => renewOwn(key, leaf));
    if (operator) work.push(renewOperator(operator));
    const failed = (await Promise.allSettled(work)).find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  };
  const timer = setInterval(() => void renewDue().catch(onProblem), renewalCheckMs).unref();

  return {
    rootPem: authorities.rsaRoot.certificatePem + authorities.ecRoot.certificatePem,
    rootPems: { rsa: authorities.rsaRoot.certificatePem, ec: authorities.ecRoot.certificatePem },
    deviceIssuer: authorities.deviceCa.issuer,
    issueServerCertificate: serverIssuance(authorities, realNow),
    async serverCertificate(region, kind) {
      if (region === defaultRegion && operatorCertificate) return operatorCertificate;
      if (!regionName.test(region)) throw new OwnCaProblem(`${JSON.stringify(region)} is not a region`);
      const key = `${region}/${kind}`;
      const known = leaves.get(key);
      if (known) return known;
      if (leaves.size >= 2 * serverRegionsMax)
        throw new OwnCaProblem(`More than ${serverRegionsMax} regions are in use`);
      const leaf = load(requestFor(region, kind));
      leaves.set(key, leaf);
      // One that could not be made is tried again at the next use.
      leaf.catch(() => leaves.delete(key));
      return leaf;
    },
    onRenewed(receive) {
      receivers.add(receive);
      return () => receivers.delete(receive);
    },
    renewDue,
    close() {
      clearInterval(timer);
      receivers.clear();
    },
  };
};
