/** Devices that are provisioned as a fleet: MQTT.js with a claim certificate, one request at a time, and what a policy and a template for that look like. */
import type { TLSSocket } from 'node:tls';
import { cbor } from '@smithy/core/cbor';
import mqtt from 'mqtt';
import type { FleetNode } from '../src/index.ts';
import { within } from './within.ts';

/** What opens a connection. */
export interface KeyedCertificate {
  readonly certificatePem: string;
  readonly privateKey: string;
}

export interface FleetConnection {
  readonly clientId: string;
  readonly version?: 4 | 5;
  readonly serverName?: string;
  /** Where it comes from, e.g. `127.0.0.2`. */
  readonly localAddress?: string;
}

export interface FleetReply {
  readonly outcome: 'accepted' | 'rejected';
  readonly payload: Buffer;
  /** The payload as JSON or CBOR, as its topic says, if it is that. */
  readonly members: Readonly<Record<string, unknown>>;
}

export interface FleetDevice {
  readonly client: mqtt.MqttClient;
  /** `topic` of every message so far. */
  readonly received: readonly string[];
  /** Subscribes to both replies, asks in the format of the topic, and resolves with the reply. */
  request(topic: string, payload?: unknown): Promise<FleetReply>;
  /** Resolves when the socket is closed. */
  closed(): Promise<void>;
  end(): Promise<void>;
}

export const createTopic = '$aws/certificates/create/json';
export const csrTopic = '$aws/certificates/create-from-csr/json';
export const provisionTopic = (templateName: string, format: Format = 'json'): string =>
  `$aws/provisioning-templates/${templateName}/provision/${format}`;

export const formats = ['json', 'cbor'] as const;
export type Format = (typeof formats)[number];
/** The same topic in another format. */
export const topicIn = (format: Format, topic: string): string => topic.replace(/json$/, format);

const isCbor = (topic: string): boolean => topic.split('/').includes('cbor');

const bytesOf = (topic: string, payload: unknown): Buffer => {
  if (Buffer.isBuffer(payload)) return payload;
  return isCbor(topic) ? Buffer.from(cbor.serialize(payload)) : Buffer.from(JSON.stringify(payload));
};

const membersOf = (topic: string, payload: Buffer): Readonly<Record<string, unknown>> => {
  try {
    return isCbor(topic) ? cbor.deserialize(payload) : JSON.parse(payload.toString());
  } catch {
    return {};
  }
};

/** Resolves when the server has accepted the connection. */
export const connectFleetDevice = async (
  { mqttPort, rootPem }: Pick<FleetNode, 'mqttPort' | 'rootPem'>,
  { certificatePem, privateKey }: KeyedCertificate,
  { clientId, version = 4, serverName = 'localhost', localAddress }: FleetConnection,
): Promise<FleetDevice> => {
  const client = mqtt.connect(`mqtts://127.0.0.1:${mqttPort}`, {
    clientId,
    protocolVersion: version,
    servername: serverName,
    ...(localAddress !== undefined && { localAddress }),
    ca: rootPem,
    cert: certificatePem,
    key: privateKey,
    reconnectPeriod: 0,
    keepalive: 1200, // the clock of a node may be moved by minutes
  });
  // its small packets do not wait for the acknowledgement of the one before
  client.on('connect', () => (client.stream as TLSSocket).setNoDelay(true));
  const received: string[] = [];
  client.on('message', (topic) => received.push(topic));
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  const accepted = Promise.withResolvers<void>();
  client.once('connect', () => accepted.resolve());
  client.on('error', accepted.reject);
  void closed.then(() => accepted.reject(new Error(`${clientId} was not let in`)));
  await within(accepted.promise, `CONNACK for ${clientId}`);
  return {
    client,
    received,
    async request(topic, payload = {}) {
      await client.subscribeAsync([`${topic}/accepted`, `${topic}/rejected`], { qos: 1 });
      const reply = new Promise<FleetReply>((resolve, reject) => {
        const hear = (on: string, bytes: Buffer): void => {
          if (!on.startsWith(`${topic}/`)) return;
          client.off('message', hear);
          resolve({
            outcome: on.endsWith('accepted') ? 'accepted' : 'rejected',
            payload: bytes,
            members: membersOf(on, bytes),
          });
        };
        client.on('message', hear);
        void closed.then(() => reject(new Error(`${clientId} was closed before the reply on ${topic}`)));
      });
      const [, answered] = await Promise.all([
        client.publishAsync(topic, bytesOf(topic, payload), { qos: 1 }),
        within(reply, `the reply on ${topic}`),
      ]);
      return answered;
    },
    closed: () => within(closed, `the end of ${clientId}`),
    end: () => client.endAsync(true),
  };
};

/** The claim policy of the guide, which seed 001 has word for word. `create*` covers both ways to a certificate; the seed's own is `create`. */
export const claimPolicy = (templateName: string, create = 'create*'): string => {
  const prefix = 'arn:aws:iot:us-east-1:000000000000';
  const on = (kind: string): string[] =>
    [`$aws/certificates/${create}`, `$aws/provisioning-templates/${templateName}/provision`].map(
      (topic) => `${prefix}:${kind}/${topic}/*`,
    );
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: ['iot:Connect'], Resource: '*' },
      { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: on('topic') },
      { Effect: 'Allow', Action: 'iot:Subscribe', Resource: on('topicfilter') },
    ],
  });
};

/** The template of seed 001. */
export const fleetTemplate = (policyName: string, prefix: string, more: Readonly<Record<string, unknown>> = {}) => ({
  Parameters: { SerialNumber: { Type: 'String' }, 'AWS::IoT::Certificate::Id': { Type: 'String' } },
  Resources: {
    [`policy_${policyName}`]: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: policyName } },
    certificate: {
      Type: 'AWS::IoT::Certificate',
      Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'Active' },
    },
    thing: {
      Type: 'AWS::IoT::Thing',
      OverrideSettings: { AttributePayload: 'MERGE', ThingGroups: 'DO_NOTHING', ThingTypeName: 'REPLACE' },
      Properties: {
        AttributePayload: {},
        ThingGroups: [],
        ThingName: { 'Fn::Join': ['', [prefix, { Ref: 'SerialNumber' }]] },
      },
    },
  },
  ...more,
});

/** The same with another thing. */
export const withThing = (thing: object) => {
  const body = fleetTemplate('device', '');
  return { ...body, Resources: { ...body.Resources, thing: { Type: 'AWS::IoT::Thing', ...thing } } };
};
