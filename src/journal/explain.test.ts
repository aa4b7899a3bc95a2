import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WeighedStatement } from '../aws/decision.ts';
import type { Surroundings } from './cure-lines.ts';
import { explain } from './explain.ts';
import type { JournalRecord, Reason } from './record.ts';
import { unprintable } from './shell.ts';
import { storedRecord } from './stored-record.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const certificateId = 'ab12cd34'.repeat(8);
const certificateArn = `arn:aws:iot:us-east-1:000000000000:cert/${certificateId}`;
const leafPem = '-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n';
const surroundings: Surroundings = { account, apiUrl: 'http://127.0.0.1:4566' };

const statement = (members: Partial<WeighedStatement>): WeighedStatement => ({
  policyName: 'Fleet',
  policyArn: 'arn:aws:iot:us-east-1:000000000000:policy/Fleet',
  policyVersionId: '2',
  index: 0,
  effect: 'Allow',
  outcome: 'action',
  ...members,
});
const base: JournalRecord = {
  account,
  eventType: 'Connect',
  status: 'Failure',
  certificateId,
  clientId: 'dev1',
  sourceIp: '192.0.2.1',
  tls: {
    serverName: 'localhost',
    leafPem,
    chain: [
      { fingerprint: certificateId, subject: 'CN=device1', issuer: 'CN=device1', notBeforeMs: 0, notAfterMs: 1000 },
    ],
  },
};
const explained = (members: Partial<JournalRecord>, around: Partial<Surroundings> = {}) =>
  explain(storedRecord({ ...base, ...members }, { id: 'id', atMs: 0, sequence: 1 }), { ...surroundings, ...around });

const denied = (members: Partial<JournalRecord>, around?: Partial<Surroundings>) =>
  explained(
    {
      reason: 'AUTHORIZATION_FAILURE',
      decision: 'IMPLICIT_DENY',
      action: 'iot:Connect',
      resource: 'arn:aws:iot:us-east-1:000000000000:client/dev1',
      statements: [],
      ...members,
    },
    around,
  );

/** Every reason: what its sentence must name, and what the first command begins with (undefined: no command). */
const reasons: Readonly<Record<Reason, [sentence: RegExp, command: string | undefined]>> = {
  SNI_MISUSED: [/"localhost" \(SNI\)/, 'aws iot describe-endpoint --endpoint-type iot:Data-ATS '],
  SNI_REQUIRED: [
    /its certificate does not tell one account/,
    'aws iot describe-endpoint --endpoint-type iot:Data-ATS ',
  ],
  DOMAIN_CONFIGURATION_DISABLED: [/a domain configuration, and that is DISABLED/, undefined],
  CLIENT_CERTIFICATE_CALLBACK_REFUSED: [/did not accept this one/, undefined],
  CLIENT_HELLO_INVALID: [/did not begin a TLS connection/, undefined],
  TLS_VERSION_UNSUPPORTED: [/no version of TLS/, undefined],
  SERVER_CERTIFICATE_REJECTED: [/they do not trust/, 'curl -fsS -o root-ca.pem http://127.0.0.1:4566/root-ca.pem'],
  TLS_HANDSHAKE_FAILED: [/handshake failed/, undefined],
  CLIENT_CERTIFICATE_MISSING: [/showed no certificate/, 'test ! -e device.key && certificateArn=$(aws iot create-keys'],
  PRIVATE_KEY_MISMATCH: [
    /ab12cd34 .*signed with a key/,
    'test ! -e device.key && certificateArn=$(aws iot create-keys',
  ],
  DEVICE_CERTIFICATE_NOT_REGISTERED: [
    /ab12cd34 \(CN=device1\), which is not registered in account 000000000000/,
    'fleetgate explain',
  ],
  DEVICE_CERTIFICATE_INACTIVE: [
    /ab12cd34.*, but INACTIVE/,
    `aws iot update-certificate --certificate-id ${certificateId} --new-status ACTIVE`,
  ],
  DEVICE_CERTIFICATE_REVOKED: [/ab12cd34.*revoked/, 'fleetgate explain'],
  DEVICE_CERTIFICATE_PENDING: [/PENDING_ACTIVATION/, 'aws iot update-certificate'],
  DEVICE_CERTIFICATE_EXPIRED: [/expired on 1970-01-01T00:00:01/, 'test ! -e device.key && '],
  DEVICE_CERTIFICATE_NOT_YET_VALID: [/not valid before .* 1970-01-01T00:00:00/, 'test ! -e device.key && '],
  CONNECTION_LIMIT: [/as many connections/, undefined],
  AUTHORIZATION_FAILURE: [/"dev1".*none of its policies/, undefined],
  CLIENT_ERROR: [/"dev1" broke a rule/, undefined],
  CLIENT_ID_INVALID: [/client id is not allowed/, undefined],
  PROTOCOL_VERSION_UNSUPPORTED: [/version of MQTT/, undefined],
  NOT_AVAILABLE: [/does not have/, undefined],
  LIMIT_EXCEEDED: [/over a limit/, undefined],
  THROTTLED: [/over a limit per unit of time/, undefined],
  MQTT_KEEP_ALIVE_TIMEOUT: [/silent/, undefined],
  CONNECT_PACKET_TIMEOUT: [/no CONNECT/, undefined],
  DUPLICATE_CLIENT_ID: [/same client id/, undefined],
  DEVICE_CERTIFICATE_INVALID: [/the CA that signed it would register it, but it cannot be/, undefined],
  CA_CERTIFICATE_INACTIVE: [/the CA that signed it is registered there, but INACTIVE/, undefined],
  AUTO_REGISTRATION_DISABLED: [
    /the CA that signed it is registered there, but its auto-registration is off/,
    undefined,
  ],
  CA_SIGNATURE_MISMATCH: [/has the name of its issuer, but did not sign it/, undefined],
  JUST_IN_TIME_PROVISIONING_FAILED: [/ab12cd34 was not provisioned by the template of its CA/, undefined],
  ACCESS_KEY_NO_LONGER_ACTIVE: [/is gone/, undefined],
  CERTIFICATE_NO_LONGER_ACTIVE: [/ab12cd34 is no longer ACTIVE/, 'aws iot update-certificate'],
  PAYLOAD_INVALID: [/"dev1" sent a request .* cannot be read/, undefined],
  CSR_INVALID: [/signing request that cannot be used/, 'test ! -e device.key && openssl req -new'],
  OWNERSHIP_TOKEN_INVALID: [/"dev1" asked for its thing .*ownership token/, undefined],
  TEMPLATE_NOT_FOUND: [/does not exist in this account/, 'aws iot list-provisioning-templates'],
  TEMPLATE_UNUSABLE: [/cannot be used/, undefined],
  PARAMETERS_INVALID: [/^The provisioning template .*parameters of the client "dev1"/, undefined],
  PROVISIONING_HOOK_REFUSED: [/did not let the client "dev1" be provisioned/, undefined],
  RESOURCE_CONFLICT: [/something that exists is different/, undefined],
  RESOURCE_REGISTRATION_FAILURE: [/was not provisioned/, undefined],
  PROVISIONING_CLAIM_EXPIRED: [/claim of a trusted user/, undefined],
  CREDENTIALS_ENDPOINT_MISMATCH: [
    /not that of the credentials provider/,
    'aws iot describe-endpoint --endpoint-type iot:CredentialProvider ',
  ],
  THING_NOT_ATTACHED: [/not attached to that certificate/, undefined],
  ROLE_ALIAS_NOT_FOUND: [/there is none of that name/, undefined],
  ROLE_NOT_FOUND: [/and that does not exist/, undefined],
  ROLE_NOT_TRUSTING: [/its trust policy does not let credentials\.iot\.amazonaws\.com/, undefined],
  CREDENTIAL_DURATION_EXCEEDED: [/sessions of its role .* at most/, 'aws iot update-role-alias'],
  CALL_REFUSED: [/^The call .* was refused/, undefined],
  CERTIFICATE_PENDING: [/was not created/, 'aws acm describe-certificate'],
  SERVER_CERTIFICATE_UNFIT: [/was not created/, 'printf'],
  VALIDATION_CERTIFICATE_UNFIT: [/was not created/, undefined],
  DOMAIN_CONFIGURATION_KEPT: [/was not deleted/, 'aws iot update-domain-configuration'],
  REPLY_NOT_SUBSCRIBED: [/"dev1" asked .* without a subscription/, undefined],
  SLOW_CONSUMER: [/too slowly/, undefined],
  NOT_AUTHENTICATED: [
    /neither a certificate nor a signature/,
    'test ! -e device.key && certificateArn=$(aws iot create-keys',
  ],
  SECURITY_TOKEN_EXPIRED: [/has expired/, 'fleetgate doctor'],
  SECURITY_TOKEN_INVALID: [/does not count here/, undefined],
  SECURITY_TOKEN_SIGNATURE_MISMATCH: [/does not belong to the request/, undefined],
  PROTOCOL_MISMATCH: [/spoke MQTT where HTTPS is expected/, undefined],
  WEBSOCKET_TTL_EXPIRATION: [/24 hours/, undefined],
  CLIENT_NOT_CONNECTED: [/named the client id/, undefined],
  CONFIRMATION_TIMEOUT: [/did not acknowledge/, undefined],
  INTERNAL_SERVER_ERROR: [/This server failed/, undefined],
};
// The keys of a Record<Reason, ...> are Reasons.
for (const [reason, [sentence, command]] of Object.entries(reasons) as [Reason, [RegExp, string | undefined]][]) {
  test(`${reason} is explained in one sentence with a cure`, () => {
    const explanation = explained({ reason });
    assert.match(explanation.sentence, sentence);
    assert.match(explanation.sentence, /^[A-Z].*\.$/);
    assert.ok(explanation.cure.endsWith(explanation.commands.length > 0 ? ':' : '.'), explanation.cure);
    assert.equal(explanation.commands[0]?.slice(0, command?.length ?? 0), command === undefined ? undefined : command);
  });
}

test('no policy: exactly what was asked is allowed, to exactly this certificate', () => {
  const { sentence, commands } = denied({});
  assert.match(
    sentence,
    /"dev1" with certificate ab12cd34 was refused iot:Connect on "client\/dev1": no policy is attached/,
  );
  assert.equal(commands.length, 2);
  assert.match(
    commands[0] ?? '',
    /^aws iot get-policy --policy-name (fleetgate-allow-[0-9a-f]{12}) > \/dev\/null 2>&1 \|\| aws iot create-policy --policy-name \1 --policy-document '\{"Version":"2012-10-17","Statement":\[\{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:000000000000:client\/dev1"\}\]\}'$/,
  );
  assert.match(
    commands[1] ?? '',
    new RegExp(`^aws iot attach-policy --policy-name fleetgate-allow-\\w{12} --target ${certificateArn}$`),
  );
});

test('a policy that the certificate was last seen with is attached again rather than a new one made', () => {
  const { sentence, commands } = denied({}, { policyNames: ['Fleet'] });
  assert.match(sentence, /no policy is attached to the certificate any more\.$/);
  assert.deepEqual(commands, [`aws iot attach-policy --policy-name Fleet --target ${certificateArn}`]);
});

test('what a policy would read as a pattern is allowed literally (spec policy.md 4.3)', () => {
  const { commands } = denied({ resource: 'arn:aws:iot:us-east-1:000000000000:client/a*b?c${iot:ClientId}$d' });
  assert.ok((commands[0] ?? '').includes('client/a${*}b${?}c${$}{iot:ClientId}$d"'), commands[0] ?? '');
});

test('an action without a resource is allowed on everything: a literal * would allow nothing (spec policy.md 3)', () => {
  const { commands } = denied({ action: 'iot:ListRetainedMessages', resource: '*' });
  assert.ok((commands[0] ?? '').includes('"Action":"iot:ListRetainedMessages","Resource":"*"'), commands[0] ?? '');
});

test('a call that names a client is explained by that name, and a broken rule of a call as one', () => {
  const called = { protocol: 'HTTP', eventType: 'DeleteConnection', facts: { clientId: 'lamp' } } as const;
  const absent = explained({ ...called, reason: 'CLIENT_NOT_CONNECTED', detail: 'nobody' });
  assert.equal(absent.sentence, 'DeleteConnection named the client id "lamp": nobody.');
  const broken = explained({
    ...called,
    eventType: 'Publish-In',
    reason: 'CLIENT_ERROR',
    detail: 'userProperties is not JSON',
  });
  assert.equal(broken.sentence, 'The request broke a rule of AWS IoT Core: userProperties is not JSON.');
});

test('the nearest statement is the cause: unresolved before condition before resource before action', () => {
  const [action, resource, condition, unresolved] = [
    statement({ index: 0 }),
    statement({ index: 1, outcome: 'resource' }),
    statement({ index: 2, outcome: 'condition', condition: 'IpAddress aws:SourceIp', sid: 'Office' }),
    statement({ index: 3, outcome: 'unresolved', unresolved: ['iot:Certificate.Subject.Country'] }),
  ];
  const cause = (...statements: readonly WeighedStatement[]) => denied({ statements }).sentence;
  assert.match(cause(action), /none of its policies allows that action/);
  assert.match(
    cause(action, resource),
    /Statement\[1\] of policy "Fleet" version 2 allows iot:Connect only on other resources/,
  );
  assert.match(cause(action, resource, condition), /statement "Office".*condition IpAddress aws:SourceIp is not met/);
  assert.match(cause(action, resource, condition, unresolved), /\$\{iot:Certificate.Subject.Country\} has no value/);
});

const thingless = [statement({ outcome: 'unresolved', unresolved: ['iot:Connection.Thing.ThingName'] })];
test('a thing variable without a value: the thing is made if need be, and attached', () => {
  const { sentence, commands } = denied({ statements: thingless });
  assert.match(sentence, /\$\{iot:Connection.Thing.ThingName\}.* has no value/);
  assert.deepEqual(commands, [
    'aws iot describe-thing --thing-name dev1 > /dev/null 2>&1 || aws iot create-thing --thing-name dev1',
    `aws iot attach-thing-principal --thing-name dev1 --principal ${certificateArn}`,
  ]);
});
test('a thing name that begins with a dash is no option', () => {
  const { commands } = denied({ statements: thingless, clientId: '--help' });
  assert.match(commands[1] ?? '', /attach-thing-principal --thing-name='--help' /);
});
test('an address in place of a host name, and a server that requires SNI, are told so (spec gateway.md 1.1)', () => {
  const tls = { ...base.tls, serverName: '127.0.0.1' };
  assert.match(
    explained({ reason: 'SNI_REQUIRED', tls }).sentence,
    /^The client named an address, "127\.0\.0\.1", instead of a host/,
  );
  const { certificateId: _, tls: __, ...early } = base;
  const required = storedRecord({ ...early, reason: 'SNI_REQUIRED' }, { id: 'i', atMs: 0, sequence: 1 });
  assert.equal(
    explain(required, surroundings).sentence,
    'The client named no host (SNI), and this server requires one.',
  );
});
test('a client id that no thing can have is told so, and the attached thing is named', () => {
  const { cure, commands } = denied({ statements: thingless, clientId: 'a b', facts: { thingName: 'sensor-1' } });
  assert.match(cure, /^Connect with the client id "sensor-1".*cannot be the name of a thing\.$/);
  assert.deepEqual(commands, []);
});

const deny = statement({ index: 1, effect: 'Deny', outcome: 'matched', sid: 'NoSecrets' });
const allowAll = statement({ index: 0, outcome: 'matched' });
const document = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: 'iot:*', Resource: '*' },
    { Sid: 'NoSecrets', Effect: 'Deny', Action: 'iot:Connect', Resource: '*' },
  ],
};
test('an explicit deny is named with policy, version and statement; the cure leaves out that statement alone', () => {
  const facts = { decidingDocument: JSON.stringify(document, undefined, 2) };
  const { sentence, commands } = denied({
    decision: 'EXPLICIT_DENY',
    statements: [allowAll, deny],
    decidedBy: 1,
    facts,
  });
  assert.match(sentence, /statement "NoSecrets" of policy "Fleet" version 2 denies it/);
  assert.deepEqual(commands, [
    `aws iot create-policy-version --policy-name=Fleet --set-as-default --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'`,
  ]);
});
test('a policy that only denies is detached, and what was asked is allowed when nothing else does', () => {
  const facts = { decidingDocument: JSON.stringify({ ...document, Statement: document.Statement[1] }) };
  const only = { ...deny, index: 0 };
  const { commands } = denied({ decision: 'EXPLICIT_DENY', statements: [only], decidedBy: 0, facts });
  assert.equal(commands[0], `aws iot detach-policy --policy-name=Fleet --target ${certificateArn}`);
  assert.match(commands[1] ?? '', /create-policy/);
});
test('an explicit deny whose document is not known is a sentence', () => {
  const { cure, commands } = denied({ decision: 'EXPLICIT_DENY', statements: [deny], decidedBy: 0 });
  assert.match(cure, /take statement "NoSecrets"/);
  assert.deepEqual(commands, []);
});

test('a certificate that expires takes its connection along: the sentence says so', () => {
  const { sentence } = explained({ reason: 'DEVICE_CERTIFICATE_EXPIRED', eventType: 'Disconnect' });
  assert.equal(sentence, 'The client "dev1" was disconnected because the certificate ab12cd34 has expired.');
});

test('an unregistered certificate is registered from the journal, with the policies it is known to have had', () => {
  const { cure, commands } = explained({ reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED' }, { policyNames: ['AllowAll'] });
  assert.deepEqual(commands, [
    `fleetgate explain ${certificateId} --certificate > device-ab12cd34.pem`,
    'aws iot register-certificate-without-ca --certificate-pem file://device-ab12cd34.pem --status ACTIVE',
    `aws iot attach-policy --policy-name AllowAll --target ${certificateArn}`,
  ]);
  assert.match(cure, /^If it is yours, register it with the policies that it was last seen with:$/);
});
test('of one that a CA has signed, the CA is what is missing: the direct one; but not of one that this service issued', () => {
  const chain = [{ fingerprint: certificateId, subject: 'CN=d', issuer: 'CN=line 3', notBeforeMs: 0, notAfterMs: 1 }];
  const made = { reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED', tls: { chain, leafPem } } as const;
  const { sentence, cure } = explained(made);
  assert.match(
    sentence,
    /which is not registered in .*, and neither is a CA with the name of its issuer \(CN=line 3\)\.$/,
  );
  assert.match(cure, /^If it is yours, register the CA that signed it, .*: one above it does not count/);
  const ours = [{ ...chain[0]!, issuer: 'O=Fleetgate, CN=Fleetgate Device CA' }];
  assert.doesNotMatch(explained({ ...made, tls: { chain: ours, leafPem } }).sentence, /issuer/);
  assert.doesNotMatch(explained({ ...made, protocol: 'HTTP' }).sentence, /issuer/, 'HTTPS brings nobody in');
});
test('where no policy is known, the right to connect is given', () => {
  const { commands } = explained({ reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED' });
  assert.ok(
    commands[2]?.includes('"Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:000000000000:client/dev1"'),
  );
});
test('a certificate with the subject of a registered one is called another', () => {
  const facts = { registeredTwin: 'f'.repeat(64) };
  const { sentence, cure } = explained({ reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED', facts });
  assert.match(sentence, /the registered certificate with the same subject is another one, ffffffff/);
  assert.match(cure, /^Use the registered certificate/);
});
test('without the certificate itself there is no command to register it', () => {
  const { cure, commands } = explained({ reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED', tls: {} });
  assert.match(cure, /register-certificate-without-ca/);
  assert.deepEqual(commands, []);
});
test('a revoked certificate is replaced only after a warning, with the policies and things it has', () => {
  const { cure, commands } = explained({ reason: 'DEVICE_CERTIFICATE_REVOKED' });
  assert.match(cure, /cannot be undone.*Only if you are sure/);
  assert.deepEqual(
    commands.map((line) => /(?:aws iot [a-z-]+|fleetgate explain)/.exec(line)?.[0]),
    [
      'fleetgate explain',
      'aws iot list-attached-policies',
      'aws iot list-principal-things',
      'aws iot detach-thing-principal',
      'aws iot delete-certificate',
      'aws iot register-certificate-without-ca',
      'aws iot attach-policy',
      'aws iot attach-thing-principal',
    ],
  );
});
test('a connection that was closed by a revocation is not told to activate', () => {
  const { commands } = explained({ reason: 'CERTIFICATE_NO_LONGER_ACTIVE', facts: { certificateStatus: 'REVOKED' } });
  assert.deepEqual(commands, []);
});
test('a certificate with ten policies is not given an eleventh (spec policy.md 1)', () => {
  const policyNames = Array.from({ length: 10 }, (_, i) => `P${i}`).join(' ');
  const { cure, commands } = denied({ facts: { policyNames } });
  assert.match(cure, /already has 10 policies.*add the statement to one of them/);
  assert.deepEqual(commands, []);
});
test('a transfer that is pending cannot be cured by a status', () => {
  const { commands } = explained({
    reason: 'DEVICE_CERTIFICATE_PENDING',
    facts: { certificateStatus: 'PENDING_TRANSFER' },
  });
  assert.deepEqual(commands, []);
});
test('a record that proved no account is cured in the account of the reader', () => {
  const { account: _, ...nobody } = base;
  const record = storedRecord({ ...nobody, reason: 'DEVICE_CERTIFICATE_EXPIRED' }, { id: 'i', atMs: 0, sequence: 1 });
  const { commands } = explain(record, {
    ...surroundings,
    account: { accountId: '111111111111', region: 'eu-west-1' },
  });
  assert.ok(commands[1]?.includes(`arn:aws:iot:eu-west-1:111111111111:cert/${certificateId}`));
});

const hostile = [
  '$(touch pwned)',
  '`touch pwned`',
  "'; touch pwned; '",
  '"; touch pwned; "',
  '\n touch pwned \n',
  '\u001b]0;x\u0007\u001b[2J',
  '& touch pwned',
  '-- --help',
  '!touch',
  'x\u202egnp',
  '\\\ntouch pwned',
];
/** What cures say that they write. */
const written = ['script', 'device-ab12cd34.pem', 'server.ext', 'server.crt'];
/** Runs every command line with commands of that name that do nothing, in an empty folder; returns what lies there afterwards. */
const runHarmlessly = (lines: readonly string[]): string[] => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetgate-'));
  try {
    writeFileSync(
      join(folder, 'script'),
      `aws() { :; }; curl() { :; }; openssl() { :; }; fleetgate() { :; }\n${lines.join('\n')}\n`,
    );
    execFileSync('sh', ['script'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    return readdirSync(folder).filter((name) => !written.includes(name));
  } finally {
    rmSync(folder, { recursive: true });
  }
};
test('hostile client ids, topics and names do no harm: not in a shell, not on a terminal', () => {
  const lines: string[] = [];
  for (const text of hostile) {
    const foreign = { clientId: text, resource: `arn:aws:iot:us-east-1:000000000000:client/${text}`, detail: text };
    const all = [
      denied(foreign),
      denied({ ...foreign, statements: thingless }),
      denied({ ...foreign, statements: [statement({ policyName: text, effect: 'Deny', outcome: 'matched' })] }),
      explained({ ...foreign, reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED' }, { policyNames: [text] }),
      explained({ ...foreign, reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED', facts: { policyNames: text } }),
      explained({ ...foreign, reason: 'SNI_MISUSED', tls: { serverName: text, failure: text } }),
      explained({ ...foreign, reason: 'DEVICE_CERTIFICATE_REVOKED', certificateId: text }),
    ];
    for (const { sentence, cure, commands } of all) {
      for (const line of [sentence, cure, ...commands]) assert.ok(!unprintable.test(line), JSON.stringify(line));
      lines.push(...commands);
    }
  }
  assert.ok(lines.length > 30);
  assert.deepEqual(runHarmlessly(lines), []);
});

test('whatever a record holds, its explanation can be printed and every command is one line of valid shell', () => {
  const foreign = fc.string({ unit: 'binary', maxLength: 60 });
  const collected: string[] = [];
  fc.assert(
    fc.property(
      fc.constantFrom(...(Object.keys(reasons) as Reason[])),
      foreign,
      foreign,
      (reason, clientId, resource) => {
        const explanation = denied({
          reason,
          clientId,
          resource,
          statements: [],
          facts: {
            ...{ thingName: clientId, endpoint: resource, topic: resource, provisioningTemplateName: clientId },
            parameterNames: resource,
            ...{ domainConfigurationName: clientId, domainName: resource },
          },
        });
        for (const line of [explanation.sentence, explanation.cure, ...explanation.commands])
          assert.ok(!unprintable.test(line));
        collected.push(...explanation.commands);
      },
    ),
    { seed: 7, numRuns: 300 },
  );
  assert.deepEqual(runHarmlessly(collected.filter((line) => !line.includes(':?'))), []);
});

test('a slow client that was disconnected is told so, and not that messages were dropped', () => {
  const { sentence } = explained({
    eventType: 'Disconnect',
    reason: 'SLOW_CONSUMER',
    detail: 'outboundBytesPerNodeMax',
    clientId: 'dev1',
  });
  assert.match(sentence, /"dev1" read or acknowledged too slowly and was disconnected.*outboundBytesPerNodeMax/);
});

test('the claim of a trusted user takes no policy: what it may do is told, and how to get a claim for another template', () => {
  const arn = 'arn:aws:iot:us-east-1:000000000000:topic/$aws/provisioning-templates/other/provision/json';
  const asked = { action: 'iot:Publish', resource: arn, facts: { provisioningTemplateName: 'lamps' } };
  const { sentence, cure, commands } = denied({ ...asked, statements: [] });
  assert.match(sentence, /claim of a trusted user.*template "lamps", and nothing else/);
  assert.match(cure, /No policy can be attached/);
  assert.deepEqual(commands, ['aws iot create-provisioning-claim --template-name=other']);
});
