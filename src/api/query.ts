/**
 * AWS Query, the wire of sts and iam: a form comes in (as body or as query string), XML goes out. Source: STS and IAM API reference, "Common errors" and the
 * examples of their operations; Smithy, "AWS query protocol".
 */
import assert from 'node:assert/strict';
import { Fault, type FaultName } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import { decodeBytes } from '../aws/sigv4.ts';
import { type Refusal, statusOf } from './faults.ts';
import { malformed, readBase64 } from './json-shapes.ts';
import { modelledErrors, type Operation, operations } from './operations.ts';
import type { Answer } from './rest-json.ts';
import type { Shape, Structure } from './shapes.ts';

export type QueryService = Extract<ServiceName, 'sts' | 'iam'>;

/** API versions, which name the service in a form. */
export const queryServices: { readonly [Service in QueryService]: { readonly version: string } } = {
  sts: { version: '2011-06-15' },
  iam: { version: '2010-05-08' },
};

const namespaceOf = (service: QueryService): string =>
  `https://${service}.amazonaws.com/doc/${queryServices[service].version}/`;

/** Parameters of a form, and characters of a parameter's name. Beyond either: SerializationException. */
const parametersMax = 1000;
const nameCharactersMax = 256;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const decodeFormText = (text: string): string => {
  try {
    return utf8.decode(Buffer.from(decodeBytes(text.replaceAll('+', ' ')), 'latin1'));
  } catch {
    throw malformed('The form is not valid UTF-8');
  }
};

/** The parameters of a form; of a repeated one the first counts. */
export const readForm = (text: string): ReadonlyMap<string, string> => {
  const form = new Map<string, string>();
  const parts = text.split('&', parametersMax + 1);
  if (parts.length > parametersMax) throw malformed(`A form has at most ${parametersMax} parameters`);
  for (const part of parts) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decodeFormText(equals < 0 ? part : part.slice(0, equals));
    if (name.length > nameCharactersMax) throw malformed('The name of a parameter is too long');
    if (!form.has(name)) form.set(name, equals < 0 ? '' : decodeFormText(part.slice(equals + 1)));
  }
  return form;
};

const byName = new Map(operations.map((found) => [`${found.service} ${found.name}`, found]));

/** The operation that a form asks for. Faults: UnknownOperationException. */
export const findAction = (service: QueryService, form: ReadonlyMap<string, string>): Operation => {
  const action = form.get('Action');
  const asked = form.get('Version') ?? '';
  if (action === undefined) throw new Fault('UnknownOperationException', 'The request has no Action');
  const isOwn = asked === queryServices[service].version || asked === '';
  const operation = isOwn ? byName.get(`${service} ${action}`) : undefined;
  if (operation) return operation;
  throw new Fault(
    'UnknownOperationException',
    `Could not find operation ${action.slice(0, 128)} for version ${asked === '' ? 'NO_VERSION_SPECIFIED' : asked.slice(0, 32)}`,
  );
};

/** Operations of sts that whoever has no credentials yet may call: they are not signed. */
export const unsignedActions: ReadonlySet<string> = new Set(['AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity']);

const readScalar = (shape: Shape, text: string): unknown => {
  switch (shape.kind) {
    case 'string':
      return text;
    case 'boolean':
      if (text !== 'true' && text !== 'false') throw malformed(`'${text.slice(0, 64)}' is not a boolean`);
      return text === 'true';
    case 'number':
      if (!/^[+-]?[0-9]{1,15}$/.test(text)) throw malformed(`'${text.slice(0, 64)}' is not an integer`);
      return Number(text);
    case 'timestamp': {
      const ms = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
      if (Number.isNaN(ms)) throw malformed(`'${text.slice(0, 64)}' is not a time`);
      return new Date(ms);
    }
    case 'blob':
      return readBase64(text);
    default:
      return assert.fail(`a ${shape.kind} is no single value`);
  }
};

/** Parts of a parameter's name that are looked at, in `A.member.1.B`: no input is nested deeper. */
const namePartsMax = 32;

/** A form with the places that have something in them: `Tags.member.1.Key` fills `Tags`, `Tags.member`, `Tags.member.1` and itself. */
interface Filled {
  readonly form: ReadonlyMap<string, string>;
  readonly places: ReadonlySet<string>;
}

/** So that each place is looked up once, whatever the number of parameters. */
const filledPlaces = (form: ReadonlyMap<string, string>): Filled => {
  const places = new Set<string>();
  for (const name of form.keys()) {
    let dot = name.indexOf('.');
    for (let parts = 1; dot >= 0 && parts < namePartsMax; parts++) {
      places.add(name.slice(0, dot));
      dot = name.indexOf('.', dot + 1);
    }
    places.add(name);
  }
  return { form, places };
};

const readShape = (shape: Shape, filled: Filled, prefix: string): unknown => {
  const { form, places } = filled;
  if (shape.kind === 'structure') return readMembers(shape, filled, `${prefix}.`);
  if (shape.kind === 'list') {
    const items: unknown[] = [];
    while (places.has(`${prefix}.member.${items.length + 1}`)) {
      items.push(readShape(shape.item, filled, `${prefix}.member.${items.length + 1}`));
    }
    return items;
  }
  if (shape.kind === 'map') {
    const entries: [string, unknown][] = [];
    for (let at = `${prefix}.entry.1`; places.has(at); at = `${prefix}.entry.${entries.length + 1}`) {
      entries.push([form.get(`${at}.key`) ?? '', readShape(shape.value, filled, `${at}.value`)]);
    }
    return Object.fromEntries(entries);
  }
  return readScalar(shape, form.get(prefix) ?? '');
};

const readMembers = (shape: Structure | undefined, filled: Filled, prefix: string): Record<string, unknown> => {
  const input: Record<string, unknown> = {};
  for (const member of shape?.members ?? []) {
    const name = `${prefix}${member.name}`;
    if (filled.places.has(name)) input[member.name] = readShape(member.shape, filled, name);
  }
  return input;
};

/** The handler's input: `Tags.member.1.Key=a` is the Key of the first of Tags. Faults: SerializationException. Work: linear in the form. */
export const readFormInput = (
  shape: Structure | undefined,
  form: ReadonlyMap<string, string>,
): Record<string, unknown> => readMembers(shape, filledPlaces(form), '');

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text as XML; characters that XML 1.0 cannot carry are left out. */
const escapeXml = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[^\t\n\r\x20-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"]/g, (character) => entities[character] ?? '')
    .replaceAll('\r', '&#xD;');

const writeXml = (shape: Shape, value: unknown): string => {
  switch (shape.kind) {
    case 'structure': {
      assert(typeof value === 'object' && value !== null, `${shape.name} is an object`);
      const own: { readonly [member: string]: unknown } = { ...value };
      return shape.members
        .filter(({ name }) => own[name] !== undefined && own[name] !== null)
        .map(({ name, shape: member }) => `<${name}>${writeXml(member, own[name])}</${name}>`)
        .join('');
    }
    case 'list':
      assert(Array.isArray(value), 'a list');
      return value.map((item: unknown) => `<member>${writeXml(shape.item, item)}</member>`).join('');
    case 'map':
      assert(typeof value === 'object' && value !== null, 'a map');
      return Object.entries(value)
        .map(
          ([key, item]) => `<entry><key>${escapeXml(key)}</key><value>${writeXml(shape.value, item)}</value></entry>`,
        )
        .join('');
    case 'timestamp':
      assert(value instanceof Date, 'a Date');
      // whole seconds as the examples of the API references have them
      return value.toISOString().replace('.000Z', 'Z');
    case 'blob':
      assert(value instanceof Uint8Array, 'bytes');
      return Buffer.from(value).toString('base64');
    case 'string':
    case 'number':
    case 'boolean':
      return escapeXml(String(value));
  }
};

const xmlHeaders = { 'content-type': 'text/xml' };

/** The answer of an operation that succeeded. */
export const writeXmlOutput = (
  operation: Operation,
  output: Record<string, unknown> | undefined,
  requestId: string,
): Answer => {
  const { name, service } = operation;
  assert(service === 'sts' || service === 'iam', `${name} is a Query operation`);
  const result = operation.output ? `<${name}Result>${writeXml(operation.output, output ?? {})}</${name}Result>` : '';
  const metadata = `<ResponseMetadata><RequestId>${escapeXml(requestId)}</RequestId></ResponseMetadata>`;
  return {
    status: 200,
    headers: xmlHeaders,
    body: `<${name}Response xmlns="${namespaceOf(service)}">${result}${metadata}</${name}Response>`,
  };
};

/** What Query services call the faults that come before an operation, and their status where it differs. Source: STS API reference, "Common errors". */
const queryCodes: { readonly [Name in FaultName]?: readonly [code: string, status?: number] } = {
  AccessDeniedException: ['AccessDenied'],
  ExpiredTokenException: ['ExpiredToken', 403],
  ForbiddenException: ['AccessDenied'],
  IncompleteSignatureException: ['IncompleteSignature'],
  InternalFailureException: ['InternalFailure'],
  InvalidRequestException: ['ValidationError'],
  InvalidSignatureException: ['SignatureDoesNotMatch'],
  MissingAuthenticationTokenException: ['MissingAuthenticationToken'],
  NotImplementedException: ['NotImplemented'],
  RequestEntityTooLargeException: ['RequestEntityTooLarge'],
  SerializationException: ['MalformedInput'],
  ServiceUnavailableException: ['ServiceUnavailable'],
  ThrottlingException: ['Throttling'],
  UnknownOperationException: ['InvalidAction', 400],
  UnrecognizedClientException: ['InvalidClientTokenId'],
};

/** The answer of a request that was refused. */
export const writeXmlFault = (service: QueryService, fault: Refusal, requestId: string): Answer => {
  const [common, commonStatus] = queryCodes[fault.name] ?? [];
  // that of sts' model is about tokens of others, which its operations for them take
  const modelled = fault.name === 'ExpiredTokenException' ? undefined : modelledErrors[service].get(fault.name);
  const code = modelled?.queryCode ?? common ?? fault.name;
  const status = commonStatus ?? statusOf(service, fault.name);
  const message =
    fault.name === 'MissingAuthenticationTokenException' ? 'Request is missing Authentication Token' : fault.message;
  const error = `<Type>${status < 500 ? 'Sender' : 'Receiver'}</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message>`;
  return {
    status,
    headers: xmlHeaders,
    body: `<ErrorResponse xmlns="${namespaceOf(service)}"><Error>${error}</Error><RequestId>${escapeXml(requestId)}</RequestId></ErrorResponse>`,
  };
};
