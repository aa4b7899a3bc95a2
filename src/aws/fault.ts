import type { Sdks, ServiceName } from './operations.ts';

type StaticErrorTuple = readonly [-3, ...unknown[]];
type FaultNamesOf<Sdk> = Exclude<
  keyof {
    [K in keyof Sdk as Sdk[K] extends StaticErrorTuple ? (K extends `${infer Name}$` ? Name : never) : never]: true;
  },
  `${string}ServiceException`
>;

/** Faults that every AWS service may answer before an operation is reached; no service model lists them. */
export type CommonFaultName =
  | 'AccessDeniedException'
  | 'ExpiredTokenException'
  | 'ForbiddenException'
  | 'IncompleteSignatureException'
  | 'InvalidSignatureException'
  | 'MissingAuthenticationTokenException'
  | 'NotImplementedException'
  | 'RequestEntityTooLargeException'
  | 'SerializationException'
  | 'UnknownOperationException'
  | 'UnrecognizedClientException';

/** The name of an error that a caller may see. Names come from the SDK's error schemas, so a misspelt fault does not compile. */
export type FaultName = { [Service in ServiceName]: FaultNamesOf<Sdks[Service]> }[ServiceName] | CommonFaultName;

/**
 * An error the caller is meant to see. `members` are the fields its schema adds, e.g. resourceArn.
 * The HTTP status comes from the error's schema, never from who throws.
 */
export class Fault extends Error {
  override readonly name: FaultName;
  readonly members: Readonly<Record<string, unknown>>;
  constructor(
    name: FaultName,
    message: string,
    members: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = name;
    this.members = members;
  }
}
