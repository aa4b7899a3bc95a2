/** Registers what the bench needs through Fleetgate's API, with requests that we sign ourselves: the same bytes serve as load. */
import { request } from 'node:http';
import { signRequest } from '../src/aws/sigv4.ts';
import { type Device, pemOf } from './identities.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Percent-encoded. */
  readonly path: string;
  readonly body?: unknown;
  /** Of IAM instead, in its Query wire. */
  readonly form?: Readonly<Record<string, string>>;
}

/** Whose signature a request bears. */
export interface Signer {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The account itself, as in development. */
export const root: Signer = { accessKeyId: 'test', secretAccessKey: 'test' };

const bodyOf = ({ body, form }: ApiRequest): string => {
  if (form) return new URLSearchParams(form).toString();
  return body === undefined ? '' : JSON.stringify(body);
};

const headersOf = (port: number, wanted: ApiRequest, body: string, signer: Signer): Record<string, string> =>
  signRequest({
    ...signer,
    region: 'us-east-1',
    service: wanted.form ? 'iam' : 'iot',
    nowMs: Date.now(),
    method: wanted.method,
    url: `http://127.0.0.1:${port}${wanted.path}`,
    headers: { 'content-type': wanted.form ? 'application/x-www-form-urlencoded' : 'application/json' },
    body,
  });

/** A signed request as bytes on the wire; the signature is good for five minutes. */
export const rawRequest = (port: number, wanted: ApiRequest, signer = root): string => {
  const body = bodyOf(wanted);
  const headers = { ...headersOf(port, wanted, body, signer), 'content-length': String(Buffer.byteLength(body)) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `${wanted.method} ${wanted.path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
};

const call = (port: number, wanted: ApiRequest): Promise<string> =>
  new Promise((resolve, reject) => {
    const body = bodyOf(wanted);
    const { method, path } = wanted;
    const sent = request(
      { port, host: '127.0.0.1', method, path, headers: headersOf(port, wanted, body, root) },
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

const iam = (port: number, action: string, form: Readonly<Record<string, string>>): Promise<string> =>
  call(port, { method: 'POST', path: '/', form: { Action: action, Version: '2010-05-08', ...form } });

/** A user with these policies attached, and its key. */
export const makeUser = async (port: number, UserName: string, policyArns: readonly string[]): Promise<Signer> => {
  await iam(port, 'CreateUser', { UserName });
  for (const PolicyArn of policyArns) await iam(port, 'AttachUserPolicy', { UserName, PolicyArn });
  const answer = await iam(port, 'CreateAccessKey', { UserName });
  const member = (name: string): string => new RegExp(`<${name}>([^<]+)<`).exec(answer)?.[1] ?? '';
  return { accessKeyId: member('AccessKeyId'), secretAccessKey: member('SecretAccessKey') };
};

/** A managed policy of the account; its ARN. */
export const makeManagedPolicy = async (port: number, name: string, statements: readonly object[]): Promise<string> => {
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  await iam(port, 'CreatePolicy', { PolicyName: name, PolicyDocument });
  return `arn:aws:iam::000000000000:policy/${name}`;
};
