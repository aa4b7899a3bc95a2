/**
 * SendDirectMessage: one message to one connected client, which need not have subscribed. It is not queued, not retained, and seen by nobody else.
 * Source: spec gateway.md 4; API reference, SendDirectMessage; developer guide, "Direct messaging".
 * Faults: InvalidRequestException, RequestEntityTooLargeException, ForbiddenException, ResourceNotFoundException, ThrottlingException,
 * GatewayTimeoutException.
 */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { DirectOutcome } from '../../mqtt/control.ts';
import { isReserved } from '../../mqtt/reserved.ts';
import { checkPayload, checkTopic, readProperties } from './message-input.ts';
import { invalid, journaled, Refusal } from './refusal.ts';

/** How long an acknowledgement is waited for when the caller does not say. Source: API reference. */
const timeoutSecondsDefault = 5;

/**
 * Callers of all accounts who wait for a confirmation at once: half of the requests that a listener works on (`requestsMax`), so that whoever sends to
 * clients that never acknowledge cannot keep everybody else from being served. One more is turned away.
 */
export const confirmingMax = 128;

/** What the caller is told of a message that did not arrive. The receiver's own record says which of its policies forbids it. */
const refusals: { readonly [Outcome in Exclude<DirectOutcome, 'sent' | 'acknowledged'>]: () => Fault } = {
  forbidden: () => new Fault('ForbiddenException', 'The receiving client is not allowed iot:Receive on this topic'),
  offline: () => new Refusal('ResourceNotFoundException', 'The client is not connected', 'CLIENT_NOT_CONNECTED'),
  dormant: () =>
    new Refusal(
      'ResourceNotFoundException',
      'The client is not connected; its session is kept, but direct messages are not queued',
      'CLIENT_NOT_CONNECTED',
    ),
  unconfirmed: () =>
    new Refusal('GatewayTimeoutException', 'The client did not confirm the message in time', 'CONFIRMATION_TIMEOUT'),
  tooLarge: () =>
    new Refusal('RequestEntityTooLargeException', 'The client does not take packets of this size', 'LIMIT_EXCEEDED'),
  congested: () =>
    new Refusal('ThrottlingException', 'The client does not read what it was sent before', 'SLOW_CONSUMER'),
};

/** One handler, which counts its waiting callers. */
export const createSendDirectMessage = (): Handler<'SendDirectMessage', 'iot-data'> => {
  let confirming = 0;

  const confirmed = async (send: () => Promise<DirectOutcome>): Promise<DirectOutcome> => {
    if (confirming >= confirmingMax) {
      throw new Refusal('ThrottlingException', 'Too many confirmations are awaited (confirmingMax)', 'LIMIT_EXCEEDED');
    }
    confirming++;
    try {
      return await send();
    } finally {
      confirming--;
    }
  };

  return async (input, call) => {
    const { messages } = call;
    const clientId = input.clientId ?? '';
    const topic = input.topic ?? '';
    return journaled(call, 'SendDirectMessage', { facts: { clientId, topic } }, async () => {
      if (isReserved(topic)) throw invalid('The topic of a direct message may not begin with $');
      checkTopic(topic, messages.limits);
      await call.authorize('iot:SendDirectMessage', `client/${clientId}`, { topic });
      const message = {
        topic,
        payload: checkPayload(input.payload, messages.limits),
        properties: readProperties(input),
      };
      const confirmMs = (input.timeout ?? timeoutSecondsDefault) * 1000;
      const outcome = input.confirmation
        ? await confirmed(() => messages.send(clientId, message, confirmMs))
        : await messages.send(clientId, message, undefined);
      if (outcome !== 'sent' && outcome !== 'acknowledged') throw refusals[outcome]();
      return {};
    });
  };
};
