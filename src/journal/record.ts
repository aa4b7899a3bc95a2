/**
 * The shape of a journal record: one per connection attempt, denied packet and provisioning attempt (design: "why was it refused?").
 * Never in it: passwords, query strings, payloads, tokens, private keys.
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { AuthDecision, WeighedStatement } from '../aws/decision.ts';
import type { PresentedCertificate } from '../tls/served-domain.ts';

/** AWS's log event types that the journal uses (spec gateway.md 8). */
export type EventType =
  | 'Connection.AuthNError'
  | 'Connect'
  | 'Disconnect'
  | 'Publish-In'
  | 'Publish-Out'
  | 'Subscribe'
  // operations of the data plane
  | 'GetRetainedMessage'
  | 'ListRetainedMessage'
  | 'DeleteConnection'
  | 'GetConnection'
  | 'ListSubscriptions'
  | 'SendDirectMessage'
  // a call of the API that IAM refused, which AWS tells CloudTrail instead of its IoT log
  | 'ApiCall'
  // a device asked for credentials of a role, which AWS tells CloudTrail too
  | 'AssumeRoleWithCertificate'
  // fleet provisioning: a certificate was asked for, and a thing
  | 'GetDeviceCredentials'
  | 'ProvisionDevice';

/**
 * The first cause of a refusal. Upper-case names with an AWS equal are AWS's own (gateway.md 8); the rest say more precisely what AWS would
 * file under NOT_AUTHENTICATED or CLIENT_ERROR.
 */
export type Reason =
  // before a principal is known
  | 'SNI_MISUSED' // names no endpoint of this node, or one of another account than the certificate's
  | 'DOMAIN_CONFIGURATION_DISABLED' // names a domain configuration that is switched off
  | 'SNI_REQUIRED' // absent, and no single account could be derived
  | 'CLIENT_HELLO_INVALID' // not TLS, too large, or not arriving in time
  | 'TLS_VERSION_UNSUPPORTED'
  | 'SERVER_CERTIFICATE_REJECTED' // the client does not trust our root: its alert said so, or its silence
  | 'TLS_HANDSHAKE_FAILED'
  | 'CLIENT_CERTIFICATE_MISSING'
  | 'CLIENT_CERTIFICATE_CALLBACK_REFUSED' // the function that the domain configuration asks about client certificates said no, or nothing
  | 'PRIVATE_KEY_MISMATCH' // the proof of possession did not verify under the certificate's key
  | 'DEVICE_CERTIFICATE_NOT_REGISTERED'
  | 'DEVICE_CERTIFICATE_INACTIVE'
  | 'DEVICE_CERTIFICATE_REVOKED'
  | 'DEVICE_CERTIFICATE_PENDING'
  | 'DEVICE_CERTIFICATE_EXPIRED'
  | 'DEVICE_CERTIFICATE_NOT_YET_VALID'
  // of a certificate that nobody has registered, although CAs with its issuer's name are
  | 'DEVICE_CERTIFICATE_INVALID' // its CA would register it, but for what `detail` says
  | 'CA_CERTIFICATE_INACTIVE' // the CA that signed it is
  | 'AUTO_REGISTRATION_DISABLED' // of the CA that signed it
  | 'CA_SIGNATURE_MISMATCH' // none of those CAs signed it
  | 'JUST_IN_TIME_PROVISIONING_FAILED' // the template of its CA could not be carried out; `detail` says why, without any value
  | 'CONNECTION_LIMIT'
  // HTTPS and WebSocket
  | 'NOT_AUTHENTICATED' // neither a certificate nor a signature
  | 'SECURITY_TOKEN_EXPIRED' // the signature (SigV4) is too old
  | 'SECURITY_TOKEN_INVALID' // an unknown key, or a signature for something else than this endpoint; `detail` says which
  | 'SECURITY_TOKEN_SIGNATURE_MISMATCH'
  | 'PROTOCOL_MISMATCH' // MQTT where HTTPS is spoken
  | 'WEBSOCKET_TTL_EXPIRATION' // closed after its longest life
  // MQTT
  | 'AUTHORIZATION_FAILURE'
  | 'CLIENT_ERROR' // malformed or forbidden packet; `detail` says which rule
  | 'CLIENT_ID_INVALID'
  | 'PROTOCOL_VERSION_UNSUPPORTED'
  | 'NOT_AVAILABLE' // a feature this version does not have; `detail` names it
  | 'LIMIT_EXCEEDED' // `detail` names the limit
  | 'THROTTLED' // a limit per unit of time, which `detail` names
  | 'MQTT_KEEP_ALIVE_TIMEOUT'
  | 'CONNECT_PACKET_TIMEOUT'
  | 'DUPLICATE_CLIENT_ID'
  | 'CERTIFICATE_NO_LONGER_ACTIVE' // closed while connected
  | 'ACCESS_KEY_NO_LONGER_ACTIVE' // the same of a user or role: its key was deactivated or deleted, or it is gone itself
  | 'REPLY_NOT_SUBSCRIBED' // a request was answered, and its sender had not subscribed to the reply's topic
  | 'SLOW_CONSUMER' // messages for it were dropped at the outbound bound
  // operations of the data plane
  | 'CLIENT_NOT_CONNECTED' // asked about, or a message sent to, a client id that nobody holds; `detail` says whether a session is kept
  | 'CONFIRMATION_TIMEOUT' // a direct message was sent, and no PUBACK came in time
  // credentials of a role, by a role alias
  | 'CREDENTIALS_ENDPOINT_MISMATCH' // asked for under another name than the credentials provider's
  | 'THING_NOT_ATTACHED' // to the certificate, and named by the request
  | 'ROLE_ALIAS_NOT_FOUND'
  | 'ROLE_NOT_FOUND' // the alias is there, and what it stands for is not
  | 'ROLE_NOT_TRUSTING' // its trust policy does not let the credentials provider assume it
  | 'CREDENTIAL_DURATION_EXCEEDED' // the alias asks for longer sessions than the role allows
  // operations on domains, their certificates, IAM, STS and role aliases; `detail` says what exactly
  | 'CALL_REFUSED' // by a rule of the operation, in the words that the caller got
  | 'CERTIFICATE_PENDING' // ACM has not issued it yet, and a domain configuration was to be created with it
  | 'SERVER_CERTIFICATE_UNFIT' // one was to be created with a certificate that may not stand under its name
  | 'VALIDATION_CERTIFICATE_UNFIT' // with a private one, and without a proof that its name is the account's
  | 'DOMAIN_CONFIGURATION_KEPT' // it was to be deleted while it is ENABLED, or has not been DISABLED for long enough
  // fleet provisioning; `detail` says what exactly, without any value of a parameter
  | 'PAYLOAD_INVALID'
  | 'CSR_INVALID'
  | 'OWNERSHIP_TOKEN_INVALID' // `detail`: missing, unknown, of another claim, of a claim that was deactivated, used, expired, of a certificate that was deleted
  | 'TEMPLATE_NOT_FOUND'
  | 'TEMPLATE_UNUSABLE' // disabled, of another type, or its default version cannot be carried out
  | 'PARAMETERS_INVALID'
  | 'PROVISIONING_HOOK_REFUSED'
  | 'RESOURCE_CONFLICT'
  | 'RESOURCE_REGISTRATION_FAILURE'
  | 'PROVISIONING_CLAIM_EXPIRED' // the claim of a trusted user, or the five minutes of its session
  | 'INTERNAL_SERVER_ERROR';

/** One certificate of the chain that the peer sent. */
export interface ChainEntry {
  /** Lower-case hex SHA-256 of the DER. */
  readonly fingerprint: string;
  readonly subject: string;
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A domain configuration, as far as it decides what is refused under its name. */
export interface DomainFacts {
  readonly name: string;
  /** Absent, with all below, while it is DISABLED. */
  readonly securityPolicy?: string;
  readonly applicationProtocol?: string;
  readonly authenticationType?: string;
  readonly serverCertificate?: PresentedCertificate;
}

export interface TlsFacts {
  /** The SNI as sent; absent when none was. */
  readonly serverName?: string;
  /** What the server name belongs to; absent where no configuration was created or changed. */
  readonly domain?: DomainFacts;
  readonly alpn?: readonly string[];
  /** e.g. `TLSv1.3`; absent when the handshake did not get that far. */
  readonly version?: string;
  readonly resumed?: boolean;
  readonly chain?: readonly ChainEntry[];
  /** The leaf as PEM (public), so that a cure can register it. */
  readonly leafPem?: string;
  /** OpenSSL's reason or the peer's alert when the handshake failed. */
  readonly failure?: string;
}

/** What is done for a device that is provisioned, roughly in this order; `trail.ts` has the words. */
export type StepName =
  | 'connected' // `subject`: the certificate; `how`: claim, or own
  | 'registered' // a certificate that its maker signed; `how`: its CA
  | 'announced' // that it was registered, on the topic `subject`
  | 'started' // a template of the CA, `subject` if it has a name
  | 'admitted' // the connection
  | 'issued' // a certificate to a claim; `how`: for a key of the service (keys), or of the device (csr); absent: known from its token
  | 'asked' // `how`: for a certificate (keys, csr), or for its thing (thing), `subject`: by which template
  | 'template' // `how`: its version
  | 'token' // `subject`: the certificate that it stands for
  | 'hook' // `how`: the names of parameters that it changed
  | 'filled' // parameters were put into the template
  | 'spent' // the token
  | 'thing' // `how`: created, changed, kept
  | 'policy' // `how`: created, found
  | 'certificate' // `how`: the status that it has now
  | 'attached' // `how`: what (policy, thing)
  | 'repeated'; // the same request had been carried out before

/** One step of a provisioning. */
export interface ProvisioningStep {
  readonly step: StepName;
  /** `failed`: the last one, and the record's detail says why. `undone`: it was done, and taken back with the rest. */
  readonly outcome: 'done' | 'failed' | 'undone';
  readonly atMs: number;
  /** The name or id of what it is about; never the value of a parameter as such. */
  readonly subject?: string;
  /** How it came out, where it can in several ways. */
  readonly how?: string;
}

/** What happened, as the place that saw it tells the journal. */
export interface JournalRecord {
  /** Absent: no account was proven; the record goes to the node's operator journal. */
  readonly account?: AccountRegion;
  readonly eventType: EventType;
  readonly status: 'Success' | 'Failure';
  /** Absent on success. */
  readonly reason?: Reason;
  /** What exactly, where the reason alone does not say it, e.g. `QoS 2`. */
  readonly detail?: string;
  /** Absent: MQTT. */
  readonly protocol?: 'HTTP';
  readonly sourceIp?: string;
  readonly sourcePort?: number;
  readonly tls?: TlsFacts;
  readonly certificateId?: string;
  readonly clientId?: string;
  /** The action that was asked and the ARN it was asked for, e.g. `iot:Publish`. */
  readonly action?: string;
  readonly resource?: string;
  readonly decision?: AuthDecision;
  readonly statements?: readonly WeighedStatement[];
  readonly decidedBy?: number;
  readonly unresolved?: readonly string[];
  /** Of a provisioning: all steps from the connection on, by time. */
  readonly steps?: readonly ProvisioningStep[];
  /** Facts a cure may need, e.g. `{ thingName, endpoint, registeredTwin }`: names only, never secrets. */
  readonly facts?: Readonly<Record<string, string>>;
}

/** What every room that refuses something is given. Never throws, never blocks, bounded. */
export type RecordAttempt = (record: JournalRecord) => void;
