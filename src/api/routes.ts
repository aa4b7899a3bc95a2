/**
 * Method and raw path -> operation and its still encoded labels. One tree of path segments for both REST services: no two operations overlap (a test
 * holds that), so a walk is a lookup. Paths are matched as sent and decoded afterwards: an ARN or a topic travels as one label with `%2F` inside.
 * A greedy label (`{arn+}`) takes all the remaining segments.
 */
import assert from 'node:assert/strict';
import { type Operation, operations } from './operations.ts';

export interface Match {
  readonly operation: Operation;
  /** Member name -> value as it stands in the path. */
  readonly labels: ReadonlyMap<string, string>;
}

interface Step {
  readonly literals: Map<string, Step>;
  /** A label that takes one segment. */
  any?: Step;
  /** Operations whose path ends here, by method. */
  readonly ends: Map<string, Ending>;
  /** Operations whose greedy label begins here, by method. */
  readonly greedy: Map<string, Ending>;
}

interface Ending {
  readonly operation: Operation;
  /** Label names in the order of the path. */
  readonly labels: readonly string[];
}

const newStep = (): Step => ({ literals: new Map(), ends: new Map(), greedy: new Map() });

const add = (root: Step, operation: Operation, method: string, path: string): void => {
  let step = root;
  const labels: string[] = [];
  const end = (endings: Map<string, Ending>): void => {
    assert(!endings.has(method), `${operation.name} and another operation share ${method} ${path}`);
    endings.set(method, { operation, labels });
  };
  for (const segment of path.slice(1).split('/')) {
    const label = /^\{(\w+)(\+?)\}$/.exec(segment);
    if (label) {
      labels.push(label[1] ?? '');
      if (label[2] === '+') {
        end(step.greedy);
        return;
      }
      step.any ??= newStep();
      step = step.any;
    } else {
      const known = step.literals.get(segment) ?? newStep();
      step.literals.set(segment, known);
      step = known;
    }
  }
  end(step.ends);
};

/** Operations whose path ends in a slash in the service's own model, and so with botocore's clients, while the JavaScript SDK drops it: both are taken. */
const slashed: ReadonlySet<string> = new Set(['ListAuthorizers', 'ListCertificateProviders']);

/** Operations whose last label may hold slashes as they are: `/topics/a/b` means what `/topics/a%2Fb` means (spec gateway 3). */
const greedyPaths: ReadonlyMap<string, string> = new Map([['Publish', '/topics/{topic+}']]);

const root = newStep();
for (const operation of operations) {
  if (!operation.http) continue;
  const { method } = operation.http;
  const path = greedyPaths.get(operation.name) ?? operation.http.path;
  add(root, operation, method, path);
  if (slashed.has(operation.name)) add(root, operation, method, `${path}/`);
}

const match = (ending: Ending | undefined, values: readonly string[]): Match | undefined =>
  ending && {
    operation: ending.operation,
    labels: new Map(ending.labels.map((label, index) => [label, values[index] ?? ''])),
  };

const walk = (
  step: Step,
  method: string,
  segments: readonly string[],
  at: number,
  values: readonly string[],
): Match | undefined => {
  const segment = segments[at];
  if (segment === undefined) return match(step.ends.get(method), values);
  const literal = step.literals.get(segment);
  const found = literal && walk(literal, method, segments, at + 1, values);
  if (found) return found;
  const single = step.any && segment !== '' && walk(step.any, method, segments, at + 1, [...values, segment]);
  if (single) return single;
  const greedy = step.greedy.get(method);
  if (!greedy || (segment === '' && at === segments.length - 1)) return undefined;
  return match(greedy, [...values, segments.slice(at).join('/')]);
};

/** The operation of a request; undefined when no operation has this method and path. `path` is the raw path without the query. */
export const findOperation = (method: string, path: string): Match | undefined =>
  walk(root, method, path.slice(1).split('/'), 0, []);
