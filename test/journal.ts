/** The journal as a story reads it: `GET /_fleetgate/journal`, signed with an account's development key. */
import type { AccountRegion } from '../src/aws/arn.ts';
import { signRequest } from '../src/aws/sigv4.ts';
import type { FleetNode } from '../src/index.ts';
import type { JournalAnswer } from '../src/journal/endpoint.ts';

export const readJournal = async (
  node: Pick<FleetNode, 'apiUrl'>,
  { accountId, region }: AccountRegion,
  query: Readonly<Record<string, string>> = {},
): Promise<JournalAnswer> => {
  const url = `${node.apiUrl}/_fleetgate/journal?${new URLSearchParams(query)}`;
  const key = { accessKeyId: accountId, secretAccessKey: 'test' };
  const { host: _, ...headers } = signRequest({
    method: 'GET',
    url,
    ...key,
    region,
    service: 'iot',
    nowMs: Date.now(),
  });
  const response = await fetch(url, { headers });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  // the endpoint's own type, as JSON brings it back
  return (await response.json()) as JournalAnswer;
};
