import type { Feature } from '../../feature.ts';
import type { Store } from '../../store/store.ts';
import { type ClaimServices, createProvisioningClaim } from './create-claim.ts';
import { createFromCsr } from './create-from-csr.ts';
import { createKeys } from './create-keys.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import { fleetTopic } from './fleet-topics.ts';
import { Unclaimed } from './issue-to-claim.ts';
import { migrations } from './migrations.ts';
import { type ProvisionServices, provisionOverMqtt } from './provision-topic.ts';
import { sweepTask } from './sweep.ts';

export interface FleetServices extends ClaimServices, ProvisionServices {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly fleetMetrics: FleetMetrics;
  /** Certificates of one account that may wait for their RegisterThing; default `unclaimedCertificatesMax`. */
  readonly unclaimedMax?: number;
}

/** Fleet provisioning: devices that come with a claim certificate, and leave with an identity of their own. */
export const fleetProvisioning = ({ unclaimedMax, fleetMetrics, store, ...services }: FleetServices): Feature => {
  const issuing = { ...services, unclaimed: new Unclaimed(unclaimedMax) };
  const registered = provisionOverMqtt(services);
  return {
    name: 'fleet-provisioning',
    migrations,
    operations: { iot: { CreateProvisioningClaim: createProvisioningClaim(services) } },
    topics: [
      fleetTopic(
        {
          pattern: '$aws/certificates/create/{format}',
          eventType: 'GetDeviceCredentials',
          failures: 'CreateKeysAndCertificateFailed',
          work: createKeys(issuing),
        },
        fleetMetrics,
      ),
      fleetTopic(
        {
          pattern: '$aws/certificates/create-from-csr/{format}',
          eventType: 'GetDeviceCredentials',
          failures: 'CreateCertificateFromCsrFailed',
          work: createFromCsr(issuing),
        },
        fleetMetrics,
      ),
      fleetTopic(
        {
          pattern: '$aws/provisioning-templates/{templateName}/provision/{format}',
          eventType: 'ProvisionDevice',
          failures: 'RegisterThingFailed',
          async work(attempt) {
            const answer = await registered(attempt);
            if (attempt.facts['repeated'] === undefined) fleetMetrics.ApproximateNumberOfThingsRegistered++;
            return answer;
          },
        },
        fleetMetrics,
      ),
    ],
    tasks: [sweepTask(store)],
  };
};
