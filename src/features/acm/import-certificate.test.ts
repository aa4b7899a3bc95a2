import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { authorities, type LeafOptions } from '../../../test/ca.ts';
import { makeCall, makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import { openssl } from '../../../test/openssl.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call } from '../../feature.ts';
import { createSecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import { tags } from '../tags/feature.ts';
import { findAcmCertificate, openAcmPrivateKey } from './acm-certificate.ts';
import { listTagsForCertificate } from './acm-tags.ts';
import { describeCertificate } from './describe-certificate.ts';
import { acm } from './feature.ts';
import { certificatesMax, importCertificate } from './import-certificate.ts';
import { getCertificate } from './operations.ts';
import { chainCertificatesMax } from './read-import.ts';

const box = createSecretBox(new Uint8Array(32).fill(7));
const importing = importCertificate(box);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Nothing is requested here. */
const acmRequests = {
  issuance: { isImmediate: () => false, look: async () => undefined, turn: async () => undefined },
  validationKey: new Uint8Array(32),
};
const refuses = (message: RegExp) => fails('ValidationException', message);

/** Any at all, as older versions of openssl make version 1 of what has none. */
const anyExtension = 'basicConstraints = CA:FALSE';

/** A CA `ca`; certificates are made for now, so the clock of the calls is the real one. */
const start = async (t: TestContext) => {
  const folder = await makeFolder(t);
  const maker = authorities(folder);
  const caPem = await maker.ca('ca', { subject: '/O=Maker/CN=Maker CA' });
  let offsetMs = 0;
  const calls = await makeCall(t, {
    features: [tags({}), acm({ box, acmRequests })],
    now: () => Date.now() + offsetMs,
  });
  const keyOf = (name: string): Promise<string> => readFile(join(folder, `${name}.key`), 'utf8');
  return {
    ...calls,
    folder,
    maker,
    caPem,
    keyOf,
    advanceTo: (ms: number) => {
      offsetMs = ms - Date.now();
    },
    /** What ImportCertificate is given for a new leaf of the CA. */
    async made(name: string, options: LeafOptions & { extensions?: string } = {}) {
      const { extensions = anyExtension, ...rest } = options;
      const extras = ['-extfile', await extensionFile(folder, name, extensions)];
      const certificate = await maker.leaf(name, 'ca', { ...rest, extras });
      return {
        Certificate: bytes(certificate),
        PrivateKey: bytes(await keyOf(name)),
        CertificateChain: bytes(caPem),
      };
    },
  };
};

const extensionFile = async (folder: string, name: string, text: string): Promise<string> => {
  await writeFile(join(folder, `${name}.ext`), text);
  return `${name}.ext`;
};

const described = async (call: Call, CertificateArn: string | undefined) => {
  const { Certificate } = await describeCertificate({ CertificateArn }, call);
  assert(Certificate);
  return Certificate;
};

test('identity.md check 41, the part of ACM: a certificate without serverAuth is imported all the same', async (t) => {
  const { call, made } = await start(t);
  const given = await made('plain', { subject: '/CN=plain.example', extensions: 'extendedKeyUsage = clientAuth' });
  const { CertificateArn } = await importing(given, call);
  const { Status, Type, ExtendedKeyUsages } = await described(call, CertificateArn);
  assert.deepEqual([Status, Type], ['ISSUED', 'IMPORTED']);
  assert.deepEqual(ExtendedKeyUsages, [{ Name: 'TLS_WEB_CLIENT_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.2' }]);
});

test('what is described is what openssl says of the certificate (API reference, CertificateDetail)', async (t) => {
  const { call, made, folder } = await start(t);
  const given = await made('full', {
    subject: '/C=JP/O=Acme/CN=Full.example',
    key: 'rsa',
    extensions:
      'subjectAltName = DNS:full.example, DNS:*.Full.example, IP:10.0.0.1\nkeyUsage = digitalSignature, keyEncipherment\nextendedKeyUsage = serverAuth, 1.2.3.4\n',
  });
  const { CertificateArn } = await importing({ ...given, Tags: [{ Key: 'team', Value: 'blue' }] }, call);
  const x509 = new X509Certificate(Buffer.from(given.Certificate));
  const serial = (await openssl(folder, 'x509', '-in', 'full.crt', '-noout', '-serial')).trim().slice('serial='.length);
  const { CreatedAt, ...detail } = await described(call, CertificateArn);
  assert.deepEqual(detail, {
    CertificateArn,
    DomainName: 'full.example',
    SubjectAlternativeNames: ['full.example', '*.full.example'],
    ImportedAt: CreatedAt,
    Status: 'ISSUED',
    KeyAlgorithm: 'RSA_2048',
    Serial: serial.toLowerCase().replaceAll(/..(?!$)/g, '$&:'),
    Subject: 'C=JP,O=Acme,CN=Full.example',
    Issuer: 'Maker',
    NotBefore: x509.validFromDate,
    NotAfter: x509.validToDate,
    SignatureAlgorithm: 'SHA256WITHECDSA',
    KeyUsages: [{ Name: 'DIGITAL_SIGNATURE' }, { Name: 'KEY_ENCIPHERMENT' }],
    ExtendedKeyUsages: [
      { Name: 'TLS_WEB_SERVER_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.1' },
      { Name: 'CUSTOM', OID: '1.2.3.4' },
    ],
    InUseBy: [],
    Type: 'IMPORTED',
    RenewalEligibility: 'INELIGIBLE',
    Options: { CertificateTransparencyLoggingPreference: 'DISABLED', Export: 'DISABLED' },
    CertificateKeyPairOrigin: 'CUSTOMER_PROVIDED',
  });
  assert.match(String(CertificateArn), /^arn:aws:acm:us-east-1:000000000000:certificate\/[0-9a-f-]{36}$/);
  assert.deepEqual(await listTagsForCertificate({ CertificateArn }, call), { Tags: [{ Key: 'team', Value: 'blue' }] });
  assert.deepEqual(await getCertificate({ CertificateArn }, call), {
    Certificate: Buffer.from(given.Certificate).toString(),
    CertificateChain: Buffer.from(given.CertificateChain).toString(),
  });
});

test('the certificate and its key are there for whoever presents them, sealed in the store and in no answer', async (t) => {
  const { call, callAs, made, keyOf, store } = await start(t);
  const given = await made('own', { subject: '/CN=own.example' });
  const { CertificateArn = '' } = await importing(given, call);
  const found = await findAcmCertificate(store.db, testAccount, CertificateArn);
  assert(found);
  assert.deepEqual([found.domainName, found.names, found.type], ['own.example', ['own.example'], 'IMPORTED']);
  assert.deepEqual(
    [found.certificatePem, found.chainPem],
    [Buffer.from(given.Certificate).toString(), Buffer.from(given.CertificateChain).toString()],
  );
  const opened = openAcmPrivateKey(box, testAccount, found) ?? '';
  assert(createPrivateKey(opened).equals(createPrivateKey(await keyOf('own'))));
  const rows = JSON.stringify(await store.db.selectFrom('acm_certificates').selectAll().execute());
  const body = opened.replaceAll(/-----[^-]+-----|\s/g, '');
  for (const secret of ['PRIVATE', body.slice(0, 40), body.slice(-40)]) assert.ok(!rows.includes(secret), secret);
  const answers = JSON.stringify([
    await described(call, CertificateArn),
    await getCertificate({ CertificateArn }, call),
  ]);
  assert.ok(!answers.includes('PRIVATE'));
  assert.equal(await findAcmCertificate(store.db, otherAccount, CertificateArn), undefined);
  const missing = fails('ResourceNotFoundException', /Could not find certificate arn:aws:acm/);
  await assert.rejects(getCertificate({ CertificateArn }, callAs(otherAccount)), missing);
  await assert.rejects(getCertificate({ CertificateArn: `${CertificateArn}0` }, call), missing);
  const foreign = 'arn:aws:iot:us-east-1:000000000000:cert/a';
  await assert.rejects(getCertificate({ CertificateArn: foreign }, call), fails('InvalidArnException'));
});

for (const [key, KeyAlgorithm] of [
  ['rsa-1024', 'RSA_1024'],
  ['P-256', 'EC_prime256v1'],
  ['P-384', 'EC_secp384r1'],
  ['P-521', 'EC_secp521r1'],
] as const) {
  test(`a key of ${KeyAlgorithm} is taken, in every form that openssl writes (API reference, ImportCertificate)`, async (t) => {
    const { call, made, folder } = await start(t);
    const given = await made('own', { subject: '/CN=own.example', key });
    const traditional = await openssl(folder, 'pkey', '-in', 'own.key', '-traditional');
    const forms = [given.PrivateKey, bytes(traditional), bytes(`a note before\n${traditional}and behind it`)];
    for (const PrivateKey of forms) {
      const { CertificateArn } = await importing({ ...given, PrivateKey }, call);
      assert.equal((await described(call, CertificateArn)).KeyAlgorithm, KeyAlgorithm);
    }
  });
}

type Given = Awaited<ReturnType<Awaited<ReturnType<typeof start>>['made']>>;
type World = Awaited<ReturnType<typeof start>>;
type Change = Partial<{ [Member in keyof Given]: Uint8Array | undefined }>;

const oneMore =
  /^The certificate field contains more than one certificate\. You can specify only one certificate in this field\.$/;
const noChain = /^Could not validate the certificate with the certificate chain\.$/;
const noKey = /^The private key is not supported\.$/;
const noMatch = /^The private key does not match the certificate\.$/;
const unparsable = /^Unable to parse certificate\. Please ensure the certificate is in PEM format\.$/;

const refused: [what: string, message: RegExp, change: (world: World, given: Given) => Promise<Change> | Change][] = [
  [
    'two certificates',
    oneMore,
    ({ caPem }, { Certificate }) => ({ Certificate: bytes(Buffer.from(Certificate) + caPem) }),
  ],
  ['text', unparsable, () => ({ Certificate: bytes('text') })],
  ['DER', unparsable, (_world, given) => ({ Certificate: new X509Certificate(given.Certificate).raw })],
  ['a block that is no certificate', unparsable, () => ({ Certificate: bytes(pem('CERTIFICATE', 'AAAA')) })],
  ['a block without an end', unparsable, ({ caPem }) => ({ Certificate: bytes(caPem.slice(0, -30)) })],
  ['no key', noKey, () => ({ PrivateKey: bytes('text') })],
  ['a key that is cut', noKey, (_world, { PrivateKey }) => ({ PrivateKey: PrivateKey.subarray(0, 90) })],
  ['the certificate as key', noKey, (_world, { Certificate }) => ({ PrivateKey: Certificate })],
  ['the key of another', noMatch, async ({ keyOf }) => ({ PrivateKey: bytes(await keyOf('ca')) })],
  [
    'a key whose halves differ',
    noMatch,
    (_world, { Certificate }) => ({ PrivateKey: bytes(unequalHalves(Certificate)) }),
  ],
  [
    'an encrypted key (PKCS #8)',
    /^Your private key should not be encrypted\.$/,
    async ({ folder }) => ({
      PrivateKey: bytes(await openssl(folder, 'pkey', '-in', 'own.key', '-aes128', '-passout', 'pass:1234')),
    }),
  ],
  [
    'an encrypted key (SEC 1)',
    /^Your private key should not be encrypted\.$/,
    async ({ folder }) => ({
      PrivateKey: bytes(
        await openssl(folder, 'pkey', '-in', 'own.key', '-aes128', '-passout', 'pass:1234', '-traditional'),
      ),
    }),
  ],
  [
    'no chain, though a CA has signed it',
    /^Provided certificate is not a valid self signed\. Please provide either a valid self-signed certificate or certificate chain\.$/,
    () => ({ CertificateChain: undefined }),
  ],
  ['a chain that is none', /^Unable to parse certificate chain/, () => ({ CertificateChain: bytes('text') })],
  ['the chain of another', noChain, async ({ maker }) => ({ CertificateChain: bytes(await maker.ca('other')) })],
  [
    'a chain whose CA only has the name',
    noChain,
    async ({ maker }) => ({ CertificateChain: bytes(await maker.ca('twin', { subject: '/O=Maker/CN=Maker CA' })) }),
  ],
  [
    'a chain whose CA only has the key',
    noChain,
    async ({ maker }) => ({ CertificateChain: bytes(await maker.ca('renamed', { keyOf: 'ca' })) }),
  ],
  [
    'the certificate in its chain',
    noChain,
    ({ caPem }, { Certificate }) => ({ CertificateChain: bytes(Buffer.from(Certificate) + caPem) }),
  ],
  [
    'a chain in the wrong order',
    noChain,
    async ({ maker, caPem }) => ({ CertificateChain: bytes((await maker.ca('above')) + caPem) }),
  ],
  [
    `more than ${chainCertificatesMax} certificates in the chain`,
    /more than 10 certificates/,
    ({ caPem }) => ({ CertificateChain: bytes(caPem.repeat(chainCertificatesMax + 1)) }),
  ],
];

const pem = (label: string, body: string): string => `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;

/** An EC key that says it has the certificate's public key, and has another private one. */
const unequalHalves = (certificate: Uint8Array): string => {
  const { publicKey } = new X509Certificate(certificate);
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'der' });
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
  return pem('EC PRIVATE KEY', Buffer.concat([own.subarray(0, -65), point]).toString('base64'));
};

test('what does not fit together is refused, and nothing is kept (API reference, ImportCertificate)', async (t) => {
  const world = await start(t);
  const given = await world.made('own', { subject: '/CN=own.example' });
  for (const [what, message, change] of refused) {
    await t.test(what, async () => {
      await assert.rejects(importing({ ...given, ...(await change(world, given)) }, world.call), refuses(message));
    });
  }
  assert.deepEqual(await world.store.db.selectFrom('acm_certificates').selectAll().execute(), []);
});

test('a certificate outside its validity is refused, and so is one whose CA has ended', async (t) => {
  const { call, made, advanceTo, folder, maker } = await start(t);
  const given = await made('own', { days: 2 });
  const x509 = new X509Certificate(given.Certificate);
  advanceTo(x509.validFromDate.getTime() - 60_000);
  await assert.rejects(importing(given, call), refuses(/^The certificate is not valid yet\.$/));
  advanceTo(x509.validToDate.getTime() + 1);
  await assert.rejects(importing(given, call), refuses(/^The certificate has expired\.$/));
  advanceTo(x509.validToDate.getTime() - 5000);
  await importing(given, call);
  const long = await maker.leaf('long', 'ca', { days: 7300, extras: ['-extfile', 'own.ext'] });
  const PrivateKey = await readFile(join(folder, 'long.key'));
  advanceTo(Date.now() + 3651 * 24 * 60 * 60 * 1000);
  await assert.rejects(
    importing({ ...given, Certificate: bytes(long), PrivateKey }, call),
    refuses(/^A certificate of the certificate chain has expired\.$/),
  );
});

test('what is no server key is refused: RSA of odd sizes, Ed25519, and a certificate of version 1', async (t) => {
  const { call, made, folder, maker, caPem, keyOf } = await start(t);
  const selfSigned = async (...key: readonly string[]) => {
    await openssl(folder, 'genpkey', ...key, '-out', 'odd.key');
    const request = ['req', '-x509', '-new', '-key', 'odd.key', '-subj', '/CN=odd.example', '-config', 'request.cnf'];
    request.push('-addext', anyExtension.replaceAll(' ', ''));
    return { Certificate: bytes(await openssl(folder, ...request)), PrivateKey: bytes(await keyOf('odd')) };
  };
  const odd = await selfSigned('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1280');
  await assert.rejects(importing(odd, call), refuses(/^The private key length is not supported for key algorithm\.$/));
  await assert.rejects(importing(await selfSigned('-algorithm', 'ED25519'), call), refuses(noKey));
  const curve = await selfSigned('-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1');
  await assert.rejects(importing(curve, call), refuses(noKey));
  const given = await made('own');
  const old = { ...given, Certificate: bytes(await maker.version1('own', 'ca')), CertificateChain: bytes(caPem) };
  await assert.rejects(importing(old, call), refuses(/version 3/));
});

test('a name with the character U+0000, and a chain of enormous certificates, are refused', async (t) => {
  const { call, made, maker, folder } = await start(t);
  const nul = await made('nul', { extensions: 'subjectAltName = DER:30:07:82:05:61:00:2e:61:62' });
  await assert.rejects(importing(nul, call), refuses(unparsable));
  const given = await made('own');
  const names = Array.from({ length: 2000 }, (_, index) => `DNS:name-${index}.example`).join(',');
  await extensionFile(folder, 'huge', `basicConstraints = CA:TRUE\nsubjectAltName = ${names}`);
  const huge = await maker.leaf('huge', 'ca', { extras: ['-extfile', 'huge.ext'] });
  const chained = importing({ ...given, CertificateChain: bytes(huge) }, call);
  await assert.rejects(chained, refuses(/more than 32768 bytes/));
});

test('an issuer without a name, and an OCSP responder with too long an address, are refused', async (t) => {
  const { call, made, folder, keyOf } = await start(t);
  const responder = (characters: number) =>
    `authorityInfoAccess = OCSP;URI:${'http://ocsp.example/'.padEnd(characters, 'a')}`;
  await importing(await made('longest', { extensions: responder(1000) }), call);
  const longer = await made('longer', { extensions: responder(1001) });
  await assert.rejects(importing(longer, call), refuses(/OCSP authority URL.*more than 1000 characters/));
  const request = ['req', '-x509', '-new', '-key', 'longer.key', '-subj', '/', '-config', 'request.cnf'];
  request.push('-addext', 'subjectAltName=DNS:a.example');
  const nameless = { Certificate: bytes(await openssl(folder, ...request)), PrivateKey: bytes(await keyOf('longer')) };
  await assert.rejects(importing(nameless, call), refuses(/issuer of the certificate is empty/));
});

test('a self-signed certificate needs no chain, and an intermediate CA may stand in it with or without the root', async (t) => {
  const { call, folder, maker, caPem, keyOf } = await start(t);
  await maker.leaf('self', 'ca');
  const request = ['req', '-x509', '-new', '-key', 'self.key', '-subj', '/CN=self.example', '-config', 'request.cnf'];
  request.push('-addext', anyExtension.replaceAll(' ', ''));
  const self = { Certificate: bytes(await openssl(folder, ...request)), PrivateKey: bytes(await keyOf('self')) };
  const { CertificateArn } = await importing(self, call);
  assert.equal((await getCertificate({ CertificateArn }, call)).CertificateChain, undefined);
  const extras = ['-extfile', await extensionFile(folder, 'below', 'basicConstraints = critical,CA:TRUE')];
  const plain = ['-extfile', await extensionFile(folder, 'plain', anyExtension)];
  const below = await maker.leaf('below', 'ca', { extras });
  const given = {
    Certificate: bytes(await maker.leaf('leaf', 'below', { extras: plain })),
    PrivateKey: bytes(await keyOf('leaf')),
  };
  for (const chain of [below, below + caPem, `note\n${below}note\n${caPem}`]) {
    await importing({ ...given, CertificateChain: bytes(chain) }, call);
  }
  const noCa = {
    Certificate: bytes(await maker.leaf('under', 'leaf', { extras: plain })),
    PrivateKey: bytes(await keyOf('under')),
  };
  await assert.rejects(importing({ ...noCa, CertificateChain: given.Certificate }, call), refuses(noChain));
});

test('a new import under the same ARN takes the place of the old, and says so (user guide, "Reimporting a certificate")', async (t) => {
  const { call, callAs, made, changes, store, keyOf, advanceTo } = await start(t);
  const usages = 'keyUsage = digitalSignature\nextendedKeyUsage = serverAuth\n';
  const given = await made('own', { subject: '/CN=own.example', extensions: usages });
  const { CertificateArn = '' } = await importing(given, call);
  const before = await described(call, CertificateArn);
  assert.deepEqual(changes, [], 'a new one is no change to anybody');
  const more = 'keyUsage = digitalSignature, keyAgreement\nextendedKeyUsage = serverAuth, clientAuth\n';
  const next = await made('next', { subject: '/CN=next.example', extensions: more });
  advanceTo(Date.now() + 60_000);
  assert.deepEqual(await importing({ ...next, CertificateArn }, call), { CertificateArn });
  assert.deepEqual(changes, [{ account: testAccount, kind: 'acm', id: CertificateArn }]);
  const after = await described(call, CertificateArn);
  assert.deepEqual([before.DomainName, after.DomainName], ['own.example', 'next.example']);
  assert.equal(after.CreatedAt?.getTime(), before.CreatedAt?.getTime());
  assert((after.ImportedAt?.getTime() ?? 0) > (before.ImportedAt?.getTime() ?? 0));
  const found = await findAcmCertificate(store.db, testAccount, CertificateArn);
  const key = createPrivateKey((found && openAcmPrivateKey(box, testAccount, found)) ?? '');
  assert(key.equals(createPrivateKey(await keyOf('next'))));

  const again = (input: Operations['acm']['ImportCertificate']['input']) =>
    importing({ ...input, CertificateArn }, call);
  await assert.rejects(again(given), refuses(/cannot be removed: KEY_AGREEMENT, TLS_WEB_CLIENT_AUTHENTICATION/));
  await assert.rejects(again({ ...next, Tags: [{ Key: 'a' }] }), refuses(/^Tagging is not permitted on re-import\.$/));
  const larger = await made('larger', { key: 'P-384', extensions: more });
  await assert.rejects(again(larger), refuses(/key type and size cannot change: the certificate has EC_prime256v1/));
  const nameless = await made('nameless', { subject: '/O=Acme', extensions: more });
  await assert.rejects(again(nameless), refuses(/domain names/));
  await assert.rejects(
    importing({ ...next, CertificateArn }, callAs(otherAccount)),
    fails('ResourceNotFoundException', /Could not find certificate/),
  );
  const toIssued = (db: Db) => db.updateTable('acm_certificates').set({ certificate_type: 'AMAZON_ISSUED' }).execute();
  await store.write(toIssued);
  await assert.rejects(again(next), refuses(/^Only a certificate that was imported can be imported again\.$/));
  assert.equal(changes.length, 1);
  assert.equal((await described(call, CertificateArn)).Serial, after.Serial, 'what is refused changes nothing');
});

test(`more than ${certificatesMax} certificates in a region are refused, and a new import under an old ARN is not`, async (t) => {
  const { call, callAs, made, store } = await start(t);
  const given = await made('own', { subject: '/CN=own.example' });
  const { CertificateArn = '' } = await importing(given, call);
  const row = await store.db.selectFrom('acm_certificates').selectAll().executeTakeFirstOrThrow();
  const copies = Array.from({ length: certificatesMax - 2 }, (_, index) => ({
    ...row,
    certificate_uuid: String(index),
    private_key: '',
  }));
  for (let at = 0; at < copies.length; at += 500) {
    await store.write((db) =>
      db
        .insertInto('acm_certificates')
        .values(copies.slice(at, at + 500))
        .execute(),
    );
  }
  await importing(given, call);
  await assert.rejects(importing(given, call), fails('LimitExceededException', /maximum number of certificates/));
  await importing({ ...given, CertificateArn }, call);
  await importing(given, callAs({ ...testAccount, region: 'eu-west-1' }));
});

test('a certificate that has ended shows as EXPIRED', async (t) => {
  const { call, made, advanceTo } = await start(t);
  const { CertificateArn } = await importing(await made('own', { days: 1 }), call);
  advanceTo(Date.now() + 2 * 24 * 60 * 60 * 1000);
  assert.equal((await described(call, CertificateArn)).Status, 'EXPIRED');
});
