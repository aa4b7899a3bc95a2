/**
 * Secrets that the store keeps and the node needs again in clear: secret access keys, private keys of imported certificates. AES-256-GCM (NIST SP
 * 800-38D) under one key of the data folder, so that a copy of the store alone opens nothing. What is sealed is bound to its row: put into another
 * account's row, or into another column, it does not open.
 *
 * Sealed form, one text: `1.<key>.<box>`. `1` is the version, `<key>` eight hex digits that tell which key sealed it, `<box>` base64url of
 * nonce (12 bytes), ciphertext and tag (16 bytes). Nonces are random: one key may seal 2^32 times (800-38D, 8.3), far beyond what a node keeps.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

/** The key's file in the data folder. A backup carries it, as it carries every file there: without it no sealed secret opens again. */
export const secretsKeyFile = 'secrets.key';

/** The row that a secret belongs to. Not secret, and the same at sealing and at opening. */
export interface SecretRow {
  readonly accountId: string;
  /** What is kept, e.g. `access-key`: one word for each column that holds sealed text. */
  readonly kind: string;
  /** Of the row, within account and kind. */
  readonly id: string;
}

export interface SecretBox {
  /** Faults: RangeError for a secret of more than `secretBytesMax` bytes. */
  seal(secret: string | Uint8Array, row: SecretRow): string;
  /** The secret's bytes. Faults: SecretUnreadable. */
  open(sealed: string, row: SecretRow): Buffer;
}

/** A box of a key that is known. */
export interface KeyedSecretBox extends SecretBox {
  /** What everything begins with that this key sealed, and nothing of another. */
  readonly prefix: string;
}

/** A sealed secret that does not open: another key, another row, or altered. An operator's trouble, never a caller's; the message holds no secret. */
export class SecretUnreadable extends Error {
  override readonly name = 'SecretUnreadable';
}

/** A private key with its chain fits well. */
export const secretBytesMax = 64 * 1024;

const version = '1';
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const form = /^1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)$/;

/** One text for one row, whatever its parts hold: JSON tells apart what joining with a separator would not. */
const associatedData = ({ accountId, kind, id }: SecretRow): Buffer =>
  Buffer.from(JSON.stringify(['fleetgate', version, accountId, kind, id]));

/** `key`: 32 bytes, as readOrMakeKey gives them. Faults: RangeError for another length. */
export const createSecretBox = (key: Uint8Array): KeyedSecretBox => {
  if (key.length !== keyBytes) throw new RangeError(`A key of ${keyBytes} bytes is needed.`);
  const ownKey = Buffer.from(key);
  const keyName = createHmac('sha256', ownKey).update('fleetgate secret box key name').digest('hex').slice(0, 8);
  const prefix = `${version}.${keyName}.`;
  return {
    prefix,
    seal: (secret, row) => {
      const bytes = Buffer.from(secret);
      if (bytes.length > secretBytesMax) throw new RangeError(`A secret has at most ${secretBytesMax} bytes.`);
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', ownKey, nonce, { authTagLength: tagBytes });
      cipher.setAAD(associatedData(row));
      const box = Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
      return `${prefix}${box.toString('base64url')}`;
    },
    open: (sealed, row) => {
      const where = `The secret of ${row.kind} ${row.id} in account ${row.accountId}`;
      const [, sealedWith, text = ''] = form.exec(sealed) ?? [];
      const box = Buffer.from(text, 'base64url');
      if (sealedWith === undefined || box.length < nonceBytes + tagBytes) {
        throw new SecretUnreadable(`${where} is damaged, or was written by another version of Fleetgate.`);
      }
      if (sealedWith !== keyName) {
        throw new SecretUnreadable(
          `${where} was sealed with another key: put the ${secretsKeyFile} that belongs to this store back into the data folder, from a backup.`,
        );
      }
      const decipher = createDecipheriv('aes-256-gcm', ownKey, box.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      });
      decipher.setAAD(associatedData(row));
      decipher.setAuthTag(box.subarray(box.length - tagBytes));
      try {
        return Buffer.concat([decipher.update(box.subarray(nonceBytes, box.length - tagBytes)), decipher.final()]);
      } catch (cause) {
        throw new SecretUnreadable(`${where} was altered, or was sealed for another row.`, { cause });
      }
    },
  };
};
