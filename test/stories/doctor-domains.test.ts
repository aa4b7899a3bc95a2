/** `fleetgate doctor` names the domain names of the account that clients will fail at, and its cures work when they are run. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bootDomains, type ServerFiles } from '../domain-scene.ts';
import { put } from '../harness.ts';

/** Up to the domains, which are looked at before the AWS CLI is. */
const begin = async (t: TestContext) => {
  const domains = await bootDomains(t);
  const { folder, shell } = domains;
  return {
    ...domains,
    /** What is said of the domains: sentence and cure, or the line. */
    async doctor(): Promise<readonly string[]> {
      const { stdout } = await shell('LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS=hosts fleetgate doctor');
      const line = /^ {2}ok {2}domains +(.*)$/m.exec(stdout)?.[1];
      return line === undefined ? stdout.trimEnd().split('\n\n').slice(-2) : [line];
    },
    /** Under the names that the cure has. */
    async keep({ certificatePem, privateKeyPem, caPem }: ServerFiles): Promise<void> {
      await writeFile(join(folder, 'server.crt'), certificatePem);
      await writeFile(join(folder, 'server.key'), privateKeyPem);
      await writeFile(join(folder, 'ca.crt'), caPem);
    },
    cure: async (command: string) => {
      const { code, stderr } = await shell(command);
      assert.equal(code, 0, stderr);
    },
  };
};

test('names without an address, certificates that do not fit and those that end soon are named and cured', async (t) => {
  const { doctor, keep, cure, managedDomain, customDomain, importServer, server, sdk, folder } = await begin(t);
  await put(folder, 'hosts', '');
  assert.deepEqual(await doctor(), ['the account has made none of its own']);

  const managed = await managedDomain('managed');
  assert.match(
    (await doctor())[0] ?? '',
    new RegExp(`The name ${managed}, of the domain configuration "managed", has no`),
  );
  const name = 'iot.example.test';
  const { serverArn } = await customDomain('mine', name, { days: 20 });
  const soon = await doctor();
  assert.match(soon[0] ?? '', /^The name d/, 'the first trouble alone');
  await cure((soon[1] ?? '').replace(/\| sudo tee -a \/etc\/hosts/, '> hosts'));

  const ending = await doctor();
  assert.match(
    ending[0] ?? '',
    /^The certificate that iot\.example\.test, of the domain configuration "mine", is served with ends on 20/,
  );
  await keep(await server('renewed', name));
  await cure(ending[1] ?? '');
  assert.deepEqual(await doctor(), [`served: ${managed}, ${name}`]);

  await importServer(await server('stranger', 'other.example.test'), serverArn);
  const invalid = await doctor();
  assert.match(
    invalid[0] ?? '',
    /^The domain configuration "mine" goes on presenting an older certificate .*not among the names/,
  );
  await cure(invalid[1] ?? '');
  await sdk.updateDomainConfiguration({ domainConfigurationName: 'mine', domainConfigurationStatus: 'DISABLED' });
  assert.deepEqual(await doctor(), [`served: ${managed}; 1 DISABLED`]);
});
