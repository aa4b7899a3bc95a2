import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultName } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import { statusOf } from './faults.ts';

const cases: [service: ServiceName, name: FaultName, status: number][] = [
  ['iot', 'InvalidRequestException', 400],
  ['iot', 'RegistrationCodeValidationException', 400],
  ['iot', 'ThrottlingException', 400],
  ['iot-data', 'ThrottlingException', 429],
  ['iot', 'UnauthorizedException', 401],
  ['iot', 'ResourceNotFoundException', 404],
  ['iot', 'CertificateStateException', 406],
  ['iot', 'LimitExceededException', 410],
  ['iot', 'TransferAlreadyCompletedException', 410],
  ['iot', 'DeleteConflictException', 409],
  ['iot', 'ResourceAlreadyExistsException', 409],
  ['iot', 'VersionsLimitExceededException', 409],
  ['iot', 'InternalFailureException', 500],
  ['iot', 'ServiceUnavailableException', 503],
  ['sts', 'InternalFailureException', 500],
  ['iot-data', 'RequestEntityTooLargeException', 413],
  ['iot', 'RequestEntityTooLargeException', 413],
  ['iot', 'UnknownOperationException', 404],
  ['iot', 'NotImplementedException', 501],
  ['iot', 'IncompleteSignatureException', 400],
  ['iot', 'InvalidSignatureException', 403],
];
for (const [service, name, status] of cases) {
  test(`${name} is ${status} on ${service} (spec identity 1.1)`, () => assert.equal(statusOf(service, name), status));
}
