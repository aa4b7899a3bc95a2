/** Every operation that this version handles, from the features' own lists: what a table over all operations is measured by. */
import assert from 'node:assert/strict';
import { type Covered, coverage } from '../src/api/operations.ts';
import type { Handlers } from '../src/feature.ts';
import { createFleetMetrics } from '../src/features/fleet/fleet-metrics.ts';
import { allFeatures } from '../src/features/index.ts';
import { memoryStore } from './memory-store.ts';

/** Those on domain configurations: they have a story of their own. */
export const domainOperations: readonly string[] = ['Create', 'Describe', 'Update', 'Delete', 'List'].map((verb) =>
  verb === 'List' ? 'ListDomainConfigurations' : `${verb}DomainConfiguration`,
);

/** All of iam, and of sts what is more than GetCallerIdentity: they have stories of their own. */
export const isIamOperation = ({ service, operation }: Pick<Covered, 'service' | 'operation'>): boolean =>
  service === 'iam' || (service === 'sts' && operation !== 'GetCallerIdentity');

export const handledOperations = (): readonly Covered[] => {
  const unused = () => assert.fail('only names are asked for');
  const features = allFeatures({
    issue: unused,
    takeKeyPair: unused,
    invokeFunction: unused,
    store: memoryStore([]),
    fleetMetrics: createFleetMetrics(),
    box: { seal: unused, open: unused },
    iam: { rightsOf: unused, keysOf: unused, mintSession: unused },
    acmRequests: {
      issuance: { isImmediate: unused, look: unused, turn: unused },
      validationKey: new Uint8Array(),
    },
    customDomainDeletionDays: 0,
    domainTasks: [],
    bulk: { runner: { wake: unused, turn: unused }, links: { link: unused }, apiUrl: unused },
    endpoints: {
      defaultAccount: { accountId: '000000000000', region: 'us-east-1' },
      domain: 'localhost',
      hasOwnDomain: false,
      isPlainName: unused,
      hostNames: unused,
      resolve: unused,
    },
  });
  return features.flatMap(({ operations = {} }) =>
    // a feature's handlers by service, which is what the node collects them to
    coverage(operations as Handlers).filter(({ handled }) => handled),
  );
};
