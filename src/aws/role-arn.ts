import { type AccountRegion, parseArn } from './arn.ts';
import { Fault } from './fault.ts';
import { quoted } from './quoted.ts';

const roleName = /^(?:[\x21-\x7e]+\/)?[\w+=,.@-]{1,64}$/;

/**
 * Refuses what is no ARN of an IAM role of this account. Whether the role exists, and what it permits, is not asked.
 * Faults: InvalidRequestException.
 */
export const assertRoleArn = (text: string, { accountId }: AccountRegion, member: string): void => {
  const arn = text.length <= 2048 ? parseArn(text) : undefined;
  if (arn?.service !== 'iam' || arn.resourceType !== 'role' || arn.region !== '' || !text.includes(':role/')) {
    throw new Fault('InvalidRequestException', `${member} ${quoted(text)} is not the ARN of an IAM role`);
  }
  if (!roleName.test(arn.resourceName)) {
    throw new Fault('InvalidRequestException', `${member} ${quoted(text)} does not name an IAM role`);
  }
  if (arn.accountId !== accountId) {
    throw new Fault('InvalidRequestException', `${member} ${quoted(text)} belongs to another account`);
  }
};
