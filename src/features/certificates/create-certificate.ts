/**
 * CreateKeysAndCertificate and CreateCertificateFromCsr: the service's own CA issues. The two differ in who made the key. Making keys, reading
 * requests and signing happen before the unit of writing. Private keys are answered once and kept nowhere.
 * Source: API reference, CreateKeysAndCertificate, CreateCertificateFromCsr; spec identity 2.2, 2.3.
 */
import { strict as assert } from 'node:assert';
import { Fault } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import { CsrProblem, type ParsedCsr, parseCsr } from '../../pki/csr.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import { type KeyPair, publicKeyDerOf, takePair } from '../../pki/key-pool.ts';
import { certificateArn, insertCertificate } from './certificate.ts';

export interface IssuingServices {
  readonly issue: IssueDeviceCertificate;
  readonly takeKeyPair: () => Promise<KeyPair>;
}

interface Created {
  certificateArn: string;
  certificateId: string;
  certificatePem: string;
}

interface Certified {
  readonly publicKeyDer: Uint8Array;
  readonly subjectDer?: Uint8Array;
}

const issueAndStore = async (
  issue: IssueDeviceCertificate,
  certified: Certified,
  setAsActive: boolean | undefined,
  call: Call,
): Promise<Created> => {
  const nowMs = call.now();
  const { certificateId, pem, notBeforeMs, notAfterMs } = await issue({ ...certified, nowMs });
  const inserted = await call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId,
      status: setAsActive ? 'ACTIVE' : 'INACTIVE',
      certificateMode: 'DEFAULT',
      pem,
      generationId: call.newId(),
      createdAtMs: nowMs,
      notBeforeMs,
      notAfterMs,
    }),
  );
  assert(inserted, 'a certificate with a random serial number exists already');
  call.changed('certificate', certificateId);
  return { certificateArn: certificateArn(call.account, certificateId), certificateId, certificatePem: pem };
};

/** Tells the caller to come back. */
const tooManyKeyPairs = (cause: Error): Fault =>
  new Fault('ThrottlingException', 'Rate exceeded: too many key pairs are being made', {}, { cause });

/** Faults: ThrottlingException while too many callers wait for keys. */
export const createKeysAndCertificate =
  ({ issue, takeKeyPair }: IssuingServices): Handler<'CreateKeysAndCertificate'> =>
  async ({ setAsActive }, call) => {
    const pair = await takePair(takeKeyPair, tooManyKeyPairs);
    const created = await issueAndStore(issue, { publicKeyDer: publicKeyDerOf(pair) }, setAsActive, call);
    return { ...created, keyPair: { PublicKey: pair.publicKeyPem, PrivateKey: pair.privateKeyPem } };
  };

const readCsr = (text: string): ParsedCsr => {
  try {
    return parseCsr(text);
  } catch (cause) {
    if (!(cause instanceof CsrProblem)) throw cause;
    throw new Fault('InvalidRequestException', cause.message, {}, { cause });
  }
};

/** Certifies the key of the request, which stays with its owner. Faults: InvalidRequestException. */
export const createCertificateFromCsr =
  ({ issue }: IssuingServices): Handler<'CreateCertificateFromCsr'> =>
  async ({ certificateSigningRequest = '', setAsActive }, call) => {
    const { publicKeyDer, subjectDer } = readCsr(certificateSigningRequest);
    return issueAndStore(issue, { publicKeyDer, subjectDer }, setAsActive, call);
  };
