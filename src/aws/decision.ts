/** The outcome of an authorization, by the service's own `authDecision` enum. */
export type AuthDecision = 'ALLOWED' | 'EXPLICIT_DENY' | 'IMPLICIT_DENY';

/** Why a statement did or did not take part in a decision: the first test that it failed, or `matched`. */
export type StatementOutcome = 'matched' | 'action' | 'resource' | 'condition' | 'unresolved';

/** One policy statement as it was weighed for one request: what the journal shows of it. */
export interface WeighedStatement {
  readonly policyName: string;
  readonly policyArn: string;
  readonly policyVersionId: string;
  /** Position in the document, from 0. */
  readonly index: number;
  readonly sid?: string;
  readonly effect: 'Allow' | 'Deny';
  readonly outcome: StatementOutcome;
  /** Policy variables without a value that kept the statement from matching, e.g. `iot:Connection.Thing.ThingName`. */
  readonly unresolved?: readonly string[];
  /** The condition that was not met, e.g. `IpAddress aws:SourceIp`. */
  readonly condition?: string;
}

/** A whole decision with everything that was weighed: for the journal and the simulator, not for the hot path. */
export interface Weighing {
  readonly decision: AuthDecision;
  readonly statements: readonly WeighedStatement[];
  /** Index into `statements` of the one that decided; absent when nothing matched. */
  readonly decidedBy?: number;
  /** All variables that were asked for and had no value; sorted, unique. */
  readonly unresolved: readonly string[];
}
