/**
 * Policy variables and condition keys: what a name in `${...}` or in a Condition stands for. Names are matched without regard to case, the
 * attribute's name within `Attributes[...]` exactly. A name that nothing knows is a variable that never has a value.
 * Source: developer guide, "AWS IoT Core policy variables"; spec policy.md 4.4 and 5.
 */
import { availableKeys, findCertificateVariable } from './certificate-variables.ts';
import type { PolicyRequest, ThingFacts } from './context.ts';

/** The values of a condition key; undefined or empty: the key is absent. */
export type KeyValues = string | readonly string[] | undefined;

export interface Variable {
  /** As the guide spells it; unknown names as the policy spells them. */
  readonly name: string;
  /** Its values as a condition key. */
  readonly key: (request: PolicyRequest) => KeyValues;
  /** What `${name}` is replaced by; undefined: it is unresolved. */
  readonly text: (request: PolicyRequest) => string | undefined;
  /** Its value moves with time: a decision that used it must not be remembered. */
  readonly clock: boolean;
}

type Reader = (request: PolicyRequest) => string | undefined;

const single = (name: string, read: Reader): Variable => ({ name, key: read, text: read, clock: false });
const keyOnly = (name: string, key: Variable['key'], clock = false): Variable => ({
  name,
  key,
  text: () => undefined,
  clock,
});

const clientId: Reader = ({ context }) => (context.protocol === 'https' ? undefined : context.clientId);

/** The thing that the connection stands for: attached to its principal, and named by the request, exclusively or under its own name as client id. */
function connectionThing(request: PolicyRequest): ThingFacts | undefined {
  const thing = request.context.thing;
  if (!thing?.attached) return undefined;
  const client = clientId(request);
  const isMeant = thing.named || (client !== undefined && (thing.exclusive || thing.name === client));
  return isMeant ? thing : undefined;
}

const thingName: Reader = (request) => connectionThing(request)?.name;

const isAttached: Reader = (request) => {
  if (clientId(request) === undefined && !request.context.thing?.named) return undefined;
  return connectionThing(request) ? 'true' : 'false';
};

const mappedIpv4 = /^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i;
const sourceIp: Reader = ({ context }) => context.sourceIp?.replace(mappedIpv4, '');

/** `arn:<partition>:iot:<region>:<account>:` of the ARN that is asked for. */
const arnScope = /^arn:[^:]*:iot:[^:]*:[^:]*:/;

/** The will's topic as an ARN in the account and region of the request. Source: spec policy.md 5. */
const lastWillTopic: Reader = ({ action, resource, context }) => {
  if (action !== 'iot:Connect' || context.lastWillTopic === undefined) return undefined;
  const scope = arnScope.exec(resource)?.[0];
  return scope === undefined ? undefined : `${scope}topic/${context.lastWillTopic}`;
};

const known: readonly Variable[] = [
  single('iot:ClientId', clientId),
  single('aws:SourceIp', sourceIp),
  single('iot:DomainName', ({ context }) => context.domainName),
  single('iot:CertificateId', ({ context }) => context.certificate?.id),
  single('iot:Certificate.SerialNumber', ({ context }) => context.certificate?.serialNumber),
  single('iot:Connection.Thing.ThingName', thingName),
  single('iot:Thing.ThingName', thingName),
  single('iot:Connection.Thing.ThingTypeName', (request) => connectionThing(request)?.type),
  single('iot:Connection.Thing.IsAttached', isAttached),
  single('cognito-identity.amazonaws.com:sub', ({ context }) => context.cognito?.sub),
  single('cognito-identity.amazonaws.com:aud', ({ context }) => context.cognito?.aud),
  keyOnly('iot:Certificate.AvailableKeys', availableKeys),
  keyOnly('iot:ConnectAttributes', ({ action, context }) =>
    action === 'iot:Connect' ? context.connectAttributes : undefined,
  ),
  keyOnly('iot:LastWillTopic', lastWillTopic),
  keyOnly('iot:Topic', ({ action, context }) => (action === 'iot:SendDirectMessage' ? context.topic : undefined)),
  keyOnly('iot:IncludeSocketInformation', ({ action, context: { includeSocketInformation: asked } }) =>
    action === 'iot:GetConnection' && asked !== undefined ? String(asked) : undefined,
  ),
  keyOnly('aws:SourceVpc', ({ context }) => context.vpc),
  keyOnly('aws:SourceVpce', ({ context }) => context.vpce),
  keyOnly('aws:VpcSourceIp', ({ context }) => context.vpcSourceIp),
  keyOnly(
    'aws:CurrentTime',
    ({ context }) => context.now && `${new Date(context.now()).toISOString().slice(0, 19)}Z`,
    true,
  ),
  keyOnly('aws:EpochTime', ({ context }) => context.now && String(Math.floor(context.now() / 1000)), true),
];

const knownByLowerName = new Map(known.map((variable) => [variable.name.toLowerCase(), variable]));

const attributeName = /^iot:connection\.thing\.attributes\[(.*)\]$/is;

function attribute(name: string): Variable {
  return single(`iot:Connection.Thing.Attributes[${name}]`, (request) => {
    const attributes = connectionThing(request)?.attributes;
    return attributes && Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  });
}

/** The variable of that name; one that never has a value when nothing is known under it. */
export function findVariable(name: string): Variable {
  const lowerName = name.toLowerCase();
  const found = knownByLowerName.get(lowerName);
  if (found) return found;
  const field = findCertificateVariable(lowerName);
  if (field) return { ...field, clock: false };
  const named = attributeName.exec(name)?.[1];
  return named === undefined ? unknownVariable(name) : attribute(named);
}

/** A variable that never has a value. */
export const unknownVariable = (name: string): Variable => keyOnly(name, () => undefined);

/** Whether the key has a value for this request. */
export function isPresent(values: KeyValues): values is string | readonly string[] {
  return values !== undefined && (typeof values === 'string' || values.length > 0);
}
