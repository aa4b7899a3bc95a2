/** What is said of keys and signatures that prove nobody; that the cures work is told in test/stories/refusals-iam.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import type { JournalRecord } from './record.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const ofAlice = { accessKeyId, keyAccountId: account.accountId, userName: 'alice' };
const ofSession = {
  ...{
    accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
    keyAccountId: account.accountId,
    roleName: 'release',
    sessionName: 'night',
  },
  roleArn: 'arn:aws:iam::000000000000:role/release',
};

const told = (reason: JournalRecord['reason'] & string, facts: Readonly<Record<string, string>>) =>
  explain(
    storedRecord(
      { eventType: 'ApiCall', status: 'Failure', protocol: 'HTTP', reason, facts },
      { id: '1', atMs: 0, sequence: 1 },
    ),
    { account, apiUrl: 'http://127.0.0.1:4566' },
  );

const rows: [facts: Readonly<Record<string, string>>, sentence: RegExp, command: RegExp | undefined][] = [
  [
    { keyProblem: 'INACTIVE', ...ofAlice },
    /^The access key AKIA\w+ of the user "alice" is Inactive\.$/,
    /--status Active$/,
  ],
  [{ keyProblem: 'UNKNOWN', accessKeyId }, /^No access key AKIA\w+ is known/, /^eval "\$\(fleetgate env/],
  [{ keyProblem: 'UNKNOWN' }, /^No access key is known/, /^eval/],
  [{ keyProblem: 'TOKEN_MISSING', ...ofSession }, /^The temporary access key ASIA\w+ came without/, undefined],
  [{ keyProblem: 'TOKEN_INVALID', ...ofSession }, /does not belong to it\.$/, undefined],
  [{ keyProblem: 'TOKEN_INVALID', ...ofAlice }, /does not belong to it\.$/, /^unset AWS_SESSION_TOKEN$/],
  [{ keyProblem: 'SECRET', ...ofAlice }, /of the user "alice"\.$/, /^aws iam create-access-key --user-name=alice$/],
  [
    { keyProblem: 'EXPIRED', ...ofSession },
    /^The session "night" of the role "release" is over/,
    /^aws sts assume-role/,
  ],
  [{ keyProblem: 'EXPIRED', ...ofSession, certificateId: 'a4f9' }, /is over/, undefined],
  [{ keyProblem: 'EXPIRED', ...ofAlice }, /of the user "alice" has expired\.$/, /^aws sts get-session-token$/],
  [{ keyProblem: 'GONE', ...ofSession }, /counts no more: that role is gone\.$/, undefined],
];
for (const [facts, sentence, command] of rows) {
  test(`${facts['keyProblem']} ${facts['userName'] ?? facts['roleName'] ?? facts['accessKeyId'] ?? 'nobody'}: ${command ?? 'words alone'}`, () => {
    const found = told('SECURITY_TOKEN_INVALID', facts);
    assert.match(found.sentence, sentence);
    assert.equal(found.commands.length, command ? 1 : 0);
    if (command) assert.match(found.commands[0] ?? '', command);
    assert.ok(found.cure.endsWith(command ? ':' : '.'), found.cure);
  });
}

test('no command changes a user of the reader where the key is of another account, or where a name was not received so', () => {
  for (const keyProblem of ['INACTIVE', 'SECRET']) {
    for (const other of [{ keyAccountId: '111111111111' }, { userName: 'al\u001bice' }]) {
      const { commands, cure } = told('SECURITY_TOKEN_INVALID', { keyProblem, ...ofAlice, ...other });
      assert.deepEqual(commands, [], keyProblem);
      assert.ok(cure.endsWith('.'), cure);
    }
  }
});
