/** What to do when the server refuses a command's request: the words for keys, sessions and rights. By the words of the refusal, which are the service's own. */
import { CommandProblem } from './io.ts';
import { printable, shellWord } from './terminal.ts';

/** `commands` stand under the advice, which ends in a colon then. */
export interface Advice {
  readonly advice: string;
  readonly commands: readonly string[];
}

/** The server said no. */
export class Refused extends CommandProblem {
  readonly sentence: string;
  readonly advice: string;
  readonly commands: readonly string[];
  constructor(sentence: string, { advice, commands }: Advice) {
    const shown = commands.length > 0 ? `\n\n${commands.map((line) => `  ${line}`).join('\n')}` : '';
    super(`${sentence}${advice && ` ${advice}`}${shown}`);
    this.sentence = sentence;
    this.advice = advice;
    this.commands = commands;
  }
}

const only = (advice: string): Advice => ({ advice, commands: [] });

/** Who may not do what, because nothing allows it. */
const unallowed =
  /^User: arn:aws:(?:iam|sts)::[0-9]{12}:(?<kind>user|assumed-role)\/(?<path>[\w+=,.@/-]+) is not authorized to perform: (?<action>[a-z]+:[A-Za-z]+) on resource: (?<resource>\S+) because no identity-based policy allows/;

const allowed = (message: string): Advice | undefined => {
  const { kind, path = '', action, resource } = unallowed.exec(message)?.groups ?? {};
  if (action === undefined || resource === undefined || printable(resource) !== resource) return undefined;
  // user/some/path/alice, assumed-role/deploy/session
  const steps = path.split('/');
  const name = (kind === 'user' ? steps.at(-1) : steps[0]) ?? '';
  const Statement = [{ Effect: 'Allow', Action: action, Resource: resource }];
  const document = JSON.stringify({ Version: '2012-10-17', Statement });
  const put = kind === 'user' ? 'put-user-policy --user-name' : 'put-role-policy --role-name';
  const policyName = `allow-${action.replace(':', '-')}`;
  const line = `aws iam ${put}=${shellWord(name)} --policy-name=${policyName} --policy-document ${shellWord(document)}`;
  return { advice: 'Whoever may change its policies can allow exactly that:', commands: [line] };
};

/** `key`: the one that the request was signed with. */
export const adviceOn = (
  message: string,
  key: { readonly accessKeyId: string; readonly sessionToken?: string },
): Advice => {
  const right = allowed(message);
  if (right) return right;
  if (/ is not authorized to perform: /.test(message)) {
    return only('Whoever may read the journal of the account is told what decides, and the cure: fleetgate explain');
  }
  if (/^Signature (?:expired|not yet current)/.test(message)) {
    return only(
      'The clocks of this machine and of the server differ: set this one, for example with timedatectl set-ntp true',
    );
  }
  if (/ is expired$/.test(message)) {
    return only(
      'Begin another session (aws sts assume-role, aws sts get-session-token), or use a key that does not expire.',
    );
  }
  if (/^The request signature we calculated/.test(message)) {
    return only('Compare AWS_SECRET_ACCESS_KEY with the secret that belongs to AWS_ACCESS_KEY_ID.');
  }
  const isTemporary = key.accessKeyId.startsWith('ASIA');
  if (key.sessionToken !== undefined && !isTemporary) {
    return only('Only temporary keys, which begin with ASIA, have a session token: unset AWS_SESSION_TOKEN');
  }
  if (key.sessionToken === undefined && isTemporary) {
    return only('A temporary key counts only with its session token: set AWS_SESSION_TOKEN too.');
  }
  return only('Use a key that the server knows: eval "$(fleetgate env)" sets the one for development.');
};
