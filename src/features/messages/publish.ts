/**
 * Publish: a message over HTTP, by the rules of a PUBLISH packet where they apply. Source: spec gateway.md 3, 5.5, 6.
 * Faults: InvalidRequestException, RequestEntityTooLargeException, ForbiddenException, ThrottlingException (retained messages),
 * NotImplementedException (request topics of features to come).
 */
import { Fault } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import type { Limits } from '../../limits.ts';
import type { CalledMessage, Control } from '../../mqtt/control.ts';
import { isReserved, useOfTopic } from '../../mqtt/reserved.ts';
import { retainedLimitOf } from '../../mqtt/topic.ts';
import { checkPayload, checkTopic, readProperties } from './message-input.ts';
import { invalid, journaled, Refusal } from './refusal.ts';

/** The counter of a publish that did not succeed (spec gateway.md 9). */
const counterOf = (error: unknown): keyof Control['metrics'] => {
  if (!(error instanceof Fault) || error.name === 'NotImplementedException') return 'PublishIn.ServerError';
  if (error.name === 'ForbiddenException') return 'PublishIn.AuthError';
  return error.name === 'ThrottlingException' ? 'PublishIn.Throttle' : 'PublishIn.ClientError';
};

export const publish: Handler<'Publish', 'iot-data'> = async (input, call) => {
  const { messages } = call;
  const topic = input.topic ?? '';
  try {
    await journaled(call, 'Publish-In', { facts: { topic } }, async () => {
      const retain = input.retain ?? false;
      checkUse(checkTopic(topic, messages.limits), retain, messages.limits);
      await call.authorize('iot:Publish', `topic/${topic}`);
      if (retain) await mayRetain(call, topic);
      const { messageExpiry } = input;
      if (messageExpiry !== undefined && messageExpiry < 0) throw invalid('messageExpiry is negative');
      await deliver(call, {
        topic,
        payload: checkPayload(input.payload, messages.limits),
        qos: input.qos === 1 ? 1 : 0,
        retain,
        properties: {
          ...readProperties(input),
          ...(messageExpiry !== undefined && { messageExpirySeconds: messageExpiry }),
        },
      });
    });
    messages.metrics['PublishIn.Success']++;
  } catch (error) {
    messages.metrics[counterOf(error)]++;
    throw error;
  }
  return {};
};

const mayRetain = async ({ authorize, messages }: Call, topic: string): Promise<void> => {
  try {
    await authorize('iot:RetainPublish', `topic/${topic}`);
  } catch (error) {
    if (error instanceof Fault) messages.metrics['PublishRetained.AuthError']++;
    throw error;
  }
};

/** What no policy can allow: refused before any is asked, as over MQTT. */
const checkUse = (topic: string, retain: boolean, limits: Limits): void => {
  if (useOfTopic(topic).use === 'closed') throw invalid('The topic is reserved');
  if (retain && isReserved(topic)) throw invalid('A reserved topic keeps no retained message');
  if (retain && retainedLimitOf(topic, limits) !== undefined) {
    const sentence = `The topic of a retained message is longer than ${limits.retainedTopicBytesMax} bytes`;
    throw new Refusal('InvalidRequestException', sentence, 'LIMIT_EXCEEDED');
  }
};

const throttledSentences = {
  full: 'The account keeps as many retained messages as it may (retainedPerAccountMax)',
  tooSoon: 'The topic was given a retained message less than a second ago',
} as const;

/** Features that answer requests, on the connection that asked. Source: spec provisioning.md 4.1. */
const answeredOverMqtt: ReadonlySet<string> = new Set(['fleet provisioning']);

const deliver = async (call: Call, message: CalledMessage): Promise<void> => {
  const topicUse = useOfTopic(message.topic);
  switch (topicUse.use) {
    case 'service':
      throw new Refusal('ForbiddenException', 'only the service publishes on this topic', 'AUTHORIZATION_FAILURE');
    case 'request': {
      if (answeredOverMqtt.has(topicUse.feature)) {
        throw invalid('A request on this topic is made over MQTT: over HTTPS there is no connection to reply to');
      }
      const sentence = `Not available in this version: ${topicUse.feature}`;
      throw new Refusal('NotImplementedException', sentence, 'NOT_AVAILABLE');
    }
    case 'ingest':
      // Basic Ingest to an unknown rule is accepted (spec gateway.md 6); in this version no rule can be known.
      call.messages.metrics.RuleNotFound++;
      call.record('Publish-In', {
        status: 'Failure',
        reason: 'NOT_AVAILABLE',
        detail: 'rules: no rule of this name',
        facts: { ruleName: topicUse.ruleName },
      });
      return;
    default: {
      const outcome = await call.messages.publish(message);
      if (outcome !== 'published') {
        throw new Refusal('ThrottlingException', throttledSentences[outcome], 'LIMIT_EXCEEDED');
      }
    }
  }
};
