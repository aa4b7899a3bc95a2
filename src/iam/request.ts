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

type Value = IamContext[string];

/**
 * Ways to read one request, each of which costs a decision; what has more of them is not read at all. Three names that have two values make eight: nobody means more, and an
 * account with thousands of statements could hold up a node with them.
 */
export const readingsMax = 8;

/**
 * A request in every way that it can be read: one, unless its context has names that differ in case only, as tags may. Then each of their values is one reading, in
 * every combination. Empty: there are more than `readingsMax`.
 */
export const readingsOf = ({ action, resource, context }: IamRequest): readonly AskedRequest[] => {
  const values = new Map<string, Value>();
  const ambiguous = new Map<string, Set<Value>>();
  for (const [name, value] of Object.entries(context)) {
    const lowerCase = name.toLowerCase();
    const first = values.get(lowerCase);
    if (first === undefined) values.set(lowerCase, value);
    else if (first !== value) {
      const all = ambiguous.get(lowerCase) ?? new Set([first]);
      ambiguous.set(lowerCase, all.add(value));
      if (all.size > readingsMax) return [];
    }
  }
  let read: ReadonlyMap<string, Value>[] = [values];
  for (const [name, all] of ambiguous) {
    if (read.length * all.size > readingsMax) return [];
    read = read.flatMap((one) => [...all].map((value) => new Map(one).set(name, value)));
  }
  return read.map((one) => ({ action: action.toLowerCase(), resource, values: one }));
};
