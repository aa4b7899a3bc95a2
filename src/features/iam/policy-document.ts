/** Policy documents as operations take and answer them. The language itself is that of `iam/`. */
import { Fault } from '../../aws/fault.ts';
import { parseIamPolicy } from '../../iam/document.ts';
import { MalformedIamPolicy } from '../../iam/malformed.ts';

/** What quotas count. Source: IAM user guide, "IAM and AWS STS quotas": white space does not count. */
export const charactersOf = (document: string): number => document.replaceAll(/\s/g, '').length;

/** Faults: MalformedPolicyDocumentException with the sentence of `iam/`. */
export const assertPolicyDocument = (document: string, kind: 'identity' | 'trust'): void => {
  try {
    parseIamPolicy(document, kind);
  } catch (cause) {
    if (!(cause instanceof MalformedIamPolicy)) throw cause;
    throw new Fault('MalformedPolicyDocumentException', cause.message, {}, { cause });
  }
};

/** A document as IAM answers it: percent-encoded to the letter of RFC 3986. Source: IAM API reference, GetPolicyVersion. */
export const encodedDocument = (document: string): string =>
  encodeURIComponent(document).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
