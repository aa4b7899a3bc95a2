/**
 * Refusals by the rules and limits of MQTT and of AWS IoT Core in words: the `detail` of a record says which rule it was, here stands what to do
 * about it. A detail that is not here keeps the general cure. Source of the rules: spec gateway.md 5.
 */
import type { Explanation } from './cure-lines.ts';
import type { StoredRecord } from './stored-record.ts';

const client = ({ clientId }: StoredRecord): string =>
  clientId === undefined ? 'The client' : `The client "${clientId}"`;
const told = (sentence: string, cure: string): Explanation => ({ sentence, cure, commands: [] });
const open = 'or run the server with --limits open';

/** By the detail, or by its beginning. */
const rules: readonly (readonly [detail: string, cure: string])[] = [
  ['QoS 2', `AWS IoT Core knows no QoS 2: use QoS 0 or 1, ${open}.`],
  ['will QoS 2', `AWS IoT Core knows no QoS 2: give the will QoS 0 or 1, ${open}.`],
  ['PUBREC, PUBREL and PUBCOMP', `AWS IoT Core knows no QoS 2: use QoS 0 or 1, ${open}.`],
  ['AUTH', 'Leave enhanced authentication out: neither AWS IoT Core nor this server has it.'],
  ['RETAIN on a reserved topic', 'Publish without RETAIN there: what the service answers is never retained.'],
  [
    'reserved topic filter',
    'Subscribe to a topic of your own, or to one of the reserved ones that clients may read, such as "$aws/events/#".',
  ],
  [
    'reserved topic',
    'Publish to a topic that does not begin with "$", or to one of the reserved topics that take requests.',
  ],
  ['will: will on a reserved topic', 'Give the will a topic that does not begin with "$".'],
  ['will: ', 'Give the will a topic that is not empty and holds neither "+" nor "#".'],
  ['wildcard in a topic', 'Publish to a topic without "+" and "#": they belong into subscriptions only.'],
  ['empty topic filter', 'Subscribe to a filter that is not empty.'],
  ['empty topic', 'Publish with a topic.'],
  ['NUL character', 'Send texts without the character U+0000.'],
  ['ill-formed UTF-8', 'Send client ids, topics and texts as well-formed UTF-8.'],
  ['# is not', 'Let "#" be the whole last level of the filter, as in "a/#".'],
  ['+ is not', 'Let "+" be a whole level of the filter, as in "a/+/b".'],
  [
    'malformed ShareName',
    'Write a shared subscription as "$share/name/filter", with a name that is not empty and holds neither "+" nor "#".',
  ],
  ['topic alias', 'Use topic aliases from 1 to the Topic Alias Maximum of the CONNACK (8 on AWS IoT Core).'],
  ['unknown topic alias', 'Send the topic with its alias once on each connection before the alias alone.'],
  ['a second CONNECT', 'Send CONNECT once on each connection.'],
  ['the first packet is not CONNECT', 'Begin the connection with CONNECT; HTTP belongs on the HTTPS port.'],
  ['Session Expiry Interval', 'Ask for a session that is kept at CONNECT: at DISCONNECT it is too late for that.'],
  ['closed before its CONNECT was answered', 'Let the client wait for the CONNACK, or give it a longer time limit.'],
  ['Maximum Packet Size', 'Let the client accept larger packets (Maximum Packet Size).'],
];

/** By the name of the limit: what it is about, and its value on AWS. */
const limits: Readonly<Record<string, string>> = {
  topicBytesMax: 'the bytes of a topic or topic filter, 256 on AWS IoT Core',
  topicSlashesMax: 'the slashes in a topic or topic filter, 7 on AWS IoT Core',
  shareNameCharsMax: 'the characters of the name of a shared subscription, 128',
  payloadBytesMax: 'the bytes of a payload, 131072 on AWS IoT Core',
  packetBytesMax: 'the bytes of a packet, 149504 on AWS IoT Core',
  partialPacketBytesPerNodeMax: 'the bytes of packets whose end has not arrived, of all clients of the server together',
  filtersPerSubscribeMax: 'the filters of one SUBSCRIBE, 8 on AWS IoT Core',
  subscriptionsPerConnectionMax: 'the subscriptions of one connection, 50 on AWS IoT Core',
  inflightMax: 'the messages without acknowledgement, 100 on AWS IoT Core',
  retainedPerAccountMax: 'the retained messages of one account, 5000 on AWS IoT Core',
  sessionsPerAccountMax: 'the sessions that one account keeps',
  queuedMessagesPerSessionMax: 'the messages that wait for one session or shared group',
  queuedBytesPerSessionMax: 'the bytes that wait for one session or shared group',
  queuedBytesPerAccountMax: 'the bytes that wait for all sessions of one account',
};

/** By the name of the limit per unit of time: what was done too often. */
const rates: Readonly<Record<string, string>> = {
  publishesPerSecondMax: 'published more than 100 messages per second, and the excess was discarded',
  bytesPerSecondMax: 'sent more than 512 KiB per second, and was read more slowly',
  connectIntervalMs: 'connected more than once per second',
  retainIntervalMs: 'replaced one retained message more than once per second, and the excess was discarded',
  verificationsPerSecondMax: 'came with one of too many unknown certificates at once, and its own was not looked into',
  publishesOutPerSecondMax: 'was sent more than 100 messages per second, and the excess waited or was dropped',
};

const named = ({ detail }: StoredRecord): string => (detail === undefined ? '' : `: ${detail}`);

export const explainRule = (record: StoredRecord): Explanation => {
  const cure = rules.find(([detail]) => record.detail?.startsWith(detail))?.[1];
  return told(
    `${client(record)} broke a rule of MQTT or of AWS IoT Core${named(record)}.`,
    cure ?? 'Correct the client: AWS would close this connection too.',
  );
};

export const explainLimit = (record: StoredRecord): Explanation => {
  const about = limits[record.detail?.split(' ').at(-1) ?? '']; // `...: topicBytesMax`
  return told(
    `${client(record)} went over a limit${named(record)}${about === undefined ? '' : ` (${about})`}.`,
    'Stay below the limit; it has the value that AWS documents unless it was configured otherwise (--limits open raises most).',
  );
};

export const explainRate = (record: StoredRecord): Explanation =>
  told(
    `${client(record)} ${rates[record.detail ?? ''] ?? `went over a limit per unit of time${named(record)}`}.`,
    record.detail === 'verificationsPerSecondMax'
      ? 'Let the device connect again, as it will by itself: the bound is of its source and of this node.'
      : 'Let the client be slower, or run the server without --rate-quotas aws, as it runs by default.',
  );

/** What AWS refuses as well, apart from what is merely not built. */
const departures: Readonly<Record<string, string>> = {
  'Subscription Id is not supported now': `Leave Subscription Identifiers out: AWS IoT Core does not take them; ${open}.`,
  'Authentication Method': 'Leave enhanced authentication out: neither AWS IoT Core nor this server has it.',
};

export const explainAbsent = (record: StoredRecord): Explanation => {
  const departure = departures[record.detail ?? ''];
  return departure === undefined
    ? told(
        `${client(record)} asked for something that this version of Fleetgate does not have${named(record)}.`,
        'Do without it for now; docs/divergences.md lists what is missing.',
      )
    : told(`${client(record)} asked for something that AWS IoT Core does not have${named(record)}.`, departure);
};
