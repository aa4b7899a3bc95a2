/**
 * Every operation of the services that Fleetgate answers, with its input and output, drawn from the SDK's command classes:
 * nothing is retyped. Services are kept apart because names repeat between them (`iot` and `acm` both have DescribeCertificate).
 */
import type * as acm from '@aws-sdk/client-acm';
import type * as iam from '@aws-sdk/client-iam';
import type * as iot from '@aws-sdk/client-iot';
import type * as iotData from '@aws-sdk/client-iot-data-plane';
import type * as sts from '@aws-sdk/client-sts';
import type { CommandIO } from '@smithy/types';

/** The SDK client package of each service, by the service's short name. */
export interface Sdks {
  iot: typeof iot;
  'iot-data': typeof iotData;
  sts: typeof sts;
  iam: typeof iam;
  acm: typeof acm;
}

/** A service by its short name: `iot`, `iot-data`, `sts`, `iam`, `acm`. */
export type ServiceName = keyof Sdks;

type OperationsOf<Sdk> = {
  [K in keyof Sdk as K extends `${infer Name}Command` ? Name : never]: Sdk[K] extends abstract new (
    ...args: never
  ) => CommandIO<infer Input, infer Output>
    ? { input: Input; output: Omit<Output, '$metadata'> }
    : never;
};

/** Service, then operation name -> its SDK input and output, e.g. `Operations['iot']['AttachPolicy']['input']`. */
export type Operations = { [Service in ServiceName]: OperationsOf<Sdks[Service]> };
