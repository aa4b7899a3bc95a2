/** CreateKeysAndCertificate over MQTT: a key pair of ours, which is answered once and kept nowhere. Source: spec provisioning.md 4.2. */
import { type KeyPair, publicKeyDerOf, takePair } from '../../pki/key-pool.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import type { FleetWork } from './fleet-topics.ts';
import { type IssuingToClaims, issueToClaim } from './issue-to-claim.ts';

export interface KeyServices extends IssuingToClaims {
  readonly takeKeyPair: () => Promise<KeyPair>;
}

const tooMany = (cause: Error): ProvisioningFault =>
  new ProvisioningFault('Throttled', 'Too many key pairs are being made.', { cause });

/** Whatever the payload holds is passed over. */
export const createKeys =
  (services: KeyServices): FleetWork =>
  async (attempt) => {
    const { trail } = attempt;
    trail.begin('issued', { how: 'keys' });
    await services.unclaimed.add(attempt);
    const pair = await takePair(services.takeKeyPair, tooMany);
    const { certificateId, certificatePem, certificateOwnershipToken } = await issueToClaim(
      services,
      { publicKeyDer: publicKeyDerOf(pair) },
      attempt,
    );
    return { certificateId, certificatePem, privateKey: pair.privateKeyPem, certificateOwnershipToken };
  };
