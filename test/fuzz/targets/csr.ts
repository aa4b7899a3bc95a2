/** PKCS#10 signing requests, DER (put into PEM here) or text: what goes into the certificate, or CsrProblem. Rules: RFC 2986; spec identity 2.2. */
import { CsrProblem, parseCsr } from '../../../src/pki/csr.ts';
import { toPem } from '../../../src/pki/pem.ts';
import { corpusOf } from '../corpus.ts';
import { hold, type Target } from '../target.ts';

const sequence = 0x30;

export default (): Target => {
  const requests = corpusOf('csr');
  return {
    corpus: [...requests, ...requests.slice(0, 2).map((der) => Buffer.from(toPem('NEW CERTIFICATE REQUEST', der)))],
    dictionary: [
      '-----BEGIN CERTIFICATE REQUEST-----',
      '-----END CERTIFICATE REQUEST-----',
      ...['0603550403', '0c00', '30820000', '3080', 'a000', 'a080', '0500', '2a864886f70d010104', '84ffffffff'],
    ].map((word) => (/^[0-9a-f]+$/.test(word) ? Buffer.from(word, 'hex') : word)),
    bytesMax: 6_000,
    run(input) {
      try {
        const text = input[0] === sequence ? toPem('CERTIFICATE REQUEST', input) : input.toString('latin1');
        const { publicKeyDer, subjectDer } = parseCsr(text);
        hold(publicKeyDer[0] === sequence && subjectDer[0] === sequence, 'key and subject are DER');
        return 'accepted';
      } catch (error) {
        if (error instanceof CsrProblem) return error.message.replaceAll(/\d+/g, '#');
        throw error;
      }
    },
  };
};
