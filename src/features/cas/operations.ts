/** The short operations on CA certificates. Source: API reference; spec identity 1.2, 3.4. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { certificatesPage, pageDefault } from '../certificates/certificate-list.ts';
import { cursorOf, cutPage } from '../creation-order.ts';
import { caCertificateArn, getCaCertificate, removeCaCertificate } from './ca-certificate.ts';
import { listCas } from './ca-list.ts';

/** Faults: ResourceNotFoundException. */
export const describeCACertificate: Handler<'DescribeCACertificate'> = async (input, call) => {
  const certificateId = (input.certificateId ?? '').toLowerCase();
  const ca = await getCaCertificate(call.db, call.account, certificateId);
  return {
    certificateDescription: {
      certificateArn: caCertificateArn(call.account, certificateId),
      certificateId,
      status: ca.status,
      certificatePem: ca.certificatePem,
      ownedBy: call.account.accountId,
      creationDate: new Date(ca.createdAtMs),
      autoRegistrationStatus: ca.autoRegistrationStatus,
      lastModifiedDate: new Date(ca.lastModifiedAtMs),
      customerVersion: ca.customerVersion,
      generationId: ca.generationId,
      validity: { notBefore: new Date(ca.notBeforeMs), notAfter: new Date(ca.notAfterMs) },
      certificateMode: ca.certificateMode,
    },
    ...(ca.registrationConfig && { registrationConfig: { ...ca.registrationConfig } }),
  };
};

/** By creation, newest first unless `ascendingOrder`; those of one template when it is named. Faults: InvalidRequestException for a marker that is not ours. */
export const listCACertificates: Handler<'ListCACertificates'> = async (input, call) => {
  const { pageSize: limit = pageDefault, ascendingOrder: ascending = false, templateName } = input;
  const page = { after: call.openMarker(input.marker), limit: limit + 1, ascending, templateName };
  const rows = await listCas(call.db, call.account, page);
  const { items, next } = cutPage(rows, limit, call.sealMarker, ({ createdAtMs, caCertificateId }) =>
    cursorOf(createdAtMs, caCertificateId),
  );
  return {
    certificates: items.map(({ caCertificateId, status, createdAtMs }) => ({
      certificateArn: caCertificateArn(call.account, caCertificateId),
      certificateId: caCertificateId,
      status,
      creationDate: new Date(createdAtMs),
    })),
    ...next,
  };
};

/** Also of a CA that was deleted; of an unknown one none, since the model lists no fault for it. Faults: InvalidRequestException for a marker that is not ours. */
export const listCertificatesByCA: Handler<'ListCertificatesByCA'> = (input, call) =>
  certificatesPage(input, call, (input.caCertificateId ?? '').toLowerCase());

/** The certificates under it stay and go on working. Faults: ResourceNotFoundException, CertificateStateException while it is ACTIVE. */
export const deleteCACertificate: Handler<'DeleteCACertificate'> = async (input, call) => {
  const caCertificateId = (input.certificateId ?? '').toLowerCase();
  await call.write(async (db) => {
    const { status } = await getCaCertificate(db, call.account, caCertificateId);
    if (status === 'ACTIVE') {
      throw new Fault(
        'CertificateStateException',
        `The CA certificate must be deactivated (not ACTIVE) before deletion. Id: ${caCertificateId}`,
      );
    }
    await removeCaCertificate(db, call.account, caCertificateId);
    await call.release(db, caCertificateArn(call.account, caCertificateId));
  });
  call.changed('ca', caCertificateId);
  return {};
};
