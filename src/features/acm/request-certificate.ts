/**
 * Requests a certificate, which is issued by the service's own CA once the account has proven that its names are its own. Names that need no proof are issued
 * before the answer. Source: API reference, RequestCertificate; ACM user guide, "Request a public certificate"; spec identity 10.
 * Faults: InvalidParameterException, InvalidDomainValidationOptionsException, InvalidTagException, TooManyTagsException, LimitExceededException.
 */
import { hash } from 'node:crypto';
import { Fault } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Handler } from '../../feature.ts';
import { commonNameMax } from '../../pki/issue-server.ts';
import { acmArn } from './acm-certificate.ts';
import { readAcmTags, saveAcmTags } from './acm-tags.ts';
import { assertRoom } from './import-certificate.ts';
import type { Issuance } from './issuance.ts';
import type { KeyAlgorithm } from './key-algorithm.ts';
import { findRequest, insertRequest } from './request-rows.ts';
import { validationOf } from './validation.ts';

type Input = Operations['acm']['RequestCertificate']['input'];

export interface RequestServices {
  readonly issuance: Pick<Issuance, 'isImmediate' | 'look'>;
  /** 32 random bytes that all nodes of a store share: records in DNS are drawn from it. */
  readonly validationKey: Uint8Array;
}

/** Names of a certificate. Source: API reference, RequestCertificate (AWS begins with a quota of 10). */
const namesMax = 100;
const requestable: readonly KeyAlgorithm[] = ['RSA_2048', 'EC_prime256v1', 'EC_secp384r1'];

const invalid = (message: string): Fault => new Fault('InvalidParameterException', message);

/** All names once, lower case, that of the subject first. Their letters were held against the model's pattern. */
const readNames = ({ DomainName = '', SubjectAlternativeNames = [] }: Input): readonly string[] => {
  const names = [...new Set([DomainName, ...SubjectAlternativeNames].map((name) => name.toLowerCase()))];
  const address = names.find((name) => /(^|\.)[0-9]+$/.test(name));
  if (address !== undefined) throw invalid(`${address} is no domain name.`);
  if (DomainName.length > commonNameMax) {
    throw invalid(
      `DomainName has more than ${commonNameMax} characters: a longer name can be one of SubjectAlternativeNames.`,
    );
  }
  if (names.length > namesMax) {
    throw new Fault('LimitExceededException', `A certificate can have at most ${namesMax} domain names.`);
  }
  return names;
};

/** What AWS has and this version has not is refused by name. */
const assertBuilt = (input: Input): void => {
  const { ValidationMethod, CertificateAuthorityArn, ManagedBy, Options } = input;
  if (CertificateAuthorityArn !== undefined) {
    throw invalid(
      'Private certificate authorities (CertificateAuthorityArn) are not available in this version of Fleetgate.',
    );
  }
  if (ValidationMethod !== 'DNS') {
    throw invalid(
      `The validation method ${ValidationMethod ?? 'EMAIL (the default)'} is not available in this version of Fleetgate: ask for ValidationMethod DNS.`,
    );
  }
  if (ManagedBy !== undefined) throw invalid('ManagedBy is for services of AWS that Fleetgate does not have.');
  if (Options?.Export === 'ENABLED') throw invalid('Fleetgate exports no private keys: Export can only be DISABLED.');
};

const readKeyAlgorithm = ({ KeyAlgorithm: given = 'RSA_2048' }: Input): KeyAlgorithm => {
  if (!requestable.includes(given)) {
    throw invalid(
      `Certificates with a key of ${given} are not issued, only imported: ask for ${requestable.join(', ')}.`,
    );
  }
  return given;
};

/** The domain by which a name is validated is the name itself or one above it. It matters to mails alone, which are not sent. */
const assertValidationDomains = ({ DomainValidationOptions = [] }: Input, names: readonly string[]): void => {
  for (const { DomainName = '', ValidationDomain = '' } of DomainValidationOptions) {
    const [name, domain] = [DomainName.toLowerCase(), ValidationDomain.toLowerCase()];
    if (!names.includes(name) || (name !== domain && !name.endsWith(`.${domain}`))) {
      throw new Fault(
        'InvalidDomainValidationOptionsException',
        `${ValidationDomain} cannot validate ${DomainName}: it must be a name of the request, or a domain above it.`,
      );
    }
  }
};

/** Of a token with all that is asked for: the same token with another request is another request. */
const idempotencyKeyOf = ({ IdempotencyToken, Tags, ...asked }: Input): string | undefined =>
  IdempotencyToken === undefined
    ? undefined
    : `${IdempotencyToken}:${hash('sha256', JSON.stringify(Object.entries(asked).sort()), 'hex')}`;

export const requestCertificate =
  ({ issuance, validationKey }: RequestServices): Handler<'RequestCertificate', 'acm'> =>
  async (input, call) => {
    const { account } = call;
    assertBuilt(input);
    const keyAlgorithm = readKeyAlgorithm(input);
    const names = readNames(input);
    assertValidationDomains(input, names);
    const tags = readAcmTags(input.Tags);
    const idempotencyKey = idempotencyKeyOf(input);
    const uuid = call.newId();
    const arn = acmArn(account, uuid);
    const known = await call.write(async (db) => {
      const inserted = await insertRequest(db, account, {
        ...{ uuid, domainName: names[0] ?? '', names, keyAlgorithm, idempotencyKey, nowMs: call.now() },
        validation: validationOf(validationKey, account.accountId, names),
        transparencyPreference: input.Options?.CertificateTransparencyLoggingPreference ?? 'ENABLED',
      });
      if (!inserted && idempotencyKey !== undefined) return findRequest(db, account, idempotencyKey);
      await assertRoom(db, call);
      await saveAcmTags(db, account, arn, tags);
      return undefined;
    });
    if (known === undefined && names.every((name) => issuance.isImmediate(name))) await issuance.look({ account, arn });
    return { CertificateArn: known ?? arn };
  };
