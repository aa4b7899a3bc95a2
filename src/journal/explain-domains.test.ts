/** What a domain configuration refuses, with the command that changes it. Source: spec gateway.md 1.1 to 1.4. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';
import type { DomainFacts, JournalRecord } from './record.ts';
import { storedRecord } from './stored-record.ts';

const surroundings = { account: { accountId: '000000000000', region: 'us-east-1' }, apiUrl: 'http://127.0.0.1:4566' };
const open = {
  ...{ securityPolicy: 'IoTSecurityPolicy_TLS13_1_2_2022_10', applicationProtocol: 'DEFAULT' },
  authenticationType: 'DEFAULT',
};
const explained = (record: Partial<JournalRecord>, domain: DomainFacts, failure?: string) =>
  explain(
    storedRecord(
      {
        ...{ eventType: 'Connection.AuthNError', status: 'Failure', ...record },
        tls: { serverName: 'iot.example.com', domain, ...(failure !== undefined && { failure }) },
      },
      { id: '1', atMs: 0, sequence: 1 },
    ),
    surroundings,
  );
const byPort = (name: string): string =>
  `aws iot update-domain-configuration --domain-configuration-name ${name} --application-protocol DEFAULT --authentication-type DEFAULT`;

test('a disabled domain configuration is named, and enabled by the command', () => {
  const { sentence, commands } = explained({ reason: 'DOMAIN_CONFIGURATION_DISABLED' }, { name: "it's mine" });
  assert.match(sentence, /"iot\.example\.com" \(SNI\).*"it's mine", and that is DISABLED\.$/);
  assert.deepEqual(commands, [
    "aws iot update-domain-configuration --domain-configuration-name 'it'\\''s mine' --domain-configuration-status ENABLED",
  ]);
});

test('a client without a version of the security policy is told which policy that is', () => {
  const domain = { ...open, name: 'strict', securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' };
  const { sentence, commands } = explained({ reason: 'TLS_VERSION_UNSUPPORTED' }, domain);
  assert.match(sentence, /"strict" speaks: its security policy is IoTSecurityPolicy_TLS13_1_3_2022_10/);
  assert.deepEqual(commands, [
    "aws iot update-domain-configuration --domain-configuration-name strict --tls-config 'securityPolicy=IoTSecurityPolicy_TLS13_1_2_2022_10'",
  ]);
});

test('no other policy helps a client that is too old for the widest', () => {
  const { sentence, commands } = explained({ reason: 'TLS_VERSION_UNSUPPORTED' }, { ...open, name: 'wide' });
  assert.match(sentence, /no version of TLS that this server speaks/);
  assert.deepEqual(commands, []);
});

test('a certificate that the function of a domain did not accept: the command stops asking it', () => {
  const { sentence, commands } = explained(
    { reason: 'CLIENT_CERTIFICATE_CALLBACK_REFUSED' },
    { ...open, name: 'mine' },
  );
  assert.match(sentence, /The function that the domain configuration "mine" asks/);
  assert.match(commands.join(), /--client-certificate-config '\{"clientCertificateCallbackArn":""\}'$/);
});

const strangers: readonly (readonly [what: string, record: Partial<JournalRecord>])[] = [
  ['MQTT where requests are expected', { reason: 'PROTOCOL_MISMATCH' }],
  ['requests where WebSockets are expected', { reason: 'PROTOCOL_MISMATCH', detail: 'a request' }],
  [
    'HTTP where MQTT is expected',
    { eventType: 'Connect', reason: 'CLIENT_ERROR', detail: 'the first packet is not CONNECT' },
  ],
];
for (const [what, record] of strangers) {
  test(`${what}: the configuration is named; without one the port is what counts`, () => {
    const domain = { ...open, name: 'mine', applicationProtocol: 'HTTPS', authenticationType: 'AWS_X509' };
    const { sentence, commands } = explained(record, domain);
    assert.match(
      sentence,
      /"mine" lets nothing else in than applicationProtocol HTTPS with authenticationType AWS_X509/,
    );
    assert.deepEqual(commands, [byPort('mine')]);
    const plain = explained(record, { ...open, name: 'mine' });
    assert.doesNotMatch(plain.sentence, /"mine"/);
    assert.deepEqual(plain.commands, []);
  });
}

test('a request without a signature is not told to show a certificate where none is asked for', () => {
  const domain = { ...open, name: 'mine', applicationProtocol: 'HTTPS', authenticationType: 'AWS_SIGV4' };
  const signed = explained({ reason: 'NOT_AUTHENTICATED' }, domain);
  assert.match(signed.sentence, /did not sign its request.*"mine" asks for no certificate/);
  assert.deepEqual(signed.commands, [byPort('mine')]);
  assert.match(explained({ reason: 'NOT_AUTHENTICATED' }, { ...open, name: 'mine' }).cure, /certificate and the key/);
});

const arn = 'arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-4000-8000-000000000000';
const roots: readonly (readonly [root: 'chain' | 'server' | 'public' | 'maker', cure: RegExp, command: RegExp])[] = [
  [
    'chain',
    /certificate of that authority to trust.*--cafile server-ca\.pem, after:$/,
    /^aws acm get-certificate --certificate-arn arn:\S+ --query 'CertificateChain \|\| Certificate' --output text > server-ca\.pem$/,
  ],
  ['maker', /whoever signed the server certificate has it/, /^$/],
  ['public', /trust the public certificate authorities/, /^$/],
  ['server', /this server's root certificate/, /root-ca\.pem$/],
];
for (const [root, cure, command] of roots) {
  test(`a client that does not trust the certificate of a domain learns where its root is: ${root}`, () => {
    const domain = { ...open, name: 'mine', serverCertificate: { arn, issuer: 'CN=CA', root } };
    const told = explained({ reason: 'SERVER_CERTIFICATE_REJECTED' }, domain, 'tlsv1 alert unknown ca');
    assert.match(told.sentence, /^The client did not trust the certificate of this server .*unknown ca/);
    if (root !== 'server') assert.match(told.sentence, /domain configuration "mine", and .*"CN=CA"\.$/);
    assert.match(told.cure, cure);
    assert.match(told.commands.join(), command);
  });
}

const names: readonly (readonly [asked: string, told: string | undefined])[] = [
  ['www.example.com', 'mine'],
  ['Example.COM', 'mine'],
  ['iot.example.org', undefined],
  ['localhost', undefined],
];
for (const [asked, told] of names) {
  test(`${asked} is ${told === undefined ? 'like no name' : `told to be like the name of "${told}"`}`, () => {
    const record = { eventType: 'Connection.AuthNError', status: 'Failure', reason: 'SNI_MISUSED' } as const;
    const { sentence, commands } = explain(
      storedRecord({ ...record, tls: { serverName: asked } }, { id: '1', atMs: 0, sequence: 1 }),
      { ...surroundings, domains: [{ name: 'mine', domainName: 'iot.example.com' }] },
    );
    assert.match(sentence, /which is no endpoint of this server/);
    assert.equal(sentence.includes('"iot.example.com"'), told !== undefined);
    assert.match(
      commands.join(),
      told === undefined ? /describe-endpoint/ : /--domain-configuration-name mine --query/,
    );
  });
}
