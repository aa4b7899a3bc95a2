/**
 * What a server name means to the gateway, domain configurations included. Asked at every TLS handshake: names that were met before are answered from
 * memory, without a promise, until a notice says that something of theirs has changed. A server certificate keeps its object until its chain or
 * key is another, as the gateway has one TLS server for each.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Bus } from '../../bus/bus.ts';
import { onChange } from '../../bus/changes.ts';
import { FunctionFailure } from '../../functions/failure.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import { defaultSecurityPolicy, securityPolicies } from '../../tls/security-policy.ts';
import type {
  ClientCertificateAnswer,
  ClientCertificateQuestion,
  Resolution,
  ServedDomain,
  ServerCertificate,
} from '../../tls/served-domain.ts';
import { type DomainConfiguration, findByDomainName, openServerKey } from './domain-configuration.ts';
import { type Endpoints, type EndpointType, endpointTypes, isEndpointName } from './endpoint.ts';
import { findEndpointConfiguration } from './endpoint-configuration.ts';
import { rootOfChain } from './server-certificate-rules.ts';

/** Server names kept in memory, those that mean nothing among them; at the bound all are forgotten and read again. */
export const servedNamesMax = 10_000;
/** Server certificates kept in memory; at the bound all are forgotten: their next connections make new TLS servers. */
const certificatesMax = 1000;

export interface OpenDomainsOptions {
  readonly db: Db;
  readonly bus: Bus;
  readonly endpoints: Endpoints;
  readonly box: SecretBox;
  /** The invoker of functions. */
  readonly invokeFunction: (invocation: {
    readonly functionArn: string;
    readonly account: AccountRegion;
    readonly event: unknown;
  }) => Promise<unknown>;
  /** The roots of what this server issues itself, as PEM. */
  readonly ownRoots: string;
  readonly newId: () => string;
  /** OCSP responses to staple, for a configuration that asks for them; answers from memory. */
  readonly stapleOf?: (configuration: DomainConfiguration) => (() => Uint8Array | undefined) | undefined;
  /** Hears why a callback could not be asked. Must not throw. */
  readonly trouble: (error: unknown) => void;
}

export interface Domains {
  /** Rejects when the store cannot be asked. */
  resolve(serverName: string | undefined): Resolution | Promise<Resolution>;
  close(): void;
}

export const openDomains = (options: OpenDomainsOptions): Domains => {
  const { db, bus, endpoints, box } = options;
  const known = new Map<string, Resolution>();
  const certificates = new Map<string, Pick<ServedDomain, 'certificate' | 'presented'>>();
  /** One more at every notice, so that what was read before it is not kept after it. */
  let changes = 0;

  const end = onChange(bus, ({ kind }) => {
    if (kind !== 'domain') return;
    changes += 1;
    known.clear();
  });

  const certificateOf = (configuration: DomainConfiguration): Pick<ServedDomain, 'certificate' | 'presented'> => {
    const { served, account, name, ocsp, serverCertificateArn: arn } = configuration;
    if (!served) return {};
    const staple = ocsp.enableOCSPCheck ? options.stapleOf?.(configuration) : undefined;
    const key = JSON.stringify([account.accountId, account.region, name, served.keySealed, served.chainPem, ocsp]);
    const kept = certificates.get(key);
    if (kept) return kept;
    if (certificates.size >= certificatesMax) certificates.clear();
    const certificate: ServerCertificate = {
      chainPem: served.chainPem,
      privateKeyPem: openServerKey(box, configuration, served.keySealed),
      ...(staple && { staple }),
    };
    const end = rootOfChain(served.chainPem, options.ownRoots);
    const made = { certificate, ...(end && arn !== undefined && { presented: { arn, ...end } }) };
    certificates.set(key, made);
    return made;
  };

  /**
   * clientCertificateCallbackArn. Source: developer guide, "Custom client certificate validation".
   * Assumed: each string of the chain is PEM, the leaf's first, and principalId is the certificateId, as custom authorizers get them.
   */
  const acceptsClient =
    ({ account }: DomainConfiguration, functionArn: string) =>
    async (question: ClientCertificateQuestion): Promise<ClientCertificateAnswer> => {
      const event = {
        connectionMetadata: { id: options.newId() },
        principalId: question.certificateId,
        serverName: question.serverName,
        clientCertificateChain: question.chain,
      };
      try {
        return readAnswer(await options.invokeFunction({ functionArn, account, event }));
      } catch (error) {
        options.trouble(error);
        const detail = error instanceof FunctionFailure ? error.message : 'the function could not be asked';
        return { accepted: false, detail };
      }
    };

  const servedDomain = (configuration: DomainConfiguration): ServedDomain => {
    const { clientCertificateCallbackArn: callback } = configuration;
    return {
      name: configuration.name,
      securityPolicy: securityPolicies.get(configuration.securityPolicy) ?? defaultSecurityPolicy,
      authenticationType: configuration.authenticationType,
      applicationProtocol: configuration.applicationProtocol,
      ...certificateOf(configuration),
      ...(callback !== undefined && { acceptsClient: acceptsClient(configuration, callback) }),
    };
  };

  const keep = (name: string, resolution: Resolution, asOf: number): Resolution => {
    if (asOf !== changes) return resolution;
    if (known.size >= servedNamesMax) known.clear();
    known.set(name, resolution);
    return resolution;
  };

  /** Which of its endpoints an account is called by this name. Plain names stand for the data endpoint. */
  const endpointOf = (account: AccountRegion, name: string): EndpointType => {
    const hostNames = endpoints.hostNames(account);
    return endpointTypes.find((type) => hostNames[type] === name) ?? 'iot:Data-ATS';
  };

  /** `base`: what the name means without any configuration. */
  const read = async (name: string, base: Resolution): Promise<Resolution> => {
    const asOf = changes;
    // the name of an endpoint is its account's, whoever else has a configuration for it from when it was nobody's
    const configuration =
      base.kind === 'account'
        ? await findEndpointConfiguration(db, base.account, endpointOf(base.account, name))
        : await findByDomainName(db, name);
    if (!configuration) {
      // nothing tells when an account opens that the name belongs to
      return base.kind === 'unknown' && isEndpointName(name, endpoints.domain) ? base : keep(name, base, asOf);
    }
    const { account } = configuration;
    if (configuration.status === 'DISABLED') {
      return keep(name, { kind: 'disabled', account, name: configuration.name }, asOf);
    }
    return keep(name, { kind: 'account', account, domain: servedDomain(configuration) }, asOf);
  };

  return {
    resolve(serverName) {
      const name = serverName?.toLowerCase().replace(/\.$/, '');
      const kept = name === undefined ? undefined : known.get(name);
      if (kept) return kept;
      const base = endpoints.resolve(serverName);
      if (name === undefined) return base;
      if (base instanceof Promise) return base.then((it) => (it.kind === 'absent' ? it : read(name, it)));
      return base.kind === 'absent' || name.length > nameCharsMax ? base : read(name, base);
    },
    close: end,
  };
};

/** RFC 1035 2.3.4. */
const nameCharsMax = 253;

/** `{"isAuthenticated": true}` and nothing else lets a client in. */
const readAnswer = (answer: unknown): ClientCertificateAnswer => {
  const isObject = typeof answer === 'object' && answer !== null;
  const said = isObject && 'isAuthenticated' in answer ? answer.isAuthenticated : undefined;
  if (typeof said === 'boolean') return { accepted: said };
  return { accepted: false, detail: 'isAuthenticated of its answer is neither true nor false' };
};
