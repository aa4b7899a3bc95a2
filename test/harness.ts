/** A node for a story, with the clients that users have: SDK v3 clients, a shell with `aws` and `fleetgate`, devices that speak MQTT. Nothing is mocked. */
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ACMClient } from '@aws-sdk/client-acm';
import { IoT } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { STSClient } from '@aws-sdk/client-sts';
import type { FleetNode, StartOptions } from '../src/index.ts';
import { start } from '../src/index.ts';
import { pathWithAws } from './aws-cli.ts';
import { giveKeyPair, putPki } from './own-pki.ts';
import { storeOption } from './stores.ts';

export const fleetgateCommand = fileURLToPath(new URL('../bin/fleetgate.js', import.meta.url));

export interface Shelled {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ShellOptions {
  readonly cwd?: string;
  /** Beside the credentials and the endpoint of the node. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whose credentials; the default account's without it. */
  readonly accountId?: string;
}

/** A shell command's bound: a client that hangs fails its test instead of the run. */
const shellMsMax = 60_000;

/** Runs a bash script to its end. */
export const bash = (script: string, { cwd, env }: { cwd?: string; env?: Readonly<Record<string, string>> } = {}) =>
  new Promise<Shelled>((resolve, reject) => {
    const child = spawn('bash', ['-c', script], {
      cwd: cwd ?? tmpdir(),
      env: { ...process.env, PATH: pathWithAws(), AWS_PAGER: '', AWS_EC2_METADATA_DISABLED: 'true', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: shellMsMax,
    });
    const out = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      out.stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, ...out }));
  });

export interface Booted {
  readonly node: FleetNode;
  /** A folder of the story's own. */
  readonly folder: string;
  /** SDK clients as an account (the default one without argument) sees the node. */
  iot(accountId?: string, region?: string): IoT;
  acm(accountId?: string, region?: string): ACMClient;
  sts(accountId?: string): STSClient;
  iotData(accountId?: string, region?: string): IoTDataPlaneClient;
  /** Runs a script in which `aws` and `fleetgate` mean this node, as `eval "$(fleetgate env)"` leaves them. */
  shell(script: string, options?: ShellOptions): Promise<Shelled>;
}

/** Boots a node on free ports with a data folder of its own, over the engine that the tests run on; both go with the test. */
export const bootNode = async (t: TestContext, options: StartOptions = {}): Promise<Booted> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-story-'));
  const dataFolder = options.dataFolder ?? join(folder, 'data');
  const store = options.store === undefined ? await storeOption(dataFolder) : {};
  await putPki(dataFolder);
  const node = await start({ ...options, dataFolder, ...store }, { keyPoolMax: 0, generate: giveKeyPair });
  t.after(async () => {
    await node.close(100);
    await rm(folder, { recursive: true, force: true });
  });
  const clients: { destroy(): void }[] = [];
  t.after(() => {
    for (const client of clients) client.destroy();
  });
  const settings = (accountId = 'test', region = node.account.region) => ({
    endpoint: node.apiUrl,
    region,
    credentials: { accessKeyId: accountId, secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  let environment: Promise<string> | undefined;
  /** What `fleetgate env` prints for this node. */
  const readEnvironment = async (): Promise<string> => {
    const { code, stdout, stderr } = await bash(`${fleetgateCommand} env`, { env: { FLEETGATE_API_URL: node.apiUrl } });
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };
  return {
    node,
    folder,
    iot(accountId, region) {
      const client = new IoT(settings(accountId, region));
      clients.push(client);
      return client;
    },
    iotData(accountId, region) {
      const client = new IoTDataPlaneClient(settings(accountId, region));
      clients.push(client);
      return client;
    },
    acm(accountId, region) {
      const client = new ACMClient(settings(accountId, region));
      clients.push(client);
      return client;
    },
    sts(accountId) {
      const client = new STSClient(settings(accountId));
      clients.push(client);
      return client;
    },
    async shell(script, { cwd = folder, env = {}, accountId = 'test' } = {}) {
      environment ??= readEnvironment();
      return bash(`${await environment}\nexport AWS_ACCESS_KEY_ID=${accountId}\n${script}`, {
        cwd,
        env: { FLEETGATE_API_URL: node.apiUrl, ...env },
      });
    },
  };
};

/** The id AWS gives a certificate, computed from the PEM by other means than the server's. */
export const certificateIdOf = (pem: string): string =>
  createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');

export interface Identity {
  /** Files in the story's folder. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly certificatePem: string;
  readonly certificateId: string;
}

/** Makes a key and a self-made certificate with openssl, as a device maker would. Nothing is registered. */
export const makeIdentity = async (
  folder: string,
  name: string,
  { days = 365, key = 'ec' } = {},
): Promise<Identity> => {
  const algorithm = key === 'ec' ? '-newkey ec -pkeyopt ec_paramgen_curve:P-256' : '-newkey rsa:2048';
  const { code, stderr } = await bash(
    `openssl req -x509 ${algorithm} -nodes -sha256 -keyout '${name}.key' -out '${name}.crt' -subj '/CN=${name}' -days ${days}`,
    { cwd: folder },
  );
  if (code !== 0) throw new Error(stderr);
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const certificatePem = await readFile(certFile, 'utf8');
  return { certFile, keyFile, certificatePem, certificateId: certificateIdOf(certificatePem) };
};

/** Writes text into a file of the folder and returns its path. */
export const put = async (folder: string, name: string, text: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};
