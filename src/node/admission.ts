/** Who is let in, and what they may do while they are connected: certificates, claims, signers. */
import { randomUUID } from 'node:crypto';
import type { AccountRegion } from '../aws/arn.ts';
import { type ChangeKind, noteChange } from '../bus/changes.ts';
import { admitSigner } from '../features/accounts/signer.ts';
import { openClaimAdmission } from '../features/fleet/claim-admission.ts';
import { createLiveSigners } from '../features/iam/live-signers.ts';
import { createFirstConnects } from '../features/just-in-time/first-connect.ts';
import { createAuthorities } from '../features/policies/authority.ts';
import { createRetirement } from '../features/provisioning/retirement.ts';
import type { Admission, Admit } from '../mqtt/authority.ts';
import type { Broker } from '../mqtt/broker.ts';
import type { Base } from './base.ts';
import type { Opened } from './closing.ts';
import type { Slices } from './slices.ts';
import type { Telling } from './telling.ts';

/** No account is known to hold the certificate. */
const isUnknown = (admission: Admission): boolean =>
  'refusal' in admission &&
  (admission.refusal === 'DEVICE_CERTIFICATE_NOT_REGISTERED' || admission.refusal === 'SNI_REQUIRED');

/** `publish`: of the broker, which comes after. */
export const openAdmission = (
  { config, store, bus, now, trouble }: Base,
  { accounts, iam }: Pick<Slices, 'accounts' | 'iam'>,
  { record, publish }: Pick<Telling, 'record'> & Pick<Broker, 'publish'>,
  opened: Opened,
) => {
  const { region, requireSni, limits } = config;
  const { connectionsMax } = limits;
  const changed = (account: AccountRegion, kind: ChangeKind, id: string) => noteChange(bus, { account, kind, id });
  const firstConnects = createFirstConnects({
    ...{ db: store.db, write: store.write, now, newId: randomUUID, changed, region, publish, record },
    trouble: trouble('a device was not provisioned by a fault of the server'),
  });
  opened.add(firstConnects.close);
  const retirement = createRetirement({
    ...{ write: store.write, now, record, changed },
    trouble: trouble('a certificate was not retired by a fault of the server'),
  });
  opened.add(retirement.close);
  const authorities = createAuthorities({
    ...{ db: store.db, bus, now, region, requireSni, connectionsMax },
    firstConnect: firstConnects.firstConnect,
    succeeded: retirement.connected,
    failed: trouble('rights could not be read again'),
  });
  opened.add(authorities.close);
  const claims = openClaimAdmission({ db: store.db, now, region, requireSni, sessionsMax: connectionsMax });
  opened.add(claims.close);
  const signers = createLiveSigners({
    ...{ iam, bus, now },
    failed: trouble('rights of a signer could not be read again'),
  });
  opened.add(signers.close);
  const admit: Admit = async (peer, connect) => {
    if (peer.signer) iam.used(peer.signer.accessKeyId, 'iotdata', peer.signer.account.region);
    if (peer.signer) return admitSigner(peer.signer, accounts, (signer) => signers.admit(signer, peer));
    const admission = await authorities.admit(peer, connect);
    if (!isUnknown(admission)) return admission;
    return (await claims.admit(peer, connect)) ?? admission;
  };
  return {
    admit,
    metrics: firstConnects.metrics,
    /** Acts on what has become due. */
    async recheck() {
      await authorities.recheck();
      await signers.recheck();
      claims.recheck();
    },
  };
};
