/** Builds the `Call` that a handler is given, from what a node shares between all calls. */
import { randomUUID } from 'node:crypto';
import { type AccountRegion, iotArn } from './aws/arn.ts';
import { Fault } from './aws/fault.ts';
import { openMarker, sealMarker } from './aws/marker.ts';
import type { Bus } from './bus/bus.ts';
import { noteChange } from './bus/changes.ts';
import type { Arrival, Call, Caller, Feature } from './feature.ts';
import { type EventLogs, noLogs } from './journal/log-event.ts';
import type { EventType, RecordAttempt } from './journal/record.ts';
import type { IotAction } from './mqtt/authority.ts';
import type { Control } from './mqtt/control.ts';
import type { ClientRequest } from './mqtt/requests.ts';
import { denialOf } from './mqtt/rights.ts';
import type { Store } from './store/store.ts';

export interface CallServices {
  readonly store: Store;
  readonly bus: Bus;
  /** In dependency order; deletion asks all of them what is attached. */
  readonly features: readonly Feature[];
  /** 32 random bytes that all nodes of a store share. */
  readonly markerKey: Uint8Array;
  readonly now: () => number;
  /** The broker, as one account and region sees it. */
  readonly control: (account: AccountRegion) => Control;
  readonly record: RecordAttempt;
  /** Default: none. */
  readonly logs?: EventLogs;
}

export interface CallScope {
  readonly account: AccountRegion;
  readonly caller: Caller;
  readonly arrival: Arrival;
  /** Service and operation, e.g. `iot ListPolicies`: what a marker is bound to. */
  readonly operation: string;
}

/** AWS's log event type of each action that a call may be refused (spec gateway.md 8). */
const eventTypes: { readonly [Action in IotAction]?: EventType } = {
  'iot:Publish': 'Publish-In',
  'iot:RetainPublish': 'Publish-In',
  'iot:GetRetainedMessage': 'GetRetainedMessage',
  'iot:ListRetainedMessages': 'ListRetainedMessage',
  'iot:DeleteConnection': 'DeleteConnection',
  'iot:GetConnection': 'GetConnection',
  'iot:ListSubscriptions': 'ListSubscriptions',
  'iot:SendDirectMessage': 'SendDirectMessage',
};

/** A principal that is no IAM identity. */
const certificateIdPattern = /^[0-9a-f]{64}$/;

export const makeCall = (services: CallServices, { account, caller, arrival, operation }: CallScope): Call => {
  const { store, bus, features, markerKey, now } = services;
  const scope = { account, operation };
  const { principal } = caller;
  const record: Call['record'] = (eventType, fields) =>
    services.record({
      account,
      ...(arrival.clientId === undefined ? { protocol: 'HTTP' } : { clientId: arrival.clientId }),
      ...(principal && certificateIdPattern.test(principal.principalId) && { certificateId: principal.principalId }),
      ...(arrival.source && { sourceIp: arrival.source.ip, sourcePort: arrival.source.port }),
      eventType,
      ...fields,
    });
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
    get messages() {
      return services.control(account);
    },
    async authorize(action, resource, keys) {
      if (!principal) return;
      for (let stale = principal.stale(); stale !== undefined; stale = principal.stale()) await stale;
      if (principal.allows(action, resource, keys)) return;
      record(eventTypes[action] ?? 'Publish-In', {
        status: 'Failure',
        ...denialOf(principal, action, resource, keys),
      });
      throw new Fault('ForbiddenException', `Not authorized: ${action} on ${resource}`);
    },
    record,
    log: (event) =>
      (services.logs ?? noLogs).log(account, {
        status: 'Success',
        protocol: arrival.clientId === undefined ? 'HTTP' : 'MQTT',
        clientId: arrival.clientId,
        principalId: principal?.principalId ?? caller.userId,
        sourceIp: arrival.source?.ip,
        sourcePort: arrival.source?.port,
        ...event,
      }),
  };
};

/** The call of a request that came over MQTT: its caller is the principal of the connection. */
export const makeRequestCall = (services: CallServices, request: ClientRequest): Call => {
  const { account, authority, signer, source, clientId, topic } = request;
  const caller = signer ?? {
    accessKeyId: '',
    arn: iotArn(account, 'cert', authority.principalId),
    userId: authority.principalId,
  };
  return makeCall(services, {
    account,
    caller: { ...caller, principal: authority },
    arrival: { host: '', loopback: false, source, clientId },
    operation: topic,
  });
};
