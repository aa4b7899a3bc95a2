/** What IAM is asked, and the values that its condition keys and policy variables have for it. Source: IAM user guide, "Policy variables". */

/** By the names of condition keys, in any case; several values for the keys that have several. */
export type IamContext = Readonly<Record<string, string | readonly string[]>>;

export interface IamRequest {
  /** `service:Operation`, e.g. `iot:CreateThing`. */
  readonly action: string;
  /** An ARN, or `*` where the action has no resource. */
  readonly resource: string;
  readonly context: IamContext;
}

/** A request as statements look at it: made once for all of them, because a caller may have hundreds of statements and a request a hundred keys. */
export interface AskedRequest {
  /** In lower case. */
  readonly action: string;
  readonly resource: string;
  /** By names in lower case. */
  readonly values: ReadonlyMap<string, string | readonly string[]>;
}

/** Of two names that only differ in case the first one counts. */
export const askedOf = ({ action, resource, context }: IamRequest): AskedRequest => {
  const values = new Map<string, string | readonly string[]>();
  for (const [name, value] of Object.entries(context)) {
    const lowerCase = name.toLowerCase();
    if (!values.has(lowerCase)) values.set(lowerCase, value);
  }
  return { action: action.toLowerCase(), resource, values };
};
