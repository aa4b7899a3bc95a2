/** HTTP requests as inputs: request line, headers, an empty line, the body; lines end in LF here, and in CRLF on the wire. Byte strings throughout. */

import { UnsignableRequest } from '../../src/aws/sigv4.ts';

export interface RequestText {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Reads what mutation has left of a request; whatever is missing is empty. */
export const parseRequest = (input: Uint8Array): RequestText => {
  const text = Buffer.from(input).toString('latin1');
  const end = text.indexOf('\n\n');
  const [first = '', ...lines] = (end < 0 ? text : text.slice(0, end)).split('\n');
  const [method = '', target = ''] = first.split(' ');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return { method, target, headers, body: end < 0 ? '' : text.slice(end + 2) };
};

export const requestText = (
  method: string,
  target: string,
  { headers = {}, body = '' }: { headers?: Readonly<Record<string, string>>; body?: string } = {},
): Buffer => {
  const lines = [`${method} ${target}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
  return Buffer.from(`${lines.join('\n')}\n\n${body}`, 'latin1');
};

/** What the signer makes; undefined for what it refuses to sign. */
export const orUnsignable = <T>(sign: () => T): T | undefined => {
  try {
    return sign();
  } catch (error) {
    if (error instanceof UnsignableRequest) return undefined;
    throw error;
  }
};

/** Words of HTTP, of SigV4 and of the services' wires. */
export const httpWords: readonly string[] = [
  ...[
    'GET',
    'POST',
    'PUT',
    'DELETE',
    'OPTIONS',
    'HEAD',
    'CONNECT',
    'HTTP/1.1',
    'HTTP/1.0',
    ' ',
    '\n',
    '\r',
    '\n\n',
    ':',
    '\t',
  ],
  ...['/', '//', '/../', '/./', '%2F', '%2e%2e', '%', '%zz', '%00', '?', '&', '=', '+', '#', ';', '\\', '\0'],
  ...[
    'Host: ',
    'host',
    'Content-Length: ',
    'Transfer-Encoding: chunked',
    'Content-Length: 5',
    '0\r\n\r\n',
    'Expect: 100-continue',
  ],
  ...[
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Origin: http://x',
    'Sec-Fetch-Site: cross-site',
    'X-Forwarded-For: 1.2.3.4',
  ],
  ...[
    'Authorization: ',
    'AWS4-HMAC-SHA256',
    'Credential=',
    'SignedHeaders=',
    'Signature=',
    'aws4_request',
    '000000000000',
    'test',
  ],
  ...[
    'X-Amz-Date: 20240101T000000Z',
    'X-Amz-Security-Token: ',
    'X-Amz-Content-Sha256: UNSIGNED-PAYLOAD',
    'X-Amz-Algorithm',
  ],
  ...[
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'Content-Type: application/x-www-form-urlencoded',
    'Content-Encoding: aws-chunked',
  ],
  ...[
    'X-Amz-Target: CertificateManager.ListCertificates',
    'application/x-amz-json-1.1',
    'x-amzn-principal',
    'x-amzn-iot-principal',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    ':null',
    ':{}',
    ':[]',
    '-1',
    '1e999',
    '\\ud800',
    '__proto__',
    'constructor',
    '\xff\xfe',
    '\xc3\xbc',
  ],
  ...[
    'arn:aws:iot:us-east-1:000000000000:cert/',
    'nextToken',
    'marker',
    'maxResults',
    'pageSize',
    'Action=',
    'Version=',
  ],
  ...['.member.1', '.entry.1.key', 'Tags.member.1.Key=a', '&&', 'isAscendingOrder=true'],
];
