/** For the tests of this room: a real listener on a free port with a few small real handlers, and a client that sends exactly what it is told. */
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { iotArn } from '../aws/arn.ts';
import { Fault } from '../aws/fault.ts';
import type { FindIdentity } from '../aws/identity.ts';
import { signRequest, type UnsignedRequest } from '../aws/sigv4.ts';
import type { Arrival, Call, Caller, Handlers } from '../feature.ts';
import type { ApiLogEntry } from './dispatch.ts';
import { type Api, type ApiOptions, startApi } from './server.ts';

const root = (accountId: string, secretAccessKey: string) => ({
  accountId,
  secretAccessKey,
  arn: `arn:aws:iam::${accountId}:root`,
  userId: accountId,
  iam: { kind: 'root' } as const,
});

/** Development keys on loopback, one long-lived key, one temporary key. */
export const testCredentials: FindIdentity = (accessKeyId, { loopback, forwarded }) => {
  if (accessKeyId === 'AKIDLONG') return root('444455556666', 'a/long+secret');
  if (accessKeyId === 'ASIATEMPORARY') return { ...root('777788889999', 'temporary'), sessionToken: 'the-token' };
  if (!loopback || forwarded) return undefined;
  if (accessKeyId === 'test') return root('000000000000', 'test');
  return /^\d{12}$/.test(accessKeyId) ? root(accessKeyId, 'test') : undefined;
};

/** Handlers that show what they were given. */
export const testHandlers: Handlers = {
  iot: {
    ListThings: async (input, call) => ({
      things: [
        {
          thingName: input.thingTypeName ?? 'none',
          version: input.maxResults ?? 0,
          attributes: { account: call.account.accountId, region: call.account.region },
        },
      ],
      ...(input.nextToken !== undefined && { nextToken: input.nextToken }),
    }),
    CreateThing: async (input, call) => {
      const thingName = input.thingName ?? '';
      const thingArn = iotArn(call.account, 'thing', thingName);
      if (thingName === 'taken') {
        throw new Fault('ResourceAlreadyExistsException', 'Thing taken already exists', {
          resourceId: thingName,
          resourceArn: thingArn,
        });
      }
      return { thingName, thingArn, thingId: JSON.stringify(input.attributePayload?.attributes ?? {}) };
    },
    DeleteThing: async (input) => {
      if (input.thingName === 'crash') throw new Error('the secret detail');
      if (input.thingName === 'store')
        throw Object.assign(new Error('disk full at /data'), { name: 'StoreUnavailable' });
      return {};
    },
    DescribeThing: async (input) => ({ ...(input.thingName !== undefined && { thingName: input.thingName }) }),
    ListAttachedPolicies: async (input) => ({
      policies: [{ policyName: input.target ?? '', policyArn: String(input.recursive) }],
    }),
    ListPrincipalThings: async (input) => ({ things: [input.principal ?? ''] }),
    AttachPolicy: async () => ({}),
    DescribeCertificate: async (input) => ({
      certificateDescription: {
        certificateId: input.certificateId ?? '',
        creationDate: new Date(1655249872319),
        lastModifiedDate: new Date(1655249071000),
      },
    }),
  },
  sts: {
    GetCallerIdentity: async (_input, { caller, account }) => ({
      UserId: caller.userId,
      Account: account.accountId,
      Arn: caller.arn,
    }),
  },
};

const callOf = (account: Call['account'], caller: Caller, arrival: Arrival): Call => {
  const absent = (): never => {
    throw new Error('this test has no store');
  };
  return {
    account,
    caller,
    arrival,
    get db(): never {
      return absent();
    },
    write: absent,
    now: () => Date.now(),
    newId: absent,
    changed: absent,
    holdersOf: absent,
    release: absent,
    sealMarker: absent,
    openMarker: absent,
    get messages(): never {
      return absent();
    },
    authorize: absent,
    record: absent,
    log: absent,
  };
};

export interface TestApi extends Api {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly log: readonly ApiLogEntry[];
}

/** Listens on a free port until the test ends. */
export const bootApi = async (t: TestContext, options: Partial<ApiOptions> = {}): Promise<TestApi> => {
  const log: ApiLogEntry[] = [];
  const api = await startApi({
    host: '127.0.0.1',
    port: 0,
    handlers: testHandlers,
    credentials: testCredentials,
    makeCall: callOf,
    domain: 'fleet.example',
    names: ['gate'],
    allowedOrigins: ['https://console.example'],
    log: (entry) => log.push(entry),
    ...options,
  });
  t.after(() => api.close(0));
  return { ...api, url: `http://127.0.0.1:${api.port}`, log };
};

/** Sends bytes on a connection of its own and reads until the server closes it. */
export const exchange = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });

export interface Received {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** The fault's name, of either wire; '' for none. */
  readonly fault: string;
  readonly message: string;
}

const received = (answer: string): Received => {
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = new Map(
    lines.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.replace(/^[^:]*:\s*/, '')]),
  );
  const body = Buffer.from(rest.join('\r\n\r\n'), 'latin1').toString('utf8');
  const fault = headers.get('x-amzn-errortype') ?? /<Code>(.*?)<\/Code>/.exec(body)?.[1] ?? '';
  const message = body.startsWith('{')
    ? String(JSON.parse(body).message)
    : (/<Message>(.*?)<\/Message>/s.exec(body)?.[1] ?? '');
  return { status: Number(statusLine.split(' ')[1]), headers, body, fault, message };
};

/** One request with exactly these headers (and Connection: close); Host is taken from the headers or not sent. */
export const sendRaw = async (
  port: number,
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> | readonly (readonly [string, string])[],
  body = '',
): Promise<Received> => {
  const list = Array.isArray(headers) ? headers : Object.entries(headers);
  const length = list.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name))
    ? []
    : [['content-length', String(Buffer.byteLength(body))]];
  const lines = [...list, ...length, ['connection', 'close']].map(([name, value]) => `${name}: ${value}\r\n`);
  const payload = Buffer.from(body, 'utf8').toString('latin1');
  return received(await exchange(port, `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${payload}`));
};

/** One request signed as account 000000000000 in us-east-1, unless told otherwise. */
export const sendSigned = (
  api: TestApi,
  method: string,
  target: string,
  { body = '', ...signing }: Partial<UnsignedRequest> & { readonly body?: string } = {},
): Promise<Received> => {
  const headers = signRequest({
    method,
    url: `${api.url}${target}`,
    body,
    accessKeyId: '000000000000',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'iot',
    nowMs: Date.now(),
    ...signing,
  });
  return sendRaw(api.port, method, target, headers, body);
};
