/** What a decision may depend on. One context serves a whole connection: keys that belong to one action only are read for that action only. */

/** Fields of a distinguished name that policies may use. Source: developer guide, "X.509 certificate policy variables". */
export const nameFields = [
  'DistinguishedNameQualifier',
  'Country',
  'Organization',
  'OrganizationalUnit',
  'State',
  'CommonName',
  'SerialNumber',
  'Title',
  'Surname',
  'GivenName',
  'Initials',
  'Pseudonym',
  'GenerationQualifier',
] as const;
export type NameField = (typeof nameFields)[number];

/** Kinds of alternative names that policies may use. Source: as above. */
export const alternativeNameFields = [
  'RFC822Name',
  'DNSName',
  'DirectoryName',
  'UniformResourceIdentifier',
  'IPAddress',
] as const;
export type AlternativeNameField = (typeof alternativeNameFields)[number];

/** The subject or the issuer of a certificate: values as they stand in it, unescaped, in their order. */
export type NameFacts = { readonly [F in NameField]?: readonly string[] | undefined } & {
  readonly AlternativeName?: { readonly [K in AlternativeNameField]?: readonly string[] | undefined } | undefined;
};

export interface CertificateFacts {
  /** The certificateId: 64 lower-case hex digits. */
  readonly id: string;
  readonly subject?: NameFacts | undefined;
  readonly issuer?: NameFacts | undefined;
  /** Lower-case hex without separators. Assumed: the guide does not say the format. */
  readonly serialNumber?: string | undefined;
}

/** A thing that the principal may stand for; whether it does is decided here (spec policy.md 4.4, "Thing of the connection"). */
export interface ThingFacts {
  readonly name: string;
  /** The principal is attached to it with AttachThingPrincipal. */
  readonly attached: boolean;
  /** The attachment is of type EXCLUSIVE_THING. */
  readonly exclusive?: boolean | undefined;
  /** The request says so itself, as one for credentials does: then no client id has to. */
  readonly named?: boolean | undefined;
  /** The name of its thing type. */
  readonly type?: string | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

export interface PolicyContext {
  readonly clientId?: string | undefined;
  /** The peer's address; an IPv4 address that is mapped into IPv6 reads as IPv4. */
  readonly sourceIp?: string | undefined;
  /** The SNI in lower case. */
  readonly domainName?: string | undefined;
  /** Absent: `mqtt`. On `https` there is no client id, and no thing but one that the request names. */
  readonly protocol?: 'mqtt' | 'https' | undefined;
  /** Absent: `certificate`. Decides which of the set's policies count (spec policy.md 6). */
  readonly principalType?:
    | 'certificate'
    | 'cognito_authenticated'
    | 'cognito_unauthenticated'
    | 'custom_auth'
    | undefined;
  readonly thing?: ThingFacts | undefined;
  readonly certificate?: CertificateFacts | undefined;
  /** `PersistentConnect`, `LastWill`: asked for iot:Connect only. */
  readonly connectAttributes?: readonly string[] | undefined;
  /** The bare topic of the will: asked for iot:Connect only. */
  readonly lastWillTopic?: string | undefined;
  /** The topic of a direct message: asked for iot:SendDirectMessage only. */
  readonly topic?: string | undefined;
  /** Whether addresses and ports are to be told: asked for iot:GetConnection only. */
  readonly includeSocketInformation?: boolean | undefined;
  readonly vpc?: string | undefined;
  readonly vpce?: string | undefined;
  readonly vpcSourceIp?: string | undefined;
  /** Identity id and pool id of a Cognito principal. */
  readonly cognito?: { readonly sub?: string | undefined; readonly aud?: string | undefined } | undefined;
  /** Milliseconds since 1970, for aws:CurrentTime and aws:EpochTime; without it these keys are absent. */
  readonly now?: (() => number) | undefined;
}

/** One question to a policy set. */
export interface PolicyRequest {
  /** e.g. `iot:Publish`. */
  readonly action: string;
  /** The full ARN, e.g. `arn:aws:iot:us-east-1:000000000000:topic/a/b`. */
  readonly resource: string;
  readonly context: PolicyContext;
}
