/** X.509 certificates as DER or PEM: facts or CertificateProblem. Rules: spec identity 2.1. */
import { hash } from 'node:crypto';
import { assertRegistrable, CertificateProblem, parseCertificate } from '../../../src/pki/certificate.ts';
import { toPem } from '../../../src/pki/pem.ts';
import { corpusOf } from '../corpus.ts';
import { hold, type Target } from '../target.ts';

const sequence = 0x30;

export default (): Target => {
  const certificates = corpusOf('certificate');
  return {
    corpus: [...certificates, ...certificates.slice(0, 2).map((der) => Buffer.from(`x\n${toPem('CERTIFICATE', der)}`))],
    dictionary: [
      '-----BEGIN CERTIFICATE-----',
      '-----END CERTIFICATE-----',
      ...['0603550403', '0c00', '1e020041', '30820000', '3080', '0000', '0101ff', '170d', '180f', '02820101'],
      ...['06082a8648ce3d030107', '2a864886f70d01010a', '84ffffffff', '1f8f7f', 'a3820000', '551d11'],
    ].map((word) => (/^[0-9a-f]+$/.test(word) ? Buffer.from(word, 'hex') : word)),
    bytesMax: 49_152,
    run(input) {
      try {
        const certificate = parseCertificate(input[0] === sequence ? input : input.toString('latin1'));
        hold(certificate.certificateId === hash('sha256', certificate.der, 'hex'), 'the id is the hash of the DER');
        hold(
          parseCertificate(certificate.pem).certificateId === certificate.certificateId,
          'our PEM reads as the same',
        );
        hold(/^-?[0-9a-f]+$/.test(certificate.serialNumberHex), 'a serial number is hex');
        hold(Number.isFinite(certificate.notBeforeMs + certificate.notAfterMs), 'a validity is two dates');
        JSON.stringify(certificate.policyFields);
        assertRegistrable(certificate, Date.now());
        return 'registrable';
      } catch (error) {
        if (error instanceof CertificateProblem) return error.rule;
        throw error;
      }
    },
  };
};
