/**
 * The ClientHello reader: a hello, a refusal, or the wish for more; the same however the bytes are cut; and every byte kept for OpenSSL.
 * Rules: RFC 8446 4.1.2 and 5.1; design 2.8.
 */
import { isDeepStrictEqual } from 'node:util';
import { ClientHelloReader, type HelloReading } from '../../../src/gateway/hello-reader.ts';
import { helloTlsFacts } from '../../../src/gateway/peer.ts';
import { negotiatedVersion, serverKind } from '../../../src/gateway/server-kind.ts';
import { defaultSecurityPolicy } from '../../../src/tls/security-policy.ts';
import { corpusOf, cut } from '../corpus.ts';
import { hold, type Target } from '../target.ts';

const bytesMax = 4_096;

const readAll = (pieces: readonly Buffer[]): { reading: HelloReading; received: Buffer } => {
  const reader = new ClientHelloReader(bytesMax);
  let reading: HelloReading = { kind: 'more' };
  for (const piece of pieces) {
    reading = reader.push(piece);
    if (reading.kind !== 'more') break;
  }
  return { reading, received: reader.received() };
};

export default (): Target => ({
  corpus: corpusOf('client-hello'),
  dictionary: [
    'localhost',
    Buffer.from([22, 3, 1]),
    Buffer.from([1, 0, 0, 0]),
    Buffer.from([0, 0, 0, 14, 0, 12, 0, 0, 9]),
  ],
  bytesMax: 2 * bytesMax,
  run(input) {
    const whole = readAll([input]);
    const seed = input[input.length - 1] ?? 0;
    for (const pieces of [cut(input, 1, 0), cut(input, 300, seed)]) {
      const { reading, received } = readAll(pieces);
      hold(reading.kind === whole.reading.kind, 'the way the bytes are cut decides nothing');
      hold(received.equals(input.subarray(0, received.length)), 'every byte is kept as it came');
      hold(received.length <= bytesMax + 300, 'no more is kept than the bound and one chunk');
      if (reading.kind === 'hello')
        hold(isDeepStrictEqual(reading, whole.reading), 'a cut hello reads as the whole one');
    }
    if (whole.reading.kind !== 'hello') {
      return whole.reading.kind === 'refused' ? whole.reading.detail.replaceAll(/\d+/g, '#') : 'more';
    }
    const { hello } = whole.reading;
    hold(hello.serverName === undefined || /^[a-z0-9._:[\]%-]{1,255}$/.test(hello.serverName), 'a server name is one');
    hold(hello.alpn.length <= 16 && !hello.alpn.includes(''), 'few ALPN names are kept, none empty (RFC 7301 3.1)');
    const lists = [hello.cipherSuites, hello.groups, hello.signatureAlgorithms, hello.supportedVersions];
    hold(
      lists.every((list) => list === undefined || list.length > 0),
      'what is offered is not an empty list',
    );
    helloTlsFacts(hello);
    const version = negotiatedVersion(hello, defaultSecurityPolicy);
    if (version !== undefined) serverKind(hello, version);
    return 'hello';
  },
});
