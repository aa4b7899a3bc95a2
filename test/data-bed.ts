/** The data port behind a real gateway, with a small registry, handlers that show what they were given, and clients that see everything. */
import { once } from 'node:events';
import { type Agent, type RequestOptions, request } from 'node:https';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { type ClientOptions, WebSocket } from 'ws';
import { testCredentials } from '../src/api/test-api.ts';
import { presignUrl, signRequest, type UnsignedRequest } from '../src/aws/sigv4.ts';
import type { Call } from '../src/feature.ts';
import { signerAuthority } from '../src/features/accounts/signer.ts';
import { createDataPort, type DataPortOptions } from '../src/gateway/data-port.ts';
import { httpsProtocol } from '../src/gateway/protocol.ts';
import type { Reason } from '../src/journal/record.ts';
import { awsLimits } from '../src/limits.ts';
import type { Authority, Peer } from '../src/mqtt/authority.ts';
import type { Carrier } from '../src/mqtt/carrier.ts';
import { type Bed, bootGateway, Inbox, identities } from './gateway-bed.ts';
import { Rights } from './mqtt-bed.ts';

export const { deviceEc: device, deviceRsa: otherDevice } = identities;
const trust = { servername: 'localhost', ca: [identities.ec.certificatePem, identities.rsa.certificatePem] };
export const withCertificate = { cert: device.certificatePem, key: device.keyPem };

export interface DataBed extends Bed {
  /** WebSockets that were let in. */
  readonly sockets: Inbox<{ readonly stream: Carrier; readonly peer: Peer }>;
  /** Of the registered device. */
  readonly rights: Rights;
  /** How often the registry was asked. */
  asked(): number;
}

export const registered = { accountId: '000000000000', region: 'us-east-1' };

/** What the handler of Publish was called with, as an answer of its own cannot tell: for GetRetainedMessage, which can. */
const shown = (call: Call, topic: string) => ({
  topic: JSON.stringify({
    topic,
    account: call.account.accountId,
    arn: call.caller.arn,
    principal: call.caller.principal?.principalId,
  }),
});

export const bootData = async (t: TestContext, options: Partial<DataPortOptions> = {}): Promise<DataBed> => {
  const sockets = new Inbox<{ readonly stream: Carrier; readonly peer: Peer }>();
  const rights = new Rights(registered, device.certificateId, [['*', '*']]);
  let asked = 0;
  const port = createDataPort({
    extras: [],
    handlers: {
      'iot-data': {
        Publish: async () => ({}),
        GetRetainedMessage: async ({ topic = '' }, call) => shown(call, topic),
      },
      iot: { ListThings: async () => ({ things: [] }) },
    },
    credentials: testCredentials,
    // the handlers here ask for nothing more
    makeCall: (account, caller, arrival) => ({ account, caller, arrival }) as Call,
    ensureAccount: () => Promise.resolve(),
    hostNames: { domain: 'example.test', names: [], allowedOrigins: ['https://console.example'] },
    admit: async ({ signer, certificate, account }) => {
      if (signer) return { authority: signerAuthority(signer) };
      asked += 1;
      const authority: Authority = rights.authority();
      if (certificate?.certificateId === device.certificateId) return { authority };
      const refusal: Reason = 'DEVICE_CERTIFICATE_NOT_REGISTERED';
      return { refusal, account };
    },
    region: 'us-east-1',
    limits: awsLimits,
    acceptMqtt: (stream, peer) => sockets.push({ stream, peer }),
    record: (record) => bed.records.push(record),
    log: () => undefined,
    ...options,
  });
  const bed = await bootGateway(t, { protocol: httpsProtocol, accept: port.accept });
  t.after(() => port.close(0));
  return { ...bed, sockets, rights, asked: () => asked };
};

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Record<string, unknown>;
}

export interface Asking {
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: ConnectionOptions;
  readonly agent?: Agent;
}

export const send = (
  bed: Bed,
  method: string,
  path: string,
  { body = '', headers, tls, agent }: Asking = {},
): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const options: RequestOptions = {
      ...{ host: '127.0.0.1', port: bed.port, method, path, ...trust, ...tls },
      headers: { host: `localhost:${bed.port}`, ...headers, 'content-length': String(Buffer.byteLength(body)) },
      agent: agent ?? false,
    };
    const outgoing = request(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });

const signing = { accessKeyId: '000000000000', secretAccessKey: 'test', region: 'us-east-1' };

/** The headers of a request that is signed as the default account in us-east-1, unless told otherwise. */
export const signed = (bed: Bed, method: string, path: string, changed: Partial<UnsignedRequest> = {}) =>
  signRequest({
    method,
    url: `https://localhost:${bed.port}${path}`,
    ...{ ...signing, service: 'iotdata', nowMs: Date.now() },
    ...changed,
  });

export const presigned = (bed: Bed, changed: Partial<UnsignedRequest> & { readonly path?: string } = {}): string => {
  const { path = '/mqtt', ...more } = changed;
  const url = presignUrl({
    method: 'GET',
    url: `https://localhost:${bed.port}${path}`,
    ...{ ...signing, service: 'iotdevicegateway', nowMs: Date.now(), expiresSeconds: 300 },
    ...more,
  });
  return url.slice(url.indexOf('/', 'https://'.length));
};

/** A bare TLS connection. */
export const dial = async (bed: Bed, options: ConnectionOptions = {}): Promise<TLSSocket> => {
  const socket = connect({ host: '127.0.0.1', port: bed.port, ...trust, ...options });
  await once(socket, 'secureConnect');
  return socket;
};

export interface Opening extends ClientOptions {
  readonly subprotocols?: readonly string[];
}

/** A WebSocket client on its way; `target` is path and query. */
export const openWebSocket = (
  bed: Bed,
  target: string,
  { subprotocols = ['mqtt'], ...options }: Opening = {},
): WebSocket =>
  new WebSocket(`wss://127.0.0.1:${bed.port}${target}`, [...subprotocols], {
    ...trust,
    ...options,
    headers: { host: `localhost:${bed.port}`, ...options.headers },
  });

/** The status by which an upgrade was refused. */
export const refusedUpgrade = async (bed: Bed, target: string, opening: Opening = {}): Promise<number> => {
  const client = openWebSocket(bed, target, opening);
  client.on('error', () => undefined);
  const [, response] = await once(client, 'unexpected-response');
  client.terminate();
  return response.statusCode;
};

/** An open WebSocket, and the two ends of its stream. */
export const webSocket = async (bed: DataBed, target: string, opening: Opening = {}) => {
  const client = openWebSocket(bed, target, opening);
  await once(client, 'open');
  return { client, ...(await bed.sockets.next()) };
};
