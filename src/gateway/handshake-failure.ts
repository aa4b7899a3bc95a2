/**
 * Why a TLS handshake failed, from what Node and OpenSSL 3.5 report. All of it is
 * Observed: with openssl s_client, mosquitto 2.0, Python's ssl and Node's tls against Node 26; the tests repeat the observation.
 */
import type { Reason } from '../journal/record.ts';

/** What `tlsClientError` hands over; `code`, `library` and `reason` are OpenSSL's where the error is. */
export type TlsError = Error & { readonly code?: string; readonly library?: string; readonly reason?: string };

export interface HandshakeFailure {
  readonly reason: Reason;
  /** For the journal's `tls.failure`. */
  readonly failure: string;
}

/** The peer hung up after it had read our certificate: Node's own client does so when it does not trust it. */
export const closedWithoutAlert: HandshakeFailure = {
  reason: 'SERVER_CERTIFICATE_REJECTED',
  failure: 'the client closed the connection after our certificate, without an alert',
};

/** Alerts by which a client says that it will not have our certificate; mosquitto sends internal_error when the name does not match. */
const rejection =
  /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNSUPPORTED_CERTIFICATE|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED|INTERNAL_ERROR)$/;

export const isRejection = (error: TlsError): boolean => rejection.test(error.code ?? '');

/** `certificateReceived`: the client's certificate had arrived, so what failed came after it. */
export const handshakeFailure = (error: TlsError, certificateReceived: boolean): HandshakeFailure => {
  const code = error.code ?? '';
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return certificateReceived ? { reason: 'TLS_HANDSHAKE_FAILED', failure: 'connection lost' } : closedWithoutAlert;
  }
  const failure = error.reason ?? (code || 'unknown');
  if (!certificateReceived && isRejection(error)) return { reason: 'SERVER_CERTIFICATE_REJECTED', failure };
  if (/ALERT_PROTOCOL_VERSION$|UNSUPPORTED_PROTOCOL$|VERSION_TOO_LOW$/.test(code)) {
    return { reason: 'TLS_VERSION_UNSUPPORTED', failure };
  }
  // The first error in OpenSSL's queue is the one of the algorithm that failed: "provider signature failure" of ECDSA, padding errors of RSA.
  if (certificateReceived && !/ALERT/.test(code) && (error.library !== 'SSL routines' || failure === 'bad signature')) {
    return { reason: 'PRIVATE_KEY_MISMATCH', failure };
  }
  return { reason: 'TLS_HANDSHAKE_FAILED', failure };
};
