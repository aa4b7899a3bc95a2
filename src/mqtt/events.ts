/**
 * Life-cycle events: what the service itself publishes on `$aws/events/presence/...` and `$aws/events/subscriptions/...` when clients come and
 * go. Nobody's policy is asked for the publishing, only iot:Receive of whoever gets one. An event that nobody receives costs a lookup in the trie.
 * Source: spec gateway.md 7.
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { DisconnectReason } from './ending.ts';

/** The client that an event is about. */
export interface EventSubject {
  readonly account: AccountRegion;
  readonly clientId: string;
  /** The certificateId, or the userId of an IAM identity. */
  readonly principalIdentifier: string;
  /** Of the session; all zeros when there is none. */
  readonly sessionIdentifier: string;
  /** Asked when somebody receives the event. The thing that the principal is attached to exclusively, if it is. */
  thingName(): string | undefined;
}

/** The sessionIdentifier of a client that never had a session. */
export const noSession = '00000000-0000-0000-0000-000000000000';

export interface EventsOptions {
  /** Milliseconds by the node's clock. */
  now(): number;
  /** Publishes with QoS 1 to whoever receives the topic in this account and region; `payload` is called only if somebody does. */
  publish(account: AccountRegion, topic: string, payload: () => Buffer): void;
}

export interface Events {
  connected(of: EventSubject, facts: { readonly ipAddress: string; readonly versionNumber: number }): void;
  disconnected(
    of: EventSubject,
    facts: { readonly disconnectReason: DisconnectReason; readonly versionNumber: number },
  ): void;
  /** iot:Connect was denied, or the will may not be published. */
  connectFailed(of: EventSubject, facts: { readonly ipAddress: string }): void;
  /** `topics`: the filters of one packet that were granted, or given up. */
  subscribed(of: EventSubject, topics: readonly string[]): void;
  unsubscribed(of: EventSubject, topics: readonly string[]): void;
}

/** Longest topic that MQTT can carry, bytes. */
const topicBytesMax = 65_535;

/** AWS sends no events of client ids that would be wildcards in the topic. */
const hasEvents = (clientId: string): boolean => !clientId.includes('#') && !clientId.includes('+');

export const createEvents = ({ now, publish }: EventsOptions): Events => {
  const emit = (
    kind: 'presence' | 'subscriptions',
    eventType: string,
    of: EventSubject,
    facts: Readonly<Record<string, unknown>>,
  ): void => {
    const { account, clientId, principalIdentifier, sessionIdentifier } = of;
    if (!hasEvents(clientId)) return;
    const topic = `$aws/events/${kind}/${eventType}/${clientId}`;
    if (topic.length > topicBytesMax / 4 && Buffer.byteLength(topic) > topicBytesMax) return;
    publish(account, topic, () => {
      const thingName = of.thingName();
      return Buffer.from(
        JSON.stringify({
          clientId,
          ...(thingName !== undefined && { thingName }),
          timestamp: now(),
          eventType,
          sessionIdentifier,
          principalIdentifier,
          ...facts,
        }),
      );
    });
  };
  return {
    connected: (of, facts) => emit('presence', 'connected', of, facts),
    disconnected: (of, { disconnectReason, versionNumber }) =>
      emit('presence', 'disconnected', of, {
        clientInitiatedDisconnect: disconnectReason === 'CLIENT_INITIATED_DISCONNECT',
        disconnectReason,
        versionNumber,
      }),
    connectFailed: (of, facts) =>
      emit('presence', 'connect_failed', of, { connectFailureReason: 'AUTHORIZATION_FAILED', ...facts }),
    subscribed: (of, topics) => emit('subscriptions', 'subscribed', of, { topics }),
    unsubscribed: (of, topics) => emit('subscriptions', 'unsubscribed', of, { topics }),
  };
};
