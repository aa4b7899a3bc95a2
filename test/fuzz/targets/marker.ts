/** Page markers: only what this node sealed for this account and operation opens, everything else is InvalidRequestException. Source: spec identity 1.2. */
import { Fault } from '../../../src/aws/fault.ts';
import { type MarkerScope, openMarker, sealMarker } from '../../../src/aws/marker.ts';
import { hold, type Target } from '../target.ts';

const key = new Uint8Array(32).fill(7);
const scope: MarkerScope = {
  account: { accountId: '000000000000', region: 'us-east-1' },
  operation: 'iot ListThings',
};
const foreign: MarkerScope = { ...scope, operation: 'iot ListPolicies' };
const cursors = ['', 'a', 'dev1', 'x'.repeat(700), 'ünï\0'];
const sealed = new Set(cursors.map((cursor) => sealMarker(key, scope, cursor)));

export default (): Target => ({
  corpus: [...sealed, ...cursors.map((cursor) => sealMarker(key, foreign, cursor))].map((marker) =>
    Buffer.from(marker),
  ),
  dictionary: ['=', '==', '\n', '-', '_', '\0', 'A', '%3D'],
  bytesMax: 4_096,
  run(input) {
    const marker = input.toString('utf8');
    try {
      const cursor = openMarker(key, scope, marker);
      hold(sealed.has(marker) && cursors.includes(cursor), 'only a marker of our own opens');
      return 'opened';
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      hold(
        error.name === 'InvalidRequestException' && !sealed.has(marker),
        'a foreign marker is InvalidRequestException',
      );
      return error.name;
    }
  },
});
