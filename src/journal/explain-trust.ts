/**
 * Why a role was not assumed because of the role itself: the words for what trust policies refuse. Source: IAM user guide, "Roles terms and concepts", "Troubleshoot
 * IAM roles" (I can't assume a role).
 *
 * Facts that it reads, by their names in `JournalRecord.facts`: `trustingRole`: whether the role stands in the caller's account and says no (`trust`), is not there
 * (`none`), or is another account's (`elsewhere`); `trustedRole`: its name; `decidingDocument`: its trust policy; `decidingStatement`: the place of the Deny in it;
 * `principalArn`, `roleArn` (of the role whose session asked).
 */
import type { Explanation } from './cure-lines.ts';
import { command, script } from './shell.ts';
import { printableJson, type StoredRecord } from './stored-record.ts';

const documentOf = (...Statement: readonly unknown[]): string =>
  printableJson({ Version: '2012-10-17', Statement: [...Statement] });

/** The trust policy with that statement, and without the one at that place; undefined when the text is none. */
export const amendTrust = (text: string, statement: object, without: number | undefined): string | undefined => {
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document !== 'object' || document === null || !('Statement' in document)) return undefined;
    const statements: readonly unknown[] = Array.isArray(document.Statement)
      ? document.Statement
      : [document.Statement];
    const kept = statements.filter((_, index) => index !== without);
    const needed = printableJson(statement);
    const isThere = kept.some((each) => printableJson(each) === needed);
    return printableJson({ ...document, Statement: isThere ? kept : [...kept, statement] });
  } catch {
    return undefined;
  }
};

const roleShape = /^arn:aws:iam::([0-9]{12}):role(\/(?:[\x21-\x7e]+\/)?)([\w+=,.@-]{1,64})$/;

/** `asked`: the sentence up to its reason. */
export const explainTrust = (asked: string, record: StoredRecord): Explanation => {
  const { resource = '', facts = {}, altered = [] } = record;
  const isWhole = !['resource', 'facts.principalArn', 'facts.trustedRole', 'facts.roleArn'].some((field) =>
    altered.includes(field),
  );
  const AWS = facts['roleArn'] ?? facts['principalArn'] ?? '';
  const statement = { Effect: 'Allow', Principal: { AWS }, Action: 'sts:AssumeRole' };
  const [, accountId, path, name] = roleShape.exec(resource) ?? [];
  const role = facts['trustedRole'] ?? name;
  if (facts['trustingRole'] === 'none') {
    const commands =
      isWhole && path !== undefined && name !== undefined
        ? script(
            command`aws iam create-role --role-name=${name} --path ${path} --assume-role-policy-document ${documentOf(statement)}`,
          )
        : [];
    return {
      sentence: `${asked}: there is no such role (its path counts, and so does the case of its letters).`,
      cure: `Let it ask for one that is there (aws iam list-roles); or make this one, which it alone may assume. It may do nothing until it has a policy (aws iam put-role-policy)${commands.length > 0 ? ':' : '.'}`,
      commands,
    };
  }
  if (facts['trustingRole'] === 'elsewhere') {
    return {
      sentence: `${asked}: the role is of the account ${accountId ?? 'that its ARN names'}, where it does not exist, does not trust this one, or does so on a condition that is not met, such as an external id (--external-id).`,
      cure: `Whoever keeps that account knows the condition, if there is one, and may add this to the role's trust policy (aws iam update-assume-role-policy): ${printableJson(statement)}`,
      commands: [],
    };
  }
  const isDenied = record.decision === 'EXPLICIT_DENY' && facts['decidingStatement'] !== undefined;
  const place = Number(facts['decidingStatement']);
  const document = amendTrust(facts['decidingDocument'] ?? '', statement, isDenied ? place : undefined);
  const commands =
    isWhole && document !== undefined && role !== undefined
      ? script(command`aws iam update-assume-role-policy --role-name=${role} --policy-document ${document}`)
      : [];
  const change = isDenied ? 'take the Deny out of the trust policy and name it there' : 'name it in the trust policy';
  return {
    sentence: `${asked}: ${isDenied ? `Statement[${place}] of the trust policy of that role denies it` : 'the trust policy of that role does not let it'}.`,
    cure: `If it may assume the role, ${change}${commands.length > 0 ? ':' : '.'}`,
    commands,
  };
};
