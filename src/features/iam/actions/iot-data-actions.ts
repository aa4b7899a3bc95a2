/**
 * What the operations of the data plane ask of IAM where they come to the API's own port; on the ports of the data plane the handlers ask the caller's authority,
 * after the same names. Source: service authorization reference, "Actions, resources, and condition keys for AWS IoT"; spec policy.md 3.
 */
import { all, anywhere, type Demand, iotResource, keyed, type Rows, type Scope } from './demand.ts';

const client = (scope: Scope, clientId: string | undefined): Demand => ({
  on: [iotResource(scope, 'client', clientId)],
});
const topic = (scope: Scope, name: string | undefined): Demand => ({ on: [iotResource(scope, 'topic', name)] });

export const iotDataRows: Rows<'iot-data'> = {
  DeleteConnection: ({ clientId }, scope) => client(scope, clientId),
  GetConnection: ({ clientId, includeSocketInformation = false }, scope) =>
    all(client(scope, clientId), keyed({ 'iot:IncludeSocketInformation': String(includeSocketInformation) })),
  GetRetainedMessage: ({ topic: name }, scope) => topic(scope, name),
  ListRetainedMessages: anywhere,
  ListSubscriptions: ({ clientId }, scope) => client(scope, clientId),
  Publish: ({ topic: name, retain = false }, scope) => ({
    ...topic(scope, name),
    also: retain ? [{ action: 'iot:RetainPublish', resource: iotResource(scope, 'topic', name) }] : [],
  }),
  SendDirectMessage: ({ clientId, topic: name }, scope) => all(client(scope, clientId), keyed({ 'iot:Topic': name })),
};
