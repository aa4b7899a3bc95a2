/**
 * The topics of fleet provisioning: three operations in two formats, which a device asks with a claim certificate. Each attempt is told to the journal, with the
 * first cause of a refusal; never a token, a key or the value of a parameter. Source: spec provisioning.md 4.
 */
import type { Call, ReservedTopic } from '../../feature.ts';
import type { EventType, ProvisioningStep, Reason } from '../../journal/record.ts';
import type { ClientRequest, RequestReply } from '../../mqtt/requests.ts';
import { type ProvisioningErrorCode, ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import { Trail } from '../provisioning/trail.ts';
import type { FleetMetrics } from './fleet-metrics.ts';
import {
  formatOf,
  type PayloadFormat,
  type ReplyMembers,
  type RequestMembers,
  readPayload,
  writePayload,
} from './payload.ts';

/** One request on a topic of fleet provisioning. */
export interface Attempt {
  readonly members: RequestMembers;
  readonly request: ClientRequest;
  readonly call: Call;
  /** For the journal: what is known so far, names only. */
  readonly facts: Record<string, string>;
  /** For the journal: what was done so far. */
  readonly trail: Trail;
}

/** Resolves with the members of the reply when all is durable. Faults: ProvisioningFault. */
export type FleetWork = (attempt: Attempt) => Promise<ReplyMembers>;

const reasons: Readonly<Record<ProvisioningErrorCode, Reason>> = {
  AccessDenied: 'PROVISIONING_HOOK_REFUSED',
  InvalidCertificateOwnershipToken: 'OWNERSHIP_TOKEN_INVALID',
  InvalidPayload: 'PAYLOAD_INVALID',
  InvalidCertificateSigningRequest: 'CSR_INVALID',
  InvalidParameters: 'PARAMETERS_INVALID',
  InvalidRequest: 'TEMPLATE_UNUSABLE',
  ResourceNotFound: 'TEMPLATE_NOT_FOUND',
  ResourceConflicts: 'RESOURCE_CONFLICT',
  ResourceRegistrationFailure: 'RESOURCE_REGISTRATION_FAILURE',
  Throttled: 'THROTTLED',
  InternalFailure: 'INTERNAL_SERVER_ERROR',
};

/** What exactly: for hooks and tokens the cause, which the device is not told. */
const detailOf = ({ errorCode, message, cause }: ProvisioningFault): string =>
  (errorCode === 'AccessDenied' || errorCode === 'InvalidCertificateOwnershipToken') && cause instanceof Error
    ? cause.message
    : message;

const rejection = (format: PayloadFormat, { statusCode, errorCode, message }: ProvisioningFault): RequestReply => ({
  outcome: 'rejected',
  payload: writePayload(format, { statusCode, errorCode, errorMessage: message }),
});

const excuses = {
  throttled: () => new ProvisioningFault('Throttled', 'Too many requests wait; try again later.'),
  failed: () => new ProvisioningFault('InternalFailure', 'The server failed; try again later.'),
} as const;

interface TopicPlan {
  readonly pattern: string;
  readonly eventType: EventType;
  /** What is asked for, in the journal's word. */
  readonly asks: NonNullable<ProvisioningStep['how']>;
  /** Counts what is not accepted. */
  readonly failures: keyof FleetMetrics;
  readonly work: FleetWork;
}

export const fleetTopic = (
  { pattern, eventType, asks, failures, work }: TopicPlan,
  metrics: FleetMetrics,
): ReservedTopic => ({
  pattern,
  async answer(request, call) {
    const format = formatOf(request.labels);
    const facts: Record<string, string> = { topic: request.topic };
    const trail = new Trail(call.now);
    const { authority, connectedAtMs, labels } = request;
    trail.past('connected', connectedAtMs, { subject: authority.principalId, how: 'claim' });
    const { templateName } = labels;
    trail.begin('asked', { how: asks, ...(templateName !== undefined && { subject: templateName }) });
    try {
      const members = readPayload(format, request.payload);
      const reply = await work({ members, request, call, facts, trail });
      call.record(eventType, { status: 'Success', facts, steps: trail.steps });
      return { outcome: 'accepted', payload: writePayload(format, reply) };
    } catch (cause) {
      metrics[failures]++;
      if (!(cause instanceof ProvisioningFault)) throw cause; // told as a fault of ours by whoever asked
      const { errorCode } = cause;
      trail.fail();
      call.record(eventType, {
        ...{ status: 'Failure', reason: reasons[errorCode], detail: detailOf(cause) },
        ...{ facts, steps: trail.steps },
      });
      return rejection(format, cause);
    }
  },
  excuse(request, why) {
    if (why === 'throttled') metrics[failures]++;
    return rejection(formatOf(request.labels), excuses[why]());
  },
});
