/** The server certificate of a domain configuration, as ACM has it: fit to be presented, or not. Source: spec identity 8, checks at creation 1 to 6. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Fault } from '../../aws/fault.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import { type AcmCertificate, findAcmCertificate, openAcmPrivateKey } from '../acm/acm-certificate.ts';
import { checkCertificateArn } from './domain-input.ts';
import { DomainRefusal } from './refusal.ts';
import { covers, isPubliclyTrusted, namesOfChain, serverCertificateProblem } from './server-certificate-rules.ts';

/** What is presented under a domain name. */
export interface PresentedCertificate {
  /** Leaf first. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** Its names that the account has proven to be its own: to a public CA, to ACM, or by the validation certificate. */
  readonly provenNames: readonly string[];
}

type Refuse = (message: string) => Fault;
const unfit: Refuse = (message) => new DomainRefusal('SERVER_CERTIFICATE_UNFIT', 'InvalidRequestException', message);
const unproven: Refuse = (message) =>
  new DomainRefusal('VALIDATION_CERTIFICATE_UNFIT', 'InvalidRequestException', message);

const issued = async (db: Db, account: AccountRegion, arn: string, refuse: Refuse): Promise<AcmCertificate> => {
  checkCertificateArn(arn, account);
  const found = await findAcmCertificate(db, account, arn);
  const message = `The certificate ${arn} does not exist, or is not issued`;
  if (found?.status === 'PENDING_VALIDATION') {
    throw new DomainRefusal('CERTIFICATE_PENDING', 'InvalidRequestException', message, { pendingCertificateArn: arn });
  }
  if (found?.status !== 'ISSUED') throw refuse(message);
  return found;
};

/** Faults: InvalidRequestException (no such certificate), CertificateValidationException (not fit for the domain). */
export const serverCertificateOf = async (
  db: Db,
  box: SecretBox,
  request: {
    readonly account: AccountRegion;
    readonly domainName: string;
    readonly serverCertificateArn: string;
    readonly validationCertificateArn: string | undefined;
    readonly nowMs: number;
  },
): Promise<PresentedCertificate> => {
  const { account, domainName, serverCertificateArn, validationCertificateArn, nowMs } = request;
  const certificate = await issued(db, account, serverCertificateArn, unfit);
  const chainPem = fullChainOf(certificate);
  const problem = serverCertificateProblem(chainPem, domainName, nowMs);
  if (problem !== undefined)
    throw new DomainRefusal('SERVER_CERTIFICATE_UNFIT', 'CertificateValidationException', problem);
  const isPublic = certificate.type === 'AMAZON_ISSUED' || isPubliclyTrusted(chainPem);
  let provenNames = isPublic ? namesOfChain(chainPem) : [];
  if (validationCertificateArn === undefined) {
    if (!isPublic) {
      throw new DomainRefusal(
        'VALIDATION_CERTIFICATE_UNFIT',
        'CertificateValidationException',
        'The server certificate is signed by a private CA, or by itself: a validation certificate that ACM has issued for the domain is needed (validationCertificateArn)',
      );
    }
  } else {
    const validation = await issued(db, account, validationCertificateArn, unproven);
    if (validation.type !== 'AMAZON_ISSUED') {
      throw unproven('The validation certificate must be one that ACM has issued');
    }
    if (!validation.names.some((name) => covers(name, domainName))) {
      throw unproven(`The validation certificate is not for the domain ${domainName}`);
    }
    if (!isPublic) provenNames = namesOfChain(chainPem).filter((name) => validation.names.includes(name));
  }
  const keyPem = openAcmPrivateKey(box, account, certificate);
  if (keyPem === undefined) throw unfit(`The certificate ${serverCertificateArn} is not issued`);
  return { chainPem, keyPem, provenNames };
};

/** Leaf first; '' until it is issued. */
export const fullChainOf = ({
  certificatePem = '',
  chainPem = '',
}: Pick<AcmCertificate, 'certificatePem' | 'chainPem'>): string => certificatePem + chainPem;
