import type { Call } from '../../feature.ts';

/** What a provisioning uses of a `Call`, so that a `Call` will do. */
export type ProvisioningCall = Pick<Call, 'account' | 'db' | 'write' | 'now' | 'newId' | 'changed'>;
