import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../../test/call.ts';
import { openssl } from '../../test/openssl.ts';
import { OwnCaProblem } from './authorities.ts';
import { deviceIssuance } from './issue.ts';
import { type OwnCa, type OwnCaOptions, openOwnCa } from './own-ca.ts';
import { pemBlocks, toPem } from './pem.ts';
import type { ServerCertificate } from './server-certificate.ts';

const dayMs = 24 * 60 * 60 * 1000;
const base = { domain: 'localhost', defaultRegion: 'us-east-1', hostName: 'box' };

const open = async (t: TestContext, folder: string, options: Partial<OwnCaOptions> = {}): Promise<OwnCa> => {
  const ca = await openOwnCa(folder, { ...base, ...options });
  t.after(() => ca.close());
  return ca;
};

const certificatesIn = (pem: string): string[] =>
  (pemBlocks(pem, 'CERTIFICATE', 9) ?? []).map((der) => toPem('CERTIFICATE', der));

/** Writes what a client has and what the server sends, for `openssl verify`. */
const layOut = async (t: TestContext, ca: OwnCa): Promise<string> => {
  const folder = await makeFolder(t);
  const [rsaRoot = '', ecRoot = ''] = certificatesIn(ca.rootPem);
  const files: Record<string, string> = { 'rsa-root.pem': rsaRoot, 'ec-root.pem': ecRoot, 'both.pem': ca.rootPem };
  for (const kind of ['ec', 'rsa'] as const) {
    const [leaf = '', ...rest] = certificatesIn((await ca.serverCertificate('us-east-1', kind)).chainPem);
    files[`${kind}-leaf.pem`] = leaf;
    files[`${kind}-rest.pem`] = rest.join('') || leaf;
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
};

const clients: [trusts: string, isServed: 'ec' | 'rsa', accepts: boolean][] = [
  ['rsa-root', 'rsa', true],
  ['rsa-root', 'ec', true],
  ['ec-root', 'ec', true],
  ['both', 'rsa', true],
  ['both', 'ec', true],
  // Nothing the server could send helps: a client that cannot verify RSA never gets this chain, one that trusts EC only should offer EC.
  ['ec-root', 'rsa', false],
];
test('openssl verifies the chains for every client: RSA root only, EC root only, both (spec gateway.md 1.4)', async (t) => {
  const ca = await open(t, join(await makeFolder(t), 'pki'));
  const folder = await layOut(t, ca);
  for (const [trusts, served, accepts] of clients) {
    for (const name of [
      ['-verify_hostname', 'localhost'],
      ['-verify_hostname', 'abcdefghijklmn-ats.iot.us-east-1.localhost'],
      ['-verify_ip', '127.0.0.1'],
      ['-verify_ip', '::1'],
    ]) {
      const verified = openssl(
        folder,
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        ...name,
        '-no-CApath',
        '-CAfile',
        `${trusts}.pem`,
        '-untrusted',
        `${served}-rest.pem`,
        `${served}-leaf.pem`,
      );
      if (accepts) assert.match(await verified, /OK/);
      else await assert.rejects(verified, /unable to get/);
    }
  }
  const foreign = openssl(
    folder,
    'verify',
    '-verify_hostname',
    'x.iot.eu-west-1.localhost',
    '-no-CApath',
    '-CAfile',
    'both.pem',
    'ec-leaf.pem',
  );
  await assert.rejects(foreign, /hostname mismatch/i);
});

test('the served chain holds no root, and the leaf has the usages of a server (RFC 5280 4.2.1)', async (t) => {
  const ca = await open(t, join(await makeFolder(t), 'pki'), { names: ['fleet.example', '192.0.2.7'] });
  const folder = await layOut(t, ca);
  for (const kind of ['ec', 'rsa'] as const) {
    const { chainPem, privateKeyPem } = await ca.serverCertificate('us-east-1', kind);
    const chain = certificatesIn(chainPem).map((pem) => new X509Certificate(pem));
    assert.deepEqual(
      chain.map(({ subject }) => subject.split('\n').at(-1)),
      kind === 'ec' ? ['CN=localhost', 'CN=Fleetgate EC Root CA'] : ['CN=localhost'],
    );
    assert(chain.every((certificate) => certificate.subject !== certificate.issuer));
    assert(chain[0]?.checkPrivateKey(createPrivateKey(privateKeyPem)));
    const text = await openssl(folder, 'x509', '-in', `${kind}-leaf.pem`, '-noout', '-text');
    assert.match(text, /Basic Constraints: critical\n\s+CA:FALSE/);
    assert.match(
      text,
      kind === 'ec'
        ? /Key Usage: critical\n\s+Digital Signature\n/
        : /Key Usage: critical\n\s+Digital Signature, Key Encipherment\n/,
    );
    assert.match(text, /Extended Key Usage: ?\n\s+TLS Web Server Authentication\n/);
    assert.match(
      text,
      /DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:box, DNS:fleet.example, IP Address:192.0.2.7, DNS:\*.iot.us-east-1.localhost, DNS:\*.credentials.iot.us-east-1.localhost, DNS:\*.jobs.iot.us-east-1.localhost\n/,
    );
  }
});

test('another region has the wildcard names of its endpoints and no plain ones (design 3)', async (t) => {
  const ca = await open(t, join(await makeFolder(t), 'pki'), { domain: 'Iot.Example' });
  const { chainPem } = await ca.serverCertificate('eu-west-1', 'ec');
  assert.equal(
    new X509Certificate(chainPem).subjectAltName,
    ['iot', 'credentials.iot', 'jobs.iot'].map((service) => `DNS:*.${service}.eu-west-1.iot.example`).join(', '),
  );
});

test('reopening gives the same authorities and certificates; keys are for their owner only', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  const first = await open(t, folder);
  const [ec, rsa] = await Promise.all([
    first.serverCertificate('us-east-1', 'ec'),
    first.serverCertificate('us-east-1', 'rsa'),
  ]);
  assert.equal(await first.serverCertificate('us-east-1', 'ec'), ec);
  const again = await open(t, folder);
  assert.equal(again.rootPem, first.rootPem);
  assert.deepEqual(again.deviceIssuer.keyIdentifier, first.deviceIssuer.keyIdentifier);
  assert.deepEqual(await again.serverCertificate('us-east-1', 'ec'), ec);
  assert.deepEqual(await again.serverCertificate('us-east-1', 'rsa'), rsa);
  const names = await readdir(folder, { recursive: true });
  assert(names.length >= 11);
  for (const name of ['', ...names]) {
    const { mode } = await stat(join(folder, name));
    assert.equal(mode & 0o077, 0, name);
  }
});

test('first starts at the same moment agree on one authority', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  await mkdir(folder);
  const roots = await Promise.all([open(t, folder), open(t, folder), open(t, folder)]);
  assert.equal(new Set(roots.map(({ rootPem }) => rootPem)).size, 1);
});

test('what an interrupted first start left is removed, and a whole authority made', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  await mkdir(join(folder, 'authority.tmp-0123'), { recursive: true });
  await writeFile(join(folder, 'authority.tmp-0123', 'rsa-root.key'), 'half');
  await open(t, folder);
  assert.deepEqual((await readdir(folder)).sort(), ['authority', 'server']);
});

test('an authority that cannot be read is a clear error and is never replaced', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  await open(t, folder);
  const key = join(folder, 'authority', 'ec-root.key');
  await writeFile(key, await readFile(join(folder, 'authority', 'rsa-root.key')));
  await assert.rejects(
    openOwnCa(folder, base),
    (error) => error instanceof OwnCaProblem && /restore it from a backup/.test(error.message),
  );
  await rm(key);
  await assert.rejects(openOwnCa(folder, base), OwnCaProblem);
});

test('a broken or foreign server certificate on disk is replaced', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  const first = await (await open(t, folder)).serverCertificate('us-east-1', 'ec');
  await writeFile(join(folder, 'server', 'us-east-1-ec.pem'), 'half');
  const second = await (await open(t, folder)).serverCertificate('us-east-1', 'ec');
  assert.notEqual(second.chainPem, first.chainPem);
  await rm(join(folder, 'authority'), { recursive: true });
  const ca = await open(t, folder);
  const third = await ca.serverCertificate('us-east-1', 'ec');
  assert.notEqual(third.chainPem, second.chainPem);
});

test('changed names make a new certificate at the next start', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  const first = await (await open(t, folder)).serverCertificate('us-east-1', 'ec');
  const second = await (await open(t, folder, { names: ['fleet.example'] })).serverCertificate('us-east-1', 'ec');
  assert.notEqual(second.chainPem, first.chainPem);
  assert.match(new X509Certificate(second.chainPem).subjectAltName ?? '', /fleet\.example/);
});

test('a certificate that cannot be written is served all the same, and the operator is told', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  const problems: unknown[] = [];
  const ca = await open(t, folder, { onProblem: (problem) => problems.push(problem) });
  await rm(join(folder, 'server'), { recursive: true });
  const served = await ca.serverCertificate('us-east-1', 'ec');
  assert.match(served.chainPem, /BEGIN CERTIFICATE/);
  assert.equal(problems.length, 1);
  assert.equal(await ca.serverCertificate('us-east-1', 'ec'), served, 'one certificate while the process lives');
});

test('a certificate lives 90 days and is replaced while the server runs, well before its end', async (t) => {
  let nowMs = Date.UTC(2026, 0, 1);
  const folder = join(await makeFolder(t), 'pki');
  const ca = await open(t, folder, { realNow: () => nowMs });
  const renewed: [ServerCertificate, string][] = [];
  ca.onRenewed((certificate, kind) => renewed.push([certificate, kind]));
  const first = await ca.serverCertificate('us-east-1', 'ec');
  assert.equal(first.notAfterMs, nowMs + 90 * dayMs);
  nowMs += 59 * dayMs;
  await ca.renewDue();
  assert.deepEqual(renewed, []);
  nowMs += 2 * dayMs;
  await ca.renewDue();
  const second = await ca.serverCertificate('us-east-1', 'ec');
  assert.deepEqual(renewed, [[second, 'ec']]);
  assert.equal(second.notAfterMs, nowMs + 90 * dayMs);
  assert.deepEqual(
    await (await open(t, folder, { realNow: () => nowMs })).serverCertificate('us-east-1', 'ec'),
    second,
  );
});

test('the authorities outlive what they issue (20 years and all device certificates), and no leaf outlives them', async (t) => {
  let nowMs = Date.UTC(2026, 0, 1);
  const folder = join(await makeFolder(t), 'pki');
  const ca = await open(t, folder, { realNow: () => nowMs });
  const issued = await deviceIssuance(ca.deviceIssuer)({
    publicKeyDer: new X509Certificate(ca.rootPem).publicKey.export({ type: 'spki', format: 'der' }),
    nowMs,
  });
  const authority = (name: string) =>
    readFile(join(folder, 'authority', name), 'utf8').then((pem) => new X509Certificate(pem));
  const [root, deviceCa, cross] = await Promise.all([
    authority('rsa-root.pem'),
    authority('device-ca.pem'),
    authority('ec-root-by-rsa-root.pem'),
  ]);
  for (const certificate of [root, deviceCa, cross]) {
    assert(certificate.validToDate.getTime() >= issued.notAfterMs);
    assert(certificate.validToDate.getTime() >= nowMs + 20 * 365 * dayMs);
  }
  const device = new X509Certificate(issued.pem);
  assert(device.checkIssued(deviceCa) && device.verify(deviceCa.publicKey));
  assert(deviceCa.checkIssued(root) && deviceCa.verify(root.publicKey));
  nowMs = root.validToDate.getTime() - 45 * dayMs;
  const late = await ca.serverCertificate('us-east-1', 'rsa');
  assert.equal(late.notAfterMs, root.validToDate.getTime());
});

const operatorFiles = async (
  t: TestContext,
  subject = '/CN=own.example',
): Promise<{ certFile: string; keyFile: string }> => {
  const folder = await makeFolder(t);
  await openssl(
    folder,
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '30',
    '-subj',
    subject,
    '-addext',
    'subjectAltName=DNS:own.example',
    '-keyout',
    'key.pem',
    '-out',
    'cert.pem',
  );
  return { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
};

test("the operator's certificate replaces ours in the default region only, and follows its files", async (t) => {
  const operator = await operatorFiles(t);
  const ca = await open(t, join(await makeFolder(t), 'pki'), { operator });
  const given = await ca.serverCertificate('us-east-1', 'rsa');
  assert.equal(given.kind, 'ec');
  assert.equal(given.chainPem, await readFile(operator.certFile, 'utf8'));
  assert.match(
    new X509Certificate((await ca.serverCertificate('eu-west-1', 'rsa')).chainPem).issuer,
    /Fleetgate RSA Root/,
  );

  const renewed: string[] = [];
  ca.onRenewed((_certificate, kind) => renewed.push(kind));
  await ca.renewDue();
  assert.deepEqual(renewed, []);
  const replacement = await operatorFiles(t, '/CN=own.example/O=new');
  await writeFile(operator.certFile, await readFile(replacement.certFile));
  await assert.rejects(ca.renewDue(), OwnCaProblem);
  assert.equal(await ca.serverCertificate('us-east-1', 'ec'), given);
  await writeFile(operator.keyFile, await readFile(replacement.keyFile));
  await ca.renewDue();
  assert.deepEqual(renewed, ['ec', 'rsa']);
  assert.equal((await ca.serverCertificate('us-east-1', 'ec')).chainPem, await readFile(replacement.certFile, 'utf8'));
});

test('an operator certificate that cannot work is refused at start with a sentence', async (t) => {
  const [one, other] = [await operatorFiles(t), await operatorFiles(t)];
  const folder = join(await makeFolder(t), 'pki');
  const cases: [operator: { certFile: string; keyFile: string }, realNow: () => number, sentence: RegExp][] = [
    [{ certFile: one.certFile, keyFile: other.keyFile }, Date.now, /does not belong/],
    [{ certFile: one.keyFile, keyFile: one.keyFile }, Date.now, /holds no readable PEM certificate/],
    [{ certFile: one.certFile, keyFile: one.certFile }, Date.now, /cannot be read as a certificate and its key/],
    [{ certFile: join(folder, 'nowhere'), keyFile: one.keyFile }, Date.now, /cannot be opened/],
    [one, () => Date.now() + 31 * dayMs, /expired on/],
  ];
  for (const [operator, realNow, sentence] of cases) {
    await assert.rejects(
      openOwnCa(folder, { ...base, operator, realNow }),
      (error) => error instanceof OwnCaProblem && sentence.test(error.message),
    );
  }
});

test('strange names, domains and regions are refused', async (t) => {
  const folder = join(await makeFolder(t), 'pki');
  await assert.rejects(openOwnCa(folder, { ...base, names: ['a b'] }), /"a b" is not a host name/);
  await assert.rejects(openOwnCa(folder, { ...base, domain: '*.example' }), OwnCaProblem);
  const ca = await open(t, folder);
  for (const region of ['', '../authority', 'a/b', 'x'.repeat(33), 'EU-west-1']) {
    await assert.rejects(ca.serverCertificate(region, 'ec'), OwnCaProblem);
  }
});

test('a folder that cannot be written is a clear error', async (t) => {
  const file = join(await makeFolder(t), 'file');
  await writeFile(file, '');
  await assert.rejects(
    openOwnCa(join(file, 'pki'), base),
    (error) => error instanceof OwnCaProblem && /cannot be used/.test(error.message),
  );
});

test('a kill at any moment of the first start leaves nothing half: the next start works', async (t) => {
  const script = `const { openOwnCa } = await import(process.argv[1]);
    process.send('running'); await openOwnCa(process.argv[2], JSON.parse(process.argv[3])); process.send('open');`;
  // Kills at: the first file of the draft, the authority itself, and the end.
  for (const moment of [/\.tmp-/, /^authority$/, /never/]) {
    const folder = join(await makeFolder(t), 'pki');
    await mkdir(folder);
    const watcher = watch(folder, (_event, name) => moment.test(name ?? '') && child.kill('SIGKILL'));
    const module = new URL('own-ca.ts', import.meta.url).href;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, module, folder, JSON.stringify(base)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('message', (message) => message === 'open' && child.kill('SIGKILL'));
    await once(child, 'exit');
    watcher.close();
    const ca = await open(t, folder);
    assert.equal(certificatesIn(ca.rootPem).length, 2);
    assert.deepEqual((await readdir(folder)).sort(), ['authority', 'server']);
  }
});
