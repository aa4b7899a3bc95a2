/** CreateProvisioningClaim. Source: API reference, CreateProvisioningClaim; spec provisioning.md 5. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import { type KeyPair, publicKeyDerOf, takePair } from '../../pki/key-pool.ts';
import { getTemplate } from '../provisioning/provisioning-template.ts';
import { claimLifetimeMs, claimsPerAccountMax, countClaims, insertClaim } from './provisioning-claim.ts';

export interface ClaimServices {
  readonly issue: IssueDeviceCertificate;
  readonly takeKeyPair: () => Promise<KeyPair>;
}

const throttled = (what: string, cause?: Error): Fault =>
  new Fault('ThrottlingException', `Rate exceeded: ${what}`, {}, { cause });

/** Faults: ResourceNotFoundException, InvalidRequestException (a template that cannot provision by claim), ThrottlingException. */
export const createProvisioningClaim =
  ({ issue, takeKeyPair }: ClaimServices): Handler<'CreateProvisioningClaim'> =>
  async ({ templateName = '' }, call) => {
    const { account, db } = call;
    const template = await getTemplate(db, account, templateName);
    if (template.type !== 'FLEET_PROVISIONING') {
      throw new Fault('InvalidRequestException', `Provisioning template ${templateName} is of type ${template.type}`);
    }
    if (!template.enabled) {
      throw new Fault('InvalidRequestException', `Provisioning template ${templateName} is not enabled`);
    }
    if ((await countClaims(db, account, call.now())) >= claimsPerAccountMax) {
      throw throttled(`${claimsPerAccountMax} provisioning claims have not expired yet`);
    }
    const pair = await takePair(takeKeyPair, (cause) => throttled('too many key pairs are being made', cause));
    const nowMs = call.now();
    const expiresAtMs = nowMs + claimLifetimeMs;
    const { certificateId, pem } = await issue({ publicKeyDer: publicKeyDerOf(pair), nowMs, notAfterMs: expiresAtMs });
    await call.write((unit) => insertClaim(unit, { account, certificateId, templateName, expiresAtMs }));
    return {
      certificateId,
      certificatePem: pem,
      keyPair: { PublicKey: pair.publicKeyPem, PrivateKey: pair.privateKeyPem },
      expiration: new Date(expiresAtMs),
    };
  };
