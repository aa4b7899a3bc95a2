/** What of a provisioning takes a processor, such as reading and signing certificates: done before the unit of writing, which awaits the store alone. */
import type { ParsedCertificate } from '../../pki/certificate.ts';
import type { IssueDeviceCertificate, IssuedCertificate } from '../../pki/issue.ts';
import type { ProvisionedCertificate, Provisioning } from '../../templates/evaluate.ts';
import { findSigner } from '../cas/register-certificate.ts';
import { findCertificate } from '../certificates/certificate.ts';
import { readRegistrable } from '../certificates/registrable.ts';
import { assertPolicyDocument } from '../policies/policy-version.ts';
import type { ProvisioningCall } from './provisioning-call.ts';
import { ProvisioningFault, stepFailed } from './provisioning-fault.ts';
import { readSigningRequest } from './signing-request.ts';

/** Where the certificate comes from. */
export type CertificateSource =
  /** The account holds it. */
  | { readonly kind: 'held'; readonly certificateId: string }
  /** The service has issued it for this provisioning; nobody holds it yet. */
  | { readonly kind: 'issued'; readonly certificate: IssuedCertificate }
  /** Its maker sent it; without the CA under which it can be registered, the account held it when it was asked. */
  | {
      readonly kind: 'brought';
      readonly certificate: ParsedCertificate;
      readonly caCertificateId: string | undefined;
    };

export interface CertificatePlan extends Pick<ProvisionedCertificate, 'logicalName' | 'status' | 'override'> {
  readonly source: CertificateSource;
}

/** A provisioning that needs nothing but the store. */
export interface PreparedProvisioning extends Omit<Provisioning, 'certificate'> {
  readonly certificate?: CertificatePlan;
}

const issueFrom = async (csr: string, issue: IssueDeviceCertificate, nowMs: number): Promise<CertificateSource> => {
  const { publicKeyDer, subjectDer } = readSigningRequest(csr);
  return { kind: 'issued', certificate: await issue({ publicKeyDer, subjectDer, nowMs }) };
};

type Brought = Extract<ProvisionedCertificate['form'], { readonly certificatePem: string }>;

/** Assumed: a certificate that the account holds already is one that exists, to which the override settings apply. */
const readBrought = async (
  { certificatePem, caCertificatePem }: Brought,
  { db, account, now }: ProvisioningCall,
): Promise<CertificateSource> => {
  const certificate = readRegistrable(certificatePem, now());
  const isHeld = (await findCertificate(db, account, certificate.certificateId)) !== undefined;
  const ca = isHeld ? undefined : await findSigner(db, account, certificate, caCertificatePem);
  return { kind: 'brought', certificate, caCertificateId: ca?.caCertificateId };
};

const certificateIdPattern = /^[0-9a-f]{64}$/i;

const sourceOf = async (
  form: ProvisionedCertificate['form'],
  issue: IssueDeviceCertificate,
  call: ProvisioningCall,
): Promise<CertificateSource> => {
  if ('csr' in form) return issueFrom(form.csr, issue, call.now());
  if ('certificatePem' in form) return readBrought(form, call);
  if (!certificateIdPattern.test(form.certificateId)) {
    throw new ProvisioningFault('InvalidParameters', 'CertificateId does not make the id of a certificate');
  }
  return { kind: 'held', certificateId: form.certificateId.toLowerCase() };
};

/** Faults: ProvisioningFault for a document that is no policy. */
export const checkPolicies = ({ policies }: Pick<Provisioning, 'policies'>): void => {
  for (const policy of policies) {
    if (!('policyDocument' in policy)) continue;
    try {
      assertPolicyDocument(policy.policyDocument);
    } catch (cause) {
      throw stepFailed(cause, policy.logicalName);
    }
  }
};

/** Faults: ProvisioningFault. */
export const prepareProvisioning = async (
  { certificate, ...plan }: Provisioning,
  issue: IssueDeviceCertificate,
  call: ProvisioningCall,
): Promise<PreparedProvisioning> => {
  checkPolicies(plan);
  if (!certificate) return plan;
  const { form, ...rest } = certificate;
  try {
    return { ...plan, certificate: { ...rest, source: await sourceOf(form, issue, call) } };
  } catch (cause) {
    throw stepFailed(cause);
  }
};
