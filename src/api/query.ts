/**
 * AWS Query, the wire of sts: a form comes in (as body or as query string), XML goes out. Source: STS API reference, "Common errors" and the examples of its
 * operations; Smithy, "AWS query protocol".
 */
import assert from 'node:assert/strict';
import { Fault, type FaultName } from '../aws/fault.ts';
import { decodeBytes } from '../aws/sigv4.ts';
import { type Refusal, statusOf } from './faults.ts';
import { malformed } from './json-shapes.ts';
import { modelledErrors, type Operation, operations } from './operations.ts';
import type { Answer } from './rest-json.ts';
import type { Shape, Structure } from './shapes.ts';

const version = '2011-06-15';
const namespace = `https://sts.amazonaws.com/doc/${version}/`;

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

const byName = new Map(operations.filter(({ service }) => service === 'sts').map((found) => [found.name, found]));

/** The operation that a form asks for. Faults: UnknownOperationException. */
export const findAction = (form: ReadonlyMap<string, string>): Operation => {
  const action = form.get('Action');
  const asked = form.get('Version') ?? '';
  if (action === undefined) throw new Fault('UnknownOperationException', 'The request has no Action');
  const operation = asked === version || asked === '' ? byName.get(action) : undefined;
  if (operation) return operation;
  throw new Fault(
    'UnknownOperationException',
    `Could not find operation ${action.slice(0, 128)} for version ${asked === '' ? 'NO_VERSION_SPECIFIED' : asked.slice(0, 32)}`,
  );
};

/** Operations that whoever has no credentials yet may call: they are not signed. */
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
    default:
      return assert.fail(`no sts operation takes a ${shape.kind}`);
  }
};

const hasBelow = (form: ReadonlyMap<string, string>, prefix: string): boolean => {
  for (const name of form.keys()) if (name === prefix || name.startsWith(`${prefix}.`)) return true;
  return false;
};

const readShape = (shape: Shape, form: ReadonlyMap<string, string>, prefix: string): unknown => {
  if (shape.kind === 'structure') return readFormInput(shape, form, `${prefix}.`);
  if (shape.kind === 'list') {
    const items: unknown[] = [];
    while (hasBelow(form, `${prefix}.member.${items.length + 1}`)) {
      items.push(readShape(shape.item, form, `${prefix}.member.${items.length + 1}`));
    }
    return items;
  }
  return readScalar(shape, form.get(prefix) ?? '');
};

/** The handler's input: `Tags.member.1.Key=a` is the Key of the first of Tags. Faults: SerializationException. */
export const readFormInput = (
  shape: Structure | undefined,
  form: ReadonlyMap<string, string>,
  prefix = '',
): Record<string, unknown> => {
  const input: Record<string, unknown> = {};
  for (const member of shape?.members ?? []) {
    const name = `${prefix}${member.name}`;
    if (hasBelow(form, name)) input[member.name] = readShape(member.shape, form, name);
  }
  return input;
};

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
    case 'timestamp':
      assert(value instanceof Date, 'a Date');
      return value.toISOString();
    case 'string':
    case 'number':
    case 'boolean':
      return escapeXml(String(value));
    default:
      return assert.fail(`no sts operation answers a ${shape.kind}`);
  }
};

const xmlHeaders = { 'content-type': 'text/xml' };

/** The answer of an operation that succeeded. */
export const writeXmlOutput = (
  operation: Operation,
  output: Record<string, unknown> | undefined,
  requestId: string,
): Answer => {
  const { name } = operation;
  const result = operation.output ? `<${name}Result>${writeXml(operation.output, output ?? {})}</${name}Result>` : '';
  const metadata = `<ResponseMetadata><RequestId>${escapeXml(requestId)}</RequestId></ResponseMetadata>`;
  return {
    status: 200,
    headers: xmlHeaders,
    body: `<${name}Response xmlns="${namespace}">${result}${metadata}</${name}Response>`,
  };
};

/** What Query services call the faults that come before an operation, and their status where it differs. Source: STS API reference, "Common errors". */
const queryCodes: { readonly [Name in FaultName]?: readonly [code: string, status?: number] } = {
  AccessDeniedException: ['AccessDenied'],
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
export const writeXmlFault = (fault: Refusal, requestId: string): Answer => {
  const [common, commonStatus] = queryCodes[fault.name] ?? [];
  const code = modelledErrors.sts.get(fault.name)?.queryCode ?? common ?? fault.name;
  const status = commonStatus ?? statusOf('sts', fault.name);
  const message =
    fault.name === 'MissingAuthenticationTokenException' ? 'Request is missing Authentication Token' : fault.message;
  const error = `<Type>${status < 500 ? 'Sender' : 'Receiver'}</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message>`;
  return {
    status,
    headers: xmlHeaders,
    body: `<ErrorResponse xmlns="${namespace}"><Error>${error}</Error><RequestId>${escapeXml(requestId)}</RequestId></ErrorResponse>`,
  };
};
