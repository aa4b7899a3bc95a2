/**
 * Signatures: the request that was signed is accepted, one that was changed afterwards is refused with a Fault, unless nothing that counts was changed.
 * The input's first byte is a seed for the change after signing; 0 changes nothing. Source: IAM user guide, "Create a signed AWS API request".
 */
import { authenticate, type SignedRequest } from '../../../src/api/authenticate.ts';
import { scopeService } from '../../../src/api/signature.ts';
import { Fault } from '../../../src/aws/fault.ts';
import { normalizePath, presignUrl, queryPairs, signRequest } from '../../../src/aws/sigv4.ts';
import { httpWords, orUnsignable, parseRequest, type RequestText, requestText } from '../http-text.ts';
import { mutate, Random } from '../mutate.ts';
import { hold, type Target } from '../target.ts';

const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1', service: 'iot' };
const identity = {
  ...{ accountId: '000000000000', secretAccessKey: 'test', arn: 'arn', userId: '000000000000' },
  iam: { kind: 'root' },
} as const;

/** The request as a client of ours sends it; undefined for what no client can send and for what the signer refuses. */
const signed = ({ method, target, headers, body }: RequestText, presigned: boolean): RequestText | undefined => {
  const own = headers.filter(
    ([name]) => /^[a-z0-9-]+$/i.test(name) && !/^(host|authorization|x-amz-.*|date)$/i.test(name),
  );
  if (!URL.canParse(`http://localhost${target}`) || !/^\//.test(target)) return undefined;
  const url = new URL(`http://localhost${target}`);
  const signing = { ...key, method, url, body: Buffer.from(body, 'latin1'), nowMs: Date.now() };
  if (presigned) {
    const at = orUnsignable(() => presignUrl({ ...signing, expiresSeconds: 60 }));
    if (at === undefined) return undefined;
    const { pathname, search } = new URL(at);
    return { method, target: `${pathname}${search}`, headers: [['host', 'localhost']], body };
  }
  const all = orUnsignable(() => signRequest({ ...signing, headers: Object.fromEntries(own) }));
  return all && { method, target: `${url.pathname}${url.search}`, headers: Object.entries(all), body };
};

const asRequest = ({ method, target, headers, body }: RequestText): SignedRequest => {
  const mark = target.indexOf('?');
  return {
    method,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark + 1),
    headers,
    loopback: true,
    forwarded: false,
    body: async () => Buffer.from(body, 'latin1'),
  };
};

/** What a signature vouches for, without the signature itself. */
const meaning = ({ method, target, body }: RequestText): string => {
  const { path, query } = asRequest({ method, target, headers: [], body });
  const pairs = queryPairs(query).filter(([name]) => name !== 'X-Amz-Signature');
  return JSON.stringify([method, normalizePath(path), pairs.map((pair) => pair.join('=')).sort(), body]);
};

const judge = async (request: RequestText): Promise<string> => {
  const expected = { services: ['iot'], hostRegion: undefined, credentials: () => identity };
  try {
    await authenticate(asRequest(request), expected);
    return 'accepted';
  } catch (error) {
    if (error instanceof Fault) return error.name;
    throw error;
  }
};

export default (): Target => ({
  corpus: [
    requestText('GET', '/things?maxResults=2&nextToken=a%2Fb%3D'),
    requestText('POST', '/things/a%2Fb', { headers: { 'x-custom': ' a   b ' }, body: '{"a":"b"}' }),
    requestText('GET', '/a//b/../c?b=2&a=1&a=0&c'),
    requestText('PUT', '/target-policies/x', { headers: { 'x-y': 'z' }, body: '{}' }),
  ].flatMap((request) => [0, 1, 2, 3].map((mode) => Buffer.concat([Buffer.of(mode), request]))),
  dictionary: httpWords,
  bytesMax: 4_096,
  async run(input) {
    const [mode = 0] = input;
    const request = signed(parseRequest(input.subarray(1)), (mode & 1) === 1);
    if (request === undefined) return judge(parseRequest(input.subarray(1)));
    scopeService(request.headers, queryPairs(asRequest(request).query));
    const fair = await judge(request);
    hold(fair === 'accepted', `what was signed is accepted, not ${fair}`);
    if (mode < 2) return fair;
    const bytes = requestText(request.method, request.target, {
      headers: Object.fromEntries(request.headers),
      body: request.body,
    });
    const material = {
      corpus: [bytes],
      dictionary: httpWords.map((word) => Buffer.from(word, 'latin1')),
      bytesMax: 8_192,
    };
    const changed = parseRequest(mutate(new Random(mode * 65_536 + input.length), material));
    const after = await judge(changed);
    hold(after !== 'accepted' || meaning(changed) === meaning(request), 'what was changed is refused');
    return `changed: ${after}`;
  },
});
