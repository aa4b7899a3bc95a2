/** A device subscribes to a topic, publishes to it ten times, and is done when it has heard all of them: the calls of the SDK's sample `pub_sub`, with its options. */
import { mqtt } from 'aws-iot-device-sdk-v2';
import { connectionOf, connectionOptions, deferred, optionsOf, runDevice } from './device-sdk.mjs';

const options = optionsOf(...connectionOptions, 'topic', 'count');
const connection = connectionOf(options);
const count = Number(options.count ?? 10);
const { AtLeastOnce } = mqtt.QoS;

await runDevice(connection, async () => {
  const { promise: hasHeardAll, resolve } = deferred();
  await connection.subscribe(options.topic, AtLeastOnce, (topic, payload, dup, qos, retain) => {
    const text = new TextDecoder().decode(payload);
    console.log(`Publish received. topic:"${topic}" dup:${dup} qos:${qos} retain:${retain}`);
    console.log(`Payload: ${text}`);
    if (JSON.parse(text).sequence === count) resolve();
  });
  for (let sequence = 1; sequence <= count; sequence++) {
    await connection.publish(options.topic, JSON.stringify({ message: 'Hello world!', sequence }), AtLeastOnce);
  }
  await hasHeardAll;
});
