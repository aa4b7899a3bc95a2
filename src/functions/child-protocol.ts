/**
 * What parent and child say to each other: one `ChildTask` on the child's standard input, one `ChildReport` on its descriptor 3, as JSON. Types
 * only: the child may read no file of ours but its own program.
 */
export interface ChildTask {
  /** `file:` URL of the module. */
  readonly module: string;
  readonly event: unknown;
  readonly context: {
    readonly functionName: string;
    readonly functionVersion: string;
    readonly invokedFunctionArn: string;
    readonly awsRequestId: string;
    readonly memoryLimitInMB: string;
  };
  /** From the child's start. */
  readonly remainingMs: number;
}

/** What a child may report: exactly one of these. */
export interface ChildReports {
  readonly answer: unknown;
  /** It threw, or could not be loaded; `stack` is for the log. */
  readonly thrown: { readonly errorType: string; readonly stack: string };
  /** Its answer has no form in JSON. */
  readonly unwritable: true;
  readonly noHandler: true;
}
export type ChildReport = { readonly [key in keyof ChildReports]: Pick<ChildReports, key> }[keyof ChildReports];

export type ReportDescriptor = 3;
