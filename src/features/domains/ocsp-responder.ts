/**
 * OCSP responders over HTTP (RFC 6960 appendix A.1). Their addresses come from certificates, which anyone who may use ACM imports, so only hosts that the operator
 * has named are asked, redirects are not followed and no proxy of the environment is used; of an answer no more is read, and no longer, than the
 * bounds allow.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import { quoted } from '../../aws/quoted.ts';
import { ocspResponseBytesMax } from '../../pki/ocsp.ts';

/** From the request to the end of its answer; what functions have, too. */
const responderMs = 5000;
const headerBytesMax = 8 * 1024;

/** No response was had; `message` is a sentence for the account's log. */
export class OcspUnavailable extends Error {
  override readonly name = 'OcspUnavailable';
}

export interface OcspResponders {
  /** The first of the addresses of a certificate that may be asked. Faults: OcspUnavailable. */
  choose(addresses: readonly string[]): URL;
  /** The bytes that are answered, whatever they are. Faults: OcspUnavailable. */
  ask(address: URL, request: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

const defaultPorts: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';

export interface OcspRespondersOptions {
  /** Of --ocsp-responders: `host` for the default ports, or `host:port`. */
  readonly allowed: readonly string[];
  readonly timeoutMs?: number;
}

export const openOcspResponders = ({ allowed, timeoutMs = responderMs }: OcspRespondersOptions): OcspResponders => {
  const places = new Set(allowed);
  // of our own: NODE_USE_ENV_PROXY changes the global ones only
  const agents = { 'http:': new http.Agent({ keepAlive: false }), 'https:': new https.Agent({ keepAlive: false }) };

  const isAllowed = ({ protocol, hostname, port, username, password }: URL): boolean => {
    const usual = defaultPorts[protocol];
    if (usual === undefined || username !== '' || password !== '') return false;
    return places.has(`${hostname}:${port || usual}`) || (port === '' && places.has(hostname));
  };

  return {
    choose(addresses) {
      const urls = addresses.flatMap((address) => URL.parse(address) ?? []);
      const found = urls.find(isAllowed);
      if (found) return found;
      const [first] = addresses;
      throw new OcspUnavailable(
        first === undefined
          ? 'The server certificate names no OCSP responder, and the configuration no function (ocspLambdaArn)'
          : `The OCSP responder ${quoted(first)} of the server certificate is not among those that this server may ask (--ocsp-responders)`,
      );
    },
    ask(address, request) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      const isTls = address.protocol === 'https:';
      const asked = (isTls ? https : http).request(address, {
        agent: agents[isTls ? 'https:' : 'http:'],
        method: 'POST',
        maxHeaderSize: headerBytesMax,
        headers: {
          'content-type': 'application/ocsp-request',
          'content-length': request.length,
          accept: 'application/ocsp-response',
        },
      });
      /** The first word counts. */
      const fail = (message: string, cause?: unknown): void => {
        reject(new OcspUnavailable(message, { cause }));
        asked.destroy();
      };
      const late = setTimeout(
        () => fail(`The OCSP responder gave no whole answer within ${timeoutMs / 1000} s`),
        timeoutMs,
      );
      asked.on('error', (error) => fail(`The OCSP responder cannot be reached, or is none${codeOf(error)}`, error));
      asked.on('upgrade', (_, socket) => {
        socket.destroy();
        fail('The OCSP responder answered what is no OCSP');
      });
      asked.on('response', (response) => {
        const { statusCode = 0 } = response;
        if (statusCode !== 200) {
          const redirect = statusCode >= 300 && statusCode < 400 ? '; redirects are not followed' : '';
          return fail(`The OCSP responder answered with the HTTP status ${statusCode}${redirect}`);
        }
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > ocspResponseBytesMax) {
            fail(`The OCSP responder answered more than ${ocspResponseBytesMax / 1024} KiB`);
          }
        });
        response.on('error', (error) => fail('The OCSP responder broke off', error));
        response.on('end', () => resolve(Buffer.concat(chunks)));
      });
      asked.end(request);
      return promise.finally(() => clearTimeout(late));
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
};
