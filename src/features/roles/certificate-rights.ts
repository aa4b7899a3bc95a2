/** Whether the policies of a certificate let its device ask for credentials by a role alias: one fresh reading for each request, of which there are few. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { Weighing } from '../../aws/decision.ts';
import { weigh } from '../../policy/weigh.ts';
import type { Db } from '../../store/store.ts';
import { connectionContext } from '../policies/connection-context.ts';
import { readOperativePolicies } from '../policies/policy-attachment.ts';
import { readSettled } from '../policies/read-settled.ts';
import { createRightsCache } from '../policies/rights.ts';
import type { ConnectionThing } from '../things/thing-principal.ts';

/** Sets of policies kept compiled. */
const setsMax = 1000;

export const assumeAction = 'iot:AssumeRoleWithCertificate';

/** Who asks, and what is known of the connection. */
export interface AskingDevice {
  readonly account: AccountRegion;
  readonly certificateId: string;
  readonly der: Uint8Array | undefined;
  readonly sourceIp: string;
  readonly domainName: string | undefined;
  /** Attached to the certificate, and named by the request. */
  readonly thing: ConnectionThing | undefined;
}

export interface Weighed extends Weighing {
  readonly policyNames: readonly string[];
  /** Of the policy whose Deny decided. */
  readonly decidingDocument: string | undefined;
}

/** Faults: ServiceUnavailableException while the policies are being changed. */
export const createCertificateRights = ({ db, now }: { readonly db: Db; readonly now: () => number }) => {
  const cache = createRightsCache({ setsMax });
  return async ({ account, thing, ...connection }: AskingDevice, roleAlias: string): Promise<Weighed> => {
    const { certificateId } = connection;
    const { set, policyNames, documents } = await readSettled(async () => {
      const policies = await readOperativePolicies(db, account, [certificateId]);
      return cache.rightsOf(db, account, policies.get(certificateId) ?? []);
    });
    const context = {
      ...connectionContext({ ...connection, clientId: undefined, now }),
      ...(thing && {
        thing: {
          ...{ name: thing.thingName, type: thing.thingTypeName, attributes: thing.attributes },
          ...{ attached: true, named: true },
        },
      }),
    };
    const resource = iotArn(account, 'rolealias', roleAlias);
    const weighing = weigh(set, { action: assumeAction, resource, context });
    const deciding = weighing.statements[weighing.decidedBy ?? -1];
    const isDenied = weighing.decision === 'EXPLICIT_DENY' && deciding !== undefined;
    return { ...weighing, policyNames, decidingDocument: isDenied ? documents.get(deciding.policyName) : undefined };
  };
};
