/**
 * The PolicyDocument of a template. A string is taken as it is; in an object functions are worked out, and what parameters bring in is escaped (text.ts), so that it
 * stands for itself. A function may also make the whole text: what parameters bring into it lands inside its strings, whatever quotes and brackets they hold, as the
 * text is read as JSON with marks in their stead. Source: spec provisioning.md 7.4.
 */

import { checkKeys } from '../aws/json-keys.ts';
import { inside } from '../aws/quoted.ts';
import { type Scope, textOf, textsOf } from './evaluate-expression.ts';
import { type Declared, type Expression, functionOf, type List, readExpression, readList } from './expression.ts';
import { refuseParameters, refuseTemplate } from './fault.ts';
import { isObject } from './json.ts';
import { charactersOf, type Fragment, given, needsEscapes, policyText, type Text, written } from './text.ts';

/** Open brackets in a document that a function makes; the grammar of policies needs 6. */
export const documentNestingMax = 16;

type Scalar = number | boolean | null;

/** Part of a document as the template has it. */
type Node =
  | { readonly kind: 'scalar'; readonly value: Scalar }
  | { readonly kind: 'text'; readonly place: string; readonly text: Expression }
  | { readonly kind: 'list'; readonly list: List }
  | { readonly kind: 'array'; readonly items: readonly Node[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [name: string, node: Node])[] };

export type DocumentTemplate =
  | { readonly kind: 'verbatim'; readonly text: string }
  | { readonly kind: 'function'; readonly place: string; readonly text: Expression }
  | { readonly kind: 'object'; readonly place: string; readonly node: Node };

export function readDocument(value: unknown, declared: Declared, place: string): DocumentTemplate {
  if (typeof value === 'string') {
    checkVerbatim(value, place);
    return { kind: 'verbatim', text: value };
  }
  if (functionOf(value, place)) return { kind: 'function', place, text: readExpression(value, declared, place) };
  if (!isObject(value)) refuseTemplate(place, 'must be a JSON object, or one in a string');
  return { kind: 'object', place, node: readNode(value, declared, place) };
}

function checkVerbatim(text: string, place: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuseTemplate(place, 'the string is not JSON');
  }
  if (!isObject(value)) refuseTemplate(place, 'the string must hold a JSON object');
}

function readNode(value: unknown, declared: Declared, place: string): Node {
  if (value === null || typeof value === 'boolean') return { kind: 'scalar', value };
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuseTemplate(place, 'the number is too large');
    return { kind: 'scalar', value };
  }
  if (Array.isArray(value)) {
    return { kind: 'array', items: value.map((item: unknown, i) => readNode(item, declared, `${place}[${i}]`)) };
  }
  const [name] = functionOf(value, place) ?? [];
  if (name === 'Fn::Split') return { kind: 'list', list: readList(value, declared, place) };
  if (name !== undefined || !isObject(value)) {
    return { kind: 'text', place, text: readExpression(value, declared, place) };
  }
  const members = Object.entries(value).map(
    ([key, member]) => [key, readNode(member, declared, inside(place, key))] as const,
  );
  return { kind: 'object', members };
}

/** Part of a document with its functions worked out. */
type Tree = Scalar | { readonly text: Text } | Tree[] | Map<string, Tree>;

const isText = (tree: Tree): tree is { readonly text: Text } =>
  typeof tree === 'object' && tree !== null && !(tree instanceof Map) && !Array.isArray(tree);

/** The text of the policy document. Whether it is a valid policy is not asked here. Faults: TemplateFault. */
export function documentText(document: DocumentTemplate, scope: Scope): string {
  if (document.kind === 'verbatim') return document.text;
  const { place } = document;
  const tree =
    document.kind === 'object' ? treeOf(document.node, scope) : parsedTree(textOf(document.text, scope), place);
  if (!(tree instanceof Map)) refuseParameters(place, 'does not make a JSON object');
  const version = tree.get('Version');
  const substitutes = version !== undefined && isText(version) && charactersOf(version.text) === '2012-10-17';
  return JSON.stringify(finished(tree, { substitutes, place }));
}

function treeOf(node: Node, scope: Scope): Tree {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'text':
      return { text: textOf(node.text, scope) };
    case 'list':
      return textsOf(node.list, scope).map((text) => ({ text }));
    case 'array':
      return node.items.map((item) => treeOf(item, scope));
    case 'object':
      return new Map(node.members.map(([name, member]) => [name, treeOf(member, scope)]));
  }
}

/** The tree as JSON.stringify takes it. Only documents of Version 2012-10-17 have escapes; elsewhere what needs one cannot be said. */
function finished(tree: Tree, document: { substitutes: boolean; place: string }): unknown {
  if (tree === null || typeof tree !== 'object') return tree;
  if (tree instanceof Map) {
    return Object.fromEntries(Array.from(tree, ([name, member]) => [name, finished(member, document)]));
  }
  if (!isText(tree)) return tree.map((item) => finished(item, document));
  if (!document.substitutes && needsEscapes(tree.text)) {
    refuseParameters(
      document.place,
      'a parameter brings *, ? or $ into a document whose Version is not 2012-10-17: there it cannot stand for itself',
    );
  }
  return policyText(tree.text);
}

/** What stands for a fragment from a parameter while the text is read as JSON: its number between two private characters. */
const markPattern = /\ue000(\d{1,6})\ue001/g;

function parsedTree(text: Text, place: string): Tree {
  const fragments: Fragment[] = [];
  const json = text
    .map((fragment) => (fragment.given ? `\ue000${fragments.push(fragment) - 1}\ue001` : fragment.text))
    .join('');
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    refuseParameters(place, 'does not make JSON; parameters may only stand inside its strings');
  }
  checkKeys(json, documentNestingMax, (at, problem) => refuseParameters(at === '' ? place : `${place}.${at}`, problem));
  return unmarked(value, fragments, place);
}

function unmarked(value: unknown, fragments: readonly Fragment[], place: string): Tree {
  if (typeof value === 'string') return { text: unmarkedText(value, fragments) };
  if (Array.isArray(value)) return value.map((item: unknown) => unmarked(item, fragments, place));
  if (isObject(value)) {
    return new Map(
      Object.entries(value).map(([name, member]) => {
        if (name.search(markPattern) >= 0)
          refuseParameters(place, 'a parameter must not be part of the name of a member');
        return [name, unmarked(member, fragments, place)];
      }),
    );
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuseParameters(place, 'the number is too large');
    return value;
  }
  return value === true || value === false ? value : null;
}

/** The author's own private characters, should there be any, at worst stand for a parameter of the same document. */
function unmarkedText(marked: string, fragments: readonly Fragment[]): Text {
  return marked.split(markPattern).flatMap((part, i) => {
    const fragment = i % 2 === 1 ? fragments[Number(part)] : undefined;
    return fragment ? given(fragment.text) : written(i % 2 === 1 ? '' : part);
  });
}
