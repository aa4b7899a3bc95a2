/** One client by its id: look at it, list what it subscribes to, end it. Source: spec gateway.md 4; API reference of the three operations. */
import type { Handler } from '../../feature.ts';
import type { SubscriptionState } from '../../mqtt/control.ts';
import { readPage } from './pages.ts';
import { journaled, Refusal } from './refusal.ts';

/** Source: API reference, ListSubscriptions. */
const pageDefault = 20;

const unknownClient = (): Refusal =>
  new Refusal(
    'ResourceNotFoundException',
    'No client is connected by this ID, and no session of it is kept',
    'CLIENT_NOT_CONNECTED',
  );

/** Socket information is given only when it is asked for. Faults: ForbiddenException, ResourceNotFoundException. */
export const getConnection: Handler<'GetConnection', 'iot-data'> = async (input, call) => {
  const { clientId = '', includeSocketInformation = false } = input;
  return journaled(call, 'GetConnection', { facts: { clientId } }, async () => {
    await call.authorize('iot:GetConnection', `client/${clientId}`, { includeSocketInformation });
    const client = call.messages.findClient(clientId);
    if (!client) throw unknownClient();
    const { connection, disconnected } = client;
    return {
      connected: connection !== undefined,
      clientId,
      cleanSession: client.isClean,
      sessionExpiry: client.sessionExpirySeconds,
      ...(connection && {
        keepAliveDuration: connection.keepAliveSeconds,
        connectedSince: connection.connectedAtMs,
        ...(connection.thingName !== undefined && { thingName: connection.thingName }),
        ...(includeSocketInformation && {
          sourceIp: connection.sourceIp,
          sourcePort: connection.sourcePort,
          ...(connection.targetIp !== undefined && { targetIp: connection.targetIp }),
          ...(connection.targetPort !== undefined && { targetPort: connection.targetPort }),
        }),
      }),
      ...(disconnected && {
        disconnectedSince: disconnected.atMs,
        ...(disconnected.reason !== undefined && { disconnectReason: disconnected.reason }),
      }),
    };
  });
};

/** In filter order; also of a session that waits for its client. Faults: ForbiddenException, ResourceNotFoundException, InvalidRequestException. */
export const listSubscriptions: Handler<'ListSubscriptions', 'iot-data'> = async (input, call) => {
  const clientId = input.clientId ?? '';
  return journaled(call, 'ListSubscriptions', { facts: { clientId } }, async () => {
    await call.authorize('iot:ListSubscriptions', `client/${clientId}`);
    const subscriptions = call.messages.findSubscriptions(clientId);
    if (!subscriptions) throw unknownClient();
    const { items, nextToken } = await readPage<SubscriptionState>(call, {
      token: input.nextToken,
      limit: input.maxResults ?? pageDefault,
      nameOf: ({ filter }) => filter,
      read: async ({ after, limit }) => subscriptions.filter(({ filter }) => filter > after).slice(0, limit),
    });
    return {
      subscriptions: items.map(({ filter, qos }) => ({ topicFilter: filter, qos })),
      ...(nextToken !== undefined && { nextToken }),
    };
  });
};

/** The session stays and the will is published unless the caller says otherwise. Faults: ForbiddenException, ResourceNotFoundException. */
export const deleteConnection: Handler<'DeleteConnection', 'iot-data'> = async (input, call) => {
  const clientId = input.clientId ?? '';
  return journaled(call, 'DeleteConnection', { facts: { clientId } }, async () => {
    await call.authorize('iot:DeleteConnection', `client/${clientId}`);
    const { cleanSession = false, preventWillMessage = false } = input;
    if (!(await call.messages.disconnect(clientId, { cleanSession, preventWillMessage }))) throw unknownClient();
    return {};
  });
};
