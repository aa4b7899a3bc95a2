/**
 * One request on a reserved topic, from its PUBLISH to its reply. The requests of a connection are worked on one after the other, while its other
 * packets go on. A reply is for the connection that asked, whoever else is subscribed to its topic: many devices share one claim certificate, and a
 * reply may hold a private key. It is neither retained nor kept for a session. Source: spec provisioning.md 4.1.
 */
import { accountKey } from '../aws/arn.ts';
import type { Client } from './client.ts';
import type { Connection } from './connection.ts';
import { Message } from './message.ts';
import { ConnectionRequests, requestOverheadBytes, requestsPerConnectionMax } from './request-line.ts';
import type { Asked, ClientRequest, RequestReply } from './requests.ts';
import { matchOf } from './subscriptions.ts';

/** Takes a request that the client may publish. Resolves when it is answered, or dropped with its connection; never rejects. */
export const takeRequest = (connection: Connection, client: Client, asked: Asked, payload: Buffer): Promise<void> => {
  const { context } = connection;
  const { requestLine } = context;
  const request = requestOf(connection, client, asked, payload);
  const cost = payload.length + requestOverheadBytes;
  client.requests ??= new ConnectionRequests();
  const { requests } = client;
  if (!requestLine.hasRoom(payload.length)) {
    context.metrics['PublishIn.Throttle']++;
    connection.record('Publish-In', {
      status: 'Failure',
      reason: 'THROTTLED',
      detail: 'requestBytesPerNodeMax',
      facts: { topic: asked.topic },
    });
    reply(connection, client, asked, asked.handler.excuse(request, 'throttled'));
    return Promise.resolve();
  }
  requestLine.bytes += cost;
  const done = requests.add(async () => {
    try {
      await requestLine.run(accountKey(request.account), () => answer(connection, client, asked, request));
    } finally {
      requestLine.bytes -= cost;
    }
  });
  if (requests.count >= requestsPerConnectionMax) connection.readAfter(done, 'requests');
  return done;
};

const requestOf = (
  { peer }: Connection,
  { clientId, authority, connectedAtMs }: Client,
  { topic, labels }: Asked,
  payload: Buffer,
): ClientRequest => ({
  account: authority.account,
  clientId,
  authority,
  ...(peer.signer ? { signer: peer.signer } : peer.certificate && { certificateId: peer.certificate.certificateId }),
  source: { ip: peer.remoteAddress, port: peer.remotePort },
  connectedAtMs,
  topic,
  labels,
  payload,
});

/** What was not begun when its connection ended, perhaps because its rights did, is not begun at all: nothing of it was acknowledged. */
const answer = async (connection: Connection, client: Client, asked: Asked, request: ClientRequest): Promise<void> => {
  if (connection.isEnded) return;
  try {
    reply(connection, client, asked, await asked.handler.answer(request));
  } catch (error) {
    const { context } = connection;
    context.trouble(error);
    context.metrics['PublishIn.ServerError']++;
    connection.record('Publish-In', {
      status: 'Failure',
      reason: 'INTERNAL_SERVER_ERROR',
      detail: error instanceof Error ? error.name : 'unknown',
      facts: { topic: asked.topic },
    });
    reply(connection, client, asked, asked.handler.excuse(request, 'failed'));
  }
};

/** To this connection alone, if it has subscribed to the reply's topic and may receive there: whoever has not is told so in the journal. */
const reply = (
  connection: Connection,
  { scope, session, receiver }: Client,
  asked: Asked,
  { outcome, payload }: RequestReply,
): void => {
  if (connection.isEnded) return;
  const topic = `${asked.topic}/${outcome}`;
  const granted = scope.subscriptions.grantsOf(session, topic);
  if (granted.length === 0) {
    connection.record('Publish-Out', { status: 'Failure', reason: 'REPLY_NOT_SUBSCRIBED', facts: { topic } });
    return;
  }
  const source = Buffer.from(payload);
  const message = new Message({
    topic,
    qos: 1,
    source,
    payloadStart: 0,
    payloadEnd: source.length,
    expiresAtMs: Number.POSITIVE_INFINITY,
  });
  receiver.receive(message, matchOf(session, granted), undefined);
};
