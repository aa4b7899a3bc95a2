/**
 * Ownership tokens: the proof that a certificate was made for whoever shows it. One per certificate, for an hour, for the principal that had the certificate
 * made, and for one RegisterThing. The store has the hash of a token, which tells nobody the token. A spent one is kept until its hour is over, with what was
 * answered: an answer may be lost, and the same request then gets the same again. Source: spec provisioning.md 4.3.
 */
import { hash, randomBytes } from 'node:crypto';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Migration } from '../../store/migrate.ts';
import type { Db } from '../../store/store.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';

interface OwnershipTokensTable {
  account_id: string;
  region: string;
  token_hash: string;
  certificate_id: string;
  principal_id: string;
  expires_at_ms: number;
  request_hash: string | null;
  answer: string | null;
}

declare module '../../store/tables.ts' {
  interface Tables {
    ownership_tokens: OwnershipTokensTable;
  }
}

/** `request_hash` is null until the token is spent. */
export const ownershipTokenMigration: Migration = {
  name: 'fleet-provisioning-0001',
  sql: [
    `create table ownership_tokens (
      account_id text not null,
      region text not null,
      token_hash text not null,
      certificate_id text not null,
      principal_id text not null,
      expires_at_ms bigint not null,
      request_hash text,
      answer text,
      primary key (account_id, region, token_hash)
    )`,
    `create index ownership_tokens_by_expiry on ownership_tokens (expires_at_ms)`,
    `create index ownership_tokens_unspent on ownership_tokens (account_id, region, expires_at_ms)
      where request_hash is null`,
  ],
};

/** For counting what one claim has made. */
export const ownershipTokenOfClaimMigration: Migration = {
  name: 'fleet-provisioning-0003',
  sql: [
    `create index ownership_tokens_unspent_of_claim on ownership_tokens (account_id, region, principal_id)
      where request_hash is null`,
  ],
};

/** Source: developer guide, "Device provisioning MQTT API". */
export const ownershipTokenLifetimeMs = 60 * 60 * 1000;

/** Longest text that is taken for a token; ours have 51. */
export const tokenCharactersMax = 500;

const randomLength = 32;
const timeLength = 6;

/** A fresh token: URL-safe text of 256 random bits and the time, which lets the journal call one expired that the store has long forgotten. */
export const newOwnershipToken = (nowMs: number): string => {
  const time = Buffer.alloc(timeLength);
  time.writeUIntBE(nowMs, 0, timeLength);
  return Buffer.concat([randomBytes(randomLength), time]).toString('base64url');
};

/** What a token says of itself, which anybody can write: good for a word in the journal and nothing else. */
export const saysItIsExpired = (token: string, nowMs: number): boolean => {
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length !== randomLength + timeLength) return false;
  return bytes.readUIntBE(randomLength, timeLength) + ownershipTokenLifetimeMs <= nowMs;
};

const hashOf = (token: string): string => hash('sha256', token, 'hex');

export interface OwnershipToken {
  readonly certificateId: string;
  /** Who had the certificate made. */
  readonly principalId: string;
  readonly expiresAtMs: number;
  /** Set when it is spent. `answer` is undefined for one whose provisioning is not done. */
  readonly spent: { readonly requestHash: string; readonly answer: string } | undefined;
}

/** Inside the unit that makes the certificate. */
export const insertOwnershipToken = async (
  db: Db,
  { accountId, region }: AccountRegion,
  token: string,
  { certificateId, principalId, expiresAtMs }: Omit<OwnershipToken, 'spent'>,
): Promise<void> => {
  await db
    .insertInto('ownership_tokens')
    .values({
      account_id: accountId,
      region,
      token_hash: hashOf(token),
      certificate_id: certificateId,
      principal_id: principalId,
      expires_at_ms: expiresAtMs,
      request_hash: null,
      answer: null,
    })
    .execute();
};

export const findOwnershipToken = async (
  db: Db,
  { accountId, region }: AccountRegion,
  token: string,
): Promise<OwnershipToken | undefined> => {
  const row = await db
    .selectFrom('ownership_tokens')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('token_hash', '=', hashOf(token))
    .executeTakeFirst();
  return (
    row && {
      certificateId: row.certificate_id,
      principalId: row.principal_id,
      expiresAtMs: Number(row.expires_at_ms),
      spent: row.request_hash === null ? undefined : { requestHash: row.request_hash, answer: row.answer ?? '{}' },
    }
  );
};

/** False when it is spent already, has expired or is gone. */
export const spendOwnershipToken = async (
  db: Db,
  { accountId, region }: AccountRegion,
  token: string,
  { requestHash, nowMs }: { readonly requestHash: string; readonly nowMs: number },
): Promise<boolean> => {
  const { numUpdatedRows } = await db
    .updateTable('ownership_tokens')
    .set({ request_hash: requestHash })
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('token_hash', '=', hashOf(token))
    .where('request_hash', 'is', null)
    .where('expires_at_ms', '>', nowMs)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
};

/** What the device is told, for when it asks again. Nothing secret is in it. */
export const keepTokenAnswer = async (
  db: Db,
  { accountId, region }: AccountRegion,
  token: string,
  answer: string,
): Promise<void> => {
  await db
    .updateTable('ownership_tokens')
    .set({ answer })
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('token_hash', '=', hashOf(token))
    .execute();
};

/** Of one account and region, and of one claim if it is named: tokens that wait for their RegisterThing. */
export const countUnspentTokens = async (
  db: Db,
  { accountId, region }: AccountRegion,
  principalId?: string,
): Promise<number> => {
  let query = db
    .selectFrom('ownership_tokens')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('request_hash', 'is', null);
  if (principalId !== undefined) query = query.where('principal_id', '=', principalId);
  const { count } = await query.executeTakeFirstOrThrow();
  return Number(count);
};

export interface ExpiredToken {
  readonly account: AccountRegion;
  readonly tokenHash: string;
  readonly certificateId: string;
  readonly isSpent: boolean;
}

/** Of all accounts, the oldest first. */
export const listExpiredTokens = async (db: Db, nowMs: number, limit: number): Promise<readonly ExpiredToken[]> => {
  const rows = await db
    .selectFrom('ownership_tokens')
    .select(['account_id', 'region', 'token_hash', 'certificate_id', 'request_hash'])
    .where('expires_at_ms', '<=', nowMs)
    .orderBy('expires_at_ms')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    account: { accountId: row.account_id, region: row.region },
    tokenHash: row.token_hash,
    certificateId: row.certificate_id,
    isSpent: row.request_hash !== null,
  }));
};

export const deleteExpiredToken = async (
  db: Db,
  { account: { accountId, region }, tokenHash }: ExpiredToken,
): Promise<void> => {
  await db
    .deleteFrom('ownership_tokens')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('token_hash', '=', tokenHash)
    .execute();
};

/** Observed: this code, and the text for one that is missing. */
const refused = (message: string, why: string): ProvisioningFault =>
  new ProvisioningFault('InvalidCertificateOwnershipToken', message, { cause: new Error(why) });

/** The device is told nothing about a token that it does not rightly have; the journal is told which of the reasons it was. */
export const tokenFault = (why: string): ProvisioningFault =>
  refused('Certificate ownership token is not valid, has expired or was used.', why);

/** The token of a request, in a form that can be one. Faults: ProvisioningFault (InvalidCertificateOwnershipToken). */
export const presentToken = (token: string | undefined): string => {
  if (token === undefined || token === '') throw refused('Certificate ownership token cannot be empty.', 'missing');
  if (token.length > tokenCharactersMax) throw tokenFault('unknown');
  return token;
};
