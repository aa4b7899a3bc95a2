/** Works functions out. Source: spec provisioning.md 7.6. All work is paid from one budget (text.ts). */
import { quoted } from '../aws/quoted.ts';
import type { Expression, List } from './expression.ts';
import { refuseParameters } from './fault.ts';
import { type Budget, charactersOf, concatenate, given, split, type Text, written } from './text.ts';

/** Two levels of names; source: spec provisioning.md 7.1. */
export type Mappings = ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, string>>>;

/** What expressions are worked out with. */
export interface Scope {
  /** The value of a parameter, or its Default; undefined when it has neither. */
  readonly valueOf: (parameter: string) => string | undefined;
  readonly mappings: Mappings;
  readonly budget: Budget;
}

/** Faults: TemplateFault. */
export function textOf(expression: Expression, scope: Scope): Text {
  const { budget } = scope;
  switch (expression.kind) {
    case 'written':
      return written(expression.text);
    case 'ref': {
      const { parameter, place } = expression;
      const value = scope.valueOf(parameter);
      if (value === undefined) refuseParameters(place, `parameter ${quoted(parameter)} has neither value nor Default`);
      budget.spend(value.length, place);
      return given(value);
    }
    case 'join': {
      const { delimiter, list, place } = expression;
      const between = written(delimiter);
      const texts = textsOf(list, scope);
      return concatenate(
        texts.flatMap((text, i) => (i === 0 ? [text] : [between, text])),
        budget,
        place,
      );
    }
    case 'select':
      return selected(expression, scope);
    case 'find': {
      const { map, key, secondKey, place } = expression;
      const first = scope.mappings.get(map)?.get(charactersOf(textOf(key, scope)));
      if (!first) refuseParameters(place, `${quoted(map)} has no such first key`);
      const value = first.get(charactersOf(textOf(secondKey, scope)));
      if (value === undefined) refuseParameters(place, `${quoted(map)} has no such second key`);
      budget.spend(value.length, place);
      return written(value);
    }
    case 'sub': {
      const { pieces, variables, place } = expression;
      const values = new Map(Array.from(variables, ([name, variable]) => [name, textOf(variable, scope)]));
      return concatenate(
        pieces.map((piece) => (typeof piece === 'string' ? written(piece) : (values.get(piece.variable) ?? []))),
        budget,
        place,
      );
    }
  }
}

/** Faults: TemplateFault. */
export function textsOf(list: List, scope: Scope): Text[] {
  if (list.kind === 'split') return split(textOf(list.text, scope), list.delimiter, scope.budget, list.place);
  return list.items.map((item) => (item ? textOf(item, scope) : []));
}

function selected(expression: Extract<Expression, { kind: 'select' }>, scope: Scope): Text {
  const { list, place } = expression;
  const index = charactersOf(textOf(expression.index, scope));
  if (!/^\d{1,9}$/.test(index)) refuseParameters(`${place}[0]`, 'the index must be a whole number from 0 on');
  const at = Number(index);
  const text = textsOf(list, scope)[at] ?? refuseParameters(place, 'the index is out of range');
  if (list.kind === 'items' && !list.items[at]) refuseParameters(place, 'the selected item is null');
  return text;
}
