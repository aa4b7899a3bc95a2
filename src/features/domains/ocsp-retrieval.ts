/**
 * One OCSP response for the server certificate of a configuration, proven: from the configuration's function or, without one, from the responder that the
 * certificate names. Source: API reference, ServerCertificateConfig; developer guide, "Configuring server certificate OCSP for private endpoints".
 */
import type { AccountRegion } from '../../aws/arn.ts';
import {
  type OcspStatus,
  ocspAddresses,
  ocspRequest,
  ocspResponseBytesMax,
  ocspSubject,
  readOcspResponse,
} from '../../pki/ocsp.ts';
import { firstPemBlock, pemBlocks } from '../../pki/pem.ts';
import type { Db } from '../../store/store.ts';
import { findAcmCertificate } from '../acm/acm-certificate.ts';
import type { DomainConfiguration } from './domain-configuration.ts';
import { OcspUnavailable, openOcspResponders } from './ocsp-responder.ts';

export interface OcspSources {
  readonly db: Db;
  /** The invoker of functions. */
  readonly invokeFunction: (invocation: {
    readonly functionArn: string;
    readonly account: AccountRegion;
    readonly event: unknown;
  }) => Promise<unknown>;
  /** Of --ocsp-responders. */
  readonly responders: readonly string[];
  /** Real time: responders know no other. */
  readonly now: () => number;
  /** Of a responder's answer. */
  readonly timeoutMs?: number;
}

/** Who was asked, by the names of AWS's log entries. */
export type OcspSource = { readonly ocspResponderUri: string } | { readonly ocspLambdaArn: string };

export interface Retrieved {
  readonly response: Uint8Array;
  readonly status: OcspStatus;
}

export interface OcspRetrieval {
  /** `asking` hears who is asked, before it is. Faults: OcspUnavailable, OcspProblem, FunctionFailure, and those of the store. */
  retrieve(configuration: DomainConfiguration, asking: (source: OcspSource) => void): Promise<Retrieved>;
  close(): void;
}

/** Characters of base64 with line breaks. */
const answerCharactersMax = 2 * ocspResponseBytesMax;

/** The bytes in what a function answered. Faults: OcspUnavailable. */
const bytesOf = (answer: unknown): Uint8Array => {
  const text = typeof answer === 'string' && answer.length <= answerCharactersMax ? answer.replaceAll(/\s/g, '') : '';
  if (text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text)) return Buffer.from(text, 'base64');
  throw new OcspUnavailable(
    `The function (ocspLambdaArn) did not answer an OCSP response as text in base64, of at most ${ocspResponseBytesMax / 1024} KiB`,
  );
};

export const openOcspRetrieval = ({ db, invokeFunction, now, ...http }: OcspSources): OcspRetrieval => {
  const { timeoutMs } = http;
  const responders = openOcspResponders({ allowed: http.responders, ...(timeoutMs !== undefined && { timeoutMs }) });
  const authorizedResponderOf = async ({ account, ocsp }: DomainConfiguration): Promise<Uint8Array | undefined> => {
    const { ocspAuthorizedResponderArn: arn } = ocsp;
    if (arn === undefined) return undefined;
    const { certificatePem = '' } = (await findAcmCertificate(db, account, arn)) ?? {};
    const der = firstPemBlock(certificatePem, 'CERTIFICATE');
    if (der) return der;
    throw new OcspUnavailable('The certificate of the authorized responder (ocspAuthorizedResponderArn) is not in ACM');
  };

  const retrieve: OcspRetrieval['retrieve'] = async (configuration, asking) => {
    const { account, served, ocsp } = configuration;
    const [leaf, issuer] = pemBlocks(served?.chainPem ?? '', 'CERTIFICATE', 2) ?? [];
    if (!leaf || !issuer) throw new OcspUnavailable('The CA that issued the server certificate is not in its chain');
    const subject = ocspSubject(leaf, issuer);
    const request = ocspRequest(subject);
    const authorizedResponder = await authorizedResponderOf(configuration);
    const { ocspLambdaArn: functionArn } = ocsp;
    let response: Uint8Array;
    if (functionArn === undefined) {
      const address = responders.choose(ocspAddresses(leaf));
      asking({ ocspResponderUri: address.href });
      response = await responders.ask(address, request);
    } else {
      asking({ ocspLambdaArn: functionArn });
      const event = Buffer.from(request).toString('base64');
      response = bytesOf(await invokeFunction({ functionArn, account, event }));
    }
    const reading = { nowMs: now(), ...(authorizedResponder && { authorizedResponder }) };
    return { response, status: readOcspResponse(response, subject, reading) };
  };

  return { retrieve, close: responders.close };
};
