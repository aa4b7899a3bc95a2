/**
 * Makes sure that the programs the tests drive are there: Debian's packages, installed when this user may (root, or sudo without a
 * password). Where it may not, it names what is missing and how to get it; nothing is skipped.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Program, or a pattern of absolute paths, -> Debian package that brings it. The tests use Debian's own AWS CLI by its full path, beside whatever `aws` stands on PATH. */
const needed: readonly (readonly [program: string, debianPackage: string])[] = [
  ['/usr/bin/aws', 'awscli'],
  ['mosquitto_pub', 'mosquitto-clients'],
  ['mosquitto_sub', 'mosquitto-clients'],
  ['openssl', 'openssl'],
  ['curl', 'curl'],
  ['bash', 'bash'],
  // a disk that remembers what was synced: test/crash/power.c
  ['gcc', 'gcc'],
  ['/usr/include/stdio.h', 'libc6-dev'],
  ['/usr/lib/postgresql/*/bin/initdb', 'postgresql'],
  ['/usr/sbin/mosquitto', 'mosquitto'],
  ['softhsm2-util', 'softhsm2'],
  ['pkcs11-tool', 'opensc'],
  ['/usr/lib/*/engines-3/pkcs11.so', 'libengine-pkcs11-openssl'],
  ['/usr/lib/*/libnss_wrapper.so', 'libnss-wrapper'],
  ['/usr/sbin/update-ca-certificates', 'ca-certificates'],
  ['/usr/sbin/dnsmasq', 'dnsmasq-base'],
  ['dig', 'bind9-dnsutils'],
];

const present = (program: string): boolean =>
  program.startsWith('/')
    ? globSync(program).length > 0
    : (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));

const missing = (): string[] => [...new Set(needed.filter(([program]) => !present(program)).map(([, name]) => name))];

const run = (command: readonly string[]): boolean => {
  const [program = '', ...args] = command;
  return (
    spawnSync(program, args, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
      .status === 0
  );
};

/** Installs what is missing, or ends the process with one clear sentence. */
export const ensurePrograms = (): void => {
  const packages = missing();
  if (packages.length === 0) return;
  const root = process.getuid?.() === 0;
  const asRoot = root ? [] : ['sudo', '-n'];
  console.log(`The tests drive real programs; installing: ${packages.join(' ')}`);
  if (present('apt-get') && (root || run(['sudo', '-n', 'true']))) {
    run([...asRoot, 'apt-get', 'update', '-qq']);
    run([...asRoot, 'apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages]);
  }
  const still = missing();
  if (still.length === 0) return;
  console.error(
    `Missing for the tests: ${still.join(', ')}. Install them (Debian: apt-get install ${still.join(' ')}) and run again.`,
  );
  process.exit(1);
};
