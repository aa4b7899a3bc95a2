/**
 * Session tokens: what this key has sealed opens, for its own access key, with everything that it stands for; nothing else ever does. The input is a token.
 */
import { isDeepStrictEqual } from 'node:util';
import type { IamPrincipal } from '../../../src/aws/iam-principal.ts';
import { createSessionTokens } from '../../../src/features/iam/session-token.ts';
import { hold, type Target } from '../target.ts';

const nowMs = 1_700_000_000_000;
const now = () => nowMs;
const own = createSessionTokens({ key: new Uint8Array(32).fill(7), now });
const foreign = createSessionTokens({ key: new Uint8Array(32).fill(8), now });
const accountId = '000000000000';
const sessions: readonly IamPrincipal[] = [
  { kind: 'root' },
  { kind: 'user', userName: 'alice', userId: 'AIDAA' },
  { kind: 'role', roleName: 'R', roleId: 'AROAA', sessionName: 's' },
  {
    ...{ kind: 'role', roleName: 'ü😀', roleId: 'AROAB', sessionName: 't' },
    sessionPolicies: { document: `{"a":"${'x'.repeat(1000)}"}`, arns: ['arn:aws:iam::aws:policy/ReadOnlyAccess'] },
  },
];
const mint = (of: typeof own, index: number) => {
  const principal = sessions[index % sessions.length] ?? { kind: 'root' };
  return { principal, ...of.mint({ accountId, principal, durationSeconds: 900 }) };
};
const minted = sessions.map((_, index) => mint(own, index));
const byToken = new Map(minted.map((each) => [each.sessionToken, each]));

export default (): Target => ({
  corpus: [...minted, mint(foreign, 2)].map(({ sessionToken }) => Buffer.from(sessionToken)),
  dictionary: ['=', '==', '\n', '-', '_', '+', '/', '\0', 'AQ', 'Ag', ' '],
  bytesMax: 9000,
  run(input) {
    const token = input.toString('utf8');
    const genuine = byToken.get(token);
    let outcome = 'closed';
    for (const { accessKeyId } of minted) {
      const opened = own.open(accessKeyId, token);
      if (opened === undefined) continue;
      hold(genuine?.accessKeyId === accessKeyId, 'only a token of our own opens, for its own access key');
      hold(opened.secretAccessKey === genuine.secretAccessKey, 'its secret comes out of it');
      hold(
        opened.accountId === accountId && isDeepStrictEqual(opened.principal, genuine.principal),
        'and whom it stands for',
      );
      outcome = 'opened';
    }
    hold((outcome === 'opened') === (genuine !== undefined), 'a token of our own opens');
    hold(foreign.open(genuine?.accessKeyId ?? '', token) === undefined, 'under another key it does not');
    const fresh = mint(own, input.length);
    hold(own.open(fresh.accessKeyId, fresh.sessionToken)?.expiresAtMs === nowMs + 900_000, 'a new token opens at once');
    return outcome;
  },
});
