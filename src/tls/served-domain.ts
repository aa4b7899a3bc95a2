/** What a server name means to a connection, and what a domain configuration changes about it. Source: spec gateway.md 1.1, 1.2. */
import type { AccountRegion } from '../aws/arn.ts';
import type { SecurityPolicy } from './security-policy.ts';

/** A server certificate with its key. It is known by its object: to be the same one until it is renewed, then another. */
export interface ServerCertificate {
  /** The leaf, then what stands between it and the root. */
  readonly chainPem: string;
  readonly privateKeyPem: string;
  /** The DER of its OCSP response, for clients that ask for one; undefined: none that is valid. Answers from memory. */
  readonly staple?: () => Uint8Array | undefined;
}

export type AuthenticationType = 'DEFAULT' | 'AWS_X509' | 'AWS_SIGV4' | 'CUSTOM_AUTH' | 'CUSTOM_AUTH_X509';
export type ApplicationProtocol = 'DEFAULT' | 'SECURE_MQTT' | 'MQTT_WSS' | 'HTTPS';

/** What is asked about a client certificate after mutual TLS. */
export interface ClientCertificateQuestion {
  readonly certificateId: string;
  /** PEM, the leaf first, as the client sent it; the leaf alone where a TLS session is resumed. */
  readonly chain: readonly string[];
  readonly serverName: string | undefined;
}

export interface ClientCertificateAnswer {
  readonly accepted: boolean;
  /** For the journal: why there is no yes or no of the function. */
  readonly detail?: string;
}

/** The account's own certificate that a domain presents, as far as it explains why a client does not trust it. */
export interface PresentedCertificate {
  readonly arn: string;
  /** Of the last certificate that is presented, on one line. */
  readonly issuer: string;
  /**
   * Where a client gets the certificate that it must trust: at the end of the chain in ACM; from this server, which issued it; as one of the public roots; or
   * only from whoever made it.
   */
  readonly root: 'chain' | 'server' | 'public' | 'maker';
}

export interface ServedDomain {
  /** Of the domain configuration. */
  readonly name: string;
  readonly securityPolicy: SecurityPolicy;
  readonly authenticationType: AuthenticationType;
  readonly applicationProtocol: ApplicationProtocol;
  /** Absent: the node's own. The same object until it is replaced. */
  readonly certificate?: ServerCertificate;
  /** What is known of it. */
  readonly presented?: PresentedCertificate;
  /** clientCertificateCallbackArn: whether the client may go on. A rejection counts as no. It must answer in bounded time. */
  readonly acceptsClient?: (question: ClientCertificateQuestion) => Promise<ClientCertificateAnswer>;
}

/** Which pairs a configuration may have. CUSTOM_AUTH_X509: documented; the other rows: spec gateway.md 1.2. */
export const authenticationTypesOf: Readonly<Record<ApplicationProtocol, readonly AuthenticationType[]>> = {
  DEFAULT: ['DEFAULT'],
  SECURE_MQTT: ['AWS_X509', 'CUSTOM_AUTH', 'CUSTOM_AUTH_X509'],
  MQTT_WSS: ['AWS_SIGV4', 'CUSTOM_AUTH'],
  HTTPS: ['AWS_X509', 'AWS_SIGV4', 'CUSTOM_AUTH', 'CUSTOM_AUTH_X509'],
};

/**
 * Whose a server name is; `domain` where a domain configuration says how it is served. `absent` answers for no name; `disabled` is that of a domain
 * configuration that is switched off; `unknown` is a name that no endpoint of this node has.
 */
export type Resolution =
  | { readonly kind: 'account'; readonly account: AccountRegion; readonly domain?: ServedDomain }
  | { readonly kind: 'disabled'; readonly account: AccountRegion; readonly name: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' };
