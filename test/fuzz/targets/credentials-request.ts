/**
 * Requests of devices for credentials: given only to a certificate, for the alias that stands in the path, at a host of this server and to no foreign page;
 * everything else is a refusal in JSON. The input is a request; a body says who asks. Rules: spec gateway 3, identity 9.
 */
import { Socket } from 'node:net';
import type { Incoming } from '../../../src/api/incoming.ts';
import { Fault } from '../../../src/aws/fault.ts';
import { answerCredentials, askedRoleAlias } from '../../../src/gateway/credentials-request.ts';
import type { Authority } from '../../../src/mqtt/authority.ts';
import { httpWords, parseRequest, requestText } from '../http-text.ts';
import { hold, type Target } from '../target.ts';

const serverName = 'a1.credentials.iot.us-east-1.localhost';
const account = { accountId: '000000000000', region: 'us-east-1' };
const socket = new Socket();
const given = { accessKeyId: 'ASIA', secretAccessKey: 's', sessionToken: 't', expiration: '2026-01-01T00:00:00Z' };
const hostNames = { domain: 'fleet.example', names: [], allowedOrigins: ['https://console.example'] };
// only its account is looked at here
const authority = { account } as Authority;

const asked: string[] = [];
const answer = answerCredentials({
  principals: {
    ofCertificate: async (_, { peer }) => {
      if (peer.certificate) return authority;
      throw new Fault('ForbiddenException', 'Forbidden');
    },
  },
  hostNames,
  giveCredentials: async ({ roleAlias, thingName = '' }) => {
    asked.push(roleAlias);
    if (roleAlias === 'reader' && thingName !== 'other') return given;
    throw new Fault('ResourceNotFoundException', `Role alias ${roleAlias} not found`);
  },
});

const peerOf = (body: string) => ({
  ...{ account, serverName, tls: {}, remoteAddress: '127.0.0.1', remotePort: 1, transport: 'https' as const },
  certificate: body === 'nobody' ? undefined : { certificateId: 'ab'.repeat(32), der: new Uint8Array() },
});

const path = '/role-aliases/reader/credentials';
export default (): Target => ({
  corpus: [
    requestText('GET', path, { headers: { host: serverName, 'x-amzn-iot-thingname': 'lamp' } }),
    requestText('GET', `${path}?a=b`, { headers: { host: 'iot.fleet.example:8443' } }),
    requestText('GET', '/role-aliases/a%2Fb%3D/credentials', {
      headers: { host: '127.0.0.1', origin: 'https://console.example' },
    }),
    requestText('GET', path, { headers: { host: serverName }, body: 'nobody' }),
    requestText('GET', path, {
      headers: { host: serverName, 'sec-fetch-site': 'cross-site', 'x-amzn-iot-thingname': 'other' },
    }),
  ],
  dictionary: [
    ...httpWords,
    'role-aliases',
    'credentials',
    'reader',
    '%72eader',
    '%E0%A4',
    'x-amzn-iot-thingname',
    'nobody',
  ],
  bytesMax: 8192,
  async run(input) {
    const { method, target, headers, body } = parseRequest(input);
    const mark = target.indexOf('?');
    const headerMap = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
    const request: Incoming = {
      ...{ method, path: mark < 0 ? target : target.slice(0, mark), query: mark < 0 ? '' : target.slice(mark + 1) },
      ...{
        headers,
        headerMap,
        loopback: true,
        forwarded: false,
        localAddress: '127.0.0.1',
        remoteAddress: '127.0.0.1',
      },
      ...{ remotePort: 1, connection: socket, body: async () => Buffer.from(body, 'latin1') },
    };
    const roleAlias = askedRoleAlias(request);
    if (roleAlias === undefined) return 'no such request';
    hold(method === 'GET' && roleAlias !== '', 'GET, of an alias');
    asked.length = 0;
    const peer = peerOf(body);
    const dispatched = await answer(request, { socket, peer, certificateOnly: false }, roleAlias, 'id');
    const { status, headers: answered, body: text } = dispatched.answer;
    hold(
      asked.every((alias) => alias === roleAlias),
      'nothing but the alias of the path is asked for',
    );
    hold(status >= 200 && status < 500, 'an answer, or a refusal of the caller');
    JSON.parse(String(text));
    if (status !== 200) return String(answered['x-amzn-errortype'] ?? status);
    hold(
      peer.certificate !== undefined && roleAlias === 'reader',
      'credentials for a certificate alone, and of this alias',
    );
    hold(answered['cache-control'] === 'no-store', 'nobody keeps a copy of them');
    const host = (headerMap.get('host') ?? '').toLowerCase();
    hold(
      /(^|\.)(localhost|fleet\.example)\.?(:\d+)?$|^\[?[0-9.:a-f]+\]?(:\d+)?$/.test(host),
      'at a name of this server',
    );
    return 'credentials';
  },
});
