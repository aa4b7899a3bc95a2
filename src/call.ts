/** Builds the `Call` that a handler is given, from what a node shares between all calls. */
import { randomUUID } from 'node:crypto';
import type { AccountRegion } from './aws/arn.ts';
import { openMarker, sealMarker } from './aws/marker.ts';
import type { Bus } from './bus/bus.ts';
import { noteChange } from './bus/changes.ts';
import type { Arrival, Call, Caller, Feature } from './feature.ts';
import type { Store } from './store/store.ts';

export interface CallServices {
  readonly store: Store;
  readonly bus: Bus;
  /** In dependency order; deletion asks all of them what is attached. */
  readonly features: readonly Feature[];
  /** 32 random bytes that all nodes of a store share. */
  readonly markerKey: Uint8Array;
  readonly now: () => number;
}

export interface CallScope {
  readonly account: AccountRegion;
  readonly caller: Caller;
  readonly arrival: Arrival;
  /** Service and operation, e.g. `iot ListPolicies`: what a marker is bound to. */
  readonly operation: string;
}

export const makeCall = (services: CallServices, { account, caller, arrival, operation }: CallScope): Call => {
  const { store, bus, features, markerKey, now } = services;
  const scope = { account, operation };
  return {
    account,
    caller,
    arrival,
    db: store.db,
    write: store.write,
    now,
    newId: randomUUID,
    changed: (kind, id) => noteChange(bus, { account, kind, id }),
    async holdersOf(db, arn) {
      const holders = [];
      for (const feature of features) holders.push(...((await feature.holders?.(db, account, arn)) ?? []));
      return holders;
    },
    async release(db, arn) {
      for (const feature of features) await feature.release?.(db, account, arn);
    },
    sealMarker: (cursor) => sealMarker(markerKey, scope, cursor),
    openMarker: (marker) => (marker === undefined ? '' : openMarker(markerKey, scope, marker)),
  };
};
