/** CreateCertificateFromCsr over MQTT: the device keeps its key. Source: spec provisioning.md 4.2. */
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import { readSigningRequest } from '../provisioning/signing-request.ts';
import type { FleetWork } from './fleet-topics.ts';
import { type IssuingToClaims, issueToClaim } from './issue-to-claim.ts';
import { textMember } from './payload.ts';

export const createFromCsr =
  (services: IssuingToClaims): FleetWork =>
  async (attempt) => {
    const { members, trail } = attempt;
    trail.begin('issued', { how: 'csr' });
    const csr = textMember(members, 'certificateSigningRequest');
    if (csr === undefined || csr === '') {
      throw new ProvisioningFault('InvalidCertificateSigningRequest', 'certificateSigningRequest is missing.');
    }
    const { publicKeyDer, subjectDer } = readSigningRequest(csr);
    await services.unclaimed.add(attempt);
    const { certificateOwnershipToken, certificateId, certificatePem } = await issueToClaim(
      services,
      { publicKeyDer, subjectDer },
      attempt,
    );
    return { certificateOwnershipToken, certificateId, certificatePem };
  };
