/** What a call asks of IAM: the words in which the tables beside this file are written. */
import type { AccountRegion } from '../../../aws/arn.ts';
import type { Operations, ServiceName } from '../../../aws/operations.ts';

/** Values of condition keys, by the key as AWS writes it. */
export type Keys = Readonly<Record<string, string | readonly string[]>>;

/**
 * A resource whose ARN holds more than its name: a path, or a suffix that the service chose. It is looked up before anything is decided.
 * A managed policy's name is its ARN. An access key's is its id: the user is asked about whose it is, or, where it is nobody's, `*`.
 */
export interface Named {
  readonly type: 'user' | 'group' | 'role' | 'policy' | 'domainconfiguration' | 'accesskey';
  readonly name: string;
  /** It is asked about as it will be: of a user or group, what of its name and path is to change. */
  readonly becoming?: { readonly path?: string | undefined; readonly name?: string | undefined };
}

/** An ARN, `*`, or whatever else AWS takes for a resource (the id of a Cognito identity). */
export type Resource = string | Named;

/** One question to IAM. */
export interface Question {
  /** e.g. `iot:AttachPolicy`. */
  readonly action: string;
  readonly resource: Resource;
  readonly keys?: Keys;
}

/** What one operation asks, under its own name. All of it must be allowed. */
export interface Demand {
  /** Empty: `*`, the operation is about no resource in particular. */
  readonly on: readonly Resource[];
  readonly keys?: Keys;
  /** Questions under other names, such as iam:PassRole. */
  readonly also?: readonly Question[];
}

/** Who asks, and where. */
export interface Scope {
  readonly account: AccountRegion;
  /** ARN of the caller. */
  readonly callerArn: string;
}

/** What an operation asks with this input; `nothing` where AWS needs no permission. Pure: the store is not asked. */
export type Row<Input> = (input: Input, scope: Scope) => Demand | 'nothing';

/** Rows of one service, by operation. */
export type Rows<Service extends ServiceName> = {
  readonly [Name in keyof Operations[Service]]?: Row<
    Operations[Service][Name] extends { input: infer Input } ? Input : never
  >;
};

/** About no resource in particular. */
export const anywhere = (): Demand => ({ on: [] });

/** The ARN of a resource of AWS IoT, as the service authorization reference spells its type, of which some are still to come. */
export const iotResource = ({ account }: Scope, type: string, name = ''): string =>
  `arn:aws:iot:${account.region}:${account.accountId}:${type}/${name}`;

/** Several demands at once. */
export const all = (...demands: readonly Demand[]): Demand => ({
  on: demands.flatMap(({ on }) => on),
  keys: Object.fromEntries(demands.flatMap(({ keys = {} }) => Object.entries(keys))),
  also: demands.flatMap(({ also = [] }) => also),
});

/** Values of condition keys; of members that were not given there are none. */
export const keyed = (values: Readonly<Record<string, string | readonly string[] | undefined>>): Demand => ({
  on: [],
  keys: Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
  ),
});

interface GivenTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** Tags that come with a request. Source: IAM user guide, "Controlling access during AWS requests". */
export const tagged = (tags: readonly GivenTag[] | undefined): Demand =>
  tags === undefined || tags.length === 0
    ? anywhere()
    : keyed({
        ...Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
        'aws:TagKeys': tags.map(({ Key = '' }) => Key),
      });

/** Keys of tags that a request takes away. */
export const untagged = (tagKeys: readonly string[] | undefined): Demand => keyed({ 'aws:TagKeys': tagKeys ?? [] });

/** Services that roles are passed to here. Source: developer guide, "Pass role permissions", "Authorizing direct calls to AWS services". */
const iotService = 'iot.amazonaws.com';
export const credentialsService = 'credentials.iot.amazonaws.com';

/** A role that the caller hands to a service, if one is given. Source: IAM user guide, "Grant a user permissions to pass a role". */
export const passing = (roleArn: string | undefined, service = iotService): Demand => ({
  on: [],
  also:
    roleArn === undefined
      ? []
      : [{ action: 'iam:PassRole', resource: roleArn, keys: { 'iam:PassedToService': service } }],
});
