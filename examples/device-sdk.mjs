/** What the two examples on the AWS IoT device SDK for JavaScript v2 share: the options that its published samples have, and the connection that they make of them. */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { iot, mqtt } from 'aws-iot-device-sdk-v2';

/** As the samples name them, one string each: `--endpoint localhost --ca_file AmazonRootCA1.pem`. */
export const optionsOf = (...names) =>
  parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) }).values;

export const connectionOptions = ['endpoint', 'port', 'cert', 'key', 'ca_file', 'client_id'];

const fail = (why) => {
  console.error(why);
  process.exit(1);
};

/** A promise, and who settles it. `Promise.withResolvers` does the same from Node 22 on. */
export const deferred = () => {
  let settle;
  const promise = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
};

/** Mutual TLS over MQTT 3.1.1. Without `--ca_file` the system's trust store decides, and the file that SSL_CERT_FILE names. */
export const connectionOf = ({ endpoint, port = '8883', cert, key, ca_file, client_id = `test-${process.pid}` }) => {
  if (endpoint === undefined) fail('--endpoint is missing');
  for (const [name, file] of Object.entries({ cert, key, ca_file })) {
    if (file === undefined && name !== 'ca_file') fail(`--${name} is missing`);
    if (file !== undefined && !existsSync(file)) fail(`There is no file ${file} (--${name})`); // the SDK would not say which
  }
  const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(cert, key);
  if (ca_file !== undefined) builder.with_certificate_authority_from_path(undefined, ca_file);
  const config = builder
    .with_clean_session(true)
    .with_client_id(client_id)
    .with_endpoint(endpoint)
    .with_port(Number(port))
    .build();
  return new mqtt.MqttClient().new_connection(config);
};

/** Connects, does the work, disconnects, and ends the process: with 1 when anything of it failed or has not come to its end within 30 seconds. */
export const runDevice = async (connection, work) => {
  setTimeout(fail, 30_000, 'no answer within 30 seconds'); // promises of the SDK alone do not keep Node running
  try {
    console.log('Connecting...');
    await connection.connect();
    console.log('Connected');
    await work();
    console.log('Disconnecting...');
    await connection.disconnect();
    console.log('Disconnected');
  } catch (error) {
    fail(error.message ?? error); // the SDK's native half may throw a text
  }
  process.exit(0); // the SDK's clients keep a process alive until they are collected
};
