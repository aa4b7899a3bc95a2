/**
 * The form of OCSP responses (RFC 6960 section 4.2.1 and appendix B.1), read strictly: what is no DER, goes on where it should end or has a critical extension is
 * refused. Nothing is believed here: see ocsp.ts.
 */
import { contentOf, type Element, type Fields, fieldsIn, NotDer, onlyElement, tags, wholeOf } from './der.ts';

/**
 * The rule that a response broke: `unreadable` (no OCSP, too long), `unsuccessful` (the responder reports an error), `other-certificate` (it says nothing, or
 * does not know, about ours), `responder` (whoever signed may not), `signature`, `time` (not yet or no longer in force).
 */
export type OcspRule = 'unreadable' | 'unsuccessful' | 'other-certificate' | 'responder' | 'signature' | 'time';

/** A response, or a pair of certificates, that is of no use; `message` is a sentence for the operator. */
export class OcspProblem extends Error {
  override readonly name = 'OcspProblem';
  readonly rule: OcspRule;
  constructor(rule: OcspRule, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rule = rule;
  }
}

/** Tags of the context (RFC 6960 appendix B.1); all but `good`, `revoked` and `unknown` are around another element. */
const context = (number: number, constructed = true): number => (constructed ? 0xa0 : 0x80) | number;

const errors: Readonly<Record<number, string>> = {
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
};
/** 1.3.6.1.5.5.7.48.1.1. */
const basicType = '2b0601050507300101';

export interface BasicResponse {
  /** DER of the ResponseData. */
  readonly signed: Uint8Array;
  /** DER of the AlgorithmIdentifier. */
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
  /** DER of each certificate that came with it. */
  readonly certificates: readonly Uint8Array[];
}

/** OCSPResponse and, inside of it, BasicOCSPResponse. Throws OcspProblem and NotDer. */
export const basicResponseIn = (der: Uint8Array): BasicResponse => {
  const whole = onlyElement(der);
  if (whole.tag !== tags.sequence) throw new NotDer('No SEQUENCE');
  const response = fieldsIn(der, whole);
  const [code = -1] = contentOf(der, response.take(tags.enumerated));
  if (code !== 0) {
    throw new OcspProblem('unsuccessful', `The OCSP responder answered ${errors[code] ?? `the unknown error ${code}`}`);
  }
  const inner = inside(der, response.take(context(0)));
  response.end();
  const typed = fieldsIn(der, inner);
  if (Buffer.from(contentOf(der, typed.take(tags.objectIdentifier))).toString('hex') !== basicType) {
    throw new OcspProblem('unreadable', 'The OCSP response is not a basic one');
  }
  const basic = contentOf(der, typed.take(tags.octetString));
  typed.end();
  const outer = onlyElement(basic);
  if (outer.tag !== tags.sequence) throw new NotDer('No SEQUENCE');
  const fields = fieldsIn(basic, outer);
  const signed = wholeOf(basic, fields.take(tags.sequence));
  const algorithm = wholeOf(basic, fields.take(tags.sequence));
  const signature = contentOf(basic, fields.take(tags.bitString));
  if (signature[0] !== 0) throw new NotDer('A signature is of whole bytes');
  const certificates = fields.find(context(0));
  fields.end();
  return {
    ...{ signed, algorithm, signature: signature.subarray(1) },
    certificates: certificates ? list(basic, inside(basic, certificates), wholeOf) : [],
  };
};

/** The SEQUENCE that an explicit tag is around. */
const inside = (bytes: Uint8Array, wrapper: Element): Element => {
  const fields = fieldsIn(bytes, wrapper);
  const element = fields.take(tags.sequence);
  fields.end();
  return element;
};

/** What each element of a SEQUENCE OF SEQUENCEs reads as. */
const list = <T>(bytes: Uint8Array, element: Element, read: (bytes: Uint8Array, each: Element) => T): T[] => {
  const fields = fieldsIn(bytes, element);
  const all: T[] = [];
  while (fields.more()) all.push(read(bytes, fields.take(tags.sequence)));
  return all;
};

export interface SingleResponse {
  readonly certificateId: Element;
  readonly status: 'good' | 'revoked' | 'unknown';
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number | undefined;
}

export interface ResponseData {
  readonly bytes: Uint8Array;
  /** The DER of a Name, or the SHA-1 of a key. */
  readonly responder: { readonly nameDer: Uint8Array } | { readonly keyHash: Uint8Array };
  readonly producedAtMs: number;
  readonly responses: readonly SingleResponse[];
}

/** Of the DER that is signed. Throws OcspProblem and NotDer. */
export const readResponseData = (bytes: Uint8Array): ResponseData => {
  const fields = fieldsIn(bytes, onlyElement(bytes));
  fields.find(context(0)); // the version; there is one only
  const byName = fields.find(context(1));
  const responder = byName
    ? { nameDer: contentOf(bytes, byName) }
    : { keyHash: octetsIn(bytes, fields.take(context(2))) };
  const producedAtMs = timeOf(bytes, fields.take(tags.generalizedTime));
  const responses = list(bytes, fields.take(tags.sequence), readSingleResponse);
  checkExtensions(bytes, fields);
  return { bytes, responder, producedAtMs, responses };
};

const octetsIn = (bytes: Uint8Array, wrapper: Element): Uint8Array => {
  const fields = fieldsIn(bytes, wrapper);
  const octets = contentOf(bytes, fields.take(tags.octetString));
  fields.end();
  return octets;
};

const statuses: Readonly<Record<number, SingleResponse['status']>> = {
  [context(0, false)]: 'good',
  [context(1)]: 'revoked',
  [context(2, false)]: 'unknown',
};

const readSingleResponse = (bytes: Uint8Array, element: Element): SingleResponse => {
  const fields = fieldsIn(bytes, element);
  const certificateId = fields.take(tags.sequence);
  const status = statuses[fields.take().tag];
  if (!status) throw new NotDer('No status of a certificate');
  const thisUpdateMs = timeOf(bytes, fields.take(tags.generalizedTime));
  const next = fields.find(context(0));
  const nextFields = next && fieldsIn(bytes, next);
  const nextUpdateMs = nextFields && timeOf(bytes, nextFields.take(tags.generalizedTime));
  checkExtensions(bytes, fields);
  return { certificateId, status, thisUpdateMs, nextUpdateMs };
};

/** The last field: extensions, none of which may be critical, as we know none (RFC 6960 section 4.4). */
const checkExtensions = (bytes: Uint8Array, fields: Fields): void => {
  const wrapper = fields.find(context(1));
  fields.end();
  if (!wrapper) return;
  list(bytes, inside(bytes, wrapper), (_, extension) => {
    const parts = fieldsIn(bytes, extension);
    parts.take(tags.objectIdentifier);
    const critical = parts.find(tags.boolean);
    if (critical && contentOf(bytes, critical).some((byte) => byte !== 0)) {
      throw new OcspProblem('unreadable', 'The OCSP response has a critical extension that is not known');
    }
  });
};

/** Without fractions of seconds, in UTC (RFC 5280 section 4.1.2.5.2). */
const timeOf = (bytes: Uint8Array, element: Element): number => {
  const text = Buffer.from(contentOf(bytes, element)).toString('latin1');
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const [, year, month, day, hour, minute, second] = parts ?? [];
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new NotDer('A time is none');
  return ms;
};
