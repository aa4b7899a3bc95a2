import type { Feature } from '../../feature.ts';
import type { Store } from '../../store/store.ts';
import { type ClaimServices, createProvisioningClaim } from './create-claim.ts';
import { createFromCsr } from './create-from-csr.ts';
import { createKeys } from './create-keys.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import { fleetTopic } from './fleet-topics.ts';
import { migrations } from './migrations.ts';
import { type ProvisionServices, provisionOverMqtt } from './provision-topic.ts';
import { sweepTask } from './sweep.ts';
import { Unclaimed, type UnclaimedBounds } from './unclaimed.ts';

export interface FleetServices extends ClaimServices, ProvisionServices {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly fleetMetrics: FleetMetrics;
  /** Default: those of the same name. */
  readonly unclaimedBounds?: UnclaimedBounds;
}

/** Fleet provisioning: devices that come with a claim certificate, and leave with an identity of their own. */
export const fleetProvisioning = ({ unclaimedBounds, fleetMetrics, store, ...services }: FleetServices): Feature => {
  const issuing = { ...services, unclaimed: new Unclaimed(unclaimedBounds) };
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
          asks: 'keys',
          failures: 'CreateKeysAndCertificateFailed',
          work: createKeys(issuing),
        },
        fleetMetrics,
      ),
      fleetTopic(
        {
          pattern: '$aws/certificates/create-from-csr/{format}',
          eventType: 'GetDeviceCredentials',
          asks: 'csr',
          failures: 'CreateCertificateFromCsrFailed',
          work: createFromCsr(issuing),
        },
        fleetMetrics,
      ),
      fleetTopic(
        {
          pattern: '$aws/provisioning-templates/{templateName}/provision/{format}',
          eventType: 'ProvisionDevice',
          asks: 'thing',
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
