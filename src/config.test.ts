import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { ConfigProblem, configFlags, didYouMean, environmentName, readConfig, version } from './config.ts';
import { isRegion } from './features/accounts/account.ts';
import { awsLimits, openLimits } from './limits.ts';

test('without flags and environment the defaults of the design hold (design.md 3)', () => {
  assert.deepEqual(readConfig([], {}), {
    host: '127.0.0.1',
    apiPort: 4566,
    mqttPort: 8883,
    httpsPorts: [8443],
    metricsPort: 9464,
    dataFolder: resolve('fleetgate-data'),
    domain: 'localhost',
    names: [],
    accountId: '000000000000',
    region: 'us-east-1',
    requireSni: false,
    allowedOrigins: [],
    ocspResponders: [],
    customDomainDeletionDays: 0,
    dev: false,
    dnsServers: [],
    acmValidation: 'dns',
    logLevel: 'info',
    limits: awsLimits,
    rateQuotas: false,
  });
});

/** Every flag with another value than its default, and the field that must then hold it. */
const settings: readonly [flag: string, text: string, field: string, value: unknown][] = [
  ['host', '0.0.0.0', 'host', '0.0.0.0'],
  ['api-port', '0', 'apiPort', 0],
  ['mqtt-port', '65535', 'mqttPort', 65_535],
  ['https-port', '443,8443', 'httpsPorts', [443, 8443]],
  ['metrics-port', '0', 'metricsPort', 0],
  ['limits', 'open', 'limits', openLimits],
  ['rate-quotas', 'aws', 'rateQuotas', true],
  ['custom-domain-deletion-days', '7', 'customDomainDeletionDays', 7],
  ['dns-server', '127.0.0.1:5353, [::1]:53', 'dnsServers', ['127.0.0.1:5353', '[::1]:53']],
  ['acm-validation', 'immediate', 'acmValidation', 'immediate'],
  ['session-expiry', '604800', 'limits', { ...awsLimits, sessionExpirySecondsMax: 604_800 }],
  ['data', 'x/y', 'dataFolder', resolve('x/y')],
  ['domain', 'iot.example.com', 'domain', 'iot.example.com'],
  ['names', 'a.example, b', 'names', ['a.example', 'b']],
  ['account', '123456789012', 'accountId', '123456789012'],
  ['region', 'ap-northeast-1', 'region', 'ap-northeast-1'],
  [
    'allowed-origins',
    'https://a.example,http://localhost:3000',
    'allowedOrigins',
    ['https://a.example', 'http://localhost:3000'],
  ],
  ['log-level', 'silent', 'logLevel', 'silent'],
  ['functions', 'x/y', 'functions', resolve('x/y')],
  ['functions-endpoint', 'https://lambda.example:3001/base/', 'functionsEndpoint', 'https://lambda.example:3001/base/'],
  ['buckets', 'x/y', 'buckets', resolve('x/y')],
  [
    'ocsp-responders',
    'OCSP.example.com, 10.0.0.7:8080,[0:0::1]:80',
    'ocspResponders',
    ['ocsp.example.com', '10.0.0.7:8080', '[::1]:80'],
  ],
  ['s3-endpoint', 'http://minio.example:9000/base', 's3Endpoint', 'http://minio.example:9000/base'],
];
for (const [flag, text, field, value] of settings) {
  test(`--${flag} and ${environmentName(flag)} set the same, and the flag wins`, () => {
    const read = (argv: string[], env: Record<string, string>) =>
      new Map(Object.entries(readConfig(argv, env))).get(field);
    assert.deepEqual(read([`--${flag}`, text], {}), value);
    assert.deepEqual(read([`--${flag}=${text}`], {}), value);
    assert.deepEqual(read([], { [environmentName(flag)]: text }), value);
    assert.deepEqual(read([`--${flag}`, text], { [environmentName(flag)]: 'not valid!' }), value);
    assert.notDeepEqual(read([], { [environmentName(flag)]: '' }), value);
  });
}

for (const [flag, field] of [
  ['require-sni', 'requireSni'],
  ['dev', 'dev'],
] as const) {
  test(`--${flag} needs no value; the environment says true or false`, () => {
    assert.equal(readConfig([`--${flag}`], {})[field], true);
    assert.equal(readConfig([], { [environmentName(flag)]: '1' })[field], true);
    assert.equal(readConfig([`--no-${flag}`], { [environmentName(flag)]: 'true' })[field], false);
  });
}

test('a region is taken exactly when accounts can come into being in it', () => {
  for (const region of [
    'us-east-1',
    'us-gov-west-1',
    'eusc-de-east-1',
    'us-foo-1',
    'us-east-0',
    'us-east-01',
    'here',
  ]) {
    const read = () => readConfig(['--region', region], {}).region;
    if (isRegion(region)) assert.equal(read(), region);
    else assert.throws(read, { name: 'ConfigProblem', message: /^--region must be a region name/ });
  }
});

test('a server certificate and its key are absolute paths, and come together', () => {
  const { serverCert, serverKey } = readConfig(['--server-cert', 'c.pem'], { FLEETGATE_SERVER_KEY: 'k.pem' });
  assert.deepEqual([serverCert, serverKey], [resolve('c.pem'), resolve('k.pem')]);
});

test('the root key comes from the environment alone', () => {
  const env = {
    FLEETGATE_ROOT_ACCESS_KEY_ID: 'FGROOT1',
    FLEETGATE_ROOT_SECRET_ACCESS_KEY: 'a-secret-of-16-characters',
  };
  assert.deepEqual(readConfig([], env).rootKey, {
    accessKeyId: 'FGROOT1',
    secretAccessKey: 'a-secret-of-16-characters',
  });
  assert.throws(() => readConfig(['--root-access-key-id', 'FGROOT1'], {}), /Unknown flag "--root-access-key-id"/);
});

const refused: readonly [argv: string[], env: Record<string, string>, sentence: RegExp][] = [
  [['--mqtt-prot', '1'], {}, /^Unknown flag "--mqtt-prot"\. Did you mean --mqtt-port\? --help lists all flags\.$/],
  [['--frobnicate'], {}, /^Unknown flag "--frobnicate"\. --help lists/],
  [['-h'], {}, /^Unknown flag "-h"/],
  [['--no-host'], {}, /^Unknown flag "--no-host"/],
  [['--\u001b[2J'], {}, /^Unknown flag "--\\u001b\[2J"/],
  [['now'], {}, /^start takes flags only, not "now"/],
  [['--host'], {}, /^--host needs a value: --host ADDRESS\.$/],
  [['--host', '--domain', 'x'], {}, /^--host needs a value/],
  [['--require-sni=yes'], {}, /^--require-sni takes no value/],
  [['--api-port', '70000'], {}, /^--api-port must be a port number from 0 to 65535, not "70000"\.$/],
  ...['http://ocsp.example.com', 'ocsp.example.com/x', 'a:0', 'a:70000', '*', '[::1', 'a@b', 'a,b_c', '1.2.3.4.5'].map(
    (hosts): (typeof refused)[number] => [['--ocsp-responders', hosts], {}, /^--ocsp-responders must be hosts such as/],
  ),
  [['--api-port', '-1'], {}, /^--api-port needs a value/],
  [['--dns-server', 'dns.example:53'], {}, /^--dns-server must be IP addresses with ports/],
  [['--dns-server', '127.0.0.1'], {}, /^--dns-server must be IP addresses with ports/],
  [['--dns-server', '127.0.0.1:0'], {}, /^--dns-server must be IP addresses with ports/],
  [['--dns-server', '1.2.3:53'], {}, /^--dns-server must be IP addresses with ports/],
  [['--acm-validation', 'never'], {}, /^--acm-validation must be dns or immediate, not "never"\.$/],
  [['--api-port=0x50'], {}, /^--api-port must be/],
  [[], { FLEETGATE_MQTT_PORT: 'x' }, /^FLEETGATE_MQTT_PORT must be a port number/],
  [['--host', 'a b'], {}, /^--host must be an IP address or a host name/],
  [['--domain', 'Example.com'], {}, /^--domain must be a lower-case domain name/],
  [['--names', 'ok,-no'], {}, /^--names must be a comma-separated list/],
  [['--account', '1234'], {}, /^--account must be 12 digits/],
  [['--region', 'here'], {}, /^--region must be a region name/],
  [['--allowed-origins', '*'], {}, /^--allowed-origins must be/],
  [['--allowed-origins', 'https://a.example/path'], {}, /^--allowed-origins must be/],
  [['--server-cert', 'x'], {}, /belong together/],
  [['--log-level', 'loud'], {}, /^--log-level must be one of/],
  [[], { FLEETGATE_REQUIRE_SNI: 'maybe' }, /^FLEETGATE_REQUIRE_SNI must be true or false/],
  [[], { FLEETGATE_ROOT_ACCESS_KEY_ID: 'FGROOT1' }, /set both or neither/],
  [[], { FLEETGATE_ROOT_ACCESS_KEY_ID: 'test', FLEETGATE_ROOT_SECRET_ACCESS_KEY: 'x'.repeat(20) }, /development keys/],
  [
    [],
    { FLEETGATE_ROOT_ACCESS_KEY_ID: 'ASIA000000000000', FLEETGATE_ROOT_SECRET_ACCESS_KEY: 'x'.repeat(20) },
    /development keys/,
  ],
  [['--limits', 'constructor'], {}, /^--limits must be aws or open, not "constructor"\.$/],
  [[], { FLEETGATE_ROOT_ACCESS_KEY_ID: 'FGROOT1', FLEETGATE_ROOT_SECRET_ACCESS_KEY: 'short' }, /16 to 128/],
];
for (const [argv, env, sentence] of refused) {
  test(`${JSON.stringify(argv)} with ${JSON.stringify(Object.keys(env))} is refused in one sentence`, () => {
    assert.throws(
      () => readConfig(argv, env),
      (error) => error instanceof ConfigProblem && sentence.test(error.message),
    );
  });
}

test('--store takes the URL of a PostgreSQL database, and nothing means SQLite', () => {
  const url = 'postgres://fleetgate:secret@db.example:5433/fleet';
  assert.equal(readConfig(['--store', url], {}).store, url);
  assert.equal(
    readConfig([], { FLEETGATE_STORE: 'postgresql:///fleet?host=/run/postgresql' }).store?.slice(0, 10),
    'postgresql',
  );
  for (const [argv, env] of [
    [[], {}],
    [[], { FLEETGATE_STORE: '' }],
    [['--store', ''], { FLEETGATE_STORE: url }],
  ] as const) {
    assert.equal('store' in readConfig(argv, env), false);
  }
});

const wrongStores: readonly (readonly [argv: readonly string[], env: Record<string, string>])[] = [
  [['--store', 'mysql://fleetgate:hunter2@localhost/fleet'], {}],
  [['--store=postgres://fleetgate:hunter2@localhost'], {}],
  [['--store', 'hunter2'], {}],
  [[], { FLEETGATE_STORE: 'postgres:// fleetgate:hunter2' }],
];
for (const [argv, env] of wrongStores) {
  test(`a store that is no PostgreSQL database is refused without repeating its password: ${JSON.stringify([argv, env])}`, () => {
    assert.throws(
      () => readConfig(argv, env),
      (error) =>
        error instanceof ConfigProblem && /^--store /.test(error.message) && !error.message.includes('hunter2'),
    );
  });
}
for (const url of [
  'localhost:3001',
  'ftp://localhost',
  'http://',
  'http://user:hunter2@localhost:3001',
  'http://localhost:3001/?key=hunter2',
  'http://localhost:3001/#hunter2',
  'http://local host',
  'http://localhost:99999',
]) {
  test(`an endpoint of functions or of S3 is no such URL, and is not repeated: ${url}`, () => {
    for (const flag of ['--functions-endpoint', '--s3-endpoint']) {
      assert.throws(
        () => readConfig([flag, url], {}),
        (error) =>
          error instanceof ConfigProblem &&
          error.message.startsWith(`${flag} (or `) &&
          /must be an http or https URL without user, query/.test(error.message) &&
          !error.message.includes('hunter2'),
      );
    }
  });
}

test('the key of the S3 endpoint comes from the environment alone, whole or not at all', () => {
  const s3Key = { accessKeyId: 'minio-1', secretAccessKey: 'hunter2' };
  const env = { FLEETGATE_S3_ACCESS_KEY_ID: 'minio-1', FLEETGATE_S3_SECRET_ACCESS_KEY: 'hunter2' };
  assert.deepEqual(readConfig([], env).s3Key, s3Key);
  assert.equal(readConfig([], {}).s3Key, undefined);
  for (const wrong of [
    { ...env, FLEETGATE_S3_ACCESS_KEY_ID: '' },
    { ...env, FLEETGATE_S3_SECRET_ACCESS_KEY: '' },
    { ...env, FLEETGATE_S3_ACCESS_KEY_ID: 'a/b' },
    { ...env, FLEETGATE_S3_ACCESS_KEY_ID: 'a\r\nb' },
  ]) {
    assert.throws(
      () => readConfig([], wrong),
      (error) =>
        error instanceof ConfigProblem && /S3_ACCESS_KEY_ID/.test(error.message) && !/hunter2/.test(error.message),
    );
  }
});

test('a URL in the place of a flag is not repeated either', () => {
  assert.throws(() => readConfig(['postgres://fleetgate:hunter2@localhost/fleet'], {}), {
    message: /flags only, not a URL\./,
  });
});

test('a secret is not repeated in the sentence that refuses it', () => {
  const env = { FLEETGATE_ROOT_ACCESS_KEY_ID: 'FGROOT1', FLEETGATE_ROOT_SECRET_ACCESS_KEY: 'hunter2' };
  assert.throws(
    () => readConfig([], env),
    (error) => error instanceof Error && !error.message.includes('hunter2'),
  );
});

test('the configuration is frozen, and every flag has words', () => {
  assert.ok(Object.isFrozen(readConfig([], {})));
  for (const { name, about } of configFlags) assert.ok(about.length > 10, name);
});

test('a hint is given only for what is near', () => {
  assert.equal(didYouMean('explian', ['explain', 'env']), ' Did you mean explain?');
  assert.equal(didYouMean('zzz', ['explain', 'env']), '');
});

test('the version is that of package.json', () => {
  const { version: published } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.equal(version, published);
});
