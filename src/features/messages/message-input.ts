/**
 * A message as it stands in a request: its topic, its payload, and the MQTT 5 properties in query and headers. What MQTT could not carry is refused here
 * (strings with U+0000, a response topic with wildcards). Source: spec gateway.md 3, 5.5; API reference, Publish, SendDirectMessage.
 */
import assert from 'node:assert/strict';
import type { Operations } from '../../aws/operations.ts';
import type { Limits } from '../../limits.ts';
import type { CalledMessage } from '../../mqtt/control.ts';
import { faultOfTopic, limitOf } from '../../mqtt/topic.ts';
import { invalid, Refusal } from './refusal.ts';

type Input = Operations['iot-data']['Publish' | 'SendDirectMessage']['input'];

/** Bytes of a string or of binary data. Source: MQTT 5.0 1.5.4, 1.5.6. */
const fieldBytesMax = 65_535;

/** A string that MQTT can carry [MQTT-1.5.4-1, MQTT-1.5.4-2]. Faults: InvalidRequestException. */
const checkText = (name: string, text: string): string => {
  if (text.includes('\0') || !text.isWellFormed()) throw invalid(`${name} holds a character that MQTT does not allow`);
  if (Buffer.byteLength(text) > fieldBytesMax) throw invalid(`${name} is longer than ${fieldBytesMax} bytes`);
  return text;
};

const limitSentences = {
  topicBytesMax: (limits: Limits) => `The topic is longer than ${limits.topicBytesMax} bytes`,
  topicSlashesMax: (limits: Limits) => `The topic has more than ${limits.topicSlashesMax} forward slashes`,
} as const;

/** A topic name within its limits. Faults: InvalidRequestException. */
export const checkTopic = (topic: string, limits: Limits): string => {
  const fault = faultOfTopic(checkText('The topic', topic));
  if (fault !== undefined) throw invalid(`The topic is not valid: ${fault}`);
  const limit = limitOf(topic, limits);
  if (limit !== undefined) {
    throw new Refusal('InvalidRequestException', limitSentences[limit](limits), 'LIMIT_EXCEEDED');
  }
  return topic;
};

/** No payload is an empty one. Faults: RequestEntityTooLargeException. */
export const checkPayload = (payload: Input['payload'], limits: Limits): Uint8Array => {
  const bytes = payload ?? new Uint8Array(0);
  assert(bytes instanceof Uint8Array, 'the reader gives bytes; clients alone may give more');
  if (bytes.length <= limits.payloadBytesMax) return bytes;
  const sentence = `The payload is larger than ${limits.payloadBytesMax} bytes`;
  throw new Refusal('RequestEntityTooLargeException', sentence, 'LIMIT_EXCEEDED');
};

const readJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('userProperties is not JSON');
  }
};

/** `[{"name":"value"},...]`: one pair in each object, in order. */
const readUserProperties = (text: string): readonly (readonly [string, string])[] => {
  const list = readJson(text);
  if (!Array.isArray(list)) throw invalid('userProperties is not an array of objects');
  return list.map((item: unknown) => {
    const pairs = typeof item === 'object' && item !== null && !Array.isArray(item) ? Object.entries(item) : [];
    const [[name, value] = []] = pairs;
    if (pairs.length !== 1 || name === undefined || typeof value !== 'string') {
      throw invalid('Each object of userProperties holds one name with one string');
    }
    return [checkText('A user property', name), checkText('A user property', value)] as const;
  });
};

const readCorrelationData = (text: string): Uint8Array => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw invalid('correlationData is not base64');
  if (bytes.length > fieldBytesMax) throw invalid(`correlationData is longer than ${fieldBytesMax} bytes`);
  return bytes;
};

const readResponseTopic = (topic: string): string => {
  const fault = faultOfTopic(checkText('responseTopic', topic)); // [MQTT-3.3.2-14]
  if (fault !== undefined) throw invalid(`responseTopic is not valid: ${fault}`);
  return topic;
};

/** The MQTT 5 properties of a message. Faults: InvalidRequestException. */
export const readProperties = (input: Input): CalledMessage['properties'] => {
  const { contentType, responseTopic, correlationData, userProperties, payloadFormatIndicator } = input;
  return {
    ...(payloadFormatIndicator === 'UTF8_DATA' && { payloadFormatUtf8: true }),
    ...(contentType !== undefined && { contentType: checkText('contentType', contentType) }),
    ...(responseTopic !== undefined && { responseTopic: readResponseTopic(responseTopic) }),
    ...(correlationData !== undefined && { correlationData: readCorrelationData(correlationData) }),
    ...(userProperties !== undefined && { userProperties: readUserProperties(String(userProperties)) }),
  };
};
