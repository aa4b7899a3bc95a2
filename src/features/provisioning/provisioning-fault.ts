/** How a provisioning is refused, whoever asked for it: over MQTT, over HTTP, or by a line of a bulk file. */
import { Fault, type FaultName } from '../../aws/fault.ts';
import { TemplateFault } from '../../templates/fault.ts';

/** Source: spec provisioning.md 4.6. Observed: `InvalidCertificateOwnershipToken` alone; the others are Assumed. */
const statusCodes = {
  AccessDenied: 403,
  InvalidCertificateOwnershipToken: 400,
  InvalidPayload: 400,
  InvalidCertificateSigningRequest: 400,
  InvalidParameters: 400,
  InvalidRequest: 400,
  ResourceNotFound: 404,
  ResourceConflicts: 409,
  ResourceRegistrationFailure: 400,
  Throttled: 429,
  InternalFailure: 500,
} as const;

export type ProvisioningErrorCode = keyof typeof statusCodes;

/**
 * A provisioning that cannot be, in the words of the fleet provisioning topics. `message` is for the device: it names resources and places in the template, never
 * values of parameters or what a hook said. `cause`, where there is one, tells the operator more.
 */
export class ProvisioningFault extends Error {
  override readonly name = 'ProvisioningFault';
  readonly errorCode: ProvisioningErrorCode;
  readonly statusCode: number;
  constructor(errorCode: ProvisioningErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.errorCode = errorCode;
    this.statusCode = statusCodes[errorCode];
  }
}

/** What another slice refused, such as a name that does not exist, is a step of the provisioning that failed. */
export const stepFailed = (cause: unknown, step?: string): unknown =>
  cause instanceof Fault
    ? new ProvisioningFault(
        'ResourceRegistrationFailure',
        step === undefined ? cause.message : `${step}: ${cause.message}`,
        { cause },
      )
    : cause;

/** What a template refused, as a provisioning refuses it. */
export const refusedByTemplate = (fault: TemplateFault): ProvisioningFault =>
  new ProvisioningFault(fault.kind === 'parameters' ? 'InvalidParameters' : 'InvalidRequest', fault.message, {
    cause: fault,
  });

/** Runs a step in the terms of the room of templates. Faults: ProvisioningFault. */
export const withTemplate = <T>(work: () => T): T => {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TemplateFault) throw refusedByTemplate(cause);
    throw cause;
  }
};

const faultNames: { readonly [Code in ProvisioningErrorCode]?: FaultName } = {
  InvalidParameters: 'InvalidRequestException',
  InvalidRequest: 'InvalidRequestException',
  InvalidCertificateSigningRequest: 'InvalidRequestException',
  ResourceConflicts: 'ResourceRegistrationFailureException',
  ResourceRegistrationFailure: 'ResourceRegistrationFailureException',
  Throttled: 'ThrottlingException',
};

/**
 * The same as the API says it. The developer guide names ResourceConflictsException, which the operation cannot answer: the message begins with it.
 * Source: spec provisioning.md 7.5, 9.
 */
export const toFault = (cause: ProvisioningFault): Fault => {
  const { errorCode, message } = cause;
  const text = errorCode === 'ResourceConflicts' ? `ResourceConflictsException: ${message}` : message;
  return new Fault(faultNames[errorCode] ?? 'InvalidRequestException', text, {}, { cause });
};
