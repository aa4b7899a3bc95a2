/** What is kept and said of refused calls; that the cures work is told in test/stories/refusals-calls.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handledOperations } from '../../test/handled.ts';
import { Fault, type FaultName } from '../aws/fault.ts';
import { explain } from './explain.ts';
import { callCures } from './explain-calls.ts';
import { refusedCallRecord } from './refused-call.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const alice = {
  arn: 'arn:aws:iam::000000000000:user/alice',
  iam: { kind: 'user', userName: 'alice', userId: 'AIDA' },
} as const;

const recordOf = (
  action: string,
  fault: FaultName,
  input: Readonly<Record<string, unknown>>,
  message = 'No.',
  malformed?: string,
) => {
  const [service = '', operation = ''] = action.split(':');
  const call = {
    service,
    operation,
    input,
    account,
    caller: alice,
    arrival: { source: { ip: '192.0.2.1', port: 7 } },
    ...(malformed !== undefined && { malformed }),
  };
  return refusedCallRecord(call, new Fault(fault, message));
};
const told = (...call: Parameters<typeof recordOf>) => {
  const record = recordOf(...call);
  assert(record);
  return explain(storedRecord(record, { id: '1', atMs: 0, sequence: 1 }), { account, apiUrl: '' });
};

test('names stay values, and what cannot be printed leaves words alone', () => {
  const UserName = "a'; touch x; '$(touch x)";
  const { sentence, commands } = told('iam:CreateAccessKey', 'LimitExceededException', { UserName });
  assert.equal(sentence, 'The call iam:CreateAccessKey was refused: No.');
  assert.match(
    commands[0] ?? '',
    /^aws iam delete-access-key --user-name='a'\\''; touch x; '\\''\$\(touch x\)' --access/,
  );
  for (const hostile of ['\u001b[2J', 'a\u202eb', 'a\nb', 'x'.repeat(2000)]) {
    const { cure, commands: none } = told('iam:DeleteUser', 'DeleteConflictException', { UserName: hostile });
    assert.deepEqual([none, cure], [[], 'Correct the call as the message says.']);
  }
  const { commands: own } = told('iam:CreateAccessKey', 'LimitExceededException', {});
  assert.match(own[0] ?? '', /--user-name=alice /, 'without a name it is the caller that is meant');
  assert.deepEqual(told('iam:DeleteRole', 'DeleteConflictException', {}).commands, []);
});

test('a corrected input is the given one but for what does not fit', () => {
  const command = (action: string, fault: FaultName, input: object) => told(action, fault, { ...input }).commands[0];
  const domain = (input: object) =>
    command('iot:CreateDomainConfiguration', 'InvalidRequestException', { domainConfigurationName: 'a', ...input });
  const again = (rest: string): string =>
    `aws iot create-domain-configuration --cli-input-json '{"domainConfigurationName":"a",${rest}}'`;
  const tags = [{ Key: "it's", Value: '$(touch x)' }];
  assert.equal(
    domain({ tags, serverCertificateArns: ['b'], validationCertificateArn: 'c' }),
    again(`"tags":[{"Key":"it'\\''s","Value":"$(touch x)"}]`),
  );
  assert.equal(
    domain({ applicationProtocol: 'SECURE_MQTT' }),
    again('"applicationProtocol":"SECURE_MQTT","authenticationType":"AWS_X509"'),
  );
  assert.equal(
    domain({ authenticationType: 'AWS_SIGV4' }),
    again('"authenticationType":"DEFAULT","applicationProtocol":"DEFAULT"'),
  );
  assert.equal(domain({ serviceType: 'JOBS' }), again('"serviceType":"DATA"'));
  assert.equal(
    domain({ tlsConfig: { securityPolicy: 'mine' } }),
    again('"tlsConfig":{"securityPolicy":"IoTSecurityPolicy_TLS13_1_2_2022_10"}'),
  );
  assert.equal(domain({ applicationProtocol: 'HTTPS', authenticationType: 'AWS_X509' }), undefined);
  assert.equal(
    command('acm:RequestCertificate', 'InvalidParameterException', {
      ...{ DomainName: 'a.test', KeyAlgorithm: 'RSA_4096', Options: { Export: 'ENABLED' } },
    }),
    `aws acm request-certificate --cli-input-json '{"DomainName":"a.test","Options":{"Export":"DISABLED"},"ValidationMethod":"DNS"}'`,
  );
  const assume = { RoleArn: 'r', RoleSessionName: 's', DurationSeconds: 7200 };
  assert.match(
    command('sts:AssumeRole', 'InvalidRequestException', assume) ?? '',
    /\{"RoleArn":"r","RoleSessionName":"s"\}/,
  );
  const external = { ...assume, ExternalId: 'theirs' };
  assert.equal(command('sts:AssumeRole', 'InvalidRequestException', external), undefined);
});

test('no secret is kept: keys of imports, and what was sent in the place of an access key', () => {
  const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  const imported = recordOf('acm:ImportCertificate', 'ValidationException', { PrivateKey: secret, Passphrase: secret });
  const swapped = recordOf(
    'iam:DeleteAccessKey',
    'NoSuchEntityException',
    { UserName: 'alice', AccessKeyId: secret },
    `The Access Key with id ${secret} cannot be found.`,
  );
  assert.ok(imported && swapped && !JSON.stringify([imported, swapped]).includes(secret));
});

test('of an input that breaks a constraint no value is kept, and of others what a cure asks again alone', () => {
  const secret = 'MHcCAQEEIBKey';
  const input = { CertificateArn: secret, UserName: secret, RoleArn: secret };
  const message = `1 validation error detected: Value '${secret}' at 'certificateArn' failed`;
  const broken = "1 validation error detected: Value at 'certificateArn' failed";
  const kept = recordOf('acm:DeleteCertificate', 'InvalidArnException', input, message, broken);
  assert.equal(kept?.detail, broken);
  assert.ok(!JSON.stringify(kept).includes(secret));
  const assume = { RoleArn: 'r', DurationSeconds: 900, TokenCode: secret, ProvidedContexts: [secret], Policy: secret };
  const chained = recordOf('sts:AssumeRole', 'NotImplementedException', assume);
  assert.ok(chained && !JSON.stringify(chained).includes(secret));
});

test('an answer that nothing is there is no refusal, and what was told already is not told again', () => {
  assert.equal(recordOf('iam:GetUser', 'NoSuchEntityException', { UserName: 'x' }), undefined);
  assert.equal(recordOf('acm:DescribeCertificate', 'ResourceNotFoundException', {}), undefined);
  assert.equal(recordOf('iot:DescribeThing', 'InvalidRequestException', {}), undefined, 'not of domains or IAM');
  assert.equal(recordOf('sts:AssumeRole', 'AccessDeniedException', {}), undefined);
  assert.ok(recordOf('iam:DeleteUser', 'NoSuchEntityException', { UserName: 'x' }));
  assert.match(
    told('iam:CreateLoginProfile', 'NotImplementedException', {}).cure,
    /^This version of Fleetgate does not/,
  );
});

test('what broke a constraint of its input is not asked again', () => {
  const input = { domainConfigurationName: 'a b', applicationProtocol: 'HTTPS' };
  const broken = "1 validation error detected: Value at 'domainConfigurationName' failed";
  const { sentence, cure, commands } = told(
    'iot:CreateDomainConfiguration',
    'InvalidRequestException',
    input,
    "1 validation error detected: Value 'a b' at 'domainConfigurationName' failed",
    broken,
  );
  assert.equal(sentence, `The call iot:CreateDomainConfiguration was refused: ${broken}.`);
  assert.deepEqual([cure, commands], ['Correct the call as the message says.', []]);
});

const recorded = handledOperations().filter(({ service, operation }) =>
  service === 'iot' ? /DomainConfiguration|RoleAlias/.test(operation) : service !== 'iot-data',
);

test('every handled operation on domains, certificates, IAM and roles is told when it is refused, in one sentence with a cure', () => {
  const faults: readonly FaultName[] = [
    ...([
      'InvalidRequestException',
      'ValidationException',
      'InvalidParameterException',
      'InvalidInputException',
    ] as const),
    ...(['LimitExceededException', 'EntityAlreadyExistsException', 'DeleteConflictException'] as const),
    ...(['ResourceInUseException', 'ResourceAlreadyExistsException', 'NotImplementedException'] as const),
  ];
  for (const { service, operation } of recorded) {
    for (const fault of faults) {
      const { sentence, cure, commands } = told(`${service}:${operation}`, fault, { UserName: 'a', PolicyArn: 'b' });
      assert.equal(sentence, `The call ${service}:${operation} was refused: No.`);
      assert.ok(cure.endsWith(commands.length > 0 ? ':' : '.'), cure);
    }
  }
  assert.ok(recorded.length > 80, String(recorded.length));
});

test('every cure is of an operation that is handled', () => {
  const known = new Set(recorded.flatMap(({ service, operation }) => [`${service}:${operation}`, `${service}:*`]));
  for (const key of Object.keys(callCures)) assert.ok(known.has(key.split(' ')[0] ?? ''), key);
});
