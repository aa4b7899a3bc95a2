import { parseCertificate } from '../../pki/certificate.ts';
import type { CertificateFacts } from '../../policy/context.ts';

/**
 * What policies may ask about a certificate, read from its DER at the first policy variable that needs more than its id: most policies need no more,
 * and reading costs a good part of a handshake. Bytes that cannot be read give no values. Source: spec policy 4.4.
 */
export const certificateFacts = (certificateId: string, der: Uint8Array | undefined): CertificateFacts => {
  let unread = der;
  let fields: CertificateFacts | undefined;
  const read = (): CertificateFacts | undefined => {
    if (unread) {
      fields = fieldsOf(unread);
      unread = undefined;
    }
    return fields;
  };
  return {
    id: certificateId,
    get subject() {
      return read()?.subject;
    },
    get issuer() {
      return read()?.issuer;
    },
    get serialNumber() {
      return read()?.serialNumber;
    },
  };
};

/** Undefined for what cannot be read; it was readable when it was registered. */
const fieldsOf = (der: Uint8Array): CertificateFacts | undefined => {
  try {
    return parseCertificate(der).policyFields;
  } catch {
    return undefined;
  }
};
