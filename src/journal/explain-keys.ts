/**
 * The words for keys and signatures (SigV4) that prove nobody, on the API and on the ports of HTTPS: see `explain.ts`. Source: IAM user guide, "Managing access keys",
 * "Temporary security credentials", "Troubleshoot Signature Version 4 signing".
 *
 * Facts that it reads, by their names in `JournalRecord.facts`: `keyProblem` (see `KeyFacts` of the API), `accessKeyId`, `keyAccountId` and `principalArn` (whose key it
 * is), `userName`, or `roleName` with `roleArn`, `sessionName` and, of a device's session, `certificateId`.
 */
import type { Explanation, Surroundings } from './cure-lines.ts';
import type { Reason } from './record.ts';
import { command, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type KeyReason = Extract<Reason, `SECURITY_TOKEN_${string}`>;

const fact = ({ facts }: StoredRecord, name: string): string => facts?.[name] ?? '';
const detail = ({ detail: text }: StoredRecord): string => (text === undefined ? '' : `: ${text}`);

/** The lines, if no value in them was cut or escaped. */
const whole = ({ altered = [] }: StoredRecord, ...lines: readonly (string | undefined)[]): readonly string[] =>
  altered.length > 0 ? [] : script(...lines);

const useDevelopmentKey = ({ apiUrl }: Surroundings): readonly string[] =>
  script(command`eval "$(fleetgate env --api-url ${apiUrl})"`);

/** Whose key it is, if that was found out. */
const ofWhom = (record: StoredRecord): string => {
  const [userName, roleName] = [fact(record, 'userName'), fact(record, 'roleName')];
  if (userName) return ` of the user "${userName}"`;
  return roleName ? ` of the session "${fact(record, 'sessionName')}" of the role "${roleName}"` : '';
};

const shownKey = (record: StoredRecord): string => {
  const accessKeyId = fact(record, 'accessKeyId');
  return accessKeyId && ` ${accessKeyId}`;
};

/** Commands act in the account of whoever reads; a key that was not proven may be another's. */
const isOfReader = (record: StoredRecord, { account }: Surroundings): boolean =>
  fact(record, 'keyAccountId') === account.accountId;

const inactive = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  const commands = isOfReader(record, surroundings)
    ? whole(
        record,
        command`aws iam update-access-key --user-name=${fact(record, 'userName')} --access-key-id=${fact(record, 'accessKeyId')} --status Active`,
      )
    : [];
  return {
    sentence: `The access key${shownKey(record)}${ofWhom(record)} is Inactive.`,
    cure: `If it may still be used, activate it${commands.length > 0 ? ':' : `, in the account ${fact(record, 'keyAccountId')}.`}`,
    commands,
  };
};

const unknown = (record: StoredRecord, surroundings: Surroundings): Explanation => ({
  sentence: `No access key${shownKey(record)} is known to this server: it was deleted, it is another server's (or AWS's own), or it is a development key from another machine.`,
  cure: 'Give the client a key that is there; aws iam create-access-key --user-name NAME makes a user another one. In a shell on this machine, this sets the one for development:',
  commands: useDevelopmentKey(surroundings),
});

const wrongToken = (record: StoredRecord): Explanation => {
  const isTemporary = fact(record, 'accessKeyId').startsWith('ASIA');
  return {
    sentence: `The session token that came with the access key${shownKey(record)} does not belong to it.`,
    cure: isTemporary
      ? 'Take the key, its secret and its token from the same answer of STS of this server.'
      : 'Only temporary keys, which begin with ASIA, have one. If it is a variable left over in the shell of the client:',
    commands: isTemporary ? [] : ['unset AWS_SESSION_TOKEN'],
  };
};

const otherSecret = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  const userName = fact(record, 'userName');
  const commands =
    userName && isOfReader(record, surroundings)
      ? whole(record, command`aws iam create-access-key --user-name=${userName}`)
      : [];
  return {
    sentence: `The signature (SigV4) does not belong to the request under the secret of the access key${shownKey(record)}${ofWhom(record)}.`,
    cure: `Compare the secret access key, and see that host, path and query are sent as they were signed; only a session token may be added to a signed URL.${
      commands.length > 0 ? ' If the secret is lost, this makes another key (a user has two at most):' : ''
    }`,
    commands,
  };
};

const expiredSession = (record: StoredRecord): Explanation => {
  const [roleName, sessionName, certificateId] = ['roleName', 'sessionName', 'certificateId'].map((name) =>
    fact(record, name),
  );
  const sentence = roleName
    ? `The session "${sessionName}" of the role "${roleName}" is over, and with it the temporary access key${shownKey(record)}.`
    : `The temporary access key${shownKey(record)}${ofWhom(record)} has expired.`;
  if (certificateId) {
    return { sentence, cure: 'Let the device ask the credentials provider for fresh ones.', commands: [] };
  }
  if (!roleName) {
    return {
      sentence,
      cure: 'Get another one with the key that does not expire:',
      commands: ['aws sts get-session-token'],
    };
  }
  return {
    sentence,
    cure: 'Begin another session, under the key of whoever may assume the role (the root of an account may not):',
    commands: whole(
      record,
      command`aws sts assume-role --role-arn ${fact(record, 'roleArn')} --role-session-name=${sessionName ?? ''}`,
    ),
  };
};

/** What is known of the key decides; undefined where it is not the key. */
const explainKey = (record: StoredRecord, surroundings: Surroundings): Explanation | undefined => {
  switch (fact(record, 'keyProblem')) {
    case 'INACTIVE':
      return inactive(record, surroundings);
    case 'UNKNOWN':
      return unknown(record, surroundings);
    case 'TOKEN_MISSING':
      return {
        sentence: `The temporary access key${shownKey(record)} came without its session token.`,
        cure: 'Send the token that came with the key; for the AWS CLI and the SDKs that is AWS_SESSION_TOKEN, or aws_session_token in a profile.',
        commands: [],
      };
    case 'TOKEN_INVALID':
      return wrongToken(record);
    case 'SECRET':
      return otherSecret(record, surroundings);
    case 'EXPIRED':
      return expiredSession(record);
    case 'GONE':
      return {
        sentence: `The temporary access key${shownKey(record)}${ofWhom(record)} counts no more: that ${fact(record, 'roleName') ? 'role' : 'user'} is gone.`,
        cure: 'Let the client assume a role that is there, or give it the key of a user.',
        commands: [],
      };
    case 'WITHOUT_MFA':
      return {
        sentence: `${fact(record, 'principalArn')} was refused ${record.action ?? 'a call of IAM'}: IAM takes no temporary credentials of GetSessionToken without MFA, which this server does not have.`,
        cure: 'Sign calls of IAM with the access key itself, or with the credentials of a role.',
        commands: [],
      };
    default:
      return undefined;
  }
};

export const explainKeys = (reason: KeyReason, record: StoredRecord, surroundings: Surroundings): Explanation => {
  const known = explainKey(record, surroundings);
  if (known) return known;
  switch (reason) {
    case 'SECURITY_TOKEN_EXPIRED':
      if (record.eventType === 'Disconnect') {
        return {
          sentence: `${record.clientId === undefined ? 'The client' : `The client "${record.clientId}"`} was disconnected because the temporary credentials that it signed with have expired.`,
          cure: 'Let it connect again with fresh credentials; a connection lasts no longer than what it was opened with.',
          commands: [],
        };
      }
      return {
        sentence: `The signature (SigV4) of the request has expired${detail(record)}.`,
        cure: 'Sign each attempt anew. A signature holds for five minutes, a URL with X-Amz-Expires for that many seconds, at most a day. If it was just made, compare the clocks:',
        commands: ['fleetgate doctor'],
      };
    case 'SECURITY_TOKEN_SIGNATURE_MISMATCH':
      return {
        sentence: `The signature (SigV4) does not belong to the request${detail(record)}.`,
        cure: 'Check the secret access key, and that host, path and query are sent as they were signed; only a session token may be added to a signed URL.',
        commands: [],
      };
    case 'SECURITY_TOKEN_INVALID': {
      const region = record.account ? ` and the region ${record.account.region}` : '';
      const forWhat =
        record.eventType === 'ApiCall'
          ? 'for the service that is called (iot, acm, iam, sts) and the region that the host names, if it names one'
          : `for the service iotdevicegateway (WebSocket) or iotdata (HTTPS)${region}`;
      return {
        sentence: `The signature (SigV4) of the request does not count here${detail(record)}.`,
        cure: `Sign ${forWhat}, with a key of the account that the host name belongs to. Development keys count only when the client runs on this machine.`,
        commands: [],
      };
    }
  }
};
