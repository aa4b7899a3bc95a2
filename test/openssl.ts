/** The real openssl command, for tests that must agree with it. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs openssl in a folder; answers what it wrote to stdout. Rejects with its stderr when it fails. */
export const openssl = async (folder: string, ...args: readonly string[]): Promise<string> =>
  (await run('openssl', [...args], { cwd: folder })).stdout;

/**
 * An X.509 version 1 certificate (EC P-256, C=DE O=Acme CN=dev-v1, valid 2025 to 2125) as `openssl ca` wrote it without extensions.
 * A fixture, because openssl 3.5 and later write version 3.
 */
export const version1Pem = readFileSync(new URL('fixtures/device-v1.pem', import.meta.url), 'utf8');
/** Its SHA-256 fingerprint as `openssl x509 -fingerprint` printed it. */
export const version1Id = '190846d5080565af58e04e4ac09a68bf639074bf1b10f465ba1c67ad1a7b52a5';
