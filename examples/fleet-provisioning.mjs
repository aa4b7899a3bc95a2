/**
 * A new device gets its own key, certificate and thing by a claim certificate: the calls that the SDK's sample `fleet_provisioning` makes, with its options.
 * Leaves `device.pem.crt` and `device.pem.key` in the current folder. Runs in a clone, where the SDK is installed for development.
 */
import { writeFileSync } from 'node:fs';
import { iotidentity, mqtt } from 'aws-iot-device-sdk-v2';
import { connectionOf, connectionOptions, deferred, optionsOf, runDevice } from './device-sdk.mjs';

const options = optionsOf(...connectionOptions, 'template_name', 'template_parameters');
const connection = connectionOf(options);
const identity = new iotidentity.IotIdentityClient(connection);
const { AtLeastOnce } = mqtt.QoS;

/** Subscribes to both replies, then asks; resolves with what was accepted, rejects with what the service said against it. */
const ask = async (name, about, request) => {
  const { promise, resolve, reject } = deferred();
  console.log(`Subscribing to ${name} Accepted and Rejected topics..`);
  await identity[`subscribeTo${name}Accepted`](about, AtLeastOnce, (error, response) =>
    error ? reject(error) : resolve(response),
  );
  await identity[`subscribeTo${name}Rejected`](about, AtLeastOnce, (error, response) =>
    reject(error ?? new Error(`${name}: ${response.statusCode} ${response.errorCode}: ${response.errorMessage}`)),
  );
  console.log(`Publishing to ${name} topic..`);
  const [response] = await Promise.all([promise, identity[`publish${name}`]({ ...about, ...request }, AtLeastOnce)]);
  return response;
};

await runDevice(connection, async () => {
  const made = await ask('CreateKeysAndCertificate', {}, {});
  console.log(`CreateKeysAndCertificateResponse for certificateId=${made.certificateId}`);
  writeFileSync('device.pem.crt', made.certificatePem);
  writeFileSync('device.pem.key', made.privateKey, { mode: 0o600 }); // the service does not tell it again

  const { thingName } = await ask(
    'RegisterThing',
    { templateName: options.template_name },
    {
      certificateOwnershipToken: made.certificateOwnershipToken,
      parameters: JSON.parse(options.template_parameters),
    },
  );
  console.log(`RegisterThingResponse for thingName=${thingName}`);
});
