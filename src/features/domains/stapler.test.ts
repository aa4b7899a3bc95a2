/** Stapled OCSP responses, from openssl's own responder to openssl's own client. Source: developer guide, "Server certificate configuration for OCSP stapling"; spec gateway.md 1.4. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { bootGateway, run } from '../../../test/gateway-bed.ts';
import { type Leaf, ocspAuthority } from '../../../test/ocsp.ts';
import { openssl } from '../../../test/openssl.ts';
import { throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import { noteChange } from '../../bus/changes.ts';
import { httpsProtocol } from '../../gateway/protocol.ts';
import type { LogEntry } from '../../journal/log-event.ts';
import { createSecretBox } from '../../pki/secret-box.ts';
import { defaultSecurityPolicy } from '../../tls/security-policy.ts';
import type { Resolution } from '../../tls/served-domain.ts';
import { acmArn, insertImported } from '../acm/acm-certificate.ts';
import { migrations as acmMigrations } from '../acm/migrations.ts';
import {
  type DomainConfiguration,
  type OcspConfig,
  removeDomainConfiguration,
  saveDomainConfiguration,
} from './domain-configuration.ts';
import { migrations } from './migrations.ts';
import { askingMax, askingPerAccountMax, createStapler, refreshMs, type StaplerOptions } from './stapler.ts';

const folder = throwAwayFolder();
const authority = await ocspAuthority(folder);
const functionArn = 'arn:aws:lambda:us-east-1:000000000000:function:ocsp';
/** Has nobody listening. */
const closedAddress = 'http://127.0.0.1:1/';
const [server, revoked, stranger, signer] = await Promise.all([
  authority.leaf('server', { address: closedAddress }),
  authority.leaf('revoked', { status: 'R' }),
  authority.leaf('stranger'),
  authority.leaf('signer', { extensions: ['extendedKeyUsage=OCSPSigning'] }),
]);
const box = createSecretBox(randomBytes(32));
const dayMs = 24 * 3_600_000;

/** What a function answers, of the request that it is given. */
type Answer = (request: Uint8Array) => unknown;
const genuine: Answer = async (request) => (await authority.respond(request)).toString('base64');

const start = async (t: TestContext, options: Partial<StaplerOptions> & { readonly answer?: Answer } = {}) => {
  const features = [acmMigrations, migrations].map((all, index) => ({ name: String(index), migrations: all }));
  const { store, bus } = await makeCall(t, { features });
  let offsetMs = 0;
  const now = () => Date.now() + offsetMs;
  const events: unknown[] = [];
  const logged: LogEntry[] = [];
  const troubles: string[] = [];
  let answer = options.answer ?? genuine;
  const stapler = createStapler({
    ...{ db: store.db, bus, now, responders: [] },
    async invokeFunction({ event, ...of }) {
      events.push({ event, ...of });
      assert.equal(typeof event, 'string');
      return answer(Buffer.from(String(event), 'base64'));
    },
    log: (account, entry) => {
      assert.equal(account.accountId, testAccount.accountId);
      logged.push(entry);
    },
    trouble: (error) => troubles.push(error instanceof Error ? error.message : String(error)),
    ...options,
  });
  t.after(stapler.close);
  return {
    ...{ store, bus, stapler, events, logged, troubles, now },
    advance: (ms: number) => {
      offsetMs += ms;
      return stapler.turn();
    },
    answers: (next: Answer) => {
      answer = next;
    },
    /** Writes it, and tells of it as the operations do. */
    async save(configuration: DomainConfiguration) {
      await store.write((db) => saveDomainConfiguration(db, configuration));
      noteChange(bus, { account: configuration.account, kind: 'domain', id: configuration.domainName });
      await stapler.turn();
      return stapler.stapleOf(configuration) ?? (() => assert.fail('no staple is wanted'));
    },
  };
};

const configurationOf = (
  { pem, name }: Leaf,
  ocsp: OcspConfig,
  changed: Partial<DomainConfiguration> = {},
): DomainConfiguration => ({
  ...{
    account: testAccount,
    name,
    suffix: 'abcde',
    domainName: `${name}.example.test`,
    domainType: 'CUSTOMER_MANAGED',
  },
  ...{ status: 'ENABLED', statusChangedAtMs: 0, createdAtMs: 0, securityPolicy: defaultSecurityPolicy.name },
  ...{ authenticationType: 'DEFAULT', applicationProtocol: 'DEFAULT', certificateDetail: undefined },
  ...{ serverCertificateArn: acmArn(testAccount, name), validationCertificateArn: undefined },
  ...{ served: { chainPem: pem + authority.pem, keySealed: '' }, clientCertificateCallbackArn: undefined, ocsp },
  ...changed,
});
const byFunction: OcspConfig = { enableOCSPCheck: true, ocspLambdaArn: functionArn };
const byAddress: OcspConfig = { enableOCSPCheck: true };

/** What openssl says of the OCSP response in a handshake with a gateway that staples this. */
const seenByClient = async (t: TestContext, { pem, keyPem, name }: Leaf, staple: () => Uint8Array | undefined) => {
  const certificate = { chainPem: pem + authority.pem, privateKeyPem: keyPem, staple };
  const serverName = `${name}.example.test`;
  const bed = await bootGateway(t, {
    protocol: httpsProtocol,
    resolve: (): Resolution => ({
      ...{ kind: 'account', account: testAccount },
      domain: {
        ...{ name, securityPolicy: defaultSecurityPolicy, certificate },
        ...{ authenticationType: 'DEFAULT', applicationProtocol: 'DEFAULT' },
      },
    }),
  });
  return run('openssl', [
    ...['s_client', '-connect', `127.0.0.1:${bed.port}`, '-servername', serverName, '-status'],
    ...['-CAfile', join(folder, 'ca.crt'), '-verify_return_error'],
  ]);
};

/** Whether openssl, as a client that has the CA, takes the response as proof. */
const isProof = async ({ name }: Leaf, response: Uint8Array | undefined): Promise<string> => {
  const file = join(folder, `${randomUUID()}.der`);
  await writeFile(file, response ?? assert.fail('no response'));
  return run('openssl', [
    ...['ocsp', '-respin', file, '-issuer', join(folder, 'ca.crt'), '-cert', join(folder, `${name}.crt`)],
    ...['-CAfile', join(folder, 'ca.crt')],
  ]);
};

test('a function is given the request as base64 and its answer is stapled (API reference, ServerCertificateConfig)', async (t) => {
  const bed = await start(t);
  const staple = await bed.save(configurationOf(server, byFunction));
  assert.deepEqual(
    bed.events.map((event) => ({ ...(event as object), event: '' })),
    [{ functionArn, account: testAccount, event: '' }],
  );
  assert.match(await isProof(server, staple()), /(?=[\s\S]*Response verify OK)[\s\S]*server\.crt: good/);
  const printed = await seenByClient(t, server, staple);
  assert.match(printed, /OCSP Response Status: successful[\s\S]*Cert Status: good/);
  assert.match(printed, /Verify return code: 0 \(ok\)/);
  const [entry] = bed.logged;
  assert.deepEqual([entry?.eventType, entry?.status], ['RetrieveOCSPStapleData', 'Success']);
  const details = entry?.more?.['ocspResponseDetails'] as Record<string, unknown>;
  assert.deepEqual([details['certStatus'], entry?.more?.['domainConfigName']], ['good', 'server']);
  assert.deepEqual(bed.stapler.counts(), [{ account: testAccount, domainConfigurationName: 'server', successes: 1 }]);
  assert.deepEqual(bed.troubles, []);
});

test('that the certificate is revoked is stapled too, for clients to refuse it', async (t) => {
  const bed = await start(t);
  const staple = await bed.save(configurationOf(revoked, byFunction));
  assert.match(await isProof(revoked, staple()), /revoked\.crt: revoked/);
  assert.match(await seenByClient(t, revoked, staple), /Cert Status: revoked/);
});

/** openssl's own responder over HTTP, behind a port of ours, which a certificate can name before openssl has one. */
const opensslResponder = async (t: TestContext) => {
  let port: number | undefined;
  const front = createServer((socket) => {
    const behind = connect(port ?? 0, '127.0.0.1');
    for (const each of [socket, behind]) each.on('error', () => undefined);
    socket.pipe(behind).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  t.after(() => front.close());
  // A TCP server's address is an AddressInfo.
  const place = `127.0.0.1:${(front.address() as AddressInfo).port}`;
  const leaf = await authority.leaf('http', { address: `http://${place}/any/path` });
  const flags = [
    '-index',
    'index.txt',
    '-CA',
    'ca.crt',
    '-rsigner',
    'signer.crt',
    '-rkey',
    'signer.key',
    '-ndays',
    '1',
  ];
  const responder = spawn('openssl', ['ocsp', '-port', '0', ...flags], { cwd: folder });
  t.after(async () => {
    responder.kill();
    await once(responder, 'close');
  });
  responder.stderr.resume();
  for await (const printed of responder.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    const [, told] = /ACCEPT \S+:(\d+)/.exec(printed) ?? [];
    if (told === undefined) continue;
    port = Number(told);
    break;
  }
  return { leaf, place };
};

test("without a function the certificate's own responder is asked: openssl's, over HTTP", async (t) => {
  const { leaf, place } = await opensslResponder(t);
  const bed = await start(t, { responders: [place] });
  const staple = await bed.save(configurationOf(leaf, byAddress));
  assert.deepEqual(bed.troubles, []);
  assert.match(await isProof(leaf, staple()), /(?=[\s\S]*Response verify OK)[\s\S]*http\.crt: good/);
  assert.match(await seenByClient(t, leaf, staple), /Cert Status: good[\s\S]*Verify return code: 0 \(ok\)/);
  assert.deepEqual(bed.logged[0]?.more?.['connectionDetails'], { ocspResponderUri: `http://${place}/any/path` });
});

/** A responder that does what it likes, and a certificate that names it. */
const httpResponder = async (t: TestContext, answer: RequestListener) => {
  const http = createHttpServer(answer).listen(0, '127.0.0.1');
  await once(http, 'listening');
  // A TCP server's address is an AddressInfo.
  const place = `127.0.0.1:${(http.address() as AddressInfo).port}`;
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  const leaf = await authority.leaf(`of-${randomUUID().slice(0, 8)}`, { address: `http://${place}/` });
  return { leaf, place };
};

test('a responder that the operator has not named is never asked, and the reason says how to', async (t) => {
  let asked = 0;
  const { leaf } = await httpResponder(t, (_, response) => response.end(String(++asked)));
  const bed = await start(t, { responders: ['ocsp.example.com'] });
  const staple = await bed.save(configurationOf(leaf, byAddress));
  assert.deepEqual([asked, staple()], [0, undefined]);
  assert.match(bed.troubles[0] ?? '', /domain configuration of-\w+ of 000000000000: .*--ocsp-responders/);
  assert.deepEqual([bed.logged[0]?.status, /--ocsp-responders/.test(bed.logged[0]?.reason ?? '')], ['Failure', true]);
});

const hostile: [what: string, answer: RequestListener, message: RegExp][] = [
  ['a redirect', (_, response) => response.writeHead(302, { location: closedAddress }).end(), /HTTP status 302/],
  ['more than 4 KiB', (_, response) => response.end(Buffer.alloc(4097)), /more than 4 KiB/],
  ['no answer', () => undefined, /within 0.2 s/],
  ['a web page', (_, response) => response.end('<html></html>'), /not an OCSP response/],
  ['tryLater', (_, response) => response.end(Buffer.from('30030a0103', 'hex')), /answered tryLater/],
  [
    'the response of another certificate',
    async (incoming, response) => {
      await buffer(incoming);
      const asked = join(folder, `${randomUUID()}.req`);
      await openssl(folder, 'ocsp', '-issuer', 'ca.crt', '-cert', 'stranger.crt', '-no_nonce', '-reqout', asked);
      response.end(await authority.respond(await readFile(asked)));
    },
    /about another certificate/,
  ],
  [
    'a response signed by the server itself',
    async (incoming, response) => response.end(await authority.respond(await buffer(incoming), { signer: 'stranger' })),
    /lacks the usage OCSPSigning/,
  ],
];
for (const [what, answer, message] of hostile) {
  test(`the handshake goes on without a staple: the responder gives ${what}`, async (t) => {
    const { leaf, place } = await httpResponder(t, answer);
    const bed = await start(t, { responders: [place], timeoutMs: what === 'no answer' ? 200 : 5000 });
    const staple = await bed.save(configurationOf(leaf, byAddress));
    assert.equal(staple(), undefined);
    assert.match(bed.logged[0]?.reason ?? '', message);
    if (what !== 'a web page') return;
    assert.match(await seenByClient(t, leaf, staple), /OCSP response: no response sent[\s\S]*Verify return code: 0/);
  });
}

const badAnswers: [what: string, answer: Answer, message: RegExp][] = [
  ['throws', () => Promise.reject(new Error('The function ocsp ended with an error.')), /ended with an error/],
  ['answers nothing', () => null, /as text in base64/],
  ['answers an empty text, as in the guide', () => '', /as text in base64/],
  ['answers what is no text', () => ({ response: 'MAMKAQM=' }), /as text in base64/],
  ['answers what is no base64', () => 'MAMK-QM_', /as text in base64/],
  ['answers more than 4 KiB', () => 'A'.repeat(8 * 1024), /more than 4 KiB/],
  ['answers far more than 4 KiB', () => 'A'.repeat(200_000), /at most 4 KiB/],
  ['answers bytes of its own', () => 'MAMKAQM=', /answered tryLater/],
];
for (const [what, answer, message] of badAnswers) {
  test(`no staple: the function ${what}`, async (t) => {
    const bed = await start(t, { answer });
    const staple = await bed.save(configurationOf(server, byFunction));
    assert.equal(staple(), undefined);
    assert.match(bed.logged[0]?.reason ?? '', message);
  });
}

test('base64 with line breaks, as openssl writes it, is understood', async (t) => {
  const answer: Answer = async (request) =>
    (await authority.respond(request)).toString('base64').replaceAll(/.{64}/g, '$&\r\n');
  const bed = await start(t, { answer });
  assert.ok((await bed.save(configurationOf(server, byFunction)))());
});

test('it is asked every hour (developer guide, "Important notes")', async (t) => {
  const bed = await start(t);
  await bed.save(configurationOf(server, byFunction));
  await bed.advance(refreshMs - 60_000);
  assert.equal(bed.events.length, 1);
  await bed.advance(60_001);
  assert.equal(bed.events.length, 2);
});

test('a response that ends soon is replaced when half of its time is over', async (t) => {
  const answer: Answer = async (request) =>
    (await authority.respond(request, { flags: ['-nmin', '20'] })).toString('base64');
  const bed = await start(t, { answer });
  const staple = await bed.save(configurationOf(server, byFunction));
  await bed.advance(9 * 60_000);
  assert.equal(bed.events.length, 1);
  await bed.advance(61_000);
  assert.equal(bed.events.length, 2);
  assert.ok(staple());
});

test('the last response is stapled while it is in force, then none; failures are tried again ever more rarely', async (t) => {
  const bed = await start(t);
  const staple = await bed.save(configurationOf(server, byFunction));
  const first = staple();
  bed.answers(() => Promise.reject(new Error('down')));
  await bed.advance(refreshMs + 1);
  assert.equal(staple(), first);
  const pauses: number[] = [];
  for (let minutes = 0, asked = bed.events.length; pauses.length < 8; minutes += 1) {
    await bed.advance(60_000);
    if (bed.events.length === asked) continue;
    asked = bed.events.length;
    pauses.push(minutes - pauses.reduce((sum, each) => sum + each, 0));
  }
  assert.deepEqual(
    pauses,
    [0, 2, 4, 8, 16, 32, 60, 60].map((each) => each),
  );
  assert.equal(bed.troubles.length, 1, 'the operator is told once');
  await bed.advance(dayMs);
  assert.equal(staple(), undefined);
});

test('an older response does not take the place of a newer one', async (t) => {
  const bed = await start(t);
  const configuration = configurationOf(server, byFunction);
  const old: Buffer[] = [];
  bed.answers(async (request) => {
    const response = await authority.respond(request);
    old.push(response);
    return response.toString('base64');
  });
  await bed.save({
    ...configuration,
    ocsp: { ...byFunction, enableOCSPCheck: true, ocspLambdaArn: `${functionArn}:1` },
  });
  const before = Math.floor(Date.now() / 1000);
  while (Math.floor(Date.now() / 1000) === before) await turn();
  const staple = await bed.save(configuration);
  const shown = staple();
  bed.answers(() => old[0]?.toString('base64'));
  await bed.advance(refreshMs + 1);
  assert.equal(staple(), shown);
  assert.match(bed.logged.at(-1)?.reason ?? '', /older than the one that is shown/);
});

test('only a configuration that is enabled, asks for it and has a certificate has a staple', async (t) => {
  const bed = await start(t);
  for (const changed of [
    { ocsp: {} },
    { ocsp: { ...byFunction, enableOCSPCheck: false } },
    { status: 'DISABLED' as const },
  ]) {
    const configuration = configurationOf(server, byFunction, changed);
    assert.equal(bed.stapler.stapleOf(configuration), undefined);
    await bed.save(configuration);
  }
  assert.deepEqual([bed.events, bed.stapler.counts()], [[], []]);
});

test('another certificate, function or account needs another response; what is gone is forgotten', async (t) => {
  const bed = await start(t);
  const first = configurationOf(server, byFunction);
  const staple = await bed.save(first);
  assert.ok(staple());
  const renewed = await authority.leaf('renewed');
  const next = { ...first, served: { chainPem: renewed.pem + authority.pem, keySealed: '' } };
  const nextStaple = await bed.save(next);
  assert.equal(staple(), undefined, 'what was said of the old certificate is not shown with the new one');
  assert.match(await isProof(renewed, nextStaple()), /renewed\.crt: good/);
  assert.equal(bed.stapler.stapleOf({ ...next, account: otherAccount })?.(), undefined);
  const same = await bed.save({ ...next, securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' });
  assert.equal(same(), nextStaple(), 'other settings leave it');
  assert.equal(bed.events.length, 2);
  await bed.store.write((db) => removeDomainConfiguration(db, next.account, next.name));
  noteChange(bed.bus, { account: next.account, kind: 'domain', id: next.domainName });
  await bed.stapler.turn();
  assert.deepEqual([nextStaple(), bed.stapler.counts()], [undefined, []]);
});

test('at the start, and again from time to time, all configurations are read, before any handshake', async (t) => {
  const bed = await start(t);
  const configurations = [server, revoked, stranger].map((leaf) => configurationOf(leaf, byFunction));
  await bed.store.write(async (db) => {
    for (const configuration of configurations) await saveDomainConfiguration(db, configuration);
  });
  await bed.stapler.open();
  await bed.stapler.turn();
  for (const configuration of configurations) assert.ok(bed.stapler.stapleOf(configuration)?.());
  // nobody tells of it, as when a notice is lost
  await bed.store.write((db) => removeDomainConfiguration(db, testAccount, revoked.name));
  await bed.stapler.open();
  const names = bed.stapler.counts().map(({ domainConfigurationName }) => domainConfigurationName);
  assert.deepEqual(names.sort(), ['server', 'stranger']);
});

test('few are asked at once, and fewer for one account', async (t) => {
  let running = 0;
  let most = 0;
  const ofAccount = new Map<string, number>();
  const releases: (() => void)[] = [];
  const bed = await start(t, {
    log: () => undefined,
    async invokeFunction({ account: { accountId } }) {
      running += 1;
      most = Math.max(most, running);
      ofAccount.set(accountId, (ofAccount.get(accountId) ?? 0) + 1);
      await new Promise<void>((resolve) => releases.push(resolve));
      running -= 1;
      return '';
    },
  });
  const accounts = ['1', '2', '3'].map((digit) => ({ accountId: digit.repeat(12), region: 'us-east-1' }));
  await bed.store.write(async (db) => {
    for (const account of accounts) {
      for (let i = 0; i < 6; i += 1) {
        const domainName = `d${account.accountId}.d${i}.example.test`;
        const changed = { account, name: `d${i}`, domainName };
        await saveDomainConfiguration(db, configurationOf(server, byFunction, changed));
      }
    }
  });
  await bed.stapler.open();
  while (releases.length < askingMax) await turn();
  assert.equal(Math.max(...ofAccount.values()), askingPerAccountMax);
  let done = false;
  const all = bed.stapler.turn().then(() => {
    done = true;
  });
  while (!done) {
    for (const release of releases.splice(0)) release();
    await turn();
  }
  await all;
  assert.equal(most, askingMax);
  assert.deepEqual([...ofAccount.values()], [6, 6, 6]);
});

test('the authorized responder is the certificate in ACM, and nobody else (API reference, ServerCertificateConfig)', async (t) => {
  const answer: Answer = async (request) => (await authority.respond(request, { signer: 'signer' })).toString('base64');
  const bed = await start(t, { answer });
  const add = async ({ pem }: Leaf, account = testAccount): Promise<string> => {
    const uuid = randomUUID();
    const material = {
      ...{ domainName: '', names: [], keyAlgorithm: 'EC_prime256v1' as const, keyUsages: [], extendedKeyUsages: [] },
      ...{ certificatePem: pem, chainPem: undefined, privateKeyPem: 'none', notBeforeMs: 0, notAfterMs: 0 },
    };
    await bed.store.write((db) => insertImported(db, box, account, { ...material, uuid, nowMs: 0 }));
    return acmArn(account, uuid);
  };
  const shown = async (ocspAuthorizedResponderArn: string) =>
    (await bed.save(configurationOf(server, { ...byFunction, ocspAuthorizedResponderArn })))();
  assert.ok(await shown(await add(signer)));
  assert.equal(await shown(await add(stranger)), undefined);
  assert.match(bed.logged.at(-1)?.reason ?? '', /another responder than the authorized one/);
  assert.equal(await shown(await add(signer, otherAccount)), undefined);
  assert.match(bed.logged.at(-1)?.reason ?? '', /is not in ACM/);
});

test('the CA must be in the chain (developer guide, "Important notes")', async (t) => {
  const bed = await start(t);
  for (const chainPem of [server.pem, server.pem + stranger.pem]) {
    const staple = await bed.save(configurationOf(server, byFunction, { served: { chainPem, keySealed: '' } }));
    assert.equal(staple(), undefined);
    assert.match(bed.logged.at(-1)?.reason ?? '', /CA that issued/);
  }
  assert.deepEqual(bed.events, []);
});

test('a closed stapler asks nobody and shows nothing', async (t) => {
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const bed = await start(t, {
    async answer(request) {
      asked.resolve();
      await answered.promise;
      return genuine(request);
    },
  });
  const saved = bed.save(configurationOf(server, byFunction));
  await asked.promise;
  bed.stapler.close();
  answered.resolve();
  const staple = await saved;
  assert.equal(staple(), undefined);
  noteChange(bed.bus, { account: testAccount, kind: 'domain', id: 'server.example.test' });
  await bed.stapler.turn();
  assert.deepEqual([bed.events.length, bed.logged, bed.troubles], [1, [], []]);
});
