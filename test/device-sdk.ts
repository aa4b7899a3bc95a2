/**
 * The AWS IoT device SDK for JavaScript v2 as its published samples use it: how a client is configured, started and heard. Its native half comes with the
 * package; where that cannot be loaded, importing this file fails and says so.
 */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { auth, iot, mqtt, mqtt5 } from 'aws-iot-device-sdk-v2';
import type { Identity } from './harness.ts';
import { type Inbox, lineOf, openInbox } from './inbox.ts';
import type { Fleet } from './refusal.ts';
import { within } from './within.ts';

/** How a client proves who it is, and where it knocks. */
export interface Way {
  readonly title: string;
  /** A certificate; without it the development key signs a WebSocket's request. */
  readonly identity?: Identity;
  readonly port: number;
  /** The key is a temporary one: with a session token, which the SDK appends after signing. */
  readonly hasToken?: boolean;
}

export const waysOf = ({ node }: Fleet, identity: Identity): readonly Way[] => [
  { title: 'mutual TLS', identity, port: node.mqttPort },
  { title: 'mutual TLS on the port of HTTPS, by ALPN', identity, port: node.httpsPort },
  { title: 'WebSocket and SigV4', port: node.httpsPort },
  { title: 'WebSocket and SigV4 with a session token', port: node.httpsPort, hasToken: true },
];

const credentialsOf = ({ node }: Fleet, { hasToken }: Way): auth.AwsCredentialsProvider =>
  hasToken
    ? auth.AwsCredentialsProvider.newStatic(`ASIA${node.account.accountId}`, 'test', 'test')
    : auth.AwsCredentialsProvider.newStatic('test', 'test');

/** The builder of an MQTT 5 client, as the samples `mqtt5_x509` and `mqtt5_aws_websocket` make it; our root is what a sample's `--ca_file` is. */
export const mqtt5Builder = (fleet: Fleet, way: Way): iot.AwsIotMqtt5ClientConfigBuilder => {
  const { mqttHost, rootFile, account } = fleet.node;
  const builder = way.identity
    ? iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(
        mqttHost,
        way.identity.certFile,
        way.identity.keyFile,
      )
    : iot.AwsIotMqtt5ClientConfigBuilder.newWebsocketMqttBuilderWithSigv4Auth(mqttHost, {
        region: account.region,
        credentialsProvider: credentialsOf(fleet, way),
      });
  return builder.withCertificateAuthorityFromPath(undefined, rootFile).withPort(way.port);
};

/** What the next event of a client carries, by the SDK's own type of it; within the bound. */
export const next = async <E>(client: mqtt5.Mqtt5Client, event: string): Promise<E> => {
  const carried = await within(once(client, event), event);
  return carried[0];
};

/** The SDK's native half hands every payload over as an ArrayBuffer, and none as undefined. */
const textOf = (payload: unknown): string => (payload instanceof ArrayBuffer ? Buffer.from(payload).toString() : '');

/** An MQTT 5 client of the SDK that was started and is connected. */
export interface Started {
  readonly client: mqtt5.Mqtt5Client;
  readonly success: mqtt5.ConnectionSuccessEvent;
  readonly heard: Inbox<string>;
  /** The same messages with all that the SDK tells of them. */
  readonly packets: readonly mqtt5.PublishPacket[];
}

/** What was opened and is not known to be closed. */
const open = new Set<mqtt5.Mqtt5Client | mqtt.MqttClientConnection>();

export const create = (config: mqtt5.Mqtt5ClientConfig): mqtt5.Mqtt5Client => {
  const client = new mqtt5.Mqtt5Client(config);
  open.add(client);
  return client;
};

export const start = async (config: mqtt5.Mqtt5ClientConfig): Promise<Started> => {
  const client = create(config);
  const heard = openInbox<string>();
  const packets: mqtt5.PublishPacket[] = [];
  client.on('messageReceived', ({ message }) => {
    packets.push(message);
    heard.put(lineOf(message.topicName, textOf(message.payload), message.qos, message.retain ?? false));
  });
  // the SDK tells one or the other within its own limit for a CONNACK
  const success = await new Promise<mqtt5.ConnectionSuccessEvent>((resolve, reject) => {
    client.once('connectionSuccess', resolve);
    client.once('connectionFailure', ({ error }: mqtt5.ConnectionFailureEvent) => reject(error));
    client.start();
  });
  return { client, success, heard, packets };
};

/** Ends a client as the samples do, or with the DISCONNECT that is given. */
export const stop = async ({ client }: Pick<Started, 'client'>, packet?: mqtt5.DisconnectPacket): Promise<void> => {
  const stopped = next(client, 'stopped');
  client.stop(packet);
  await stopped;
};

/** The builder of an MQTT 3.1.1 connection, as the samples' `build_connection_from_cli_args` makes it. */
export const mqtt3Builder = (fleet: Fleet, way: Way): iot.AwsIotMqttConnectionConfigBuilder => {
  const { mqttHost, rootFile, account } = fleet.node;
  const { AwsIotMqttConnectionConfigBuilder: Builder } = iot;
  const builder = way.identity
    ? Builder.new_mtls_builder_from_path(way.identity.certFile, way.identity.keyFile)
    : Builder.new_with_websockets({ region: account.region, credentials_provider: credentialsOf(fleet, way) });
  return builder
    .with_certificate_authority_from_path(undefined, rootFile)
    .with_clean_session(true)
    .with_endpoint(mqttHost)
    .with_port(way.port);
};

/** An MQTT 3.1.1 connection of the SDK. */
export interface Connected {
  readonly connection: mqtt.MqttClientConnection;
  readonly sessionPresent: boolean;
  readonly heard: Inbox<string>;
}

export const connect = async (config: mqtt.MqttConnectionConfig): Promise<Connected> => {
  const connection = new mqtt.MqttClient().new_connection(config);
  open.add(connection);
  const heard = openInbox<string>();
  connection.on('message', (topic, payload, _dup, qos, retain) => {
    heard.put(lineOf(topic, textOf(payload), qos, retain));
  });
  return { connection, sessionPresent: await connection.connect(), heard };
};

/** Ends whatever is still open, without waiting for it. */
export const endAll = (): void => {
  for (const one of open) {
    if (one instanceof mqtt5.Mqtt5Client) {
      one.stop();
      one.close();
    } else {
      one.disconnect().catch(() => undefined); // it may be disconnected already
    }
  }
  open.clear();
};

/** The SDK keeps a process alive until its clients are collected; the samples call `process.exit` instead. */
export const collectClients = (): void => {
  setFlagsFromString('--expose-gc');
  // a function without arguments, by V8's own documentation of the flag
  (runInNewContext('gc') as () => void)();
};
