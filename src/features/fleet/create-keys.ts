/** CreateKeysAndCertificate over MQTT: a key pair of ours, which is answered once and kept nowhere. Source: spec provisioning.md 4.2. */
import { strict as assert } from 'node:assert';
import { type KeyPair, KeyPoolExhausted } from '../../pki/key-pool.ts';
import { firstPemBlock } from '../../pki/pem.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import type { FleetWork } from './fleet-topics.ts';
import { type IssuingToClaims, issueToClaim } from './issue-to-claim.ts';

export interface KeyServices extends IssuingToClaims {
  readonly takeKeyPair: () => Promise<KeyPair>;
}

const takePair = async (takeKeyPair: () => Promise<KeyPair>): Promise<KeyPair> => {
  try {
    return await takeKeyPair();
  } catch (cause) {
    if (!(cause instanceof KeyPoolExhausted)) throw cause;
    throw new ProvisioningFault('Throttled', 'Too many key pairs are being made.', { cause });
  }
};

/** Whatever the payload holds is passed over. */
export const createKeys =
  (services: KeyServices): FleetWork =>
  async (attempt) => {
    const { trail } = attempt;
    trail.begin('issued', { how: 'keys' });
    await services.unclaimed.add(attempt);
    const { publicKeyPem, privateKeyPem } = await takePair(services.takeKeyPair);
    const publicKeyDer = firstPemBlock(publicKeyPem, 'PUBLIC KEY');
    assert(publicKeyDer, 'the key pool answers SubjectPublicKeyInfo in PEM');
    const { certificateId, certificatePem, certificateOwnershipToken } = await issueToClaim(
      services,
      { publicKeyDer },
      attempt,
    );
    return { certificateId, certificatePem, privateKey: privateKeyPem, certificateOwnershipToken };
  };
