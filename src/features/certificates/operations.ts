/** The operations that only read. Source: API reference, DescribeCertificate, ListCertificates; spec identity 1.2, 2.3. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { certificateArn, getCertificate, type ListedCertificate, listCertificatesOf } from './certificate.ts';

/** Faults: ResourceNotFoundException. */
export const describeCertificate: Handler<'DescribeCertificate'> = async (input, call) => {
  const certificateId = (input.certificateId ?? '').toLowerCase();
  const certificate = await getCertificate(call.db, call.account, certificateId);
  return {
    certificateDescription: {
      certificateArn: certificateArn(call.account, certificateId),
      certificateId,
      caCertificateId: certificate.caCertificateId,
      status: certificate.status,
      certificatePem: certificate.pem,
      ownedBy: certificate.ownedBy,
      previousOwnedBy: certificate.previousOwnedBy,
      creationDate: new Date(certificate.createdAtMs),
      lastModifiedDate: new Date(certificate.lastModifiedAtMs),
      customerVersion: certificate.customerVersion,
      transferData: {},
      generationId: certificate.generationId,
      validity: { notBefore: new Date(certificate.notBeforeMs), notAfter: new Date(certificate.notAfterMs) },
      certificateMode: certificate.certificateMode,
    },
  };
};

/** Certificates of a page when the caller names no number. Source: spec identity 1.2. */
const pageDefault = 25;

const cursorOf = ({ createdAtMs, certificateId }: ListedCertificate): string => `${createdAtMs}:${certificateId}`;
const cursorPattern = /^([0-9]{1,15}):([0-9a-f]{64})$/;
const readCursor = (cursor: string): { createdAtMs: number; certificateId: string } | undefined => {
  if (cursor === '') return undefined;
  const [, createdAtMs, certificateId] = cursorPattern.exec(cursor) ?? [];
  if (certificateId === undefined) {
    throw new Fault('InvalidRequestException', 'The marker does not belong to this operation');
  }
  return { createdAtMs: Number(createdAtMs), certificateId };
};

/** By creation, newest first unless `ascendingOrder`. Faults: InvalidRequestException for a marker that is not ours. */
export const listCertificates: Handler<'ListCertificates'> = async (input, call) => {
  const pageSize = input.pageSize ?? pageDefault;
  const after = readCursor(call.openMarker(input.marker));
  const ascending = input.ascendingOrder ?? false;
  const found = await listCertificatesOf(call.db, call.account, { after, limit: pageSize + 1, ascending });
  const page = found.slice(0, pageSize);
  const last = page.at(-1);
  return {
    certificates: page.map(({ certificateId, status, certificateMode, createdAtMs }) => ({
      certificateArn: certificateArn(call.account, certificateId),
      certificateId,
      status,
      certificateMode,
      creationDate: new Date(createdAtMs),
    })),
    ...(found.length > pageSize && last ? { nextMarker: call.sealMarker(cursorOf(last)) } : {}),
  };
};
