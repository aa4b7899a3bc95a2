/** The event of just-in-time registration, to which rules and subscribers answer by activating the certificate. Source: spec provisioning.md 2.5. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Certificate } from '../certificates/certificate.ts';

export interface RegisteredEvent {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 1;
}

/** `caCertificateId`: of the CA under which the certificate is registered. `timestamp` is a number, the time of registration text, in whole seconds, as AWS shows them. */
export const registeredEvent = (
  { accountId }: AccountRegion,
  { certificateId, createdAtMs }: Pick<Certificate, 'certificateId' | 'createdAtMs'>,
  caCertificateId: string,
  nowMs: number,
): RegisteredEvent => ({
  topic: `$aws/events/certificates/registered/${caCertificateId}`,
  payload: Buffer.from(
    JSON.stringify({
      certificateId,
      caCertificateId,
      timestamp: nowMs,
      certificateStatus: 'PENDING_ACTIVATION',
      awsAccountId: accountId,
      certificateRegistrationTimestamp: String(Math.floor(createdAtMs / 1000) * 1000),
    }),
  ),
  qos: 1,
});
