import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../test/folder.ts';
import { openssl } from '../../test/openssl.ts';
import { parseCsr } from './csr.ts';
import { newCsr } from './new-csr.ts';

for (const [what, commonName, subject] of [
  ['a name', 'sensor-1', 'CN=sensor-1'],
  ['letters beyond ASCII, 64 of them', 'ä'.repeat(64), `CN=${'ä'.repeat(64)}`],
  ['nothing', '', 'CN='],
] as const) {
  test(`a request with ${what} is PKCS#10 to OpenSSL and to us, and its key is the device's (RFC 2986)`, async (t) => {
    const folder = await makeFolder(t);
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const request = await newCsr(pair, commonName);
    const csr = parseCsr(request);
    assert.equal(csr.subject, subject);
    const own = pair.publicKey.export({ format: 'der', type: 'spki' });
    assert.deepEqual(Buffer.from(csr.publicKeyDer), own);
    await writeFile(join(folder, 'request.pem'), request);
    const read = await openssl(folder, 'req', '-in', 'request.pem', '-verify', '-noout', '-pubkey');
    assert.equal(read, pair.publicKey.export({ format: 'pem', type: 'spki' }));
  });
}
