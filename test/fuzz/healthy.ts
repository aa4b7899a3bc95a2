/** The client that must not notice: a device with a registered certificate that may do everything. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  IoTClient,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import { type Identity, makeIdentity } from '../harness.ts';

const everything = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
});

export interface Healthy {
  readonly iot: IoTClient;
  readonly identity: Identity;
  /** Forgets the key and closes the client. */
  close(): Promise<void>;
}

/** Registers a certificate; the policy `everything` exists. */
export const allowEverything = async (iot: IoTClient, certificatePem: string): Promise<void> => {
  const { certificateArn } = await iot.send(
    new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }),
  );
  await iot.send(new AttachPolicyCommand({ policyName: 'everything', target: certificateArn }));
};

/** Registers a device with the node behind `apiUrl`. */
export const registerHealthy = async (apiUrl: string): Promise<Healthy> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-healthy-'));
  const iot = new IoTClient({
    endpoint: apiUrl,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  const identity = await makeIdentity(folder, 'healthy');
  await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
  await allowEverything(iot, identity.certificatePem);
  return {
    iot,
    identity,
    async close() {
      iot.destroy();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
