/**
 * The Condition of a statement: all operators and all keys must hold, the values of one key are alternatives.
 * Source: IAM user guide, "IAM JSON policy elements: Condition", "Condition operators", "Multivalued context keys".
 */
import { holds } from '../policy/conditions.ts';
import { findOperator, type Operator } from '../policy/operators.ts';
import { isObject, MalformedIamPolicy, shown, syntax, textsOf } from './malformed.ts';
import { arnTest, globTest, type TextTest, textOf } from './policy-text.ts';
import type { AskedRequest } from './request.ts';

export type ConditionTest = (request: AskedRequest) => boolean;

/** Faults: MalformedIamPolicy. */
export const readConditions = (given: unknown, variables: boolean): readonly ConditionTest[] => {
  if (given === undefined) return [];
  if (!isObject(given)) throw syntax();
  return Object.entries(given).flatMap(([operatorName, keys]) => {
    const operator = findOperator(operatorName);
    if (!operator) throw new MalformedIamPolicy(`Invalid Condition type : ${shown(operatorName)}.`);
    if (!isObject(keys) || Object.keys(keys).length === 0) throw syntax();
    return Object.entries(keys).map(([key, values]) => conditionOf(operator, key, values, variables));
  });
};

/** JSON's numbers and booleans count as their text. */
const valueTexts = (values: unknown): readonly string[] => {
  const list: readonly unknown[] = Array.isArray(values) ? values : [values];
  return textsOf(
    list.map((value) => (typeof value === 'number' || typeof value === 'boolean' ? String(value) : value)),
  );
};

const conditionOf = (operator: Operator, key: string, values: unknown, variables: boolean): ConditionTest => {
  if (!key.includes(':')) {
    throw new MalformedIamPolicy('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
  }
  const lowerCase = key.toLowerCase();
  const condition = {
    // Observed: IfExists changes nothing here, an absent key has no value that could pass. In iam.cloudcopilot.io, "ForAnyValue:StringEqualsIfExists"
    operator: { ...operator, ifExists: operator.ifExists && operator.set !== 'any' },
    key: { key: (request: AskedRequest) => request.values.get(lowerCase) },
    tests: valueTexts(values).map((text) => testOf(operator, text, variables)),
  };
  return (request) => holds(condition, request);
};

/** Only operators on strings and ARNs take variables. Source: "Variables and tags", "Where you can use policy variables". */
const takesVariables = ({ base }: Operator): boolean => /^(String|Arn)/.test(base);

const testOf = (operator: Operator, text: string, version2012: boolean): TextTest => {
  const { compare, base } = operator;
  const variables = version2012 && takesVariables(operator);
  if (compare === 'presence') return (value) => value === text.toLowerCase();
  if (compare === 'glob') return base.startsWith('Arn') ? arnTest(text, variables) : globTest(text, variables);
  const whole = textOf(text, variables);
  if (typeof whole === 'string') return compare(whole);
  return (value, request) => {
    // no character becomes more than two in lower case
    const policyValue = whole(request, 2 * value.length);
    return policyValue !== undefined && compare(policyValue)(value);
  };
};
