import { CsrProblem, type ParsedCsr, parseCsr } from '../../pki/csr.ts';
import { ProvisioningFault } from './provisioning-fault.ts';

/** The signing request of a device. Faults: ProvisioningFault (InvalidCertificateSigningRequest). */
export const readSigningRequest = (text: string): ParsedCsr => {
  try {
    return parseCsr(text);
  } catch (cause) {
    if (!(cause instanceof CsrProblem)) throw cause;
    throw new ProvisioningFault('InvalidCertificateSigningRequest', cause.message, { cause });
  }
};
