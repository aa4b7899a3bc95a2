/** A scene for stories of fleet provisioning: a node, a claim certificate, templates, devices, and what the journal says of them. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateProvisioningTemplateCommand,
} from '@aws-sdk/client-iot';
import type { StartOptions } from '../src/index.ts';
import {
  claimPolicy,
  connectFleetDevice,
  createTopic,
  type FleetReply,
  type Format,
  type KeyedCertificate,
  provisionTopic,
  topicIn,
} from './fleet.ts';
import { makeFolder } from './folder.ts';
import { type Booted, bash, bootNode, certificateIdOf, type Identity, put } from './harness.ts';
import { readJournal } from './journal.ts';

export const accountId = '000000000000';
export const provisioningRoleArn = `arn:aws:iam::${accountId}:role/provisioning`;
/** Everything is allowed. */
export const devicePolicy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
});

export interface Scene extends Booted {
  readonly dataFolder: string;
  readonly claim: Claim;
  /** Another active certificate with the same rights. */
  newClaim(policyName?: string): Promise<Claim>;
  device(clientId: string, as?: KeyedCertificate, version?: 4 | 5): ReturnType<typeof connectFleetDevice>;
  /** A new device has its certificate, and may register with it. */
  attempt(clientId: string, format: Format): Promise<Attempt>;
  template(templateName: string, body: unknown, more?: { enabled?: boolean; hook?: string }): Promise<void>;
  /** Why the last attempt of a client id was refused, as the journal has it. */
  refusal(clientId: string): Promise<{ reason: string | undefined; detail: string | undefined; sentence: string }>;
}

export interface Attempt {
  readonly certificateId: string;
  register(templateName: string, parameters: Readonly<Record<string, string>>): Promise<FleetReply>;
}

export interface Claim extends KeyedCertificate {
  readonly certificateId: string;
}

/** A node with policies `device` and `claim`, a claim certificate, and functions of the account by their names, as modules. */
export const openScene = async (
  t: TestContext,
  functions: Readonly<Record<string, string>> = {},
  options: StartOptions = {},
): Promise<Scene> => {
  const folder = await makeFolder(t);
  mkdirSync(join(folder, 'functions', accountId), { recursive: true });
  for (const [name, text] of Object.entries(functions)) {
    writeFileSync(join(folder, 'functions', accountId, `${name}.mjs`), text);
  }
  const dataFolder = join(folder, 'data');
  const booted = await bootNode(t, { ...options, dataFolder, functions: join(folder, 'functions') });
  const { iot, node } = booted;
  const client = iot();
  await client.send(new CreatePolicyCommand({ policyName: 'device', policyDocument: devicePolicy }));
  await client.send(new CreatePolicyCommand({ policyName: 'claim', policyDocument: claimPolicy('*') }));
  const newClaim = async (policyName = 'claim'): Promise<Claim> => {
    const made = await client.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    await client.send(new AttachPolicyCommand({ policyName, target: made.certificateArn }));
    return {
      certificateId: String(made.certificateId),
      certificatePem: String(made.certificatePem),
      privateKey: String(made.keyPair?.PrivateKey),
    };
  };
  const claim = await newClaim();
  const opened: { end(): Promise<void> }[] = [];
  t.after(() => Promise.all(opened.map((device) => device.end())));
  const device: Scene['device'] = async (clientId, as = claim, version = 4) => {
    const made = await connectFleetDevice(node, as, { clientId, version });
    opened.push(made);
    return made;
  };
  return {
    ...booted,
    dataFolder,
    claim,
    newClaim,
    device,
    async attempt(clientId, format) {
      const asking = await device(clientId);
      const { certificateOwnershipToken, certificateId } = issued(await asking.request(topicIn(format, createTopic)));
      return {
        certificateId,
        register: (templateName, parameters) =>
          asking.request(provisionTopic(templateName, format), { certificateOwnershipToken, parameters }),
      };
    },
    async template(templateName, body, { enabled = true, hook } = {}) {
      const targetArn = `arn:aws:lambda:us-east-1:${accountId}:function:${hook}`;
      await client.send(
        new CreateProvisioningTemplateCommand({
          templateName,
          templateBody: JSON.stringify(body),
          provisioningRoleArn,
          enabled,
          ...(hook !== undefined && { preProvisioningHook: { targetArn } }),
        }),
      );
    },
    async refusal(clientId) {
      const { records } = await readJournal(node, node.account, { clientId, failures: 'true', limit: '1' });
      const [{ record, sentence } = assert.fail(`no refusal of ${clientId}`)] = records;
      return { reason: record.reason, detail: record.detail, sentence };
    },
  };
};

/** The same as files of the folder, for clients that take them by hand. */
export const identityOf = async (
  folder: string,
  name: string,
  { certificatePem, privateKey }: KeyedCertificate,
): Promise<Identity> => ({
  certFile: await put(folder, `${name}.crt`, certificatePem),
  keyFile: await put(folder, `${name}.key`, privateKey),
  certificatePem,
  certificateId: certificateIdOf(certificatePem),
});

/** The members of a refusal; the text is for people. */
export const refused = ({ outcome, members }: FleetReply): unknown[] => {
  assert.equal(outcome, 'rejected');
  assert.deepEqual(Object.keys(members), ['statusCode', 'errorCode', 'errorMessage']);
  assert.equal(typeof members['errorMessage'], 'string');
  return [members['statusCode'], members['errorCode']];
};
/** A value that is text. */
const text = (value: unknown): string => {
  assert.equal(typeof value, 'string');
  return String(value);
};
/** What an accepted certificate came with. */
export const issued = ({ outcome, members }: FleetReply) => {
  assert.equal(outcome, 'accepted', JSON.stringify(members));
  return {
    certificateId: text(members['certificateId']),
    certificatePem: text(members['certificatePem']),
    privateKey: String(members['privateKey']),
    certificateOwnershipToken: text(members['certificateOwnershipToken']),
  };
};
export const invalidToken = [400, 'InvalidCertificateOwnershipToken'];

/** Made by openssl, as a device would. */
export const newCsr = async (
  folder: string,
  name: string,
): Promise<{ certificateSigningRequest: string; publicKey: string }> => {
  const { stdout, code, stderr } = await bash(
    `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -subj /CN=${name} && openssl pkey -in ${name}.key -pubout`,
    { cwd: folder },
  );
  assert.equal(code, 0, stderr);
  const [certificateSigningRequest = '', publicKey = ''] = stdout.split(/(?=-----BEGIN PUBLIC KEY)/);
  return { certificateSigningRequest, publicKey };
};
