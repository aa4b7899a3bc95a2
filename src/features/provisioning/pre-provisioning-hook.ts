/**
 * The pre-provisioning hook: a function of the account that is asked, before any unit of writing, whether a device may be provisioned, and that may change its
 * parameters. Whatever is not a clear yes is a no. Source: spec provisioning.md 6; developer guide, "Pre-provisioning hooks".
 */
import { type AccountRegion, sameAccount } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import { quoted } from '../../aws/quoted.ts';
import { parseFunctionArn } from '../../functions/function-arn.ts';
import { functionTimeoutMs, type Invoker } from '../../functions/invoker.ts';
import { ProvisioningFault } from './provisioning-fault.ts';
import type { PreProvisioningHook } from './provisioning-template.ts';

/** The only version of the event that AWS has. */
export const hookPayloadVersion = '2020-04-01';

/** Asks a function; any failure, the time-out among them, rejects. */
export type InvokeFunction = Invoker['invoke'];

export interface HookEvent {
  readonly claimCertificateId: string;
  readonly certificateId: string;
  readonly certificatePem: string;
  readonly templateArn: string;
  readonly clientId: string;
  /** Of the request alone. */
  readonly parameters: Readonly<Record<string, string>>;
}

const invalid = (message: string): Fault => new Fault('InvalidRequestException', message);

/** A hook as a caller gave it. Faults: InvalidRequestException. */
export const readHook = (
  given: { readonly targetArn?: string | undefined; readonly payloadVersion?: string | undefined },
  account: AccountRegion,
): PreProvisioningHook => {
  const { targetArn = '', payloadVersion = hookPayloadVersion } = given;
  if (payloadVersion !== hookPayloadVersion) {
    throw invalid(`preProvisioningHook.payloadVersion must be ${hookPayloadVersion}`);
  }
  const arn = parseFunctionArn(targetArn);
  if (!arn) throw invalid(`preProvisioningHook.targetArn ${quoted(targetArn)} is not the ARN of a Lambda function`);
  if (!sameAccount(arn, account)) {
    throw invalid(`preProvisioningHook.targetArn ${quoted(targetArn)} belongs to another account or region`);
  }
  return { targetArn, payloadVersion };
};

/** As the journal names it. */
export const functionNameOf = ({ targetArn }: PreProvisioningHook): string =>
  parseFunctionArn(targetArn)?.functionName ?? targetArn;

const refusal = (cause: unknown): ProvisioningFault =>
  new ProvisioningFault('AccessDenied', 'The pre-provisioning hook did not allow the provisioning', { cause });

/** What a function answered: the parameters to put over those of the request. Faults: ProvisioningFault (AccessDenied). */
export const readHookAnswer = (answer: unknown): Readonly<Record<string, string>> => {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw refusal(new Error('The pre-provisioning hook did not answer an object.'));
  }
  const members = new Map<string, unknown>(Object.entries(answer));
  const allowed = members.get('allowProvisioning');
  // the quoted form is in a note of the guide
  if (allowed !== true && allowed !== 'true') {
    throw refusal(
      new Error(
        allowed === false || allowed === 'false'
          ? 'The pre-provisioning hook answered allowProvisioning false.'
          : 'The answer of the pre-provisioning hook has no allowProvisioning that is true or false.',
      ),
    );
  }
  const overrides = members.get('parameterOverrides') ?? {};
  if (typeof overrides !== 'object' || Array.isArray(overrides)) {
    throw refusal(new Error('The parameterOverrides of the pre-provisioning hook are no object.'));
  }
  return Object.fromEntries(
    Object.entries(overrides).map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'string') {
        throw refusal(new Error('The parameterOverrides of the pre-provisioning hook hold a value that is no string.'));
      }
      return [name, value];
    }),
  );
};

/** Faults: ProvisioningFault (AccessDenied), whose cause says why. */
export const askHook = async (
  invokeFunction: InvokeFunction,
  { targetArn: functionArn }: PreProvisioningHook,
  account: AccountRegion,
  event: HookEvent,
): Promise<Readonly<Record<string, string>>> => {
  let answer: unknown;
  try {
    answer = await invokeFunction({ functionArn, account, event, timeoutMs: functionTimeoutMs });
  } catch (cause) {
    throw refusal(cause);
  }
  return readHookAnswer(answer);
};
