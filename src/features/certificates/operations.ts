/** The operations that only read. Source: API reference, DescribeCertificate, ListCertificates, ListOutgoingCertificates; spec identity 1.2, 2.3, 2.6. */
import type { Handler } from '../../feature.ts';
import { cursorOf, cutPage } from '../creation-order.ts';
import { certificateArn, getCertificate } from './certificate.ts';
import { certificatesPage, pageDefault } from './certificate-list.ts';
import { listOutgoing, transferData } from './transfer.ts';

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
      transferData: transferData(certificate.transfer),
      generationId: certificate.generationId,
      validity: { notBefore: new Date(certificate.notBeforeMs), notAfter: new Date(certificate.notAfterMs) },
      certificateMode: certificate.certificateMode,
    },
  };
};

/** By creation, newest first unless `ascendingOrder`. Faults: InvalidRequestException for a marker that is not ours. */
export const listCertificates: Handler<'ListCertificates'> = (input, call) => certificatesPage(input, call);

/** Certificates that wait in other accounts for being accepted, by creation. Faults: InvalidRequestException for a marker that is not ours. */
export const listOutgoingCertificates: Handler<'ListOutgoingCertificates'> = async (input, call) => {
  const { pageSize: limit = pageDefault, ascendingOrder: ascending = false } = input;
  const page = { after: call.openMarker(input.marker), limit: limit + 1, ascending };
  const rows = await listOutgoing(call.db, call.account, page);
  const { items, next } = cutPage(rows, limit, call.sealMarker, ({ createdAtMs, certificateId }) =>
    cursorOf(createdAtMs, certificateId),
  );
  return {
    outgoingCertificates: items.map(({ certificateId, createdAtMs, ...transfer }) => ({
      certificateArn: certificateArn(call.account, certificateId),
      certificateId,
      transferredTo: transfer.transferredTo,
      transferDate: new Date(transfer.transferredAtMs),
      transferMessage: transfer.transferMessage,
      creationDate: new Date(createdAtMs),
    })),
    ...next,
  };
};
