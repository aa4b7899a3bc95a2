/** A message that is published with RETAIN, by a client, a will or a call: stored first, then delivered. Source: spec gateway.md 5.5, 5.9. */
import type { AccountRegion } from '../aws/arn.ts';
import type { Reason } from '../journal/record.ts';
import type { BrokerContext } from './context.ts';
import type { Message } from './message.ts';
import type { Metrics } from './metrics.ts';

/** The account has as many retained messages as it may, and this would be one more: neither kept nor delivered. */
export class RetainedFull extends Error {
  override readonly name = 'RetainedFull';
  constructor() {
    super('retainedPerAccountMax');
  }
}

/**
 * Keeps the message (deletes, if its payload is empty) and then has it delivered to those who are subscribed. Resolves when both are as durable as
 * they must be. The message owns its bytes: it outlives the packet. Faults: RetainedFull, StoreUnavailable.
 */
export const publishRetained = async (
  context: BrokerContext,
  {
    account,
    message,
    metrics,
  }: { readonly account: AccountRegion; readonly message: Message; readonly metrics: Metrics },
  deliverLive: () => Promise<void> | undefined,
): Promise<void> => {
  let outcome: 'kept' | 'full';
  try {
    outcome = await context.retained.write(account, {
      topic: message.topic,
      payload: message.payload,
      qos: message.qos,
      properties: message.properties,
      messageExpiresAtMs: message.expiresAtMs,
      updatedAtMs: context.now(),
    });
  } catch (error) {
    metrics['PublishRetained.ServerError']++;
    throw error;
  }
  if (outcome === 'full') {
    metrics['PublishRetained.Throttle']++;
    throw new RetainedFull();
  }
  metrics['PublishRetained.Success']++;
  await deliverLive();
};

/** The journal's words for a message that was not retained. */
export const whyNotRetained = (error: unknown): { readonly reason: Reason; readonly detail: string } =>
  error instanceof RetainedFull
    ? { reason: 'LIMIT_EXCEEDED', detail: error.message }
    : { reason: 'INTERNAL_SERVER_ERROR', detail: error instanceof Error ? error.name : 'unknown' };
