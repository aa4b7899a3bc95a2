import { FunctionFailure } from './failure.ts';
import type { FunctionArn } from './function-arn.ts';

/** One call of one function, checked: the ARN belongs to whoever calls. */
export interface FunctionRequest {
  readonly functionArn: string;
  readonly target: FunctionArn;
  /** The event as JSON. */
  readonly eventText: string;
  /** Of `performance.now()`, in ms. */
  readonly deadlineMs: number;
  /** The limit that `deadlineMs` came from, for sentences, in ms. */
  readonly timeoutMs: number;
}

/** Answers longer than this are refused; ours are small objects. AWS allows 6 MB. */
export const answerBytesMax = 256 * 1024;
/** Events longer than this are refused before anybody is asked. */
export const eventBytesMax = 256 * 1024;

export const timeoutFailure = ({ target, timeoutMs }: FunctionRequest): FunctionFailure =>
  new FunctionFailure('timeout', `The function ${target.functionName} did not answer within ${timeoutMs / 1000} s.`);

export const tooLongFailure = ({ target }: FunctionRequest): FunctionFailure =>
  new FunctionFailure(
    'bad-answer',
    `The function ${target.functionName} answered more than ${answerBytesMax / 1024} kB.`,
  );

/** Reads an answer. Faults: FunctionFailure `bad-answer`, which does not quote it. */
export const readAnswer = ({ target }: FunctionRequest, bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new FunctionFailure('bad-answer', `The function ${target.functionName} answered something that is no JSON.`);
  }
};
