/** Whose an access key is, as whoever knows keys tells those who check signatures. */
import type { IamPrincipal, IamSession } from '../aws/iam-principal.ts';

/** What an access key stands for. */
export interface Identity {
  readonly accountId: string;
  readonly secretAccessKey: string;
  /** e.g. `arn:aws:iam::000000000000:root`. */
  readonly arn: string;
  readonly userId: string;
  /** Temporary keys only: the token that must come with every request. */
  readonly sessionToken?: string;
  readonly iam?: IamPrincipal;
  /** Temporary keys only. */
  readonly session?: IamSession;
  /** Of the role whose session it is. */
  readonly roleArn?: string;
  /** The key counts no more, although it is known whose it was: whoever proves it with a signature is told nothing else than a stranger, but the journal is. */
  readonly over?: KeyOver;
}

/** Deactivated; the end of its session; its user or role is gone. */
export type KeyOver = 'INACTIVE' | 'EXPIRED' | 'GONE';

/** What a key's owner may depend on: development keys count on loopback only. */
export interface CredentialFacts {
  /** Both ends of the TCP connection are loopback addresses. */
  readonly loopback: boolean;
  /** A header of a proxy is there: the loopback peer speaks for somebody else. */
  readonly forwarded: boolean;
  /** Lower-case name -> values joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * The identity behind an access key id, and the session token that came with it; undefined when there is none, or not for this request.
 * Faults: ExpiredTokenException.
 */
export type FindIdentity = (
  accessKeyId: string,
  facts: CredentialFacts,
  sessionToken: string | undefined,
) => Identity | undefined | Promise<Identity | undefined>;
