/** What every handled operation asks of IAM: the tables of all services, and the questions that one call comes to. */
import type { ServiceName } from '../../../aws/operations.ts';
import { acmRows } from './acm-actions.ts';
import type { Question, Row, Rows, Scope } from './demand.ts';
import { iamRows } from './iam-actions.ts';
import { iotRows } from './iot-actions.ts';
import { iotDataRows } from './iot-data-actions.ts';
import { stsRows } from './sts-actions.ts';

const tables: { readonly [Service in ServiceName]: Rows<Service> } = {
  iot: iotRows,
  'iot-data': iotDataRows,
  acm: acmRows,
  iam: iamRows,
  sts: stsRows,
};

/** What stands before the colon of an action. */
const prefixes: { readonly [Service in ServiceName]: string } = {
  iot: 'iot',
  'iot-data': 'iot',
  acm: 'acm',
  iam: 'iam',
  sts: 'sts',
};

/** The action that an operation has for a name of its own, e.g. `iot:Publish`. */
export const actionOf = (service: ServiceName, operation: string): string => `${prefixes[service]}:${operation}`;

/** Whether an operation stands in the tables. */
export const isListed = (service: ServiceName, operation: string): boolean => Object.hasOwn(tables[service], operation);

/**
 * The questions of one call, which must all be answered with yes. `undefined`: the operation stands in no table, and may be asked by nobody but root.
 * Bounded by the input.
 */
export const questionsOf = (
  service: ServiceName,
  operation: string,
  input: object,
  scope: Scope,
): readonly Question[] | undefined => {
  if (!isListed(service, operation)) return undefined;
  // `input` was read and checked by the very schema that the row's static type is drawn from
  const row = (tables[service] as Readonly<Record<string, Row<object>>>)[operation];
  const demand = row?.(input, scope);
  if (!demand) return undefined;
  if (demand === 'nothing') return [];
  const { on, keys = {}, also = [] } = demand;
  const action = actionOf(service, operation);
  const resources = on.length > 0 ? on : ['*'];
  return [
    ...resources.map((resource) => ({ action, resource, ...(Object.keys(keys).length > 0 && { keys }) })),
    ...also,
  ];
};
