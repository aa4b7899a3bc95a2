/** ARNs, those of functions too: taken apart without loss, or none; and the principals that they may name. Source: spec identity 1.3. */
import { parseArn } from '../../../src/aws/arn.ts';
import { readPrincipal, shownPrincipal } from '../../../src/features/things/principal.ts';
import { parseFunctionArn } from '../../../src/functions/function-arn.ts';
import { hold, type Target } from '../target.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const prefix = 'arn:aws:iot:us-east-1:000000000000';

export default (): Target => ({
  corpus: [
    `${prefix}:cert/${'ab'.repeat(32)}`,
    `${prefix}:thinggroup/a:b/c`,
    `${prefix}:topic/a/b/$aws/things`,
    'arn:aws-cn:iam::111111111111:root/x',
    'arn:aws:lambda:us-east-1:000000000000:function:hook:$LATEST',
    'arn:aws:iam::000000000000:role/team/R',
    'us-east-1:01234567-89ab-cdef-0123-456789abcdef',
  ].map((arn) => Buffer.from(arn)),
  dictionary: ['arn:', 'aws', ':', '/', 'cert', 'thinggroup', '\n', '\0', '%2F', '-', '000000000000', '111111111111'],
  bytesMax: 65_536,
  run(input) {
    const text = input.toString('utf8');
    const arn = parseArn(text);
    if (arn !== undefined) {
      const { partition, service, region, accountId, resourceType, resourceName } = arn;
      const head = `arn:${partition}:${service}:${region}:${accountId}:${resourceType}`;
      hold(text === `${head}/${resourceName}` || text === `${head}:${resourceName}`, 'the parts make the whole again');
    }
    const called = parseFunctionArn(text);
    if (called !== undefined) {
      const { region, accountId, functionName, qualifier } = called;
      const head = `arn:aws:lambda:${region}:${accountId}:function:${functionName}`;
      hold(text === (qualifier === undefined ? head : `${head}:${qualifier}`), 'the ARN of a function too');
    }
    const principal = readPrincipal(text, account);
    if (principal.kind === 'certificate') {
      hold(text === `${prefix}:cert/${principal.certificateId}`, 'one certificate has one spelling');
    }
    hold(shownPrincipal(text).length <= 260, 'a message shows a bounded part');
    return principal.kind;
  },
});
