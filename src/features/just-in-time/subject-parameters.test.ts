import assert from 'node:assert/strict';
import { test } from 'node:test';
import { version1Pem } from '../../../test/openssl.ts';
import { parseCertificate } from '../../pki/certificate.ts';
import { subjectParameters } from '../../templates/certificate-parameters.ts';
import { parametersOfSubject } from './subject-parameters.ts';

test('every parameter that a template may take from the subject has its attribute, and none is the issuer number', () => {
  const one = (value: string) => [value];
  const subject = {
    ...{ Country: one('C'), Organization: one('O'), OrganizationalUnit: one('OU'), State: one('ST') },
    ...{ CommonName: one('CN'), SerialNumber: one('serialNumber'), DistinguishedNameQualifier: one('dnQualifier') },
  };
  const policyFields = { id: '', serialNumber: 'not this', subject, issuer: {} };
  const expected = Object.fromEntries([...subjectParameters].map(([name, { shortName }]) => [name, shortName]));
  assert.deepEqual(parametersOfSubject({ policyFields }), expected);
});

test('what the subject does not have is absent; of several values the first counts', () => {
  assert.deepEqual(parametersOfSubject(parseCertificate(version1Pem)), {
    'AWS::IoT::Certificate::Country': 'DE',
    'AWS::IoT::Certificate::Organization': 'Acme',
    'AWS::IoT::Certificate::CommonName': 'dev-v1',
  });
  const policyFields = { id: '', serialNumber: '', subject: { Organization: ['first', 'second'] }, issuer: {} };
  assert.deepEqual(parametersOfSubject({ policyFields }), { 'AWS::IoT::Certificate::Organization': 'first' });
});
