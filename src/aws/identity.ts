/** Whose an access key is, and what that may depend on: what those who know keys tell those who check signatures. */
import type { IamPrincipal, IamSession } from './iam-principal.ts';

/** What an access key stands for. */
export interface Identity {
  readonly accountId: string;
  readonly secretAccessKey: string;
  /** e.g. `arn:aws:iam::000000000000:root`. */
  readonly arn: string;
  /** The `UserId` of GetCallerIdentity: for an account's root the account id. Source: API reference, GetCallerIdentity. */
  readonly userId: string;
  /** Temporary keys only: the token that must come with every request. */
  readonly sessionToken?: string;
  readonly iam: IamPrincipal;
  /** Temporary keys only, those of development excepted, which do not end. */
  readonly session?: IamSession;
}

/** Deactivated; the end of its session; its user or role is gone. */
export type KeyOver = 'INACTIVE' | 'EXPIRED' | 'GONE';

/** Whom a key stands for, or stood. */
export interface KnownIdentity extends Identity {
  /** Of the role whose session it is. */
  readonly roleArn?: string;
  /** The key counts no more, although it is known whose it was: whoever proves it with a signature is told nothing else than a stranger, but the journal is. */
  readonly over?: KeyOver;
}

/** How the request came: what decides whether development keys count. */
export interface CredentialFacts {
  /** Both ends of the TCP connection are loopback addresses. */
  readonly loopback: boolean;
  /** A forwarding header (Forwarded, Via, X-Forwarded-For ...) is there: the loopback peer is a proxy. */
  readonly forwarded: boolean;
}

/**
 * The identity behind an access key id, and the session token that came with it; undefined when there is none, or not for this request.
 * Faults: ExpiredTokenException.
 */
export type FindIdentity = (
  accessKeyId: string,
  facts: CredentialFacts,
  sessionToken: string | undefined,
) => KnownIdentity | undefined | Promise<KnownIdentity | undefined>;
