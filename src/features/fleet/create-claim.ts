/** CreateProvisioningClaim. Source: API reference, CreateProvisioningClaim; spec provisioning.md 5. */
import { strict as assert } from 'node:assert';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import { type KeyPair, KeyPoolExhausted } from '../../pki/key-pool.ts';
import { firstPemBlock } from '../../pki/pem.ts';
import { getTemplate } from '../provisioning/provisioning-template.ts';
import { claimLifetimeMs, claimsPerAccountMax, countClaims, insertClaim } from './provisioning-claim.ts';

export interface ClaimServices {
  readonly issue: IssueDeviceCertificate;
  readonly takeKeyPair: () => Promise<KeyPair>;
}

const throttled = (what: string, options?: ErrorOptions): Fault =>
  new Fault('ThrottlingException', `Rate exceeded: ${what}`, {}, options);

const takePair = async (takeKeyPair: () => Promise<KeyPair>): Promise<KeyPair> => {
  try {
    return await takeKeyPair();
  } catch (cause) {
    if (!(cause instanceof KeyPoolExhausted)) throw cause;
    throw throttled('too many key pairs are being made', { cause });
  }
};

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
    const { publicKeyPem, privateKeyPem } = await takePair(takeKeyPair);
    const publicKeyDer = firstPemBlock(publicKeyPem, 'PUBLIC KEY');
    assert(publicKeyDer, 'the key pool answers SubjectPublicKeyInfo in PEM');
    const nowMs = call.now();
    const expiresAtMs = nowMs + claimLifetimeMs;
    const { certificateId, pem } = await issue({ publicKeyDer, nowMs, notAfterMs: expiresAtMs });
    await call.write((unit) => insertClaim(unit, { account, certificateId, templateName, expiresAtMs }));
    return {
      certificateId,
      certificatePem: pem,
      keyPair: { PublicKey: publicKeyPem, PrivateKey: privateKeyPem },
      expiration: new Date(expiresAtMs),
    };
  };
