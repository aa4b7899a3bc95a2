import type { AccountRegion } from '../aws/arn.ts';

/** `arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]`, taken apart. */
export interface FunctionArn extends AccountRegion {
  readonly functionName: string;
  /** A version or an alias. */
  readonly qualifier?: string;
}

/** With Lambda's own patterns of a name and of a qualifier. Source: Lambda API reference, Invoke; issue "Provisioning", Build 5. */
const functionArn =
  /^arn:aws:lambda:([a-z0-9-]{1,32}):([0-9]{12}):function:([A-Za-z0-9_-]{1,64})(?::([A-Za-z0-9$_-]{1,128}))?$/;

/** Takes the ARN of a function apart; undefined when it is none. */
export const parseFunctionArn = (text: string): FunctionArn | undefined => {
  const [whole, region = '', accountId = '', functionName = '', qualifier] = functionArn.exec(text) ?? [];
  if (whole === undefined) return undefined;
  return { accountId, region, functionName, ...(qualifier !== undefined && { qualifier }) };
};
