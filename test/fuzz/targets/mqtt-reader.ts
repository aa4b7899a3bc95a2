/** The MQTT packet reader: the same packets and the same fault however the stream is cut; PacketFault and nothing else. Source: MQTT 5.0 2.1. */
import { PacketFault, packetType } from '../../../src/mqtt/packets/codes.ts';
import { readConnect } from '../../../src/mqtt/packets/connect.ts';
import { PacketReader } from '../../../src/mqtt/packets/reader.ts';
import { cut } from '../corpus.ts';
import { mqttStreams, mqttWords } from '../mqtt-streams.ts';
import { hold, type Target } from '../target.ts';

const packetBytesMax = 2_048;

/** Every packet as text, then the fault, if any. */
const readAll = (pieces: readonly Buffer[], qosMax: 1 | 2): readonly string[] => {
  const reader = new PacketReader(packetBytesMax, qosMax);
  const found: string[] = [];
  try {
    for (const piece of pieces) {
      reader.push(piece);
      while (reader.next()) {
        const { buffer, start, bodyStart, end, first } = reader;
        hold(start < bodyStart && bodyStart <= end && end <= buffer.length, 'a packet lies within its buffer');
        hold(end - start <= packetBytesMax, 'no packet is larger than the bound');
        found.push(buffer.toString('latin1', start, end));
        if (first >> 4 !== packetType.connect) continue;
        const { clientId } = readConnect(reader);
        found.push(`client ${clientId}`);
      }
    }
  } catch (error) {
    if (!(error instanceof PacketFault)) throw error;
    found.push(`fault ${error.code} ${error.message}`);
  }
  return found;
};

export default (): Target => ({
  corpus: mqttStreams,
  dictionary: mqttWords,
  bytesMax: 2 * packetBytesMax,
  run(input) {
    let outcome = '';
    for (const qosMax of [1, 2] as const) {
      const whole = readAll([input], qosMax);
      for (const pieces of [cut(input, 1, 0), cut(input, 40, input.length)]) {
        const pieced = readAll(pieces, qosMax);
        const same = pieced.length === whole.length && pieced.every((each, at) => each === whole[at]);
        hold(same, 'the cut decides nothing');
      }
      outcome = whole.at(-1)?.startsWith('fault') ? whole.at(-1)! : `${Math.min(whole.length, 8)} packets or more`;
    }
    return outcome;
  },
});
