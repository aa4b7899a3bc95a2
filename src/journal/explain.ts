/**
 * From a record to words: the first cause in one sentence, the cure in one sentence, and the commands that carry it out. Pure. Commands are
 * complete shell lines for a shell that has evaluated `fleetgate env`; every value in them is quoted, and where a value cannot be
 * printed safely there is no command, only the sentence.
 *
 * Facts that change the answer, by their names in `JournalRecord.facts`: `thingName` (a thing attached to the certificate), `policyNames` (those
 * attached to it, separated by blanks), `decidingDocument` (text of the policy version whose Deny decided), `certificateStatus`,
 * `registeredTwin` (a certificateId that this account has registered with the same subject).
 */
import { explainAuthorization } from './authorization.ts';
import {
  activate,
  allowExactly,
  askEndpoint,
  attachPolicy,
  certificateArn,
  certificateIdOf,
  type Explanation,
  fetchRoot,
  firstIdentity,
  registerAgain,
  replaceRegistration,
  type Surroundings,
  shortId,
  successorIdentity,
} from './cure-lines.ts';
import { explainCall } from './explain-calls.ts';
import { explainCredentials, explainCredentialsGiven } from './explain-credentials.ts';
import { explainDomainCall } from './explain-domain-calls.ts';
import { explainDomain, explainDomainProtocol, explainDomainTrust, explainSimilarName } from './explain-domains.ts';
import { explainFirstConnect, explainPending, explainProvisioned } from './explain-first-connect.ts';
import { explainHttps } from './explain-https.ts';
import { explainIam, explainLostKey, isIamDenial } from './explain-iam.ts';
import { explainKeys } from './explain-keys.ts';
import { explainAbsent, explainLimit, explainRate, explainRule } from './explain-mqtt.ts';
import { explainFleetSuccess, explainProvisioning } from './explain-provisioning.ts';
import { explainTakenOver } from './explain-takeover.ts';
import { script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

const shownCertificate = ({ certificateId }: StoredRecord): string =>
  certificateId === undefined ? 'the certificate' : `the certificate ${shortId(certificateId)}`;
const subjectOf = (record: StoredRecord): string => {
  const subject = record.tls?.chain?.[0]?.subject;
  return subject ? ` (${subject})` : '';
};
const client = ({ clientId }: StoredRecord): string =>
  clientId === undefined ? 'The client' : `The client "${clientId}"`;
const detail = (record: StoredRecord): string => (record.detail === undefined ? '' : `: ${record.detail}`);
const topicFact = ({ facts }: StoredRecord): string => (facts?.['topic'] === undefined ? '' : ` "${facts['topic']}"`);
const where = ({ account }: StoredRecord): string =>
  account ? `account ${account.accountId}, region ${account.region}` : 'any account that this connection could mean';
const dayOf = (timeMs: number | undefined): string =>
  timeMs === undefined || !Number.isFinite(new Date(timeMs).getTime()) ? '' : ` on ${new Date(timeMs).toISOString()}`;

const told = (sentence: string, cure: string, commands: readonly string[] = []): Explanation => ({
  sentence,
  cure,
  commands,
});

const freshIdentityNote = '(it writes device.pem and device.key into the current folder)';

/** A new identity that inherits from the refused certificate where it is known, or starts with a policy of its own. */
const newIdentity = (record: StoredRecord, surroundings: Surroundings): readonly string[] => {
  const certificateId = certificateIdOf(record);
  return certificateId === undefined
    ? firstIdentity()
    : successorIdentity(certificateArn(record, certificateId, surroundings));
};

/** The policies the certificate has or once had, as far as the record or the journal's memory tells. */
export const policyNamesOf = (record: StoredRecord): readonly string[] => {
  const fact = record.altered?.includes('facts.policyNames') ? undefined : record.facts?.['policyNames'];
  if (fact !== undefined) return fact.split(/\s+/).filter((name) => name !== '');
  return [...new Set((record.statements ?? []).map(({ policyName }) => policyName))];
};

/** A certificate registered without its CA is SNI_ONLY. Source: spec identity.md 2.1. */
const sniNote = ({ tls }: StoredRecord): string =>
  tls?.serverName === undefined ? '; the client must then name the host that it connects to (SNI)' : '';

/** Of certificates that a service of this kind has issued. */
const ownIssuer = /(?:^|[,+\s])O=Fleetgate(?:[,+\s]|$)/;

/** The issuer of a certificate that a maker's CA has signed, when no CA of this name is registered: over MQTT it has been looked for. */
const unknownIssuerOf = ({ tls, protocol, clientId }: StoredRecord): string | undefined => {
  const { issuer, subject } = tls?.chain?.[0] ?? {};
  const isMakers = issuer !== undefined && issuer !== '' && issuer !== subject && !ownIssuer.test(issuer);
  return isMakers && protocol !== 'HTTP' && clientId !== undefined ? issuer : undefined;
};

const explainUnregistered = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  if (surroundings.issuedAtMs !== undefined) {
    return told(
      `${client(record)} showed ${shownCertificate(record)}, which is not registered in ${where(record)} any more: it was made for a claim${dayOf(surroundings.issuedAtMs)}, and nobody has been provisioned with it.`,
      'Let the device come with its claim again, and ask for its thing within the hour: after that a certificate that nobody has activated or attached is deleted.',
    );
  }
  const certificateId = certificateIdOf(record);
  const twin = record.facts?.['registeredTwin'];
  const issuer = twin ? undefined : unknownIssuerOf(record);
  const also = issuer === undefined ? '' : `, and neither is a CA with the name of its issuer (${issuer})`;
  const sentence = twin
    ? `${client(record)} showed ${shownCertificate(record)}${subjectOf(record)}, which is not registered in ${where(record)}; the registered certificate with the same subject is another one, ${shortId(twin)}.`
    : `${client(record)} showed ${shownCertificate(record)}${subjectOf(record)}, which is not registered in ${where(record)}${also}.`;
  const advice = twin
    ? 'Use the registered certificate with its key; or, only if you know where this one comes from, register it too'
    : issuer === undefined
      ? 'If it is yours, register it'
      : 'If it is yours, register the CA that signed it, with auto-registration (that CA itself: one above it does not count); or register the certificate alone';
  const caution = `${advice}${sniNote(record)}`;
  if (certificateId === undefined || record.tls?.leafPem === undefined) {
    return told(sentence, `${caution} (aws iot register-certificate-without-ca --status ACTIVE).`);
  }
  const arn = certificateArn(record, certificateId, surroundings);
  const policyNames = [...new Set([...policyNamesOf(record), ...(surroundings.policyNames ?? [])])];
  const { clientId, altered = [] } = record;
  const rights = (): readonly string[] => {
    if (policyNames.length > 0) return script(...policyNames.map((name) => attachPolicy(name, arn)));
    if (clientId === undefined || altered.includes('clientId')) return [];
    const { accountId, region } = record.account ?? surroundings.account;
    return allowExactly('iot:Connect', `arn:aws:iot:${region}:${accountId}:client/${clientId}`, arn);
  };
  const allowing = rights();
  const rest = policyNames.length > 0 ? ' with the policies that it was last seen with' : ' and allow it to connect';
  return told(sentence, `${caution}${allowing.length > 0 ? rest : ''}:`, [
    ...registerAgain(certificateId),
    ...allowing,
  ]);
};

const explainRevoked = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  const certificateId = certificateIdOf(record);
  const sentence = `${client(record)} showed ${shownCertificate(record)}, which was revoked in ${where(record)}.`;
  const cure = `Revocation cannot be undone: give the device a new certificate. Only if you are sure that its key was never exposed, delete the registration and register the same certificate again${sniNote(record)}`;
  if (certificateId === undefined || record.tls?.leafPem === undefined) return told(sentence, `${cure}.`);
  const arn = certificateArn(record, certificateId, surroundings);
  return told(sentence, `${cure}:`, replaceRegistration(certificateId, arn));
};

const explainNotActive = (record: StoredRecord, status: string, closed: boolean): Explanation => {
  const certificateId = certificateIdOf(record);
  const sentence = closed
    ? `${client(record)} was disconnected because ${shownCertificate(record)} is no longer ACTIVE in ${where(record)}.`
    : `${client(record)} showed ${shownCertificate(record)}, which is registered in ${where(record)}, but ${status}.`;
  const pending = closed || status !== 'PENDING_ACTIVATION' ? undefined : explainPending(record, sentence.slice(0, -1));
  if (pending) return pending;
  if (status === 'PENDING_TRANSFER') {
    return told(sentence, 'Accept, reject or cancel the transfer; until then no account can use the certificate.');
  }
  const commands = script(certificateId && activate(certificateId));
  const successorId = record.facts?.['successorId'];
  if (!closed && successorId !== undefined) {
    return told(
      `${sentence.slice(0, -1)}: it was retired when its device, or another of the same thing, connected with its successor ${shortId(successorId)}.`,
      `Let the device use that certificate, or provision itself again with its claim.${commands.length === 0 ? '' : ' This lets the old one in again, beside the new one:'}`,
      commands,
    );
  }
  if (!closed && status === 'PENDING_ACTIVATION' && commands.length > 0) {
    return told(
      `${sentence.slice(0, -1)}, as one made for a claim is until its device has asked for its thing.`,
      'Let the device ask for its thing with the ownership token that came with the certificate; or, if it may connect without one, activate it:',
      commands,
    );
  }
  if (closed && status !== 'INACTIVE') {
    const later = 'if it was revoked or deleted, the next attempt to connect says what to do';
    return commands.length === 0 || status === 'REVOKED'
      ? told(sentence, `Activate it if it was only deactivated; ${later}.`)
      : told(sentence, `If it was only deactivated, activate it (${later}):`, commands);
  }
  if (commands.length === 0) return told(sentence, 'If the device may connect, set its certificate ACTIVE.');
  return told(sentence, 'If the device may connect, activate it:', commands);
};

const explainDates = (record: StoredRecord, surroundings: Surroundings, expired: boolean): Explanation => {
  const leaf = record.tls?.chain?.[0];
  const end = Date.parse(record.facts?.['notAfter'] ?? '');
  if (expired && leaf && end < leaf.notAfterMs) {
    return told(
      `${client(record)} showed ${shownCertificate(record)}, which ${where(record)} has not honoured since${dayOf(end).replace(' on', '')}, although the certificate itself lasts longer: the provisioning template said so (its tag fleetgate:certificate-lifetime-days).`,
      'Let the device provision itself again with its claim: it gets another certificate for the same thing. For devices to come, change the tag.',
    );
  }
  const whileConnected = `${client(record)} was disconnected because ${shownCertificate(record)} has expired.`;
  const shown = `${client(record)} showed ${shownCertificate(record)}, which expired${dayOf(leaf?.notAfterMs)}.`;
  const sentence = expired
    ? record.eventType === 'Disconnect'
      ? whileConnected
      : shown
    : `${client(record)} showed ${shownCertificate(record)}, which is not valid before its first day${dayOf(leaf?.notBeforeMs)}.`;
  if (record.facts?.['caCertificateId'] !== undefined) {
    const advice = expired ? '' : 'check the clock of the machine that made it, wait, or ';
    return told(sentence, `Its dates cannot be changed: ${advice}give the device a new certificate of its CA.`);
  }
  const cure = expired
    ? 'Its dates cannot be changed: give the device a new certificate with the same policies and things'
    : 'Check the clock of the machine that made it, wait, or give the device a new certificate with the same policies and things';
  return told(sentence, `${cure} ${freshIdentityNote}:`, newIdentity(record, surroundings));
};

const explainServerName = (record: StoredRecord, { domains = [] }: Surroundings): Explanation => {
  const name = record.tls?.serverName;
  const similar = explainSimilarName(name, domains);
  if (similar) return similar;
  const endpoint = record.facts?.['endpoint'];
  const known = endpoint ? `, for example "${endpoint}"` : '';
  return told(
    name === undefined
      ? 'The client named a host (SNI) that is no endpoint of this server.'
      : `The client asked for the host "${name}" (SNI), which is no endpoint of this server.`,
    `Connect to the endpoint of your account${known}; it is printed by:`,
    askEndpoint(),
  );
};

const explainSuccess = (record: StoredRecord): string => {
  if (record.eventType === 'Connect') return `${client(record)} was let in.`;
  if (record.eventType === 'ProvisionDevice' && record.facts?.['caCertificateId'] !== undefined) {
    return explainProvisioned(record);
  }
  const known = explainFleetSuccess(record) ?? explainCredentialsGiven(record);
  if (known !== undefined) return known;
  return record.eventType === 'Disconnect'
    ? `${client(record)} is no longer connected${detail(record)}.`
    : `${client(record)} was allowed ${record.action ?? record.eventType}${detail(record)}.`;
};

/** A gateway that requires SNI refuses before it has seen a certificate; otherwise the certificate was looked for (spec gateway.md 1.1). */
const explainNoServerName = (record: StoredRecord): Explanation => {
  const address = record.tls?.serverName;
  const named = address === undefined ? 'no host (SNI)' : `an address, "${address}", instead of a host (SNI)`;
  const why =
    record.certificateId === undefined
      ? ', and this server requires one'
      : ', and its certificate does not tell one account by itself, as one registered without its CA, or under a CA in SNI_ONLY mode, never does';
  return told(
    `The client named ${named}${why}.`,
    'Connect by host name instead of by address, with a client that sends SNI; the name is printed by:',
    askEndpoint(),
  );
};

/** It does not speak MQTT at all. */
const isStranger = (record: StoredRecord): boolean => record.detail === 'the first packet is not CONNECT';

/** Explains one record. Every reason has its words: a new one does not compile without them. */
export const explain = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  if (record.status === 'Success') return told(explainSuccess(record), 'Nothing is to be done.');
  if (record.reason === undefined) {
    return told(`${client(record)} was refused${detail(record)}.`, 'Its facts are all that is known.');
  }
  switch (record.reason) {
    case 'SNI_MISUSED':
      return explainServerName(record, surroundings);
    case 'SNI_REQUIRED':
      return explainNoServerName(record);
    case 'CLIENT_HELLO_INVALID':
      return told(
        `The client did not begin a TLS connection as it should${detail(record)}.`,
        'Connect with TLS: for mosquitto that is --cafile with --cert and --key; for other clients a URL that begins with mqtts://.',
      );
    case 'DOMAIN_CONFIGURATION_DISABLED':
    case 'CLIENT_CERTIFICATE_CALLBACK_REFUSED':
    case 'TLS_VERSION_UNSUPPORTED':
      return explainDomain(record.reason, record);
    case 'SERVER_CERTIFICATE_REJECTED': {
      const seen = record.tls?.failure
        ? `The client did not trust the certificate of this server and ended the handshake (${record.tls.failure})`
        : `The client fell silent when it was shown the certificate of this server, as the AWS device SDKs do with one that they do not trust${detail(record)}`;
      const domain = explainDomainTrust(seen, record);
      if (domain) return domain;
      return told(
        `${seen}.`,
        "Give the client this server's root certificate; for mosquitto that is --cafile root-ca.pem, for the samples of the AWS device SDKs --ca_file root-ca.pem (or SSL_CERT_FILE=root-ca.pem before the command), after:",
        fetchRoot(surroundings),
      );
    }
    case 'TLS_HANDSHAKE_FAILED':
      return told(
        `The TLS handshake failed${record.tls?.failure ? `: ${record.tls.failure}` : detail(record)}.`,
        'See which step the client names; `openssl s_client` with the same certificate and key shows the same handshake in detail.',
      );
    case 'CLIENT_CERTIFICATE_MISSING':
      return told(
        'The client showed no certificate.',
        `Pass the certificate and the key of the device (mosquitto: --cert and --key). If it has none, this makes them ${freshIdentityNote}, with a policy that allows every client id and topic, to be narrowed later:`,
        firstIdentity(),
      );
    case 'PRIVATE_KEY_MISMATCH':
      return told(
        `The client showed ${shownCertificate(record)}${subjectOf(record)} but signed with a key that does not belong to it.`,
        `Use the key that was made with the certificate. If it is lost, this makes a new pair ${freshIdentityNote}:`,
        newIdentity(record, surroundings),
      );
    case 'DEVICE_CERTIFICATE_NOT_REGISTERED':
      return explainUnregistered(record, surroundings);
    case 'DEVICE_CERTIFICATE_INACTIVE':
      return explainNotActive(record, 'INACTIVE', false);
    case 'DEVICE_CERTIFICATE_REVOKED':
      return explainRevoked(record, surroundings);
    case 'DEVICE_CERTIFICATE_PENDING':
      return explainNotActive(record, record.facts?.['certificateStatus'] ?? 'PENDING_ACTIVATION', false);
    case 'DEVICE_CERTIFICATE_EXPIRED':
      return explainDates(record, surroundings, true);
    case 'DEVICE_CERTIFICATE_NOT_YET_VALID':
      return explainDates(record, surroundings, false);
    case 'DEVICE_CERTIFICATE_INVALID':
    case 'CA_CERTIFICATE_INACTIVE':
    case 'AUTO_REGISTRATION_DISABLED':
    case 'CA_SIGNATURE_MISMATCH':
    case 'JUST_IN_TIME_PROVISIONING_FAILED': {
      const shown = `${client(record)} showed ${shownCertificate(record)}${subjectOf(record)}`;
      return explainFirstConnect(record.reason, record, { shown, where: where(record) });
    }
    case 'CERTIFICATE_NO_LONGER_ACTIVE':
      return explainNotActive(record, record.facts?.['certificateStatus'] ?? '', true);
    case 'ACCESS_KEY_NO_LONGER_ACTIVE':
      return explainLostKey(record);
    case 'CONNECTION_LIMIT':
      return told(
        `This server already holds as many connections as it may${detail(record)}.`,
        'Close connections that are not needed, or run the server with a higher limit.',
      );
    case 'SECURITY_TOKEN_EXPIRED':
    case 'SECURITY_TOKEN_INVALID':
    case 'SECURITY_TOKEN_SIGNATURE_MISMATCH':
      return explainKeys(record.reason, record, surroundings);
    case 'NOT_AUTHENTICATED':
    case 'PROTOCOL_MISMATCH':
    case 'WEBSOCKET_TTL_EXPIRATION':
      return explainHttps(record.reason, record, surroundings);
    case 'AUTHORIZATION_FAILURE':
      return isIamDenial(record) ? explainIam(record) : explainAuthorization(record, surroundings);
    case 'CLIENT_ERROR':
      if (record.protocol === 'HTTP') {
        return told(
          `The request broke a rule of AWS IoT Core${detail(record)}.`,
          'Correct the request: AWS would refuse it too.',
        );
      }
      return (isStranger(record) ? explainDomainProtocol(client(record), record) : undefined) ?? explainRule(record);
    case 'CLIENT_ID_INVALID':
      return told(
        `The client id is not allowed${detail(record)}.`,
        'Use 1 to 128 bytes of UTF-8 that do not begin with "$"; for mosquitto that is -i with a name.',
      );
    case 'PROTOCOL_VERSION_UNSUPPORTED':
      return told(
        `${client(record)} speaks a version of MQTT that AWS IoT Core does not${detail(record)}.`,
        'Use MQTT 3.1.1 or 5; for mosquitto that is -V 311 or -V 5.',
      );
    case 'NOT_AVAILABLE':
      return explainAbsent(record);
    case 'LIMIT_EXCEEDED':
      return explainLimit(record);
    case 'THROTTLED':
      return explainRate(record);
    case 'MQTT_KEEP_ALIVE_TIMEOUT':
      return told(
        `${client(record)} was silent for more than one and a half times its keep-alive interval.`,
        'Let the client send PINGREQ in time, or ask for a longer keep-alive (30 to 1200 seconds).',
      );
    case 'CONNECT_PACKET_TIMEOUT':
      return told(
        'The client finished the TLS handshake and then sent no CONNECT packet in time.',
        'Connect with an MQTT client; a bare TLS tool such as `openssl s_client` ends here.',
      );
    case 'DUPLICATE_CLIENT_ID':
      return explainTakenOver(client(record), record);
    case 'PAYLOAD_INVALID':
    case 'CSR_INVALID':
    case 'OWNERSHIP_TOKEN_INVALID':
    case 'TEMPLATE_NOT_FOUND':
    case 'TEMPLATE_UNUSABLE':
    case 'PARAMETERS_INVALID':
    case 'PROVISIONING_HOOK_REFUSED':
    case 'RESOURCE_CONFLICT':
    case 'RESOURCE_REGISTRATION_FAILURE':
    case 'PROVISIONING_CLAIM_EXPIRED':
      return explainProvisioning(record.reason, record);
    case 'CREDENTIALS_ENDPOINT_MISMATCH':
    case 'THING_NOT_ATTACHED':
    case 'ROLE_ALIAS_NOT_FOUND':
    case 'ROLE_NOT_FOUND':
    case 'ROLE_NOT_TRUSTING':
    case 'CREDENTIAL_DURATION_EXCEEDED':
      return explainCredentials(record.reason, record, surroundings);
    case 'CALL_REFUSED':
      return explainCall(record);
    case 'CERTIFICATE_PENDING':
    case 'SERVER_CERTIFICATE_UNFIT':
    case 'VALIDATION_CERTIFICATE_UNFIT':
    case 'DOMAIN_CONFIGURATION_KEPT':
      return explainDomainCall(record.reason, record);
    case 'REPLY_NOT_SUBSCRIBED':
      return told(
        `${client(record)} asked on a reserved topic without a subscription to the reply's topic${topicFact(record)}, so nobody got the reply.`,
        'Subscribe to ".../accepted" and ".../rejected", wait for the SUBACK, and only then publish the request.',
      );
    case 'SLOW_CONSUMER':
      if (record.eventType === 'Disconnect') {
        return told(
          `${client(record)} read or acknowledged too slowly and was disconnected, because this node had no memory left for what waits${detail(record)}.`,
          'Let the client read faster, or subscribe to less; what a kept session was to get with QoS 1 waits for it.',
        );
      }
      return told(
        `${client(record)} read too slowly, and messages for it were dropped${detail(record)}.`,
        'Let the client read faster, subscribe to less, or use QoS 1.',
      );
    case 'CLIENT_NOT_CONNECTED':
      return told(
        `${record.eventType} named the client id "${record.facts?.['clientId'] ?? ''}"${detail(record)}.`,
        'Compare it with the client id that the device connects with, and wait until it is connected; what must reach a device that is away is published with QoS 1 to a topic of its persistent session.',
      );
    case 'CONFIRMATION_TIMEOUT':
      return told(
        `The client "${record.facts?.['clientId'] ?? ''}" was sent a direct message and did not acknowledge it${detail(record)}.`,
        'Let the client acknowledge QoS 1 messages (PUBACK) without delay, or wait longer: timeout may be up to 15 seconds.',
      );
    case 'INTERNAL_SERVER_ERROR':
      return told(
        `This server failed${detail(record)}.`,
        'This is a mistake of Fleetgate, not of the client: the log has the details under the same id.',
      );
  }
};
