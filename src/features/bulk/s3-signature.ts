/** SigV4 as S3 wants it: unlike for other services the path is signed as it is sent. Source: S3 API reference, "Authenticating Requests". */
import { algorithm, amzDateOf, emptyPayloadHash, type Scope, scopeText, signatureOf } from '../../aws/sigv4.ts';

/** A key of the endpoint's, which is not one of this server's accounts. */
export interface S3Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/** The headers that sign a GET without query; `headers` are lower-case and signed as well. */
export const signS3Get = (
  { accessKeyId, secretAccessKey, region }: S3Key,
  { path, headers, nowMs }: { path: string; headers: Readonly<Record<string, string>>; nowMs: number },
): Record<string, string> => {
  const amzDate = amzDateOf(nowMs);
  const signed = { ...headers, 'x-amz-content-sha256': emptyPayloadHash, 'x-amz-date': amzDate };
  const entries = Object.entries(signed).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = entries.map(([name]) => name).join(';');
  const lines = entries.map(([name, value]) => `${name}:${value}\n`).join('');
  const canonical = ['GET', path, '', lines, names, emptyPayloadHash].join('\n');
  const scope: Scope = { date: amzDate.slice(0, 8), region, service: 's3' };
  const signature = signatureOf(secretAccessKey, scope, amzDate, canonical);
  const authorization = `${algorithm} Credential=${accessKeyId}/${scopeText(scope)}, SignedHeaders=${names}, Signature=${signature}`;
  return { ...signed, authorization };
};
