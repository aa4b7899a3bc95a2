/** GetSessionToken: temporary credentials of the caller itself. Source: STS API reference, GetSessionToken. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { assertBuilt } from './assume-role.ts';
import type { Iam } from './open-iam.ts';
import { credentialsOf } from './session-token.ts';

const userSecondsDefault = 43_200;
/** Of a root, whatever longer it asks for. */
const rootSecondsMax = 3600;

/** Faults: NotImplementedException (MFA), AccessDeniedException for whoever has temporary credentials. */
export const getSessionToken =
  (iam: Pick<Iam, 'mintSession'>): Handler<'GetSessionToken', 'sts'> =>
  async (input, call) => {
    assertBuilt('GetSessionToken', input, ['SerialNumber', 'TokenCode', 'MinimumSessionTokenSize']);
    const { iam: principal, session } = call.caller;
    if (session || !principal || principal.kind === 'role') {
      throw new Fault('AccessDeniedException', 'Cannot call GetSessionToken with session credentials');
    }
    const asked = input.DurationSeconds ?? userSecondsDefault;
    const durationSeconds = principal.kind === 'root' ? Math.min(asked, rootSecondsMax) : asked;
    return credentialsOf(iam.mintSession({ accountId: call.account.accountId, principal, durationSeconds }));
  };
