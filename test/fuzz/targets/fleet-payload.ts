/**
 * Payloads of the fleet provisioning topics, as a device with a claim certificate sends them: a map of text, or ProvisioningFault. The first byte of the input is the
 * format. Rules: spec provisioning.md 4.2; RFC 8949.
 */
import { readCbor, writeCbor } from '../../../src/aws/cbor.ts';
import { parametersOf, readPayload, requestBytesMax, textMember } from '../../../src/features/fleet/payload.ts';
import { ProvisioningFault } from '../../../src/features/provisioning/provisioning-fault.ts';
import { hold, type Target } from '../target.ts';

const request = { certificateOwnershipToken: 'a'.repeat(43), parameters: { SerialNumber: '1', Town: 'Zürich' } };
const csr = { certificateSigningRequest: '-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n' };
const formats = ['json', 'cbor'] as const;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

export default (): Target => ({
  corpus: [
    ...[request, csr, {}].flatMap((members) => [
      Buffer.concat([Buffer.of(0), Buffer.from(JSON.stringify(members))]),
      Buffer.concat([Buffer.of(1), writeCbor(members)]),
    ]),
    // lengths that are not stated: {_ "parameters": {_ (_ "a", "b"): (_ "c")}}
    hex('01bf6a706172616d6574657273bf7f61616162ff7f6163ffffff'),
    hex('01d9d9f7a1617881f93e00'),
  ],
  dictionary: [
    ...['{"', '":"', '"parameters":{', '"certificateOwnershipToken":', '__proto__', 'null', '\\ud800', '[[[[', '1e999'],
    ...['bf', 'ff', '7f', '9f', 'a1', 'c0', 'd9d9f7', '7bffffffffffffffff', '9b0000000100000000', 'f6', 'f97e00'].map(
      hex,
    ),
  ],
  bytesMax: 16_384,
  run(input) {
    const format = formats[(input[0] ?? 0) & 1] ?? 'json';
    const bytes = input.subarray(1);
    try {
      const members = readPayload(format, bytes);
      hold(members.size <= bytes.length, 'what is read is bounded by what was sent');
      if (format === 'cbor' && bytes.length > 0) {
        const value = readCbor(bytes);
        hold(JSON.stringify(readCbor(writeCbor(value))) === JSON.stringify(value), 'what is written reads the same');
      }
      textMember(members, 'certificateOwnershipToken');
      textMember(members, 'certificateSigningRequest');
      const parameters = parametersOf(members);
      hold(
        Object.values(parameters).every((value) => typeof value === 'string'),
        'parameters are text',
      );
      hold(Object.getPrototypeOf(parameters) === Object.prototype, 'names are names');
      return 'read';
    } catch (error) {
      if (!(error instanceof ProvisioningFault)) throw error;
      hold(error.statusCode === 400, 'it is the mistake of whoever sent it');
      hold(error.message.length < 200 && requestBytesMax > bytes.length, 'a refusal quotes nothing');
      return error.errorCode;
    }
  },
});
