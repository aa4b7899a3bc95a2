/** Looking at retained messages. Source: spec gateway.md 4, 5.9; API reference, GetRetainedMessage, ListRetainedMessages. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { Retained } from '../../mqtt/control.ts';
import { checkTopic } from './message-input.ts';
import { readPage } from './pages.ts';
import { journaled } from './refusal.ts';

/** Assumed: a page without `maxResults` is as long as the longest that may be asked for. */
const pageDefault = 200;

/** The JSON that a publisher would have sent: `[{"name":"value"},...]`. */
const userPropertiesOf = ({ userProperties }: Retained): Uint8Array =>
  Buffer.from(JSON.stringify(userProperties.map(([name, value]) => ({ [name]: value }))));

/** Faults: ForbiddenException, InvalidRequestException (no topic that could be published to), ResourceNotFoundException. */
export const getRetainedMessage: Handler<'GetRetainedMessage', 'iot-data'> = async (input, call) => {
  const topic = await journaled(call, 'GetRetainedMessage', { facts: { topic: input.topic ?? '' } }, async () =>
    checkTopic(input.topic ?? '', call.messages.limits),
  );
  await call.authorize('iot:GetRetainedMessage', `topic/${topic}`);
  const found = await call.messages.findRetained(topic);
  if (!found) throw new Fault('ResourceNotFoundException', 'There is no retained message on this topic');
  return {
    topic: found.topic,
    payload: found.payload,
    qos: found.qos,
    lastModifiedTime: found.updatedAtMs,
    ...(found.userProperties.length > 0 && { userProperties: userPropertiesOf(found) }),
  };
};

/** In topic order. Faults: ForbiddenException, InvalidRequestException. */
export const listRetainedMessages: Handler<'ListRetainedMessages', 'iot-data'> = async (input, call) => {
  await call.authorize('iot:ListRetainedMessages', '*');
  const { items, nextToken } = await readPage(call, {
    token: input.nextToken,
    limit: input.maxResults ?? pageDefault,
    nameOf: ({ topic }) => topic,
    read: call.messages.listRetained,
  });
  return {
    retainedTopics: items.map(({ topic, payloadBytes, qos, updatedAtMs }) => ({
      topic,
      payloadSize: payloadBytes,
      qos,
      lastModifiedTime: updatedAtMs,
    })),
    ...(nextToken !== undefined && { nextToken }),
  };
};
