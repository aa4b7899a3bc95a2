/**
 * The first connection of a device that only its maker knows (just-in-time registration): its certificate is registered under the CA that signed it, those who wait
 * for such devices are told, the CA's template is set to work if it has one (just-in-time provisioning), and the connection is refused. The device comes again;
 * it is let in once its certificate is ACTIVE, and until then each of its connections tells and tries again. Source: spec provisioning.md 2, 3.
 *
 * Admission asks on the CONNECT packet, never on the handshake alone (design 6). Nothing is remembered between connections: each reads CAs and certificate anew.
 */
import { type AccountRegion, accountKey } from '../../aws/arn.ts';
import type { JournalRecord, Reason, RecordAttempt } from '../../journal/record.ts';
import type { Peer } from '../../mqtt/authority.ts';
import { assertRegistrable, CertificateProblem, type CertificateRule } from '../../pki/certificate.ts';
import { type CaCertificate, findCaCertificate } from '../cas/ca-certificate.ts';
import { type Certificate, certificateArn, findCertificate, insertCertificate } from '../certificates/certificate.ts';
import type { FirstConnect, Refused } from '../policies/authority.ts';
import { createJobQueue, type Taken } from '../provisioning/job-queue.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import { Trail } from '../provisioning/trail.ts';
import { findIssuer, type Issued } from './find-issuer.ts';
import { type JustInTimeServices, provisionJustInTime, registers } from './just-in-time.ts';
import { type RegisteredEvent, registeredEvent } from './registered-event.ts';
import { createVerificationBudget, type VerificationBudget } from './verification-budget.ts';

export interface FirstConnectOptions extends JustInTimeServices {
  /** The default region: the only one in which a connection without SNI is looked for. */
  readonly region: string;
  readonly publish: (account: AccountRegion, event: RegisteredEvent) => Promise<void> | undefined;
  readonly record: RecordAttempt;
  /** Told of what kept a provisioning from ending and is nobody's fault but ours or the world's. */
  readonly trouble: (error: unknown) => void;
  /** Default: a new one by real time. */
  readonly budget?: VerificationBudget;
}

export interface FirstConnects {
  /** Rejects when the store cannot be read or written. */
  readonly firstConnect: FirstConnect;
  /** AWS's counters of just-in-time provisioning (spec provisioning.md 11). */
  readonly metrics: Readonly<Record<`ProvisionThing.${'Success' | 'ClientError' | 'ServerError'}`, number>>;
  /** Resolves when no template is at work. */
  idle(): Promise<void>;
  /** Begins no further template and waits for those at work. */
  close(): Promise<void>;
}

/** Who came, from where and when. */
interface From extends Pick<JournalRecord, 'clientId' | 'sourceIp' | 'sourcePort'> {
  readonly connectedAtMs: number;
}

/** What is found out about a certificate: it is registered now, or why it is not. Undefined: nobody would register it. */
type Outcome = { readonly account: AccountRegion; readonly certificate: Certificate } | Refused | undefined;

const refusalOfRule: Readonly<Record<CertificateRule, Reason>> = {
  expired: 'DEVICE_CERTIFICATE_EXPIRED',
  'not-yet-valid': 'DEVICE_CERTIFICATE_NOT_YET_VALID',
  key: 'DEVICE_CERTIFICATE_INVALID',
  'signature-algorithm': 'DEVICE_CERTIFICATE_INVALID',
  unreadable: 'DEVICE_CERTIFICATE_INVALID',
};

/** Why a CA registers nobody. */
const whyNot = ({ status, caCertificateId }: CaCertificate, account: AccountRegion): Refused => ({
  refusal: status === 'ACTIVE' ? 'AUTO_REGISTRATION_DISABLED' : 'CA_CERTIFICATE_INACTIVE',
  account,
  facts: { caCertificateId },
});

/** The CA of which most is to be expected: one that registers, then one that is ACTIVE; of equal ones the newest. Assumed: AWS documents nothing about several. */
const chooseCa = (issuers: readonly CaCertificate[]): CaCertificate | undefined =>
  issuers.findLast(registers) ?? issuers.findLast(({ status }) => status === 'ACTIVE') ?? issuers.at(-1);

export const createFirstConnects = (options: FirstConnectOptions): FirstConnects => {
  const { db, write, now, newId, changed, publish, record, trouble, budget = createVerificationBudget() } = options;
  const metrics = { 'ProvisionThing.Success': 0, 'ProvisionThing.ClientError': 0, 'ProvisionThing.ServerError': 0 };
  const jobs = createJobQueue();
  /** Certificates being looked into, so that connections that come together cost one look. At most one for each connection being admitted. */
  const underWay = new Map<string, Promise<Outcome>>();

  /** Registers the certificate if its CA still stands for it; what is registered meanwhile stays as it is. */
  const register = async ({ account, certificate }: Issued, { caCertificateId }: CaCertificate): Promise<Outcome> => {
    const { certificateId, pem, notBeforeMs, notAfterMs } = certificate;
    const [generationId, createdAtMs] = [newId(), now()];
    const outcome = await write(async (unit): Promise<Outcome> => {
      const ca = await findCaCertificate(unit, account, caCertificateId);
      if (!ca) return undefined;
      if (!registers(ca)) return whyNot(ca, account);
      const { certificateMode } = ca;
      await insertCertificate(unit, account, {
        ...{ certificateId, status: 'PENDING_ACTIVATION', certificateMode, pem, caCertificateId, generationId },
        ...{ createdAtMs, notBeforeMs, notAfterMs },
      });
      // none when another account holds it in DEFAULT mode
      const held = await findCertificate(unit, account, certificateId);
      return held && { account, certificate: held };
    });
    const isNew = outcome && 'certificate' in outcome && outcome.certificate.generationId === generationId;
    if (isNew) changed(account, 'certificate', certificateId);
    return outcome;
  };

  /** Registers a certificate that the account does not hold, under the CA that signed it. */
  const lookInto = async (peer: Peer, der: Uint8Array, account: AccountRegion | undefined): Promise<Outcome> => {
    const mayVerify = (): boolean => budget.take(peer.remoteAddress);
    const issued = await findIssuer({ db, mayVerify }, der, account ?? { region: options.region });
    if (issued === 'throttled') {
      return { refusal: 'THROTTLED', detail: 'verificationsPerSecondMax', account };
    }
    if (!issued) return undefined;
    const owner = issued.account;
    const ca = chooseCa(issued.issuers);
    if (!ca) {
      const caCertificateId = issued.namesakes.at(-1)?.caCertificateId ?? '';
      return { refusal: 'CA_SIGNATURE_MISMATCH', account: owner, facts: { caCertificateId } };
    }
    if (!registers(ca)) return whyNot(ca, owner);
    try {
      assertRegistrable(issued.certificate, now());
    } catch (cause) {
      if (!(cause instanceof CertificateProblem)) throw cause;
      const facts = { caCertificateId: ca.caCertificateId };
      return { refusal: refusalOfRule[cause.rule], detail: cause.message, account: owner, facts };
    }
    return register(issued, ca);
  };

  const lookIntoOnce = (
    peer: Peer,
    { certificateId, der }: NonNullable<Peer['certificate']>,
    account: AccountRegion | undefined,
  ): Promise<Outcome> => {
    const key = `${account ? accountKey(account) : ''}/${certificateId}`;
    const known = underWay.get(key);
    if (known) return known;
    const work = lookInto(peer, der, account).finally(() => underWay.delete(key));
    underWay.set(key, work);
    return work;
  };

  /** Carries out the CA's template, and tells what became of it. Never rejects. */
  const provisionAndTell = async (
    account: AccountRegion,
    { certificateId }: Certificate,
    { connectedAtMs, ...known }: From & Pick<JournalRecord, 'facts'>,
  ): Promise<void> => {
    const trail = new Trail(now);
    trail.past('connected', connectedAtMs, { subject: certificateId, how: 'own' });
    const tell = (more: Partial<JournalRecord> & Pick<JournalRecord, 'status'>): void => {
      if (more.status === 'Failure') trail.fail();
      const { steps } = trail;
      record({ account, eventType: 'ProvisionDevice', certificateId, ...known, ...more, steps });
    };
    try {
      const provisioned = await provisionJustInTime(options, account, certificateId, trail);
      if (!provisioned) return;
      metrics['ProvisionThing.Success'] += 1;
      const { thingName } = provisioned;
      tell({ status: 'Success', facts: { ...known.facts, ...(thingName !== undefined && { thingName }) } });
    } catch (cause) {
      if (cause instanceof ProvisioningFault) {
        metrics['ProvisionThing.ClientError'] += 1;
        const facts = { ...known.facts, errorCode: cause.errorCode };
        tell({ status: 'Failure', reason: 'JUST_IN_TIME_PROVISIONING_FAILED', detail: cause.message, facts });
      } else {
        metrics['ProvisionThing.ServerError'] += 1;
        tell({ status: 'Failure', reason: 'INTERNAL_SERVER_ERROR', detail: 'just-in-time provisioning' });
        trouble(cause);
      }
    }
  };

  /** Sets the CA's template to work, if it has one; what a record says about that. */
  const provisionBy = (
    { account, certificate }: { readonly account: AccountRegion; readonly certificate: Certificate },
    ca: CaCertificate,
    from: From,
  ): Record<string, string> => {
    if (!ca.registrationConfig) return {};
    if (!registers(ca)) return { provisioning: whyNot(ca, account).refusal };
    const { caCertificateId, registrationConfig } = ca;
    const { templateName } = registrationConfig;
    const facts = { caCertificateId, ...(templateName !== undefined && { provisioningTemplateName: templateName }) };
    const taken: Taken = jobs.add({
      account: accountKey(account),
      key: `${accountKey(account)}/${certificate.certificateId}`,
      run: () =>
        provisionAndTell(account, certificate, {
          ...from,
          facts: { ...facts, deviceCertificateId: certificate.certificateId },
        }),
    });
    return { ...facts, provisioning: taken === 'taken' ? 'STARTED' : 'QUEUE_FULL' };
  };

  /** Tells those who wait for new devices, and sets the template to work. */
  const pending = async (
    found: { readonly account: AccountRegion; readonly certificate: Certificate },
    caCertificateId: string,
    from: From,
  ): Promise<Refused> => {
    const { account, certificate } = found;
    const nowMs = now();
    const facts = {
      certificateArn: certificateArn(account, certificate.certificateId),
      certificateStatus: 'PENDING_ACTIVATION',
      caCertificateId,
    };
    if (nowMs < certificate.notBeforeMs) return { refusal: 'DEVICE_CERTIFICATE_NOT_YET_VALID', account, facts };
    if (nowMs > certificate.notAfterMs) return { refusal: 'DEVICE_CERTIFICATE_EXPIRED', account, facts };
    const { certificateId, createdAtMs } = certificate;
    const trail = new Trail(now);
    trail.past('connected', from.connectedAtMs, { subject: certificateId, how: 'own' });
    trail.past('registered', createdAtMs, { subject: certificateId, how: caCertificateId });
    const event = registeredEvent(account, certificate, caCertificateId, nowMs);
    trail.begin('announced', { subject: event.topic });
    await publish(account, event);
    const ca = await findCaCertificate(db, account, caCertificateId);
    const { provisioningTemplateName: subject, ...provisioning } = ca ? provisionBy(found, ca, from) : {};
    if (provisioning['provisioning'] === 'STARTED') trail.begin('started', subject === undefined ? {} : { subject });
    trail.begin('admitted');
    trail.fail();
    return {
      ...{ refusal: 'DEVICE_CERTIFICATE_PENDING', account, steps: trail.steps },
      facts: { ...facts, ...provisioning, ...(subject !== undefined && { provisioningTemplateName: subject }) },
    };
  };

  return {
    metrics,
    async firstConnect(peer, account, clientId) {
      if (!peer.certificate) return undefined;
      const connectedAtMs = now();
      const { certificateId } = peer.certificate;
      const held = account && (await findCertificate(db, account, certificateId));
      const outcome =
        account && held ? { account, certificate: held } : await lookIntoOnce(peer, peer.certificate, account);
      if (!outcome || 'refusal' in outcome) return outcome;
      const { certificate } = outcome;
      // without SNI only DEFAULT counts (design 3)
      if (!account && certificate.certificateMode !== 'DEFAULT') return undefined;
      // not from a CA: it waits for RegisterThing of fleet provisioning
      if (certificate.caCertificateId === undefined) return undefined;
      const isPending = certificate.status === 'PENDING_ACTIVATION' || certificate.status === 'ACTIVE';
      if (!isPending) return undefined;
      // ACTIVE only since this connection began: it comes again
      if (certificate.status === 'ACTIVE') {
        const facts = { certificateStatus: 'PENDING_ACTIVATION', caCertificateId: certificate.caCertificateId };
        return { refusal: 'DEVICE_CERTIFICATE_PENDING', account: outcome.account, facts };
      }
      const from = { clientId, sourceIp: peer.remoteAddress, sourcePort: peer.remotePort, connectedAtMs };
      return pending(outcome, certificate.caCertificateId, from);
    },
    idle: jobs.idle,
    close: jobs.close,
  };
};
