/** The published package: packed, installed into an empty folder, started there by a plain Node, and used as a library by the documented example. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../call.ts';
import { bash } from '../harness.ts';
import { freshDatabase } from '../postgres.ts';

const freePorts = ['api', 'mqtt', 'https', 'metrics'].flatMap((name) => [`--${name}-port`, '0']);
const root = fileURLToPath(new URL('../..', import.meta.url));
const { devDependencies }: { devDependencies: Record<string, string> } = JSON.parse(
  await readFile(join(root, 'package.json'), 'utf8'),
);
/** Compiles only if the package's types are found: were they lost, everything would be `any`, and nothing wrong. */
const misuse = `import { type FleetNode, start } from 'fleetgate';
// @ts-expect-error a port is a number
export const port: FleetNode['mqttPort'] = 'eight';
// @ts-expect-error so it is in the options
export const node = start({ mqttPort: 'eight' });
`;
/** The example of the documentation, as a user would copy it. */
const example = /```ts\n([\s\S]*?)```/.exec(await readFile(join(root, 'docs/library.md'), 'utf8'))?.[1] ?? '';

test('the tarball installs, starts under plain node, and runs the documented test, types included', async (t) => {
  const folder = await makeFolder(t);
  const PATH = `${dirname(process.execPath)}:${process.env['PATH']}`;
  const run = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await bash(script, { cwd: folder, env: { PATH } });
    assert.equal(code, 0, `${script}\n${stdout}\n${stderr}`);
    return stdout;
  };
  // a copy, so that building does not touch the tree under test
  await mkdir(join(folder, 'source'));
  await run(
    `cd '${root}' && cp -r bin src docs examples package.json tsconfig*.json README.md LICENSE '${folder}/source/'`,
  );
  await run(`ln -s '${root}node_modules' source/node_modules && cd source && npm pack --silent --pack-destination ..`);
  const names = (await run('tar -tzf fleetgate-*.tgz')).split('\n');
  assert.ok(names.includes('package/dist/index.js') && names.includes('package/dist/index.d.ts'));
  assert.deepEqual(
    names.filter((name) => /\.test\.|\/src\/|\/test\//.test(name)),
    [],
  );

  await mkdir(join(folder, 'user'));
  await writeFile(join(folder, 'user', 'package.json'), '{ "name": "user", "private": true, "type": "module" }');
  const wanted = ['mqtt', '@types/node', 'typescript'].map((name) => `${name}@${devDependencies[name]}`).join(' ');
  await run(`cd user && npm install --silent --prefer-offline ../fleetgate-*.tgz ${wanted}`);
  await writeFile(join(folder, 'user', 'device.test.ts'), example);
  await writeFile(join(folder, 'user', 'misuse.ts'), misuse);
  const flags = '--noEmit --strict --module nodenext --types node --skipLibCheck';
  await run(`cd user && npx tsc ${flags} device.test.ts misuse.ts`);
  await run('cd user && node --test device.test.ts');

  // on the engine that comes with Node, and on the one whose driver is a package
  for (const store of ['', await freshDatabase()]) {
    const server = spawn(
      process.execPath,
      ['node_modules/.bin/fleetgate', 'start', ...freePorts, '--log-level', 'silent'],
      {
        cwd: join(folder, 'user'),
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, FLEETGATE_STORE: store },
      },
    );
    t.after(() => server.kill('SIGKILL'));
    const [box] = await once(server.stdout.setEncoding('utf8'), 'data');
    const apiUrl = /API +(http:\S+)/.exec(String(box))?.[1];
    const health = await fetch(`${apiUrl}/_fleetgate/health`);
    assert.deepEqual([health.status, ((await health.json()) as { ready: boolean }).ready], [200, true]);
    server.kill('SIGTERM');
    assert.deepEqual(await once(server, 'exit'), [0, null]);
  }
});
