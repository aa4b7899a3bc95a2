/** What IAM is asked, and the values that its condition keys and policy variables have for it. Source: IAM user guide, "Policy variables". */
import type { KeyValues } from '../policy/variables.ts';

/** By the names of condition keys, in any case; several values for the keys that have several. */
export type IamContext = Readonly<Record<string, string | readonly string[]>>;

export interface IamRequest {
  /** `service:Operation`, e.g. `iot:CreateThing`. */
  readonly action: string;
  /** An ARN, or `*` where the action has no resource. */
  readonly resource: string;
  readonly context: IamContext;
}

/** The values of a key whose name is given in lower case. */
export const valuesOfKey = (context: IamContext, lowerCaseName: string): KeyValues => {
  const direct = context[lowerCaseName];
  if (direct !== undefined) return direct;
  for (const name in context) if (name.toLowerCase() === lowerCaseName) return context[name];
  return undefined;
};
