/** A node with clients of IAM and of what its keys open, for stories about users, roles and sessions. */
import type { TestContext } from 'node:test';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { IoTClient } from '@aws-sdk/client-iot';
import { STSClient } from '@aws-sdk/client-sts';
import type { StartOptions } from '../src/index.ts';
import { bootNode } from './harness.ts';

export interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A policy document of one statement. */
export const allowing = (action: string | readonly string[], resource = '*'): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: action, Resource: resource }] });

/** A trust policy that lets these principals assume a role. */
export const trusting = (...principals: readonly string[]): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: principals }, Action: 'sts:AssumeRole' }],
  });

/** The development keys of an account. */
export const rootKeys = (accountId = '000000000000'): Keys => ({ accessKeyId: accountId, secretAccessKey: 'test' });

/** The answer of STS as the credentials of a client. */
export const keysOf = (given?: {
  readonly AccessKeyId: string | undefined;
  readonly SecretAccessKey: string | undefined;
  readonly SessionToken: string | undefined;
}): Keys => ({
  accessKeyId: given?.AccessKeyId ?? '',
  secretAccessKey: given?.SecretAccessKey ?? '',
  sessionToken: given?.SessionToken ?? '',
});

export const bootIam = async (t: TestContext, options: StartOptions = {}) => {
  const booted = await bootNode(t, options);
  const clients: { destroy(): void }[] = [];
  t.after(() => {
    for (const client of clients) client.destroy();
  });
  const settings = (credentials: Keys) => ({
    endpoint: booted.node.apiUrl,
    region: booted.node.account.region,
    credentials,
    maxAttempts: 1,
  });
  const kept = <Client extends { destroy(): void }>(client: Client): Client => {
    clients.push(client);
    return client;
  };
  const iam = (keys: Keys = rootKeys()) => kept(new IAMClient(settings(keys)));
  return {
    ...booted,
    iam,
    stsAs: (keys: Keys) => kept(new STSClient(settings(keys))),
    iotAs: (keys: Keys) => kept(new IoTClient(settings(keys))),
    /** A new user of the default account, with a key and what the document allows. */
    async user(UserName: string, PolicyDocument?: string, of: Keys = rootKeys()): Promise<Keys> {
      const root = iam(of);
      await root.send(new CreateUserCommand({ UserName }));
      if (PolicyDocument !== undefined) {
        await root.send(new PutUserPolicyCommand({ UserName, PolicyName: 'own', PolicyDocument }));
      }
      const { AccessKey } = await root.send(new CreateAccessKeyCommand({ UserName }));
      return { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
    },
  };
};
