/**
 * The MQTT listener of a real node, over TCP, from the first byte: whatever comes instead of a TLS handshake, or in the middle of one, is answered by TLS
 * records or by nothing, the connection ends, and a device with a registered certificate still gets in. Source: RFC 8446 5.1 and 6; design 2.8.
 */
import { start } from '../../../src/index.ts';
import { connectDevice } from '../../device.ts';
import { corpusOf, cut } from '../corpus.ts';
import { registerHealthy } from '../healthy.ts';
import { exchange } from '../raw-socket.ts';
import { hold, type Target } from '../target.ts';

const answerMsMax = 15_000;
/** change_cipher_spec, alert, handshake, application_data. */
const isTls = (bytes: Buffer): boolean =>
  bytes.length >= 5 && (bytes[0] ?? 0) >= 20 && (bytes[0] ?? 0) <= 23 && bytes[1] === 3;

export default async (): Promise<Target> => {
  const node = await start({ accountId: '000000000000', region: 'us-east-1' });
  const { identity, close } = await registerHealthy(node.apiUrl);
  return {
    corpus: corpusOf('client-hello'),
    dictionary: [
      'localhost',
      Buffer.from([22, 3, 1]),
      Buffer.from([20, 3, 3, 0, 1, 1]),
      Buffer.from([21, 3, 3, 0, 2, 1, 0]),
    ],
    bytesMax: 8_192,
    async run(input) {
      const pieces = input.length % 4 === 0 ? cut(input, 200, input.length) : [input];
      const { bytes, closed } = await exchange(node.mqttPort, { pieces, msMax: answerMsMax });
      hold(closed, `an end within ${answerMsMax} ms`);
      hold(bytes.length === 0 || isTls(bytes), 'what is answered is TLS');
      return bytes.length === 0 ? 'closed' : bytes[0] === 21 ? `alert ${bytes[6]}` : 'handshake';
    },
    async check() {
      const { client } = await connectDevice(node, identity, { clientId: 'healthy' });
      await client.endAsync();
    },
    async close() {
      await close();
      await node.close(100);
    },
  };
};
