/** Registers what the bench needs through Fleetgate's API, with requests that we sign ourselves: the same bytes serve as load. */
import { request } from 'node:http';
import { signRequest } from '../src/aws/sigv4.ts';
import { type Device, pemOf } from './identities.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Percent-encoded. */
  readonly path: string;
  readonly body?: unknown;
}

const headersOf = (port: number, { method, path }: ApiRequest, body: string): Record<string, string> =>
  signRequest({
    accessKeyId: 'test',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'iot',
    nowMs: Date.now(),
    method,
    url: `http://127.0.0.1:${port}${path}`,
    headers: { 'content-type': 'application/json' },
    body,
  });

/** A signed request as bytes on the wire; the signature is good for five minutes. */
export const rawRequest = (port: number, wanted: ApiRequest): string => {
  const body = wanted.body === undefined ? '' : JSON.stringify(wanted.body);
  const headers = { ...headersOf(port, wanted, body), 'content-length': String(Buffer.byteLength(body)) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `${wanted.method} ${wanted.path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
};

const call = (port: number, wanted: ApiRequest): Promise<string> =>
  new Promise((resolve, reject) => {
    const body = wanted.body === undefined ? '' : JSON.stringify(wanted.body);
    const { method, path } = wanted;
    const sent = request(
      { port, host: '127.0.0.1', method, path, headers: headersOf(port, wanted, body) },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('end', () => {
          if (answer.statusCode === 200) resolve(text);
          else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });

const arn = (resource: string): string => `arn:aws:iot:us-east-1:000000000000:${resource}`;

/** What mosquitto's ACL allows, with a policy variable where the ACL has one line per device. */
const benchPolicy = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: 'iot:Connect', Resource: arn('client/*') },
    {
      Effect: 'Allow',
      Action: ['iot:Publish', 'iot:Receive'],
      Resource: [
        '$aws/things/${iot:ClientId}/*',
        'telemetry/${iot:ClientId}/*',
        'cmd/${iot:ClientId}/*',
        'bench/*',
      ].map((topic) => arn(`topic/${topic}`)),
    },
    {
      Effect: 'Allow',
      Action: 'iot:Subscribe',
      Resource: ['$aws/things/${iot:ClientId}/*', 'cmd/${iot:ClientId}/*', 'bench/*'].map((filter) =>
        arn(`topicfilter/${filter}`),
      ),
    },
  ],
};

export const registerDevices = async (port: number, devices: readonly Device[]): Promise<void> => {
  await call(port, { method: 'POST', path: '/policies/bench', body: { policyDocument: JSON.stringify(benchPolicy) } });
  for (const { certFile } of devices) {
    const body = { certificatePem: pemOf(certFile), status: 'ACTIVE' };
    const answer = await call(port, { method: 'POST', path: '/certificate/register-no-ca', body });
    // the answer's schema: RegisterCertificateWithoutCAResponse
    const { certificateArn } = JSON.parse(answer) as { certificateArn: string };
    await call(port, { method: 'PUT', path: '/target-policies/bench', body: { target: certificateArn } });
  }
};
