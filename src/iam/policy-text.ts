/**
 * Texts of policies: wildcards and variables, in actions, resources and the values of conditions.
 * Source: IAM user guide, "IAM policy elements: Variables and tags", "IAM JSON policy elements: Resource", "Condition operators".
 */
import { fromPieces, matches, type Pattern } from '../policy/pattern.ts';
import { isVariable, one, type Piece, readTemplate, star, type TextVariable } from '../policy/template.ts';
import type { AskedRequest } from './request.ts';

/** Whether a text of the request is what the policy says. */
export type TextTest = (text: string, request: AskedRequest) => boolean;

const defaultForm = /^\s*'([^']*)'\s*$/;

/**
 * `aws:username`, or with a default `aws:PrincipalTag/team, 'none'`. Keys with several values stand for none. Assumed: a name may have blanks within it, as the
 * keys of tags have.
 */
const variableOf = (source: string): TextVariable<AskedRequest> => {
  const comma = source.indexOf(',');
  const byDefault = comma < 0 ? undefined : defaultForm.exec(source.slice(comma + 1))?.[1];
  const name = (byDefault === undefined ? source : source.slice(0, comma)).trim();
  const key = name.toLowerCase();
  return {
    name,
    text({ values }) {
      const value = values.get(key);
      return typeof value === 'string' ? value : byDefault;
    },
  };
};

const plainPiece = (token: string): Piece<AskedRequest> => (token[0] === '*' ? star : token === '?' ? one : token);

/** Without `variables` a `${...}` is text like any other: so it is in a document of 2008, and for operators that take no variables. */
const piecesOf = (text: string, variables: boolean, wildcards: boolean): readonly Piece<AskedRequest>[] => {
  if (variables) return readTemplate<AskedRequest>(text, { wildcards, escapes: true, find: variableOf });
  return wildcards ? (text.match(/\*+|\?|[^*?]+/g) ?? []).map(plainPiece) : [text];
};

const testOf =
  (pattern: Pattern<AskedRequest>): TextTest =>
  (text, request) =>
    matches(pattern, text, request, 'nothing');

/** A variable without a value makes the pattern match nothing. */
export const globTest = (text: string, variables: boolean): TextTest =>
  testOf(fromPieces(piecesOf(text, variables, true)));

/**
 * The text with its variables replaced, for operators that know no wildcards; undefined when one of them has no value, or when it gets longer than `lengthMax`:
 * a short policy may name a long value often.
 */
export const textOf = (
  text: string,
  variables: boolean,
): string | ((request: AskedRequest, lengthMax: number) => string | undefined) => {
  const pieces = piecesOf(text, variables, false);
  if (!pieces.some(isVariable)) return pieces.join('');
  return (request, lengthMax) => {
    let whole = '';
    for (const piece of pieces) {
      const part = isVariable(piece) ? piece.variable.text(request) : String(piece);
      if (part === undefined || whole.length + part.length > lengthMax) return undefined;
      whole += part;
    }
    return whole;
  };
};

/** Components of an ARN. */
const componentsMax = 6;

/** What stands between the colons, the sixth component with all the rest. Colons within `${...}` separate nothing where there are variables. */
const componentsOf = (text: string, variables: boolean): readonly string[] => {
  const components: string[] = [];
  let from = 0;
  let isInside = false;
  const lastEnd = variables ? text.lastIndexOf('}') : -1;
  for (let at = 0; at < text.length && components.length < componentsMax - 1; at++) {
    if (at < lastEnd && text[at] === '$' && text[at + 1] === '{') isInside = true;
    else if (text[at] === '}') isInside = false;
    else if (text[at] === ':' && !isInside) {
      components.push(text.slice(from, at));
      from = at + 1;
    }
  }
  return [...components, text.slice(from)];
};

/** Each of the six components of an ARN is compared by itself. Source: "Condition operators", ARN. */
export const arnTest = (text: string, variables: boolean): TextTest => {
  const tests = componentsOf(text, variables).map((component) => globTest(component, variables));
  return (value, request) => {
    const components = componentsOf(value, false);
    return components.length === tests.length && tests.every((test, index) => test(components[index] ?? '', request));
  };
};

/**
 * A resource. A `*` that ends a component of an ARN may run on beyond its colon; other wildcards in front of a colon stay within their component, so that a name
 * with colons in it cannot stand for another region or account. Assumed: after a `*` that may run on nobody can tell the components, and wildcards stand for
 * anything, as in the last component that is written. Source: "IAM JSON policy elements: Resource".
 */
export const resourceTest = (text: string, variables: boolean): TextTest => {
  const components = text.startsWith('arn:') ? componentsOf(text, variables) : [text];
  const heads = components.slice(0, -1);
  const runningOn = heads.findIndex((component) => component.endsWith('*'));
  const aligned = runningOn < 0 ? heads.length : runningOn;
  if (!heads.slice(0, aligned + 1).some(isConfining)) return globTest(text, variables);
  const tests = heads.slice(0, aligned + 1).map((component) => globTest(component, variables));
  const rest = globTest(components.slice(aligned).join(':'), variables);
  return (resource, request) => {
    const given = componentsOf(resource, false);
    return (
      given.length > aligned &&
      tests.every((test, index) => test(given[index] ?? '', request)) &&
      rest(given.slice(aligned).join(':'), request)
    );
  };
};

/** Whether it has a wildcard besides a `*` at its end. */
const isConfining = (component: string): boolean => /[?*]./s.test(component) || component.endsWith('?');
