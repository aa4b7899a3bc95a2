/** Payloads of the fleet provisioning topics, in the two formats they have. Source: spec provisioning.md 4.1, 4.2. */
import { CborProblem, type CborValue, readCbor, writeCbor } from '../../aws/cbor.ts';
import { checkKeys } from '../../aws/json-keys.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';

export type PayloadFormat = 'json' | 'cbor';

/** By the last level of the topic, which the table of reserved topics has let pass. */
export const formatOf = ({ format }: Readonly<Record<string, string>>): PayloadFormat =>
  format === 'cbor' ? 'cbor' : 'json';

/** Bytes of a request, whatever `--limits` lets other messages have. Source: spec provisioning.md 4.1. */
export const requestBytesMax = 131_072;
/** Characters of a parameter's name and value, as in RegisterThing over HTTP. Assumed: the same over MQTT. */
export const parameterNameCharactersMax = 2048;
export const parameterValueCharactersMax = 4096;

/** A certificate signing request and the parameters of one level. */
const nestingMax = 8;

/** The members of a request. */
export type RequestMembers = ReadonlyMap<string, unknown>;

const invalid = (message: string, cause?: unknown): ProvisioningFault =>
  new ProvisioningFault('InvalidPayload', message, { cause });

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const readJson = (bytes: Uint8Array): unknown => {
  let value: unknown;
  let text: string;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw invalid('The payload is not JSON.'); // the cause would quote it
  }
  checkKeys(text, nestingMax, (_place, problem) => {
    throw invalid(problem.startsWith('key') ? 'The payload has a key twice.' : 'The payload is nested too deep.');
  });
  return value;
};

const readAsCbor = (bytes: Uint8Array): CborValue => {
  try {
    return readCbor(bytes);
  } catch (cause) {
    if (cause instanceof CborProblem) throw invalid(`The payload is not CBOR of this kind: ${cause.message}.`);
    throw cause;
  }
};

/** Nothing at all is an empty map. Faults: ProvisioningFault (InvalidPayload), which quotes nothing of the payload. */
export const readPayload = (format: PayloadFormat, bytes: Uint8Array): RequestMembers => {
  if (bytes.length > requestBytesMax) throw invalid(`The payload is longer than ${requestBytesMax} bytes.`);
  if (bytes.length === 0) return new Map();
  const value = format === 'cbor' ? readAsCbor(bytes) : readJson(bytes);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('The payload is not a map.');
  return new Map(Object.entries(value));
};

/** A member that is text; undefined when it is absent or null. Faults: ProvisioningFault (InvalidPayload). */
export const textMember = (members: RequestMembers, name: string): string | undefined => {
  const value = members.get(name) ?? undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw invalid(`${name} is not text.`);
};

/** The parameters of a RegisterThing; own properties only. Faults: ProvisioningFault (InvalidPayload, InvalidParameters). */
export const parametersOf = (members: RequestMembers): Readonly<Record<string, string>> => {
  const value = members.get('parameters') ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('parameters is not a map.');
  const entries = Object.entries(value).map(([name, text]: [string, unknown]): [string, string] => {
    if (typeof text !== 'string') throw invalid('A value in parameters is not text.');
    if (name.length > parameterNameCharactersMax) {
      throw new ProvisioningFault(
        'InvalidParameters',
        `A parameter's name is longer than ${parameterNameCharactersMax} characters.`,
      );
    }
    if (text.length > parameterValueCharactersMax) {
      throw new ProvisioningFault(
        'InvalidParameters',
        `A parameter's value is longer than ${parameterValueCharactersMax} characters.`,
      );
    }
    return [name, text];
  });
  return Object.fromEntries(entries);
};

/** A reply: a map of text, numbers and maps of text. */
export type ReplyMembers = Readonly<Record<string, string | number | Readonly<Record<string, string>>>>;

export const writePayload = (format: PayloadFormat, members: ReplyMembers): Buffer =>
  format === 'cbor' ? writeCbor(members) : Buffer.from(JSON.stringify(members));
