/**
 * Temporary credentials without a row: everything that they stand for, their secret too, travels in the session token, sealed under the key of the data folder
 * (AES-256-GCM, a key of its own for each token, HKDF of RFC 5869). So they cost the store nothing, hold on every node and after a restart, and end by
 * themselves. What must end them sooner (the role or user is gone) is asked at each use by the id in the token.
 *
 * Token: base64 of version (1 byte), salt (32 bytes), ciphertext and tag (16 bytes).
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { Fault } from '../../aws/fault.ts';
import type { IamPrincipal, IamSession, SessionPolicies } from '../../aws/iam-principal.ts';
import { newAccessKeyId, newSecretAccessKey } from './ids.ts';

export interface SessionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
  /** How much of the room for session policies is used, in per cent. Source: STS API reference, AssumeRole, PackedPolicySize. */
  readonly packedPolicySize: number;
}

/** The answer of STS. */
export const credentialsOf = ({ accessKeyId, secretAccessKey, sessionToken, expiration }: SessionCredentials) => ({
  Credentials: {
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    SessionToken: sessionToken,
    Expiration: expiration,
  },
  SessionTokenSize: sessionToken.length,
  SessionTokenUtilization: Math.ceil((sessionToken.length / tokenCharsMax) * 100),
});

export interface NewSession {
  readonly accountId: string;
  readonly principal: IamPrincipal;
  readonly durationSeconds: number;
}

/** What a token stands for. Whether it has expired, and whether its principal still exists, is for who asks. */
export interface OpenedSession extends IamSession {
  readonly accountId: string;
  readonly secretAccessKey: string;
  readonly principal: IamPrincipal;
}

export interface SessionTokens {
  /** Faults: PackedPolicyTooLargeException. */
  mint(session: NewSession): SessionCredentials;
  /** Undefined for what this key has not sealed, or not for this access key. Work: bounded by the longest token. */
  open(accessKeyId: string, sessionToken: string): OpenedSession | undefined;
}

const version = 1;
const keyBytes = 32;
const saltBytes = 32;
const tagBytes = 16;
/** Each key seals once, so a nonce that never changes repeats nothing. */
const nonce = new Uint8Array(12);
/** UTF-8 bytes of session policies and their ARNs. AWS packs them into a room whose size it does not tell. */
const policyBytesMax = 2048;
/** Characters of a token. JSON at most doubles the policies, base64 adds a third, and all else in a token has bounds of its own. */
const tokenCharsMax = 8192;

/** What is sealed. Short names: it travels with every request. */
interface Sealed {
  /** accountId, access key id, secret. */
  readonly a: string;
  readonly k: string;
  readonly s: string;
  /** Issued and expires, ms since the epoch. */
  readonly i: number;
  readonly e: number;
  readonly p: IamPrincipal;
}

const policyBytes = ({ document = '', arns }: SessionPolicies): number =>
  Buffer.byteLength(document) + arns.reduce((sum, arn) => sum + Buffer.byteLength(arn), 0);

/** `key`: the 32 bytes of the data folder (pki/secret-box.ts). */
export const createSessionTokens = ({
  key,
  now,
}: {
  readonly key: Uint8Array;
  readonly now: () => number;
}): SessionTokens => {
  const keyOf = (salt: Uint8Array): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', key, salt, 'fleetgate session token', keyBytes));

  const seal = (content: Sealed): string => {
    const salt = randomBytes(saltBytes);
    const head = Buffer.concat([Buffer.from([version]), salt]);
    const cipher = createCipheriv('aes-256-gcm', keyOf(salt), nonce, { authTagLength: tagBytes });
    cipher.setAAD(head);
    const box = [cipher.update(JSON.stringify(content)), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat([head, ...box]).toString('base64');
  };

  const unseal = (token: string): Sealed | undefined => {
    if (token.length > tokenCharsMax) return undefined;
    const bytes = Buffer.from(token, 'base64');
    // Node skips what is no base64: one token has one spelling
    if (bytes.toString('base64') !== token) return undefined;
    const head = bytes.subarray(0, 1 + saltBytes);
    if (bytes.length < head.length + tagBytes || bytes[0] !== version) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', keyOf(head.subarray(1)), nonce, { authTagLength: tagBytes });
    decipher.setAAD(head);
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(head.length, -tagBytes)), decipher.final()]);
      // sealed by `seal`, from a value of this type
      return JSON.parse(text.toString('utf8')) as Sealed;
    } catch {
      return undefined;
    }
  };

  return {
    mint({ accountId, principal, durationSeconds }) {
      const policies = principal.kind === 'role' ? principal.sessionPolicies : undefined;
      const used = policies ? policyBytes(policies) : 0;
      const packedPolicySize = Math.ceil((used / policyBytesMax) * 100);
      if (used > policyBytesMax) {
        throw new Fault(
          'PackedPolicyTooLargeException',
          `Packed size of session policies consumes ${packedPolicySize}% of allotted space.`,
        );
      }
      const accessKeyId = newAccessKeyId('ASIA');
      const secretAccessKey = newSecretAccessKey();
      const issuedAtMs = now();
      // whole seconds, as the answer tells it
      const expiresAtMs = Math.floor(issuedAtMs / 1000 + durationSeconds) * 1000;
      const sealed = { a: accountId, k: accessKeyId, s: secretAccessKey, i: issuedAtMs, e: expiresAtMs, p: principal };
      return {
        accessKeyId,
        secretAccessKey,
        sessionToken: seal(sealed),
        expiration: new Date(expiresAtMs),
        packedPolicySize,
      };
    },
    open(accessKeyId, sessionToken) {
      const sealed = unseal(sessionToken);
      if (sealed?.k !== accessKeyId) return undefined;
      const { a: accountId, s: secretAccessKey, i: issuedAtMs, e: expiresAtMs, p: principal } = sealed;
      return { accountId, secretAccessKey, principal, issuedAtMs, expiresAtMs };
    },
  };
};
