/**
 * One certificate of a ledger becomes one of the account: registered without CA, and attached to what its line names. Each step may be repeated: what
 * is there already stays as it is. A line is read and checked as a whole before the first step, so most refusals leave nothing behind.
 */
import { hash, type X509Certificate } from 'node:crypto';
import type { ApiAnswer, ApiClient } from '../api-client.ts';
import { type PathRule, readCertificate } from './certificate-text.ts';
import { type Entry, LineProblem, type Wanted } from './entry.ts';

/** What holds for lines that say nothing of their own. */
export interface Defaults {
  readonly policy?: string;
  readonly status?: string;
  /** `cn`: a thing is called as the common name of the certificate's subject. */
  readonly thingFrom: 'cn' | 'none';
}

export type Outcome =
  | { readonly kind: 'registered' | 'already' }
  | {
      readonly kind: 'refused';
      readonly message: string;
      /** The operation that refused; none when the line itself is at fault. */
      readonly operation?: string;
      readonly fault?: string;
      /** Set when the certificate itself is registered. */
      readonly certificateId?: string;
    };

export const statuses: readonly string[] = ['ACTIVE', 'INACTIVE', 'REVOKED'];

/** What will be done: every name is one that the API can be asked for. */
interface Plan {
  readonly certificate: X509Certificate;
  readonly certificateId: string;
  readonly thing: string | undefined;
  readonly policy: string | undefined;
  readonly status: string | undefined;
}

const commonName = (certificate: X509Certificate): string => {
  const { CN: name } = certificate.toLegacyObject().subject;
  // a name may hold several, which the declared type does not say
  const names: unknown = name;
  if (typeof names === 'string') return names;
  throw new LineProblem(
    `The subject of the certificate has ${Array.isArray(names) ? 'several common names' : 'no common name'}`,
  );
};

/** Source: API reference, ThingName and PolicyName. A policy called `.` or `..` has no path of its own. */
const namePatterns = { thing: /^[A-Za-z0-9:_-]{1,128}$/, policy: /^(?!\.\.?$)[\w+=,.@-]{1,128}$/ };

export const isPolicyName = (name: string): boolean => namePatterns.policy.test(name);

const checkName = (name: string | undefined, what: 'thing' | 'policy'): string | undefined => {
  if (name !== undefined && !namePatterns[what].test(name)) {
    throw new LineProblem(`${JSON.stringify(name.slice(0, 130))} cannot be the name of a ${what}`);
  }
  return name;
};

const checkStatus = (status: string | undefined): string | undefined => {
  if (status !== undefined && !statuses.includes(status)) {
    throw new LineProblem(
      `The status must be one of ${statuses.join(', ')}, not ${JSON.stringify(status.slice(0, 40))}`,
    );
  }
  return status;
};

const planOf = async (wanted: Wanted, defaults: Defaults, paths: PathRule): Promise<Plan> => {
  const certificate = await readCertificate(wanted.certificate, paths);
  return {
    certificate,
    certificateId: hash('sha256', certificate.raw, 'hex'),
    thing: checkName(wanted.thing ?? (defaults.thingFrom === 'cn' ? commonName(certificate) : undefined), 'thing'),
    policy: checkName(wanted.policy ?? defaults.policy, 'policy'),
    status: checkStatus(wanted.status ?? defaults.status),
  };
};

const refusedBy = (operation: string, { fault, message }: ApiAnswer, certificateId?: string): Outcome => ({
  kind: 'refused',
  operation,
  ...(fault !== undefined && { fault }),
  message: message || 'The server gave no reason',
  ...(certificateId !== undefined && { certificateId }),
});

/** The thing, the attachment to it, and the policy; the first refusal ends it. */
const attachAll = async (
  { thing, policy, certificateId }: Plan,
  arn: string,
  api: ApiClient,
): Promise<Outcome | undefined> => {
  if (thing !== undefined) {
    const path = `/things/${encodeURIComponent(thing)}`;
    const created = await api.call({ method: 'POST', path, body: {} });
    // it exists with attributes of its own, which are none of ours
    const exists = created.fault === undefined || created.fault === 'ResourceAlreadyExistsException';
    if (!exists) return refusedBy('CreateThing', created, certificateId);
    const headers = { 'x-amzn-principal': arn };
    const attached = await api.call({ method: 'PUT', path: `${path}/principals`, headers });
    if (attached.fault !== undefined) return refusedBy('AttachThingPrincipal', attached, certificateId);
  }
  if (policy !== undefined) {
    const path = `/target-policies/${encodeURIComponent(policy)}`;
    const attached = await api.call({ method: 'PUT', path, body: { target: arn } });
    if (attached.fault !== undefined) return refusedBy('AttachPolicy', attached, certificateId);
  }
  return undefined;
};

const carryOut = async (plan: Plan, api: ApiClient): Promise<Outcome> => {
  const { certificate, certificateId, status } = plan;
  const registered = await api.call({
    method: 'POST',
    path: '/certificate/register-no-ca',
    body: { certificatePem: certificate.toString(), ...(status !== undefined && { status }) },
  });
  if (registered.fault === undefined) {
    const arn = registered.members['certificateArn'];
    if (typeof arn !== 'string') throw new LineProblem('The server gave the certificate no ARN');
    return (await attachAll(plan, arn, api)) ?? { kind: 'registered' };
  }
  if (registered.fault !== 'ResourceAlreadyExistsException')
    return refusedBy('RegisterCertificateWithoutCA', registered);
  const described = await api.call({ method: 'GET', path: `/certificates/${certificateId}` });
  if (described.fault !== undefined) return refusedBy('DescribeCertificate', described);
  const facts: unknown = described.members['certificateDescription'];
  const { certificateArn, status: present }: { certificateArn?: unknown; status?: unknown } =
    typeof facts === 'object' && facts !== null ? facts : {};
  if (typeof certificateArn !== 'string') throw new LineProblem('The server gave the certificate no ARN');
  const refused = await attachAll(plan, certificateArn, api);
  if (refused) return refused;
  if (status === undefined || status === present) return { kind: 'already' };
  const kept = `It was registered before, with the status ${String(present).slice(0, 40)}, and keeps it`;
  return { kind: 'refused', message: kept, certificateId };
};

/** Never throws for what is wrong with one entry. Faults: ServerUnusable. */
export const importEntry = async (
  entry: Entry,
  defaults: Defaults,
  paths: PathRule,
  api: ApiClient,
): Promise<Outcome> => {
  if ('problem' in entry.wanted) return { kind: 'refused', message: entry.wanted.problem };
  try {
    return await carryOut(await planOf(entry.wanted, defaults, paths), api);
  } catch (error) {
    if (!(error instanceof LineProblem)) throw error;
    return { kind: 'refused', message: error.message };
  }
};
