/**
 * Policies, compiled once and joined into the set that decides for a principal. The five data-plane actions are matched when the set is made: for each
 * there is a list of the Deny and a list of the Allow statements that name it, so that a decision on the message path looks at resources and
 * conditions only.
 */
import { type CompiledCondition, compileCondition } from './conditions.ts';
import type { PolicyRequest } from './context.ts';
import { type Entries, type PolicyDocument, parsePolicyDocument, type Statement } from './document.ts';
import { compilePattern, matches, type Pattern } from './pattern.ts';

export interface PolicyName {
  readonly policyName: string;
  readonly policyArn: string;
  readonly policyVersionId: string;
}

/** The operative version of a policy with its document as it was submitted. */
export interface NamedPolicy extends PolicyName {
  readonly text: string;
}

interface CompiledEntries {
  readonly negated: boolean;
  readonly patterns: readonly Pattern[];
}

export interface CompiledStatement {
  readonly policy: PolicyName;
  readonly index: number;
  readonly sid: string | undefined;
  readonly effect: 'Allow' | 'Deny';
  readonly actions: CompiledEntries;
  readonly resources: CompiledEntries;
  readonly conditions: readonly CompiledCondition[];
}

/** One policy, compiled: may be shared by all sets that contain it. */
export interface CompiledPolicy {
  readonly statements: readonly CompiledStatement[];
}

interface Split {
  readonly denies: readonly CompiledStatement[];
  readonly allows: readonly CompiledStatement[];
}

/** Statements that decide together. */
export interface StatementList {
  readonly statements: readonly CompiledStatement[];
  /** By data-plane action: the statements whose action matches. */
  readonly byAction: readonly Split[];
}

/** What decides for one principal: by kind of principal, the lists that must all allow (spec policy.md 6). */
export interface PolicySet {
  /** Policies of the certificate, its groups, the Cognito identity or the authorizer. */
  readonly attached: readonly [StatementList];
  /** Policies of the IAM role of a Cognito identity. */
  readonly role: readonly [StatementList];
  readonly attachedAndRole: readonly [StatementList, StatementList];
  /** Some condition asks for the time: a decision holds only for the moment it is made. */
  readonly usesClock: boolean;
}

/** Compiles one policy. Faults: MalformedPolicy. */
export function compilePolicy(policy: NamedPolicy): CompiledPolicy {
  const { policyName, policyArn, policyVersionId } = policy;
  const document = parsePolicyDocument(policy.text);
  const name = { policyName, policyArn, policyVersionId };
  return { statements: document.statements.map((statement) => compileStatement(name, document, statement)) };
}

function compileStatement(
  policy: PolicyName,
  { substitutes }: PolicyDocument,
  statement: Statement,
): CompiledStatement {
  return {
    policy,
    index: statement.index,
    sid: statement.sid,
    effect: statement.effect,
    actions: compileEntries(statement.actions, (action) => compilePattern(action.toLowerCase(), { variables: false })),
    resources: compileEntries(statement.resources, (resource) => compilePattern(resource, { variables: substitutes })),
    conditions: statement.conditions.map((condition) => compileCondition(condition, substitutes)),
  };
}

const compileEntries = ({ negated, entries }: Entries, compile: (entry: string) => Pattern): CompiledEntries => ({
  negated,
  patterns: entries.map(compile),
});

/** Joins policies into a set; `role` holds the policies of a Cognito principal's IAM role. */
export function joinPolicies(attached: readonly CompiledPolicy[], role: readonly CompiledPolicy[] = []): PolicySet {
  const attachedList = listStatements(attached);
  const roleList = listStatements(role);
  const statements = [...attachedList.statements, ...roleList.statements];
  return {
    attached: [attachedList],
    role: [roleList],
    attachedAndRole: [attachedList, roleList],
    usesClock: statements.some(({ conditions }) => conditions.some(({ key }) => key.clock)),
  };
}

/** Compiles and joins. Faults: MalformedPolicy. */
export const compilePolicies = (attached: readonly NamedPolicy[], role: readonly NamedPolicy[] = []): PolicySet =>
  joinPolicies(attached.map(compilePolicy), role.map(compilePolicy));

const dataPlaneActions = ['iot:Connect', 'iot:Publish', 'iot:RetainPublish', 'iot:Subscribe', 'iot:Receive'];

/** Position of a data-plane action in `byAction`; -1 for every other action. */
export function dataPlaneIndex(action: string): number {
  switch (action) {
    case 'iot:Connect':
      return 0;
    case 'iot:Publish':
      return 1;
    case 'iot:RetainPublish':
      return 2;
    case 'iot:Subscribe':
      return 3;
    case 'iot:Receive':
      return 4;
    default:
      return -1;
  }
}

function listStatements(policies: readonly CompiledPolicy[]): StatementList {
  const statements = policies.flatMap((policy) => policy.statements);
  return { statements, byAction: dataPlaneActions.map((action) => splitByEffect(statements, action)) };
}

function splitByEffect(statements: readonly CompiledStatement[], action: string): Split {
  const matching = statements.filter((statement) => matchesAction(statement, action));
  return {
    denies: matching.filter(({ effect }) => effect === 'Deny'),
    allows: matching.filter(({ effect }) => effect === 'Allow'),
  };
}

const noRequest: PolicyRequest = { action: '', resource: '', context: {} };

/** Action names are matched without regard to case (spec policy.md 4.1). */
export function matchesAction({ actions }: CompiledStatement, action: string): boolean {
  const lowerAction = action.toLowerCase();
  return actions.patterns.some((pattern) => matches(pattern, lowerAction, noRequest, 'nothing')) !== actions.negated;
}

/** The statements whose action matches. */
export const split = (list: StatementList, action: string): Split =>
  list.byAction[dataPlaneIndex(action)] ?? splitByEffect(list.statements, action);
