/** Who acts, where it is an IAM identity. Source: IAM user guide, "Principal" and "IAM identifiers". */

/** What narrows a session's rights: a policy given at its beginning, and managed policies by their ARN. Source: IAM user guide, "Session policies". */
export interface SessionPolicies {
  /** A policy document. */
  readonly document?: string;
  readonly arns: readonly string[];
}

/** A device that was given a session because of its certificate, as policies may ask for it. Source: developer guide, "Authorizing direct calls to AWS services". */
export interface SessionDevice {
  readonly certificateId: string;
  /** The thing that it named, and that is attached to the certificate. */
  readonly thingName?: string;
  readonly thingTypeName?: string;
}

export type IamPrincipal =
  | {
      readonly kind: 'root';
      /** Proven by a development key, whose secret everybody knows: it counts only on this very machine, and so does what is derived from it. */
      readonly development?: true;
    }
  | { readonly kind: 'user'; readonly userName: string; readonly userId: string }
  | {
      readonly kind: 'role';
      readonly roleName: string;
      readonly roleId: string;
      readonly sessionName: string;
      readonly sessionPolicies?: SessionPolicies;
      readonly device?: SessionDevice;
    };

/** What is known of temporary credentials. */
export interface IamSession {
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}
