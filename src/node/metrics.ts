/** The metrics of a node, as Prometheus reads them. */
import { version } from '../config.ts';
import type { StapleCount } from '../features/domains/stapler.ts';
import type { Journal } from '../journal/journal.ts';
import type { Health } from '../metrics/health.ts';
import { nodeFamilies } from '../metrics/node-families.ts';
import { awsFamilies, awsFamily, type Sample } from '../metrics/prometheus.ts';
import type { Broker } from '../mqtt/broker.ts';
import type { openAdmission } from './admission.ts';
import type { Base } from './base.ts';
import type { Slices } from './slices.ts';

const stapleSample = ({ account, domainConfigurationName, successes }: StapleCount): Sample => ({
  labels: { account_id: account.accountId, region: account.region, domain_configuration_name: domainConfigurationName },
  value: successes,
});

export interface Measured {
  readonly base: Pick<Base, 'store' | 'keyPool'>;
  readonly slices: Pick<Slices, 'fleetMetrics' | 'served'>;
  readonly firstConnects: ReturnType<typeof openAdmission>['metrics'];
  readonly broker: Broker;
  readonly journal: Journal;
  readonly health: Health;
}

/** Answers them as they are at that moment. */
export const measure =
  ({ base: { store, keyPool }, slices: { fleetMetrics, served }, firstConnects, broker, journal, health }: Measured) =>
  () => {
    const { connections, sessions, retained } = broker.sizes();
    const keys = keyPool.sizes();
    return [
      ...awsFamilies({ MQTT: { ...broker.metrics, ...fleetMetrics, ...firstConnects }, HTTP: broker.httpMetrics }),
      awsFamily('RetrieveOCSPStapleData.Success', served.stapler.counts().map(stapleSample)),
      ...nodeFamilies({
        version,
        gauges: {
          ready: { help: '1 while the node can serve.', value: health.causes().length === 0 ? 1 : 0 },
          store_writable: { help: '1 while the store takes writes.', value: store.writable ? 1 : 0 },
          connections: { help: 'MQTT connections, those being admitted among them.', value: connections },
          sessions: { help: 'MQTT sessions, with and without a connection.', value: sessions },
          retained_messages: { help: 'Retained messages, as last counted.', value: retained },
          key_pairs: { help: 'Key pairs in stock for certificates with keys of the service.', value: keys.stock },
          key_pair_waiters: { help: 'Requests that wait for a key pair.', value: keys.waiting },
        },
        counters: {
          journal_dropped_records: { help: 'Records that the journal gave up.', value: journal.dropped },
        },
      }),
    ];
  };
