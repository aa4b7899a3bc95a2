/** Sides of a wall: accounts and regions on one node, each with its clients, its endpoint, and a policy that allows everything. */
import type { TestContext } from 'node:test';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  DescribeEndpointCommand,
  type IoT,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import type { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { type AccountRegion, iotArn } from '../src/aws/arn.ts';
import type { StartOptions } from '../src/index.ts';
import { connectDevice, type Device, type DeviceOptions } from './device.ts';
import { type Booted, bootNode, type Identity } from './harness.ts';

export const everything = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
});

/** One side of a wall: an account in a region. */
export interface Side {
  readonly account: AccountRegion;
  readonly iot: IoT;
  readonly iotData: IoTDataPlaneClient;
  /** From DescribeEndpoint. */
  readonly serverName: string;
  connect(identity: Identity, options: DeviceOptions): Promise<Device>;
  /** Registers a certificate with a policy, by default the one that allows everything. */
  welcome(identity: Identity, policyName?: string): Promise<void>;
  arnOf(identity: Pick<Identity, 'certificateId'>): string;
}

export interface Sides extends Booted {
  readonly sides: readonly Side[];
}

export const bootSides = async (
  t: TestContext,
  accounts: readonly AccountRegion[],
  options?: StartOptions,
): Promise<Sides> => {
  const booted = await bootNode(t, options);
  const sideOf = async (account: AccountRegion): Promise<Side> => {
    const iot = booted.iot(account.accountId, account.region);
    const { endpointAddress = '' } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument: everything }));
    const arnOf: Side['arnOf'] = ({ certificateId }) => iotArn(account, 'cert', certificateId);
    return {
      account,
      iot,
      iotData: booted.iotData(account.accountId, account.region),
      serverName: endpointAddress,
      arnOf,
      connect: (identity, device) => connectDevice(booted.node, identity, { serverName: endpointAddress, ...device }),
      async welcome(identity, policyName = 'everything') {
        const { certificatePem } = identity;
        await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
        await iot.send(new AttachPolicyCommand({ policyName, target: arnOf(identity) }));
      },
    };
  };
  return { ...booted, sides: await Promise.all(accounts.map(sideOf)) };
};
